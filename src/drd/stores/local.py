"""A directory as a store (``file://``).

How an object comes into being, so that it is there in full or not at all, also after a power cut:

1. its bytes go into a temporary file on the same file system, which is synced;
2. the folders above its name are made, and each new one is made durable by a sync of its parent;
3. link(2) gives it its name where the name must be free (EEXIST is this store's HTTP 412), and
   rename(2) where it may replace;
4. its folder is synced.

The temporary folder has a name that no key can have. There are no versions.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat as modes
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Final

from drd.errors import (
    ObjectExistsError,
    ObjectMissingError,
    PlaceMissingError,
    StoreError,
    TransientStoreError,
)
from drd.model import Buffer, ObjectVersion, StoreAbilities
from drd.ports import Random
from drd.stores import names
from drd.stores.local_errors import absent_is_missing, translated
from drd.stores.local_walk import Walk
from drd.stores.probing import probe

TEMPORARY: Final = ".tmp~"
"""Folder of files that have no name yet; ``~`` cannot stand in a key."""

_LEFTOVER_AGE_S: Final = 24 * 3600
"""A temporary file older than this was left by a process that died: an object takes seconds."""

_ATTEMPTS: Final = 8
"""How often a put makes its folders again when a delete keeps removing them as empty."""

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class LocalStore:
    """The objects of one directory.

    Args:
        path: the directory. It must be there: a repository on a disk that is not mounted must
            fail, not fill the disk below.
        make: make the directory (and what is above it) first; for ``init``.
        random: names of temporary files and probes.
        sync: makes what a descriptor shows durable; ``os.fsync`` outside of tests.

    Raises:
        StoreError: the directory cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        make: bool = False,
        random: Random = secrets.token_bytes,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._root = path
        self._random = random
        self._sync = sync
        self._durable: set[Path] = set()
        self._swept = False
        self._lock = Lock()
        self._abilities: StoreAbilities | None = None
        if make:
            with translated(f"{self.url} (making it)"):
                self._make_root()

    @property
    def url(self) -> str:
        """``file://`` and the path."""
        return f"file://{self._root}"

    def abilities(self) -> StoreAbilities:
        """Probed once: conditional writes where the file system has hard links; no versions."""
        with self._lock:
            known = self._abilities
        if known is None:
            known = probe(self, self._random)
            with self._lock:
                self._abilities = known
        return known

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """Write one object durably; always returns ``""``.

        Raises:
            RefusedError: not a key.
            ObjectExistsError: *if_absent*, and the name is taken.
            StoreError: no space, no permission, a read-only or missing directory, no hard links.
        """
        path = self._root / names.check_key(key)
        with translated(f"{self.url}/{key}"):
            temporary, descriptor = self._temporary()
            try:
                _write_all(descriptor, data)
                self._sync(descriptor)
                self._publish(temporary, path, if_absent=if_absent)
            finally:
                with suppress(FileNotFoundError):  # it was renamed into place
                    temporary.unlink()
                os.close(descriptor)
        return ""

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """Read an object, or a range of it.

        Raises:
            RefusedError: not a key, or a negative range.
            ObjectMissingError: no such object; or *version* is given (there are none here).
            StoreError: no permission, an input/output error, the directory is missing.
        """
        names.check_range(start, length)
        path = self._existing(key, version)
        with translated(f"{self.url}/{key}"), absent_is_missing(key, self._check_root):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                status = os.fstat(descriptor)
                if not modes.S_ISREG(status.st_mode):
                    raise ObjectMissingError("no such object", about=key)
                left = max(0, status.st_size - start)
                wanted = left if length is None else min(left, length)
                return _read_all(descriptor, start=start, length=wanted)
            finally:
                os.close(descriptor)

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        """Size and modification time of one object.

        Raises:
            RefusedError: not a key.
            ObjectMissingError: no such object; or *version* is given (there are none here).
            StoreError: no permission, an input/output error, the directory is missing.
        """
        path = self._existing(key, version)
        with translated(f"{self.url}/{key}"), absent_is_missing(key, self._check_root):
            status = path.lstat()
        if not modes.S_ISREG(status.st_mode):
            raise ObjectMissingError("no such object", about=key)
        return _described(key, status)

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        """Yield objects in key order; folders that cannot hold one are not opened.

        Raises:
            RefusedError: no key begins like *prefix* or *after*, or *limit* is negative.
            StoreError: (while iterating) no permission, the directory is missing.
        """
        names.check_prefix(prefix)
        names.check_prefix(after)
        names.check_limit(limit)
        return islice(self._listed(prefix, after), limit)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the folders below *prefix* that hold at least one object, sorted.

        Raises:
            RefusedError: *prefix* is not empty and does not end with a slash.
            StoreError: (while iterating) no permission, the directory is missing.
        """
        names.check_folder(prefix)
        return self._folders(prefix)

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        """Return the one object of that name, or nothing.

        Raises:
            RefusedError: not a key.
            StoreError: no permission, the directory is missing.
        """
        try:
            return [self.stat(key)]
        except ObjectMissingError:
            return []

    def remains(self, key: str) -> Sequence[str]:
        """Return the one object of that name, or nothing; see :meth:`versions`."""
        return [one.version for one in self.versions(key)]

    def delete(self, key: str, *, version: str = "") -> None:
        """Remove an object, and the folders that it leaves empty. Absent is not an error.

        Raises:
            RefusedError: not a key.
            StoreError: no permission, a read-only or missing directory.
        """
        path = self._root / names.check_key(key)
        if version:
            return
        with translated(f"{self.url}/{key}"):
            try:
                path.unlink()
                self._sync_folder(path.parent)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                self._check_root()
                return
            self._remove_empty(path.parent)

    # ── making an object ────────────────────────────────────────────────────────────────────────

    def _temporary(self) -> tuple[Path, int]:
        """Open a new temporary file, locked so that no sweep takes it while it is written."""
        folder = self._root / TEMPORARY
        path = folder / self._random(16).hex()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, _FILE_MODE)
        except FileNotFoundError:
            self._check_root()
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            descriptor = os.open(path, flags, _FILE_MODE)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._sweep_once(now=os.fstat(descriptor).st_mtime)
        return path, descriptor

    def _publish(self, temporary: Path, path: Path, *, if_absent: bool) -> None:
        for _ in range(_ATTEMPTS):
            try:
                self._make_folders(path.parent)
                _name(temporary, path, if_absent=if_absent)
            except FileNotFoundError:
                self._forget(path.parent)  # a delete found the folder empty and removed it
            else:
                with suppress(FileNotFoundError):  # seen, and deleted with its folder, already
                    self._sync_folder(path.parent)
                return
        raise TransientStoreError("the folder keeps vanishing", about=str(path.parent))

    def _make_folders(self, folder: Path) -> None:
        """Make *folder* and what is above it, and let none be used before its name is durable."""
        above = [folder, *folder.parents]
        for step in reversed(above[: above.index(self._root)]):
            with self._lock:
                durable = step in self._durable
            if not durable:
                with suppress(FileExistsError):
                    step.mkdir(mode=_FOLDER_MODE)
                self._sync_folder(step.parent)
                with self._lock:
                    self._durable.add(step)

    def _forget(self, folder: Path) -> None:
        with self._lock:
            self._durable -= {folder, *folder.parents}

    def _make_root(self) -> None:
        missing = [step for step in (self._root, *self._root.parents) if not step.exists()]
        for step in reversed(missing):
            step.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            self._sync_folder(step.parent)

    def _sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)

    def _remove_empty(self, folder: Path) -> None:
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:  # not empty, or somebody else was faster: either way nothing to do
                return
            self._forget(folder)
            folder = folder.parent

    def _sweep_once(self, *, now: float) -> None:
        """Remove what died long ago; *now* is the file system's own time, never this machine's."""
        with self._lock:
            if self._swept:
                return
            self._swept = True
        with os.scandir(self._root / TEMPORARY) as entries:
            for entry in entries:
                # Whoever vanishes meanwhile, or belongs to another user, is not ours to sweep.
                with suppress(FileNotFoundError, PermissionError):
                    if now - entry.stat(follow_symlinks=False).st_mtime > _LEFTOVER_AGE_S:
                        _remove_unless_locked(entry.path)

    # ── finding objects ─────────────────────────────────────────────────────────────────────────

    def _existing(self, key: str, version: str) -> Path:
        path = self._root / names.check_key(key)
        if version:
            raise ObjectMissingError("a directory has no versions", about=f"{key} {version}")
        return path

    def _check_root(self) -> None:
        """Tell an absent object from an absent repository."""
        if not self._root.is_dir():
            if self._root.exists():
                raise PlaceMissingError(
                    "the repository's path is no folder",
                    about=self.url,
                    hint="correct repository.url: it names a file, or something else",
                )
            raise PlaceMissingError(
                "the repository's folder is not there",
                about=self.url,
                hint="mount its disk, or run `drctl init` for a new repository",
            )

    def _listed(self, prefix: str, after: str) -> Iterator[ObjectVersion]:
        with translated(self.url):
            self._check_root()
            walk = Walk(self._root, prefix=prefix, after=after)
            for key, status in walk.files(prefix.rpartition("/")[0]):
                yield _described(key, status)

    def _folders(self, prefix: str) -> Iterator[str]:
        with translated(self.url):
            self._check_root()
            walk = Walk(self._root, prefix=prefix, after="")
            for name in walk.folders(prefix.rstrip("/")):
                if any(True for _ in walk.files(f"{prefix}{name}")):
                    yield name


def _name(temporary: Path, path: Path, *, if_absent: bool) -> None:
    """Give the file at *temporary* its name: one step that either happens or does not."""
    if not if_absent:
        temporary.rename(path)
        return
    try:
        path.hardlink_to(temporary)
    except FileExistsError as error:
        if path.is_dir():
            raise StoreError("a folder has the name of this object", about=str(path)) from error
        raise ObjectExistsError("the name is taken already", about=str(path)) from error


def _remove_unless_locked(path: str) -> None:
    """Remove a leftover; a process that still writes it (stopped for a day?) holds its lock."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(path).unlink()
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: Buffer) -> None:
    """Write all of *data*, and hold no view of it afterwards, even in a traceback."""
    with memoryview(data) as view, view.cast("B") as left:
        at = 0
        while at < len(left):
            at += os.write(descriptor, left[at:])


def _read_all(descriptor: int, *, start: int, length: int) -> bytes:
    """Read exactly *length* bytes; an object never changes, so fewer mean a damaged disk."""
    pieces: list[bytes] = []
    while length:
        piece = os.pread(descriptor, length, start)
        if not piece:
            raise StoreError("an object became shorter while it was read")
        pieces.append(piece)
        start += len(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _described(key: str, status: os.stat_result) -> ObjectVersion:
    modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectVersion(key=key, version="", size=status.st_size, modified_at=modified_at)
