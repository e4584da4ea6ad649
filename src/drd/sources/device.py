"""Source: image files and block devices, read as they lie there.

There are no snapshots and no change tracking: the base is always None, so that every cell that holds
data is read and compared by digest. A file that changes while it is read gives a mixture of two
states that never was; so it is refused, by its times and size, unless the configuration says that
whoever writes is quiet (``quiesced``). A block device has no times to go by: it is opened
exclusively, which fails while it is mounted or held, and keeps others from mounting it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from drd.errors import ConfigError, DrdError, NotFoundError, RefusedError, SourceError
from drd.model import Buffer, Changed, Found, HeldSnapshot, Json, Snapshot
from drd.ports import FreezeOrder, Gate, Now, ReadAt
from drd.sources.blockdev import data_ranges, size_of
from drd.sources.device_reading import FileReader
from drd.sources.labels import label as label_of
from drd.sources.labels import snapshot_name
from drd.sources.os_errors import in_words, translated
from drd.sources.patterns import matching, plain, unescaped
from drd.sources.ranges import clipped, merged
from drd.sources.windowed import Window, in_order

FILE_QUARANTINE_MARK = ".drd-restoring-"
"""In the name of a file that a restore has not finished; never backed up."""
FILE_REPLACED_MARK = ".drd-replaced-"
"""In the name of a file whose name a restore gave to another; found by no pattern."""

_PREFIX = "device:"
_UNNAMED = "device without a name:"
"""Begins the identity of a file whose name no manifest can hold; it is never opened."""


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """One section of the configuration. *paths* are glob patterns. Each read passes *gate*, where there is
    one.
    """

    paths: tuple[str, ...]
    quiesced: bool = False
    gate: Gate | None = None


class DeviceSource:
    """Image files and block devices. *now* is the clock: a file has no snapshot time of its own."""

    def __init__(self, name: str, settings: DeviceSettings, now: Now) -> None:
        self._name = name
        self._settings = settings
        self._now = now
        self._overlooked: list[DrdError] = []

    @property
    def name(self) -> str:
        """Section of the configuration."""
        return self._name

    def discover(self) -> Sequence[Found]:
        """Files and block devices that the patterns match, sorted by label.

        A path without wildcards is found even when nothing is there, and a name that is not UTF-8 in
        an escaped form: ``freeze`` then says so, and the others are backed up all the same.

        Raises:
            ConfigError: two paths have one base name, or one file has two names.
        """
        by_label: dict[str, str] = {}
        by_path: dict[str, str] = {}
        unnamed: set[str] = set()
        self._overlooked = []
        for path in self._matching():
            found_at = os.path.realpath(path)
            called, real = label_of(self._name, _shown(Path(path).name)), _shown(found_at)
            if by_label.get(called, real) != real:
                raise ConfigError(
                    f"two images would be called {called}: {by_label[called]} and {real}",
                    about=self._name,
                    hint="give each a source of its own, or narrow the paths",
                )
            if by_path.get(real, called) != called:
                raise ConfigError(
                    f"one image would be called {by_path[real]} and {called}",
                    about=real,
                    hint="narrow the paths, so that one name is left",
                )
            by_label[called], by_path[real] = real, called
            if not _is_text(path + found_at):
                unnamed.add(called)
        return [
            Found(self._name, called, f"{_UNNAMED if called in unnamed else _PREFIX}{real}")
            for called, real in sorted(by_label.items())
        ]

    def overlooked(self) -> Sequence[DrdError]:
        """Folders that could not be looked into, and patterns that matched nothing."""
        return self._overlooked

    def doubts(self) -> Sequence[str]:
        """Paths without wildcards at which nothing can be read, a sentence each."""
        told = []
        for path in filter(None, map(plain, self._settings.paths)):
            try:
                Path(path).stat()
            except OSError as error:
                told.append(f"{_shown(path)}: {in_words(error)}")
        return told

    def _matching(self) -> Iterator[str]:
        """Paths that the patterns match and that can be images."""
        for pattern in self._settings.paths:
            for path in (pattern, unescaped(pattern)):  # an image may be called [1]
                if os.path.lexists(path):
                    yield path
                    break
            else:
                named = plain(pattern)
                yield from self._globbed(pattern) if named is None else [named]

    def _globbed(self, pattern: str) -> list[str]:
        """What a pattern matches; what it does not find is noted."""
        refused: dict[str, DrdError] = {}

        def trouble(folder: str, error: OSError) -> None:
            refused[folder] = SourceError(
                f"a folder of the paths cannot be looked into: {in_words(error)}",
                about=_shown(folder),
                hint="what lies in it is not backed up: give the user that drd runs as access, or "
                f"narrow the paths of source {self._name}",
            )

        found = [path for path in matching(pattern, trouble) if _may_be_image(path)]
        self._overlooked += refused.values()
        if not found and not refused:
            nothing = NotFoundError(
                "no image matches this pattern",
                about=_shown(pattern),
                hint=f"is everything mounted? else correct the paths of source {self._name}",
            )
            self._overlooked.append(nothing)
        return found

    @contextmanager
    def freeze(self, found: Found, order: FreezeOrder) -> Iterator[_DeviceFrozen]:
        """Open *found*. Each ``read`` proves at its end that nothing has changed since.

        That is before the commit, and enough: all bytes, and all holes, were looked at by then, so the
        point is what the file was at that moment, whatever is written to it later. On leaving the
        context nothing is looked at any more: the point is committed, and right, and a refusal would
        only deny that it is there.

        Raises:
            NotFoundError: nothing is there.
            RefusedError: it is no image, or is in use.
        """
        with self._opened(found) as (fd, path):
            known = _Fingerprint.of(fd)
            snapshot = Snapshot(
                known.snapshot_id, snapshot_name(order.lineage, order.run), self._now(), known.size
            )
            resume = order.resume
            if resume is not None and resume.id == snapshot.id and not known.block:
                snapshot = resume
            yield from self._frozen(fd, path, snapshot, known)

    @contextmanager
    def reopen(self, found: Found, snapshot: Snapshot) -> Iterator[_DeviceFrozen]:
        """Open *found* again, when it is still what *snapshot* was.

        Raises:
            NotFoundError: it has changed since, or is gone, or is a block device: of that nothing
                tells whether it has changed, and a comparison would call a change damage.
        """
        with self._opened(found) as (fd, path):
            known = _Fingerprint.of(fd)
            if known.block:
                raise NotFoundError(
                    "a block device has no snapshot, and keeps no time of its last change",
                    about=found.label,
                    hint="verify with level 2, which needs the bucket alone",
                )
            if known.snapshot_id != snapshot.id:
                raise NotFoundError(
                    "the image has changed since that point: there is no snapshot of it",
                    about=found.label,
                    hint="a file keeps only its present state; compare a newer point",
                )
            yield from self._frozen(fd, path, snapshot, known)

    def settle(self, found: Found, lineage: bytes, *, keep: Sequence[str]) -> Sequence[str]:  # noqa: ARG002
        """Nothing to remove."""
        return []

    def snapshots(self, found: Found | None = None) -> Sequence[HeldSnapshot]:  # noqa: ARG002
        """None: a file has no snapshots."""
        return []

    def release(self, label: str) -> Sequence[str]:
        """Nothing to remove.

        Raises:
            NotFoundError: no image of that label.
        """
        if all(found.label != label for found in self.discover()):
            raise NotFoundError("no such image", about=label)
        return []

    @contextmanager
    def _opened(self, found: Found) -> Iterator[tuple[int, str]]:
        """A descriptor of *found*, and its path.

        Raises:
            NotFoundError: nothing is there.
            RefusedError: its name cannot be told, it is no image, or it is in use.
        """
        if found.identity.startswith(_UNNAMED):
            raise RefusedError(
                "the name of this file, or of a folder above it, is not UTF-8",
                about=found.label,
                hint="rename it, or narrow the paths of its source",
            )
        path = found.identity.removeprefix(_PREFIX)
        if path == found.identity:
            raise NotFoundError("this is not the identity of a file", about=found.identity)
        with translated(path):
            fd = _open(path, exclusive=not self._settings.quiesced)
        try:
            yield fd, path
        finally:
            os.close(fd)

    def _frozen(
        self, fd: int, path: str, snapshot: Snapshot, known: _Fingerprint
    ) -> Iterator[_DeviceFrozen]:
        """The open image, until the caller is done with it."""
        frozen = _DeviceFrozen(fd, path, snapshot=snapshot, known=known, settings=self._settings)
        with closing(frozen):
            yield frozen


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    """What tells that a file was written to; a block device has only its size."""

    inode: int
    modified_ns: int
    changed_ns: int
    size: int
    block: bool

    @classmethod
    def of(cls, fd: int) -> _Fingerprint:
        """The present one of an open file."""
        about, size = os.fstat(fd), size_of(fd)
        if stat.S_ISBLK(about.st_mode):
            return cls(about.st_rdev, 0, 0, size, block=True)
        return cls(about.st_ino, about.st_mtime_ns, about.st_ctime_ns, size, block=False)

    @property
    def snapshot_id(self) -> str:
        """Changes whenever a file does, also when whoever wrote to it puts the old time back: the time
        of the last change of the inode (ctime, inode(7)) cannot be set.
        """
        return f"{self.inode:x}-{self.modified_ns:x}-{self.changed_ns:x}-{self.size:x}"


class _DeviceFrozen:
    """An open file or block device."""

    def __init__(
        self,
        fd: int,
        path: str,
        *,
        snapshot: Snapshot,
        known: _Fingerprint,
        settings: DeviceSettings,
    ) -> None:
        self._fd = fd
        self._path = path
        self._snapshot = snapshot
        self._known = known
        self._settings = settings
        self._reader = FileReader(fd, size=known.size, about=path)

    @property
    def snapshot(self) -> Snapshot:
        """Synthetic: its id is made of inode, times of change and size."""
        return self._snapshot

    @property
    def base(self) -> None:
        """Never: a file keeps no older state."""

    @property
    def facts(self) -> Mapping[str, Json]:
        """Path and size, and whether the operator vouched for consistency."""
        return {
            "kind": "device",
            "path": self._path,
            "size": self._known.size,
            "block": self._known.block,
            "consistency": "quiesced" if self._settings.quiesced else "unchanged while read",
            "warnings": [],
        }

    def changed(self, offset: int, length: int) -> Sequence[Changed]:
        """Ranges that hold data."""
        end = min(offset + length, self._known.size)
        with translated(self._path):
            return clipped(merged(data_ranges(self._fd, offset, end)), offset, end)

    def read(self, wanted: Iterable[ReadAt]) -> Iterator[tuple[ReadAt, Buffer]]:
        """Read in the order asked; at the end, prove that nothing changed.

        Raises:
            RefusedError: the file was written to meanwhile.
        """
        yield from in_order(
            wanted, self._start, Window(), about=self._path, gate=self._settings.gate
        )
        self._check()

    def _start(self, offset: int, length: int, base: bool) -> Future[Buffer]:  # noqa: FBT001
        if base:
            raise SourceError("a file has no base to read", about=self._path)
        return self._reader.start(offset, length)

    def _check(self) -> None:
        """Refuse when the file is not what it was when it was opened.

        Raises:
            RefusedError: it was written to, and nobody said that it is quiesced.
        """
        with translated(self._path):
            changed = _Fingerprint.of(self._fd) != self._known
        if changed and not self._settings.quiesced:
            raise RefusedError(
                "the file changed while it was read",
                about=self._path,
                hint="stop who writes to it, or set quiesced = true when a copy in motion is wanted",
            )

    def close(self) -> None:
        """Wait for reads under way."""
        self._reader.close()


def _is_text(path: str) -> bool:
    """Whether *path* can be written as UTF-8: Python keeps other bytes as surrogates (PEP 383)."""
    return not any("\ud800" <= char <= "\udfff" for char in path)


def _shown(path: str) -> str:
    """*path* itself, or, where it is not UTF-8, with its strange bytes escaped."""
    return path if _is_text(path) else os.fsencode(path).decode(errors="backslashreplace")


def _may_be_image(path: str) -> bool:
    """A regular file or block device that no restore is writing. What is gone by now is not one."""
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
    ours = FILE_QUARANTINE_MARK in path or FILE_REPLACED_MARK in path
    return (stat.S_ISREG(mode) or stat.S_ISBLK(mode)) and not ours


def _open(path: str, *, exclusive: bool) -> int:
    """Open for reading; a block device exclusively, unless it is said to be quiet."""
    mode = Path(path).stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise RefusedError("neither a file nor a block device", about=path)
    guard = os.O_EXCL if stat.S_ISBLK(mode) and exclusive else 0
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | guard)
