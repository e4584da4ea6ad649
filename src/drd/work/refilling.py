"""Sparse packs: which of them a run refills, and which blocks that means.

It is looked for every 32 points, as often as runs are merged, in a run that begins after a full point:
the whole map is painted once, window by window. What is found is put by this very run: the looker reads
those blocks from its own snapshot, like everything else, and compares each cell's digest with the map's.
No pack is read, nothing is decrypted, and a crash leaves orphans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from drd.core import merge, refill
from drd.core.refill import Listing, Use
from drd.core.sections import What
from drd.core.tables import TableKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from drd.core.manifest import Reference
    from drd.model import Json
    from drd.work.history import Point
    from drd.work.pointmap import PointMap


Beat = Callable[[], None]
"""Called for each window that is painted, which takes up to seconds: it raises where the run must end."""


@dataclass(frozen=True, slots=True)
class Refill:
    """Packs (ordinals) that are refilled, and the windows in which the map has blocks in them."""

    map: PointMap
    packs: frozenset[int] = frozenset()
    windows: frozenset[int] = frozenset()

    def blocks(self, window: int) -> npt.NDArray[np.bool_] | None:
        """Which blocks of *window* are put again; None: none."""
        if window not in self.windows:
            return None
        return self.map.blocks_in(window, np.asarray(sorted(self.packs), np.uint32))


@dataclass(slots=True)
class _Painted:
    """Bytes that are needed of each pack of which anything is painted, and in which windows."""

    needed: dict[int, int] = field(default_factory=dict)
    windows: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, point: PointMap, beat: Beat) -> _Painted:
        painted = cls()
        for window in point.windows(What.MAP):
            beat()
            for ordinal, size in point.painted_bytes(window).items():
                painted.needed[ordinal] = size + painted.needed.get(ordinal, refill.OVERHEAD)
                painted.windows[ordinal].add(window)
        return painted


@dataclass(frozen=True, slots=True)
class Account:
    """What the budget of the next refill stands on: how many full points were made since it was looked for
    sparse packs, and how many bytes (plain) changed. Each point has it in its facts, for the next.
    """

    points: int = 0
    changed: int = 0

    @classmethod
    def of(cls, head: Point | None) -> Account:
        """What *head* says; points made before there were refills say nothing."""
        told = head.table("refill") if head else {}
        points, changed = told.get("points", 0), told.get("changed", 0)
        if isinstance(points, int) and isinstance(changed, int):
            return cls(points, changed)
        return cls()

    def due(self, head: Point | None, fanout: int) -> bool:
        """Whether it is time to look, for a run that follows *head*."""
        return head is not None and head.is_full and self.points >= fanout

    def facts(self, points: int, more: int) -> dict[str, Json]:
        """As facts, with so many further full *points*, and *more* bytes that changed."""
        return {"points": self.points + points, "changed": self.changed + more}


@dataclass(frozen=True, slots=True)
class Kept:
    """What the oldest retained point needs: bytes of packs below *ordinal*, those that were there then.

    Of these, no point made later needs more (:mod:`drd.core.refill`, rule 3). Of packs that are newer it
    says nothing; their turn comes when points that are newer are the oldest.
    """

    ordinal: int
    needed: Mapping[int, int]

    @classmethod
    def by(cls, oldest: PointMap, ordinal: int, beat: Beat) -> Kept:
        """Paint the whole map of *oldest*, whose manifest names *ordinal* as the next pack's.

        Raises:
            IntegrityError: a table is missing or damaged.
        """
        return cls(ordinal, _Painted.of(oldest, beat).needed)

    def judge(self, uses: Sequence[Use]) -> list[Use]:
        """Those of *uses* of which this point tells, with what it needs of each."""
        return [
            replace(one, kept=self.needed.get(one.ordinal, 0))
            for one in uses
            if one.ordinal < self.ordinal
        ]


def plan(
    point: PointMap, *, fanout: int, budget: int, kept: Callable[[], Kept], beat: Beat
) -> Refill:
    """What a run that follows *point*, a full one, refills.

    Args:
        point: the map of the newest point.
        fanout: runs of a level that are merged.
        budget: bytes that may be put.
        kept: asked, where any pack is sparse, what the oldest retained point needs.
        beat: called for each window.

    Raises:
        IntegrityError: a table is missing or damaged.
        StoreError: the store failed.
    """
    due = bool(merge.runs_to_merge(point.references, TableKind.RUN, fanout=fanout))
    painted, listings = _Painted.of(point, beat), _listings(point, but=0 if due else None)
    listed = _listed(point, [one for one in point.references if one.kind in _LISTING])
    uses = [
        Use(row.ordinal, row.size, painted.needed.get(row.ordinal, 0))
        for row in point.rows().rows
        if row.ordinal in listed
    ]
    if not any(one.sparse for one in uses):
        return Refill(point)
    uses = kept().judge(uses)
    chosen = refill.choose(uses, listings, budget=budget)
    windows = frozenset().union(*(painted.windows.get(one, ()) for one in chosen))
    return Refill(point, chosen, windows)


_LISTING = (TableKind.RUN, TableKind.SHARD)


def _listed(point: PointMap, tables: Sequence[Reference]) -> frozenset[int]:
    return frozenset().union(*(point.shelf.open(one).head.reached for one in tables))


def _listings(point: PointMap, *, but: int | None) -> dict[object, Listing]:
    """What must be written anew for a pack to be free: shards one by one; of runs each level *but* one
    that is merged in any case; a level above takes those below it along.
    """
    found: dict[object, Listing] = {
        one.table_id: Listing(one.size, _listed(point, [one]))
        for one in point.references
        if one.kind is TableKind.SHARD
    }
    runs = [one for one in point.references if one.kind is TableKind.RUN]
    for level in {run.level for run in runs} - {but}:
        size = sum(run.size for run in runs if run.level == level)
        above = [run for run in runs if run.level >= level]
        found[level] = Listing(size, _listed(point, above))
    return found
