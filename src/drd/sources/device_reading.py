"""Positioned reads of a file or block device, a few at once, with futures."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from drd.errors import SourceError
from drd.model import Buffer
from drd.sources.os_errors import translated

THREADS: Final = 4
"""Enough to keep a disk busy; the kernel's read-ahead does the rest."""


class FileReader:
    """Reads one open file of *size* bytes; zeros beyond it."""

    def __init__(self, fd: int, *, size: int, about: str) -> None:
        self._fd = fd
        self._size = size
        self._about = about
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="drd-device")

    def start(self, offset: int, length: int) -> Future[Buffer]:
        """Begin to read *length* bytes."""
        return self._pool.submit(self._read, offset, length)

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, offset: int, length: int) -> Buffer:
        body = bytearray(length)
        view, at, end = memoryview(body), offset, min(offset + length, self._size)
        with translated(self._about):
            while at < end:
                done = os.preadv(self._fd, [view[at - offset : end - offset]], at)
                if done == 0:
                    raise SourceError(
                        f"the file ends at {at} of {self._size} bytes: somebody shortened it",
                        about=self._about,
                    )
                at += done
        return body
