"""Target: a pipe. Everything in order, holes as zeros; the exit code is the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from drd.errors import SourceError
from drd.model import Buffer, Json
from drd.sources.blockdev import ZEROS
from drd.sources.os_errors import translated


class PipeTarget:
    """``-``. *stream* is standard output, in bytes."""

    ordered = True

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at = 0
        self.warnings: list[str] = []

    @property
    def name(self) -> str:
        """``-``."""
        return "-"

    def prepare(self, size: int, facts: Mapping[str, Json]) -> None:
        """Nothing to check."""

    def write(self, offset: int, data: Buffer) -> None:
        """Write *data*, which must follow what was written before.

        Raises:
            SourceError: out of order, or the reader has gone.
        """
        self._follow(offset, len(data))
        with translated("standard output"):
            self._stream.write(data)

    def skip(self, offset: int, length: int) -> None:
        """Write *length* zeros."""
        self._follow(offset, length)
        with translated("standard output"):
            while length:
                part = min(length, len(ZEROS))
                self._stream.write(ZEROS[:part])
                length -= part

    def _follow(self, offset: int, length: int) -> None:
        if offset != self._at:
            raise SourceError(f"a pipe at {self._at} cannot take bytes for {offset}", about="-")
        self._at += length

    def finish(self) -> None:
        """Hand over what is buffered."""
        with translated("standard output"):
            self._stream.flush()

    def abandon(self) -> str:
        """What went out is out; nothing can be named."""
        return ""
