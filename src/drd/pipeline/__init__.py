"""Bounded queues and threads around the core. This room decides nothing: it only moves work.

Threads, not asyncio: librbd, zstd, OpenSSL, BLAKE3 and the S3 client are blocking C code that lets go
of the interpreter lock.
"""
