"""Target: a file, written sparse under a quarantine name beside its final one, then renamed.

What had the name before stays beside it under a name of its own, as an ``rbd:`` target keeps the old
image in the trash: a restore of the wrong point must not be what loses the last good copy.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from drd.errors import DrdError, NotFoundError, RefusedError
from drd.model import Buffer, Json
from drd.ports import Random
from drd.sources.blockdev import write_all
from drd.sources.device import FILE_QUARANTINE_MARK, FILE_REPLACED_MARK
from drd.sources.os_errors import in_words, translated
from drd.sources.patterns import matching

FRESH_MODE = 0o600
"""An image holds whatever the machine held; the operator may open it up."""


class FileTarget:
    """``file:PATH``. A symbolic link is followed: what it points to is replaced, not the link."""

    ordered = False

    def __init__(self, path: str, *, overwrite: bool, random: Random) -> None:
        self._said = path
        self._path = Path(os.path.realpath(path))
        self._overwrite = overwrite
        mark = random(4).hex()
        self._quarantine = Path(f"{self._path}{FILE_QUARANTINE_MARK}{mark}")
        self._replaced = Path(f"{self._path}{FILE_REPLACED_MARK}{mark}")
        self._fd: int | None = None
        self.warnings: list[str] = []

    @property
    def name(self) -> str:
        """``file:PATH``."""
        return f"file:{self._said}"

    def prepare(self, size: int, facts: Mapping[str, Json]) -> None:  # noqa: ARG002
        """Check, and make the quarantine file with *size* bytes of hole.

        Raises:
            NotFoundError: the folder is not there.
            RefusedError: the file exists and may not be overwritten, or is no regular file.
            SourceError: no permission, no space, too large for this file system. Nothing is left.
        """
        with translated(self.name):
            if not self._path.parent.is_dir():
                raise NotFoundError(
                    "no such folder",
                    about=str(self._path.parent),
                    hint="make it, or correct the path",
                )
            mode = self._check_existing()
        self._tell_older()
        with translated(str(self._quarantine)):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            fd = os.open(self._quarantine, flags, FRESH_MODE)
            try:
                if mode is not None:
                    os.fchmod(fd, mode)
                os.ftruncate(fd, size)
            except BaseException:
                self._unmake(fd)
                raise
        self._fd = fd

    def _tell_older(self) -> None:
        """Name what restores to this name have left: one that was killed could not name it."""

        def trouble(folder: str, error: OSError) -> None:
            self.warnings.append(
                f"whether older restores left something in {folder} is not known: {in_words(error)}"
            )

        pattern = glob.escape(f"{self._path}{FILE_QUARANTINE_MARK}") + "*"
        self.warnings += [
            f"an older restore left {path}: remove it when no restore is writing it"
            for path in matching(pattern, trouble)
        ]

    def _unmake(self, fd: int) -> None:
        """Remove the empty file of a ``prepare`` that failed: nobody would name it."""
        os.close(fd)
        try:
            self._quarantine.unlink()
        except OSError as error:
            self.warnings.append(f"the empty file {self._quarantine} stayed behind: {error}")

    def _check_existing(self) -> int | None:
        """Permissions of the file that would be replaced; None when there is none."""
        try:
            about = self._path.lstat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(about.st_mode):
            raise RefusedError(
                "the target is there, and is no regular file",
                about=self.name,
                hint="a block device is written to with device:PATH",
            )
        if not self._overwrite:
            raise RefusedError(
                "the target exists",
                about=self.name,
                hint="choose another name, or allow it to be replaced with --overwrite",
            )
        return stat.S_IMODE(about.st_mode)

    def write(self, offset: int, data: Buffer) -> None:
        """Write *data*; durable after ``finish``."""
        with translated(str(self._quarantine)):
            write_all(self._open_fd(), memoryview(data), offset)

    def skip(self, offset: int, length: int) -> None:
        """Nothing to do: what was never written is a hole."""

    def finish(self) -> None:
        """Make everything durable, then give the file its name in one step; the old one goes aside.

        Raises:
            RefusedError: somebody made a file of that name meanwhile.
        """
        fd = self._open_fd()
        with translated(str(self._quarantine)):
            os.fsync(fd)
        with translated(self.name):
            if self._overwrite and self._check_existing() is not None:
                self._keep_old()
                self._quarantine.replace(self._path)
            else:
                os.link(
                    self._quarantine, self._path
                )  # fails when the name is taken; rename does not
                self._quarantine.unlink()
        self._fd = None  # from here on there is nothing under the quarantine name
        os.close(fd)
        with translated(self.name):
            _sync_folder(self._path.parent)

    def _keep_old(self) -> None:
        """Give the old file a second name: so at no time there is none under the first."""
        os.link(self._path, self._replaced)
        self.warnings.append(
            f"what was there is kept as {self._replaced}: remove it when it is not needed"
        )

    def abandon(self) -> str:
        """Stop; the quarantine file stays and is named."""
        if self._fd is None:
            return ""
        fd, self._fd = self._fd, None
        try:
            with translated(str(self._quarantine)):
                os.fsync(fd)
        except DrdError as error:
            self.warnings.append(f"the unfinished file may lack its last writes: {error}")
        os.close(fd)
        return f"file:{self._quarantine}"

    def _open_fd(self) -> int:
        if self._fd is None:
            raise RefusedError("the target was not prepared", about=self.name)
        return self._fd


def _sync_folder(folder: Path) -> None:
    """A rename is durable when its folder is."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
