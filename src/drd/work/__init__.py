"""The verbs: one file, one story. They know sockets and the core, never an adapter.

``repository`` opens what all others need; ``history`` reads manifests; ``shelf`` and ``pointmap`` read
the map of a point; ``backup`` uses ``layout``, ``merging`` and ``commit``; then ``restore``, ``verify``,
``listing``, ``doctor``.
"""
