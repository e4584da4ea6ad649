"""A process that dies: one count of effects over its store, its source and its catalogue.

A dead process does nothing any more: every further call into the world raises ``CrashError`` before any
effect, clean-up in ``finally`` and ``except`` included. What its store and source hold stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from threading import RLock
from typing import TypeVar

from drd.errors import CrashError, DrdError
from drd.model import (
    Buffer,
    Damage,
    Found,
    Head,
    HeldSnapshot,
    Hold,
    ObjectVersion,
    PointInfo,
    Proven,
    Snapshot,
    StoreAbilities,
)
from drd.ports import Catalogue, FreezeOrder, Frozen, Ledger, Source, Store

_T = TypeVar("_T")


class Life:
    """Counts effects, and ends right after number *last* (None: never); 0 ends at the first look."""

    def __init__(self, last: int | None = None) -> None:
        self.effects: list[str] = []
        self._last = last
        self._lock = RLock()
        self._dead = last == 0

    @property
    def dead(self) -> bool:
        """Whether it is over."""
        return self._dead

    def check(self) -> None:
        """``CrashError`` once it is over."""
        if self._dead:
            raise CrashError("this process is dead")

    def happened(self, word: str) -> None:
        """An effect took place; it may have been the last."""
        with self._lock:
            self.check()
            self.effects.append(word)
            self._dead = self._last is not None and len(self.effects) >= self._last
            self.check()

    def act(self, word: str, effect: Callable[[], _T]) -> _T:
        """Let *effect* take place, unless it is over."""
        with self._lock:
            self.check()
            made = effect()
            self.happened(word)
            return made


class MortalStore:
    """The store as one process sees it."""

    def __init__(self, inner: Store, life: Life) -> None:
        self._inner = inner
        self._life = life

    @property
    def url(self) -> str:
        """The inner store's."""
        return self._inner.url

    def abilities(self) -> StoreAbilities:
        """The inner store's."""
        self._life.check()
        return self._inner.abilities()

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """An effect: ``put`` and the key."""
        put = self._inner.put
        return self._life.act(f"put {key}", lambda: put(key, data, if_absent=if_absent))

    def delete(self, key: str, *, version: str = "") -> None:
        """An effect: ``delete`` and the key."""
        self._life.act(f"delete {key}", lambda: self._inner.delete(key, version=version))

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """The inner store's."""
        self._life.check()
        return self._inner.get(key, version=version, start=start, length=length)

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        """The inner store's."""
        self._life.check()
        return self._inner.stat(key, version=version)

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        """The inner store's."""
        self._life.check()
        return self._inner.list(prefix, limit=limit, after=after)

    def folders(self, prefix: str) -> Iterator[str]:
        """The inner store's."""
        self._life.check()
        return self._inner.folders(prefix)

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        """The inner store's."""
        self._life.check()
        return self._inner.versions(key)

    def remains(self, key: str) -> Sequence[str]:
        """The inner store's."""
        self._life.check()
        return self._inner.remains(key)


class MortalSource:
    """The source as one process sees it. The inner one must tell its effects to ``life.happened``."""

    def __init__(self, inner: Source, life: Life) -> None:
        self._inner = inner
        self._life = life

    @property
    def name(self) -> str:
        """The inner source's."""
        return self._inner.name

    def discover(self) -> Sequence[Found]:
        """The inner source's."""
        self._life.check()
        return self._inner.discover()

    def overlooked(self) -> Sequence[DrdError]:
        """The inner source's."""
        return self._inner.overlooked()

    def freeze(self, found: Found, order: FreezeOrder) -> AbstractContextManager[Frozen]:
        """The inner source's."""
        self._life.check()
        return self._inner.freeze(found, order)

    def reopen(self, found: Found, snapshot: Snapshot) -> AbstractContextManager[Frozen]:
        """The inner source's."""
        self._life.check()
        return self._inner.reopen(found, snapshot)

    def settle(self, found: Found, lineage: bytes, *, keep: Sequence[str]) -> Sequence[str]:
        """The inner source's."""
        self._life.check()
        return self._inner.settle(found, lineage, keep=keep)

    def snapshots(self, found: Found | None = None) -> Sequence[HeldSnapshot]:
        """The inner source's."""
        self._life.check()
        return self._inner.snapshots(found)

    def release(self, label: str) -> Sequence[str]:
        """The inner source's."""
        self._life.check()
        return self._inner.release(label)


class MortalCatalogue:
    """The catalogue as one process sees it."""

    def __init__(self, inner: Catalogue, life: Life) -> None:
        self._inner = inner
        self._life = life

    @property
    def ledger(self) -> Ledger:
        """The inner catalogue's: what it keeps is a cache, and nobody counts its effects."""
        self._life.check()
        return self._inner.ledger

    def keys(self, tenant: bytes) -> Mapping[str, bytes]:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.keys(tenant)

    def points(self, tenant: bytes) -> Sequence[PointInfo]:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.points(tenant)

    def points_of(self, tenant: bytes, lineage: bytes) -> Sequence[PointInfo]:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.points_of(tenant, lineage)

    def tails(self, tenant: bytes) -> Sequence[PointInfo]:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.tails(tenant)

    def heads(self, tenant: bytes) -> Sequence[Head]:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.heads(tenant)

    def lineages(self, tenant: bytes) -> frozenset[bytes]:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.lineages(tenant)

    def lineage_of(self, tenant: bytes, identity: str) -> bytes | None:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.lineage_of(tenant, identity)

    def highest(self, tenant: bytes, lineage: bytes) -> int:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.highest(tenant, lineage)

    def learn(self, points: Iterable[PointInfo]) -> None:
        """An effect: ``learn``."""
        self._life.act("learn", lambda: self._inner.learn(points))

    def forget(self, manifest_keys: Iterable[str]) -> None:
        """An effect: ``forget``."""
        self._life.act("forget", lambda: self._inner.forget(manifest_keys))

    def damage_of(self, tenant: bytes, lineage: bytes) -> Damage | None:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.damage_of(tenant, lineage)

    def note_damage(self, tenant: bytes, lineage: bytes, damage: Damage | None) -> None:
        """An effect: ``note_damage``."""
        self._life.act("note_damage", lambda: self._inner.note_damage(tenant, lineage, damage))

    def damages(self, tenant: bytes) -> Mapping[bytes, Damage]:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.damages(tenant)

    def note_proven(self, tenant: bytes, results: Iterable[Proven], *, whole: bool = False) -> None:
        """An effect: ``note_proven``."""
        act = self._life.act
        act("note_proven", lambda: self._inner.note_proven(tenant, results, whole=whole))

    def proven(self, tenant: bytes) -> Sequence[Proven]:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.proven(tenant)

    def knows_proven(self, tenant: bytes) -> bool:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.knows_proven(tenant)

    def note_holds(self, tenant: bytes, lineage: bytes, holds: Iterable[Hold]) -> None:
        """An effect: ``note_holds``."""
        self._life.act("note_holds", lambda: self._inner.note_holds(tenant, lineage, holds))

    def holds(self, tenant: bytes) -> Sequence[Hold]:
        """The inner catalogue's."""
        self._life.check()
        return self._inner.holds(tenant)

    def clear(self) -> None:
        """An effect: ``clear``."""
        self._life.act("clear", self._inner.clear)
