"""Stores for tests: one in memory that keeps the whole contract, and one that fails by a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from threading import RLock
from typing import Final, TypeAlias, TypeVar

from drd.errors import (
    CrashError,
    ObjectExistsError,
    ObjectMissingError,
    StoreError,
    TransientStoreError,
)
from drd.model import Buffer, ObjectVersion, StoreAbilities
from drd.ports import Now, Store
from drd.stores import names

_T = TypeVar("_T")

MARKER: Final = "marker"
"""Id of a delete marker in a :class:`MemoryStore`."""
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Held:
    version: str
    data: bytes
    modified_at: datetime


class MemoryStore:
    """A store that forgets everything with the process.

    Args:
        versioned: whether an existing key gets a further version; else it is replaced.
        conditional: whether ``if_absent`` is honoured; else it is ignored without a sign, as Ceph
            RGW 16 does.
        now: the store's clock; without one, each write is a second later than the one before.

    Version ids are opaque and in no order, as those of real stores.
    """

    def __init__(
        self, *, versioned: bool = True, conditional: bool = True, now: Now | None = None
    ) -> None:
        self._abilities = StoreAbilities(conditional_put=conditional, versioned=versioned)
        self._now = now or self._tick
        self._objects: dict[str, list[_Held]] = {}
        self._marked: set[str] = set()
        self._written = 0
        self._lock = RLock()

    @property
    def url(self) -> str:
        """Always ``memory://``."""
        return "memory://"

    def abilities(self) -> StoreAbilities:
        """What the constructor was told."""
        return self._abilities

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """Keep a copy of *data*."""
        names.check_key(key)
        with self._lock:
            visible = key in self._objects and key not in self._marked
            if if_absent and self._abilities.conditional_put and visible:
                raise ObjectExistsError("the name is taken already", about=key)
            self._written += 1
            held = _Held(self._next_version(), bytes(data), self._now())
            if self._abilities.versioned:
                self._objects.setdefault(key, []).append(held)
            else:
                self._objects[key] = [held]
            self._marked.discard(key)
            return held.version

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """Return a copy, or part of one."""
        names.check_range(start, length)
        data = self._held(key, version).data
        return data[start : None if length is None else start + length]

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        """Size, version and time."""
        return _described(key, self._held(key, version), latest=not version)

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        """Yield the newest version of each key, also below a delete marker."""
        names.check_prefix(prefix)
        names.check_prefix(after)
        names.check_limit(limit)
        return islice(self._listed(prefix, after), limit)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the folders below *prefix*, sorted."""
        names.check_folder(prefix)
        with self._lock:
            below = [key[len(prefix) :] for key in self._objects if key.startswith(prefix)]
        return iter(sorted({rest.partition("/")[0] for rest in below if "/" in rest}))

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        """Every version, oldest first."""
        names.check_key(key)
        return self._versions_of(key)

    def remains(self, key: str) -> Sequence[str]:
        """Every version and the delete marker, newest first."""
        names.check_key(key)
        with self._lock:
            mark = [MARKER] if key in self._marked else []
            return [*mark, *(one.version for one in reversed(self._versions_of(key)))]

    def delete(self, key: str, *, version: str = "") -> None:
        """Remove one version; without *version* the one that has no id."""
        names.check_key(key)
        with self._lock:
            if version == MARKER:
                self._marked.discard(key)
                return
            left = [held for held in self._objects.get(key, []) if held.version != version]
            if left:
                self._objects[key] = left
            else:
                self._objects.pop(key, None)  # a delete marker stays, as it does in S3

    # ── for tests only ──────────────────────────────────────────────────────────────────────────

    def mark_deleted(self, key: str) -> None:
        """Put a delete marker over *key*, as somebody does who may delete but no versions."""
        with self._lock:
            if key in self._objects:
                self._marked.add(key)

    def damage(self, key: str, data: Buffer, *, version: str = "") -> None:
        """Change the bytes of a version (the newest) in place: rot, or somebody at the disks."""
        self._held(key, version).data = bytes(data)

    def _held(self, key: str, version: str) -> _Held:
        names.check_key(key)
        with self._lock:
            for held in reversed(self._objects.get(key, [])):
                if version in {"", held.version}:
                    return held
        raise ObjectMissingError("no such object", about=f"{key} {version}".strip())

    def _listed(self, prefix: str, after: str) -> Iterator[ObjectVersion]:
        with self._lock:
            keys = sorted(key for key in self._objects if key.startswith(prefix) and key > after)
        for key in keys:
            found = self._versions_of(key)
            if found:
                yield found[-1]

    def _versions_of(self, key: str) -> Sequence[ObjectVersion]:
        with self._lock:
            held = self._objects.get(key, [])
            newest = len(held) - 1
            shown = key not in self._marked
            return [
                _described(key, one, latest=shown and at == newest) for at, one in enumerate(held)
            ]

    def _next_version(self) -> str:
        if not self._abilities.versioned:
            return ""
        return blake2b(self._written.to_bytes(8, "big"), digest_size=12).hexdigest()

    def _tick(self) -> datetime:
        return _EPOCH + timedelta(seconds=self._written)


def _described(key: str, held: _Held, *, latest: bool) -> ObjectVersion:
    return ObjectVersion(key, held.version, len(held.data), held.modified_at, latest)


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that happened to the inner store; *op* is ``put`` or ``delete``."""

    op: str
    key: str
    size: int = 0


_Failure: TypeAlias = tuple[type[StoreError] | type[CrashError], str]

_BEFORE: Final[dict[str, _Failure]] = {
    "timeout": (TransientStoreError, "script: timed out before the effect"),
    "503": (TransientStoreError, "script: 503 SlowDown"),
    "denied": (StoreError, "script: the store denies access"),
    "crash": (CrashError, "script: died before the effect"),
}
_AFTER: Final[dict[str, _Failure]] = {
    "lose-ack": (TransientStoreError, "script: the acknowledgement was lost"),
    "crash-after": (CrashError, "script: died after the effect"),
}
_WORDS: Final = frozenset({"ok", *_BEFORE, *_AFTER})


class FaultyStore:
    """A store that does to its effects what a script says, and keeps a journal of them.

    Args:
        inner: the store that the effects happen to; it outlives a crash.
        script: one word for each further ``put`` or ``delete``, then all is well:
            ``ok``; ``timeout``, ``503``, ``denied``: fails, nothing happened; ``lose-ack``: happened,
            and fails; ``crash``, ``crash-after``: the process dies before, or after, it happened.
        reads: the same for each ``get``, ``stat`` and ``versions`` (no ``lose-ack``).
        crash_after_effects: die as soon as so many effects have happened; 0 dies at the first.

    Effects happen one at a time, whatever threads ask for them, so a script means one thing. Once
    dead, every further call raises ``CrashError``: nothing of that process does anything any more.
    """

    def __init__(
        self,
        inner: Store,
        script: str = "",
        *,
        reads: str = "",
        crash_after_effects: int | None = None,
    ) -> None:
        unknown = {*script.split(), *reads.split()} - _WORDS | {*reads.split()} & {*_AFTER}
        if unknown:
            raise ValueError(f"words that mean nothing here: {sorted(unknown)}")
        self._inner = inner
        self._script = script.split()
        self._reads = reads.split()
        self._crash_after = crash_after_effects
        self._journal: list[Effect] = []
        self._dead = False
        self._lock = RLock()

    @property
    def url(self) -> str:
        """The inner store's."""
        return self._inner.url

    @property
    def journal(self) -> Sequence[Effect]:
        """The effects that happened, in order."""
        with self._lock:
            return tuple(self._journal)

    @property
    def unused(self) -> Sequence[str]:
        """Words of the script that no effect has met yet."""
        with self._lock:
            return tuple(self._script)

    def abilities(self) -> StoreAbilities:
        """The inner store's; probes are no effects."""
        self._check_alive()
        return self._inner.abilities()

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """Write, as the script has it."""
        effect = Effect("put", key, memoryview(data).nbytes)
        return self._do(effect, lambda: self._inner.put(key, data, if_absent=if_absent))

    def delete(self, key: str, *, version: str = "") -> None:
        """Remove, as the script has it."""
        self._do(Effect("delete", key), lambda: self._inner.delete(key, version=version))

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """Read, as the script has it."""
        self._before_read()
        return self._inner.get(key, version=version, start=start, length=length)

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        """Size and time, as the script has it."""
        self._before_read()
        return self._inner.stat(key, version=version)

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        """Versions, as the script has it."""
        self._before_read()
        return self._inner.versions(key)

    def remains(self, key: str) -> Sequence[str]:
        """All that lies under a key, as the script has it."""
        self._before_read()
        return self._inner.remains(key)

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        """List."""
        self._check_alive()
        return self._inner.list(prefix, limit=limit, after=after)

    def folders(self, prefix: str) -> Iterator[str]:
        """List folders."""
        self._check_alive()
        return self._inner.folders(prefix)

    def _do(self, effect: Effect, act: Callable[[], _T]) -> _T:
        with self._lock:
            self._check_alive()
            word = self._script.pop(0) if self._script else "ok"
            if self._crash_after == 0:
                word = "crash"
            self._fail(_BEFORE, word)
            result = act()
            self._journal.append(effect)
            if self._crash_after is not None and len(self._journal) >= self._crash_after:
                word = "crash-after"
            self._fail(_AFTER, word)
            return result

    def _before_read(self) -> None:
        with self._lock:
            self._check_alive()
            self._fail(_BEFORE, self._reads.pop(0) if self._reads else "ok")

    def _fail(self, table: dict[str, _Failure], word: str) -> None:
        if word in table:
            kind, message = table[word]
            self._dead = self._dead or kind is CrashError
            raise kind(message)

    def _check_alive(self) -> None:
        if self._dead:
            raise CrashError("script: this process is dead")
