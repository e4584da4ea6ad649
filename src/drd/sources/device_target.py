"""Target: an existing block device (or file), written in place; so it must be asked for twice."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from drd.errors import DrdError, RefusedError
from drd.model import Buffer, Json
from drd.sources.blockdev import size_of, write_all, zero
from drd.sources.os_errors import translated


class DeviceTarget:
    """``device:PATH``. What lies beyond the restored size stays as it is."""

    ordered = False

    def __init__(self, path: str, *, overwrite: bool) -> None:
        self._path = path
        self._overwrite = overwrite
        self._fd: int | None = None
        self._touched = False
        self.warnings: list[str] = []

    @property
    def name(self) -> str:
        """``device:PATH``."""
        return f"device:{self._path}"

    def prepare(self, size: int, facts: Mapping[str, Json]) -> None:  # noqa: ARG002
        """Open it, a block device exclusively: that fails while it is mounted or held.

        Raises:
            NotFoundError: nothing is there.
            RefusedError: overwriting was not asked for, it is in use, too small, or another kind.
        """
        if not self._overwrite:
            raise RefusedError(
                "a device is written in place, and what it holds is lost",
                about=self.name,
                hint="say --overwrite when that is meant",
            )
        with translated(self._path):
            mode = Path(self._path).stat().st_mode
            if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
                raise RefusedError("neither a block device nor a file", about=self.name)
            guard = os.O_EXCL if stat.S_ISBLK(mode) else 0
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | guard)
            try:
                self._check_size(size_of(fd), size)
            except BaseException:
                os.close(fd)  # or nobody else could open it exclusively while this process lives
                raise
        self._fd = fd

    def _check_size(self, has: int, size: int) -> None:
        if has < size:
            raise RefusedError(
                f"the target has {has} bytes, the image {size}",
                about=self.name,
                hint="choose a larger device",
            )
        if has > size:
            self.warnings.append(f"the last {has - size} bytes of {self._path} stay as they are")

    def write(self, offset: int, data: Buffer) -> None:
        """Write *data*; durable after ``finish``."""
        with translated(self._path):
            self._touched = True
            write_all(self._open_fd(), memoryview(data), offset)

    def skip(self, offset: int, length: int) -> None:
        """Make the range zero: something else was there."""
        with translated(self._path):
            self._touched = True
            zero(self._open_fd(), offset, length)

    def finish(self) -> None:
        """Make everything durable."""
        fd = self._open_fd()
        with translated(self._path):
            os.fsync(fd)
            os.close(fd)
        self._fd = None

    def abandon(self) -> str:
        """Stop; the device holds a part of the image once something was written."""
        if self._fd is None:
            return ""
        fd, self._fd = self._fd, None
        try:
            with translated(self._path):
                os.fsync(fd)
        except DrdError as error:
            self.warnings.append(f"the last writes may not have reached the device: {error}")
        os.close(fd)
        return self.name if self._touched else ""

    def _open_fd(self) -> int:
        if self._fd is None:
            raise RefusedError("the target was not prepared", about=self.name)
        return self._fd
