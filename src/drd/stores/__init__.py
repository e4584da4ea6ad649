"""Where objects lie: a directory or a bucket, and the wrappers that are stacked on it once.

Reading order: ``names`` (what may be a key), ``address`` (what the operator writes), ``local`` and
``s3`` (the two stores; ``s3_client`` and ``s3_errors`` keep the library of S3 in its cage),
``probing`` (what a store can do, found by trying), then the wrappers ``retrying``, ``metered`` and
``cached``. All of them fulfil ``drd.ports.Store``; ``drd.testing.store_conformance`` tests them.
"""
