"""A local copy of the small objects that every run reads again: what lies below ``x/``.

They are written once and named in manifests with their SHA-256, so the caller finds out a wrong
byte whatever served it. What the cache itself has to prove is that a file in it is whole and is
what the store gave: each file carries the key, the version and a digest of what follows, and one
that does not agree is as good as absent. Nothing here is synced; after a power cut the digests sort
out what is left.

**The cache never fails a run.** Whatever its directory does (full, read-only, gone), the store is
asked instead. That costs requests at every run, so the operator is warned of it, once.

**Versions.** One file per key. It answers for its own version, and for "the newest" (an object that
is written once has one). A reader who found wrong bytes asks for ``versions``, which drops the copy,
and gets each of them from the store; the last one read is kept: the one that verified.

A check that the *store* still has its bytes (verify level 0 and 1) must not go through a cache.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from blake3 import blake3

from drd.model import Buffer, ObjectVersion, StoreAbilities
from drd.ports import Random, Store
from drd.stores import names

CACHED_FOLDER: Final = "x/"
"""``format.md``: runs, shards, digest, item and pack tables, rolls; each written once."""

DEFAULT_BYTES: Final = 1 << 30
"""A gibibyte holds the maps of some hundred images of a tebibyte (10 MiB of metadata per hour)."""

_KEEP: Final = 0.9
"""Part of the bound that an eviction leaves, so that not every further object evicts again."""

_DIGEST_BYTES: Final = 32
_MAX_LINE: Final = 4096
"""Keys and versions have at most 1024 bytes (S3)."""
_TEMPORARY: Final = ".new"
_OLD_S: Final = 3600
"""A temporary file this much older than the newest file belongs to a process that died."""


class CachedStore:
    """A store with a directory in front of it.

    Args:
        inner: the store.
        folder: the cache's own directory, made when it is missing; one per repository.
        max_bytes: the sum of file sizes that is kept.
        random: names of temporary files.
        warn: is told the first time that the directory cannot be used; from any thread.
    """

    def __init__(
        self,
        inner: Store,
        folder: Path,
        *,
        max_bytes: int = DEFAULT_BYTES,
        random: Random = secrets.token_bytes,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._inner = inner
        self._folder = folder
        self._max_bytes = max_bytes
        self._random = random
        self._lock = Lock()
        self._held: int | None = None  # bytes in the folder; None until they are first needed
        self._warn = warn
        self._warned = False

    @property
    def url(self) -> str:
        """The inner store's."""
        return self._inner.url

    def abilities(self) -> StoreAbilities:
        """The inner store's."""
        return self._inner.abilities()

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """Write to the store, then keep a copy."""
        version = self._inner.put(key, data, if_absent=if_absent)
        if key.startswith(CACHED_FOLDER):
            self._keep(key, version, data=data)
        return version

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """Read from the cache, else from the store; only a whole object is kept."""
        names.check_key(key)
        names.check_range(start, length)
        if not key.startswith(CACHED_FOLDER):
            return self._inner.get(key, version=version, start=start, length=length)
        held = self._find(key, version, start=start, length=length)
        if held is not None:
            return held
        data = self._inner.get(key, version=version, start=start, length=length)
        if start == 0 and length is None:
            self._keep(key, version, data=data)
        return data

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        """Asked of the store: whether an object is there is its to say."""
        return self._inner.stat(key, version=version)

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        """Asked of the store."""
        return self._inner.list(prefix, limit=limit, after=after)

    def folders(self, prefix: str) -> Iterator[str]:
        """Asked of the store."""
        return self._inner.folders(prefix)

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        """Asked of the store; the copy is dropped.

        Who asks for all versions of an object that is written once did not get the bytes it wanted,
        and must not get the same ones from here again.
        """
        found = self._inner.versions(key)
        self._drop(key)
        return found

    def remains(self, key: str) -> Sequence[str]:
        """Asked of the store."""
        return self._inner.remains(key)

    def delete(self, key: str, *, version: str = "") -> None:
        """Remove from the store and the cache."""
        self._inner.delete(key, version=version)
        self._drop(key)

    # ── the directory ───────────────────────────────────────────────────────────────────────────

    def _path(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    def _find(self, key: str, version: str, *, start: int, length: int | None) -> bytes | None:
        path = self._path(key)
        with self._forgiven(), suppress(FileNotFoundError), path.open("rb") as file:
            label = _read_label(file)
            if label is None:
                path.unlink(missing_ok=True)
                return None
            if label.key != key or version not in {"", label.version}:
                return None
            end = label.size if length is None else min(start + length, label.size)
            data = os.pread(file.fileno(), max(0, end - start), label.begins + start)
            if start == 0 and length is None and label.digest_of(data) != label.digest:
                path.unlink(missing_ok=True)
                return None
            os.utime(path)  # the newest time is evicted last
            return data
        return None

    def _keep(self, key: str, version: str, *, data: Buffer) -> None:
        path = self._path(key)
        temporary = path.with_name(self._random(16).hex() + _TEMPORARY)
        with self._forgiven():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                size = _write(temporary, _head(key, version, data=data), data)
                temporary.rename(path)
            finally:
                temporary.unlink(missing_ok=True)
            self._evict(size)

    def _drop(self, key: str) -> None:
        if key.startswith(CACHED_FOLDER):
            with self._forgiven():
                self._path(key).unlink(missing_ok=True)

    def _evict(self, added: int) -> None:
        """Remove the files that were not used for longest, once there are too many bytes.

        Other processes fill the same directory; their share is learnt when it is read again.
        """
        with self._lock:
            if self._held is not None and self._held + added <= self._max_bytes:
                self._held += added
                return
            found = sorted(_files(self._folder), key=lambda file: file[1].st_mtime)
            held = sum(status.st_size for _, status in found)
            keep = held if held <= self._max_bytes else self._max_bytes * _KEEP
            for path, status in found:
                if held <= keep:
                    break
                if path.suffix == _TEMPORARY and found[-1][1].st_mtime - status.st_mtime < _OLD_S:
                    continue  # somebody writes it just now
                path.unlink(missing_ok=True)
                held -= status.st_size
            self._held = held

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        """Warn of what the directory cannot do, and go on without it."""
        try:
            yield
        except OSError as error:
            with self._lock:
                first, self._warned = not self._warned, True
            if first:
                self._warn(
                    f"the tables kept at {self._folder} cannot be used ({error.strerror}): "
                    "they are fetched from the store each time"
                )


@dataclass(frozen=True, slots=True)
class _Label:
    """What a file says of itself; ``begins`` is where the object's bytes do."""

    digest: bytes
    key: str
    version: str
    size: int

    @property
    def lines(self) -> bytes:
        return f"{self.key}\n{self.version}\n{self.size}\n".encode()

    @property
    def begins(self) -> int:
        return _DIGEST_BYTES + len(self.lines)

    def digest_of(self, data: Buffer) -> bytes:
        """Digest of all that follows it in the file."""
        return blake3(self.lines).update(data).digest()


def _head(key: str, version: str, *, data: Buffer) -> bytes:
    """Digest of all that follows, then key, version and length, each in a line."""
    label = _Label(b"", key, version, memoryview(data).nbytes)
    return label.digest_of(data) + label.lines


def _write(path: Path, head: bytes, data: Buffer) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor, for its mode
        file.write(head)
        file.write(data)
        return file.tell()


def _read_label(file: BinaryIO) -> _Label | None:
    """The label at the start of *file*, which then stands at the object's bytes; None when it is torn
    or damaged, or the file has another length than it says.
    """
    digest = file.read(_DIGEST_BYTES)
    lines = [file.readline(_MAX_LINE) for _ in range(3)]
    try:
        key, version, size = (line.decode().removesuffix("\n") for line in lines)
        label = _Label(digest, key, version, int(size))
    except ValueError:
        return None
    whole = label.lines == b"".join(lines) and len(digest) == _DIGEST_BYTES
    return label if whole and os.fstat(file.fileno()).st_size == label.begins + label.size else None


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            yield path, path.stat()
