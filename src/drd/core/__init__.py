"""The pure core: bytes and values in, bytes and values out. No file, socket, clock, thread or dice.

Reading order: ``coding`` (how bytes are laid out), ``seal`` (how they are encrypted), ``pack``,
``sections`` and ``tables`` (the map in the bucket), ``window`` (the map in memory), ``manifest``,
``trust`` (who may sign), ``digest``, ``cells`` (what changed), ``merge`` and ``liveness``.
"""
