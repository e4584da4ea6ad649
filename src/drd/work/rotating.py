"""A turn of the rotating coverage of a lineage: which of its packs a verify looks at this time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from drd.core.coverage import Cursor, Turn, Weighed, plan
from drd.errors import IntegrityError, KeyAccessError
from drd.model import PointInfo
from drd.work.repository import Repository
from drd.work.results import rotating
from drd.work.verify import Round, needed


@dataclass(frozen=True, slots=True)
class Rotation:
    """Runs are at most *every* apart, and each pack is looked at within *coverage*."""

    every: timedelta
    coverage: timedelta


def packs_of(points: Iterable[PointInfo], now: Round) -> list[Weighed]:
    """Every pack that some of *points*, all of one lineage, needs. A point that does not open is left out:
    who looks at it tells why.
    """
    found: dict[bytes, Weighed] = {}
    for info in points:
        try:
            wanted = needed(now.open(info))
        except (IntegrityError, KeyAccessError):
            continue
        for one in wanted:
            if one.row is not None:
                row = one.row
                found[row.pack_id] = Weighed(row.pack_id, row.ordinal, row.size)
    return list(found.values())


def begin_turn(
    repository: Repository,
    points: list[PointInfo],
    now: Round,
    *,
    rotation: Rotation,
    at: datetime,
) -> Turn:
    """Plan a turn over all *points* of a lineage; from then on *now* looks at its packs alone.

    Raises:
        StoreError: the store failed.
    """
    lineage = points[0].lineage
    last = rotating(repository, lineage, now.level)
    cursor = last.cursor if last is not None and last.cursor is not None else Cursor()
    turn = plan(packs_of(points, now), cursor, at, every=rotation.every, coverage=rotation.coverage)
    now.turns[lineage] = turn.packs
    return turn
