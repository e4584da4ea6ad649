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
        end = min(offset + length, self._size)
        # One read gives it all, as a rule: fresh memory is touched once, by the kernel's copy.
        body = self._some(offset, end) if offset < end else b""
        if len(body) == length:
            return body
        filled = bytearray(length)
        filled[: len(body)] = body
        at = offset + len(body)
        while at < end:
            more = self._some(at, end)
            filled[at - offset : at - offset + len(more)] = more
            at += len(more)
        return filled

    def _some(self, at: int, end: int) -> bytes:
        """Some bytes from *at* on, at least one.

        Raises:
            SourceError: the file ends there, or cannot be read.
        """
        with translated(self._about):
            data = os.pread(self._fd, end - at, at)
        if not data:
            raise SourceError(
                f"the file ends at {at} of {self._size} bytes: somebody shortened it",
                about=self._about,
            )
        return data
