"""A catalogue that goes with its process: where no file can be kept, and in tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from drd.catalogue.ledger import MemoryLedger
from drd.model import Damage, Head, Hold, PointInfo, PointKind, Proven
from drd.ports import Ledger


class MemoryCatalogue:
    """A :class:`drd.ports.Catalogue` in a dictionary."""

    def __init__(self, points: Iterable[PointInfo] = ()) -> None:
        self._points = {point.manifest_key: point for point in points}
        self._damage: dict[tuple[bytes, bytes], Damage] = {}
        self._proven: dict[tuple[bytes, bytes, int], Proven] = {}
        self._learnt: set[bytes] = set()
        self._holds: dict[tuple[bytes, bytes], list[Hold]] = {}
        self._ledger = MemoryLedger()

    @property
    def ledger(self) -> Ledger:
        """See :class:`drd.ports.Catalogue`."""
        return self._ledger

    def keys(self, tenant: bytes) -> Mapping[str, bytes]:
        """See :class:`drd.ports.Catalogue`."""
        return {point.manifest_key: point.manifest_sha256 for point in self._of(tenant)}

    def points(self, tenant: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        return sorted(self._of(tenant), key=lambda point: (point.lineage, point.seq))

    def points_of(self, tenant: bytes, lineage: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        return [point for point in self.points(tenant) if point.lineage == lineage]

    def tails(self, tenant: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        points = self.points(tenant)
        last = {one.lineage: one.seq for one in points}
        last |= {one.lineage: one.seq for one in points if one.kind is PointKind.FULL}
        return [one for one in points if one.seq >= last[one.lineage]]

    def heads(self, tenant: bytes) -> Sequence[Head]:
        """See :class:`drd.ports.Catalogue`."""
        lineages: dict[bytes, list[PointInfo]] = {}
        for point in self.points(tenant):
            if point.kind is PointKind.FULL:
                lineages.setdefault(point.lineage, []).append(point)
        return [head_of(points) for points in lineages.values()]

    def lineages(self, tenant: bytes) -> frozenset[bytes]:
        """See :class:`drd.ports.Catalogue`."""
        return frozenset(point.lineage for point in self._of(tenant))

    def lineage_of(self, tenant: bytes, identity: str) -> bytes | None:
        """See :class:`drd.ports.Catalogue`."""
        mine = [point for point in self._of(tenant) if point.identity == identity]
        newest = max(mine, key=lambda point: (point.committed_at, point.seq), default=None)
        return newest.lineage if newest else None

    def highest(self, tenant: bytes, lineage: bytes) -> int:
        """See :class:`drd.ports.Catalogue`."""
        return max((point.seq for point in self._of(tenant) if point.lineage == lineage), default=0)

    def learn(self, points: Iterable[PointInfo]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        for point in points:
            old = self._points.get(point.manifest_key)
            if old and old.committed_here and old.manifest_sha256 == point.manifest_sha256:
                self._points[point.manifest_key] = replace(point, committed_here=True)
            else:
                self._points[point.manifest_key] = point

    def damage_of(self, tenant: bytes, lineage: bytes) -> Damage | None:
        """See :class:`drd.ports.Catalogue`."""
        return self._damage.get((tenant, lineage))

    def note_damage(self, tenant: bytes, lineage: bytes, damage: Damage | None) -> None:
        """See :class:`drd.ports.Catalogue`."""
        if damage is None:
            self._damage.pop((tenant, lineage), None)
        else:
            self._damage[tenant, lineage] = damage

    def damages(self, tenant: bytes) -> Mapping[bytes, Damage]:
        """See :class:`drd.ports.Catalogue`."""
        return {lineage: one for (of, lineage), one in self._damage.items() if of == tenant}

    def note_proven(self, tenant: bytes, results: Iterable[Proven], *, whole: bool = False) -> None:
        """See :class:`drd.ports.Catalogue`."""
        if whole:
            self._learnt.add(tenant)
        for one in results:
            place = tenant, one.lineage, one.level
            if place not in self._proven or one.at >= self._proven[place].at:
                self._proven[place] = one

    def proven(self, tenant: bytes) -> Sequence[Proven]:
        """See :class:`drd.ports.Catalogue`."""
        return [one for place, one in sorted(self._proven.items()) if place[0] == tenant]

    def knows_proven(self, tenant: bytes) -> bool:
        """See :class:`drd.ports.Catalogue`."""
        return tenant in self._learnt

    def note_holds(self, tenant: bytes, lineage: bytes, holds: Iterable[Hold]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        self._holds[tenant, lineage] = sorted(holds, key=lambda hold: (hold.seq, hold.at))

    def holds(self, tenant: bytes) -> Sequence[Hold]:
        """See :class:`drd.ports.Catalogue`."""
        return [
            one for place, some in sorted(self._holds.items()) for one in some if place[0] == tenant
        ]

    def forget(self, manifest_keys: Iterable[str]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        for key in manifest_keys:
            self._points.pop(key, None)

    def clear(self) -> None:
        """See :class:`drd.ports.Catalogue`."""
        self._points.clear()
        self._damage.clear()
        self._proven.clear()
        self._learnt.clear()
        self._holds.clear()
        self._ledger.clear()

    def _of(self, tenant: bytes) -> list[PointInfo]:
        return [point for point in self._points.values() if point.tenant == tenant]


def head_of(points: Sequence[PointInfo]) -> Head:
    """The head of a lineage from its full *points*, by number; at least one."""
    newest = points[-1]
    return Head(
        lineage=newest.lineage,
        name=newest.name,
        identity=newest.identity,
        seq=newest.seq,
        point_at=newest.point_at,
        committed_at=newest.committed_at,
        size=newest.size,
        points=len(points),
        oldest_at=min(point.point_at for point in points),
    )
