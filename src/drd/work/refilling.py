"""Sparse packs: which of them a run refills, and which blocks that means.

It is looked for every 32 points, as often as runs are merged, in a run that begins after a full point:
windows are painted one by one, but what a window needs is remembered, so only those of which a table says
something new. What is found is put by this very run: the looker reads those blocks from its own snapshot,
like everything else, and compares each cell's digest with the map's. No pack is read, nothing is decrypted,
and a crash leaves orphans.

What is remembered decides which packs are chosen, and never what is restored: a table that is written anew
is painted from the tables before it, and lists what is painted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from drd.core import merge, needs, refill
from drd.core.needs import Needs
from drd.core.refill import Listing, Use
from drd.core.sections import What
from drd.core.tables import TableKind
from drd.errors import IntegrityError

if TYPE_CHECKING:
    import numpy.typing as npt

    from drd.core.manifest import Reference
    from drd.model import Json
    from drd.work.history import Point
    from drd.work.pointmap import PointMap


Beat = Callable[[], None]
"""Called before a window is painted, which takes up to seconds: it raises where the run must end."""


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


class Memory:
    """What windows need, by ``PointMap.needs_key``: what is not known is painted."""

    def __init__(self, known: Mapping[bytes, Needs], beat: Beat) -> None:
        self._known = dict(known)
        self._asked: set[bytes] = set()
        self._beat = beat
        self.painted = 0
        """Windows that were painted."""

    @classmethod
    def of(cls, data: bytes, beat: Beat) -> Memory:
        """What was remembered as :meth:`encoded`; nothing where that is damaged: all can be painted."""
        try:
            return cls(needs.decode(data), beat)
        except IntegrityError:
            return cls({}, beat)

    def knows(self, point: PointMap, window: int) -> bool:
        """Whether :meth:`needs` need not paint."""
        return point.needs_key(window) in self._known

    def needs(self, point: PointMap, window: int) -> Needs:
        """What *window* of *point* needs.

        Raises:
            IntegrityError: a table is missing or damaged.
        """
        key = point.needs_key(window)
        if key not in self._known:
            self._beat()
            self._known[key] = point.needs(window)
            self.painted += 1
        self._asked.add(key)
        return self._known[key]

    def forget_others(self) -> None:
        """Only what was asked for is worth keeping: the rest is of tables that are merged, or gone."""
        self._known = {key: self._known[key] for key in self._asked}

    def encoded(self) -> bytes:
        """For the next look."""
        return needs.encode(self._known)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What the windows of a point need."""

    windows: Mapping[int, Needs]

    def needed(self) -> dict[int, int]:
        """Bytes that are needed of each pack of which anything is painted."""
        some = [one.packs[one.painted > 0] for one in self.windows.values()]
        size = [one.painted[one.painted > 0] for one in self.windows.values()]
        packs, place = np.unique(np.concatenate([_NONE, *some]), return_inverse=True)
        total = np.full(len(packs), refill.OVERHEAD, np.int64)
        np.add.at(total, place, np.concatenate([_NONE.astype(np.int64), *size]))
        return dict(zip(packs.tolist(), total.tolist(), strict=True))

    def listed(self) -> set[int]:
        """Packs that the shards list."""
        some = [one.packs[one.listed] for one in self.windows.values()]
        return set(np.unique(np.concatenate([_NONE, *some])).tolist())

    def windows_of(self, packs: frozenset[int]) -> frozenset[int]:
        """Windows in which anything is painted from *packs*."""
        wanted = np.asarray(sorted(packs), np.uint32)
        return frozenset(
            window
            for window, one in self.windows.items()
            if np.isin(one.packs[one.painted > 0], wanted).any()
        )


_NONE = np.zeros(0, np.uint32)


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
    def by(cls, oldest: PointMap, ordinal: int, memory: Memory, *, sparse: frozenset[int]) -> Kept:
        """What *oldest*, whose manifest names *ordinal* as the next pack's, needs of the *sparse* packs.

        Windows of which no table lists any of them are left out.

        Raises:
            IntegrityError: a table is missing or damaged.
        """
        lists: dict[bytes, bool] = {}

        def concerns(table: Reference) -> bool:
            if table.table_id not in lists:
                reached = oldest.shelf.open(table).head.reached
                lists[table.table_id] = not sparse.isdisjoint(reached)
            return lists[table.table_id]

        sight = _Sight(
            {
                window: memory.needs(oldest, window)
                for window in oldest.windows(What.MAP)
                if memory.knows(oldest, window)
                or any(concerns(table) for table in oldest.tables(What.MAP, window))
            }
        )
        return cls(ordinal, sight.needed())

    def judge(self, uses: Sequence[Use]) -> list[Use]:
        """Those of *uses* of which this point tells, with what it needs of each."""
        return [
            replace(one, kept=self.needed.get(one.ordinal, 0))
            for one in uses
            if one.ordinal < self.ordinal
        ]


def plan(
    point: PointMap,
    memory: Memory,
    *,
    fanout: int,
    budget: int,
    kept: Callable[[frozenset[int]], Kept],
) -> Refill:
    """What a run that follows *point*, a full one, refills.

    Args:
        point: the map of the newest point.
        memory: what its windows need.
        fanout: runs of a level that are merged.
        budget: bytes that may be put.
        kept: asked, where any pack is sparse, what the oldest retained point needs of these packs.

    Raises:
        IntegrityError: a table is missing or damaged.
        StoreError: the store failed.
    """
    sight = _Sight({one: memory.needs(point, one) for one in point.windows(What.MAP)})
    needed = sight.needed()
    listed = sight.listed() | _listed(point, _runs(point))
    uses = [
        Use(row.ordinal, row.size, needed.get(row.ordinal, 0))
        for row in point.rows().rows
        if row.ordinal in listed
    ]
    sparse = frozenset(one.ordinal for one in uses if one.sparse)
    if not sparse:
        return Refill(point)
    uses = kept(sparse).judge(uses)
    due = bool(merge.runs_to_merge(point.references, TableKind.RUN, fanout=fanout))
    listings = _listings(point, sight, but=0 if due else None)
    chosen = refill.choose(uses, listings, budget=budget)
    return Refill(point, chosen, sight.windows_of(chosen))


def _runs(point: PointMap) -> list[Reference]:
    return [one for one in point.references if one.kind is TableKind.RUN]


def _listed(point: PointMap, tables: Sequence[Reference]) -> frozenset[int]:
    return frozenset().union(*(point.shelf.open(one).head.reached for one in tables))


def _listings(point: PointMap, sight: _Sight, *, but: int | None) -> dict[object, Listing]:
    """What must be written anew for a pack to be free: shards one by one; of runs each level *but* one
    that is merged in any case; a level above takes those below it along.
    """
    found: dict[object, Listing] = {}
    for one in point.references:
        if one.kind is TableKind.SHARD:
            of = sight.windows[one.number]
            found[one.table_id] = Listing(one.size, frozenset(of.packs[of.listed].tolist()))
    runs = _runs(point)
    for level in {run.level for run in runs} - {but}:
        size = sum(run.size for run in runs if run.level == level)
        above = [run for run in runs if run.level >= level]
        found[level] = Listing(size, _listed(point, above))
    return found
