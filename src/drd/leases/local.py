"""Leases among the processes of one host: flock(2) on a file per lineage.

The kernel gives the lock back when the process ends, however it ends; so there is no stale lock to
remove by hand. The file stays: to remove it would let two processes hold two files of one name. What
it says (the holder's process id) is for people; the lock alone decides.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from drd.errors import BusyError, ConfigError


class Kept:
    """A lease of this host: the kernel takes it from nobody who lives."""

    def heed(self) -> None:
        """It is still held."""

    def check(self) -> None:
        """It is still held."""


class LocalLease:
    """Leases kept as files in *directory*, which is made when it is not there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def hold(self, name: str) -> Iterator[Kept]:
        """Hold *name* (any text) while the context lasts.

        Raises:
            BusyError: another run holds it; the message names its process.
            ConfigError: the directory cannot be used.
        """
        fd = self._open(name)
        try:
            self._take(fd, name)
            yield Kept()
        finally:
            os.close(fd)

    def _take(self, fd: int, name: str) -> None:
        """Lock an open file, and write down who has it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            raise BusyError(
                f"lineage busy: process {_holder(fd)} works on it",
                about=name,
                hint="wait until it is done; the lock goes with the process",
            ) from error
        except OSError as error:
            raise self._useless(error) from error

    def _open(self, name: str) -> int:
        """The lock file of *name*, which need not be fit for a file name."""
        path = self._directory / f"{sha256(name.encode()).hexdigest()[:32]}.lock"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._useless(error) from error

    def _useless(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"leases cannot be kept here: {error.strerror}",
            about=str(self._directory),
            hint="give the user that drd runs as a state_dir with room that it may write to",
        )


def _holder(fd: int) -> str:
    """The process id in a lock file; a question mark in the moment before it is written."""
    text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return text if text.isdecimal() else "?"
