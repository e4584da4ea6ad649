"""Which packs and tables are alive: reachability, never counting.

A pack is alive while any retained, held or partial point reaches it. What a point reaches is the
union of what its runs and shards *list* in clear, before painting: an overestimate, at most until the
next merge, and one that needs no key. Counts of released bytes are never a reason to delete: one
wrong count in a thousand lost half of the points in simulation.

A partial point stops being a root once a later full point of its lineage is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from drd.core.manifest import Clear
from drd.errors import IntegrityError
from drd.model import PointKind


@dataclass(frozen=True, slots=True)
class Reach:
    """What one point needs: ids of ``x/`` objects, ordinals and ids of packs."""

    tables: frozenset[bytes]
    ordinals: frozenset[int]
    packs: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class TableClear:
    """What the clear part of an ``x/`` object says: ordinals reached, and the rows it carries."""

    reached: frozenset[int]
    rows: Mapping[int, bytes]


def roots(points: Iterable[Clear], retained: frozenset[int]) -> list[Clear]:
    """The points of one lineage that keep things alive.

    Args:
        points: every readable manifest of the lineage.
        retained: sequence numbers that retention or a hold keeps.
    """
    known = list(points)
    fulls = [point.seq for point in known if point.kind is PointKind.FULL]
    newest_full = max(fulls, default=-1)
    return [
        point
        for point in known
        if (point.kind is PointKind.FULL and (point.seq in retained or point.seq == newest_full))
        or (point.kind is PointKind.PARTIAL and point.seq > newest_full)
    ]


def reach(point: Clear, tables: Mapping[bytes, TableClear]) -> Reach:
    """What *point* needs.

    Raises:
        IntegrityError: a table is not known, or an ordinal reached has not exactly one row.
    """
    ordinals: set[int] = set()
    rows: dict[int, bytes] = {}
    for reference in point.references:
        table = tables.get(reference.table_id)
        if table is None:
            raise IntegrityError("a point names a table that is not there")
        ordinals |= table.reached
        for ordinal, pack in table.rows.items():
            if rows.setdefault(ordinal, pack) != pack:
                raise IntegrityError(f"pack ordinal {ordinal} has two rows")
    missing = ordinals - rows.keys()
    if missing:
        raise IntegrityError(f"pack ordinal {min(missing)} is reached and has no row")
    return Reach(
        tables=frozenset(reference.table_id for reference in point.references),
        ordinals=frozenset(ordinals),
        packs=frozenset(rows[ordinal] for ordinal in ordinals),
    )


def alive(points: Iterable[Clear], tables: Mapping[bytes, TableClear]) -> Reach:
    """What the roots *points* need together."""
    parts = [reach(point, tables) for point in points]
    return Reach(
        tables=frozenset().union(*(part.tables for part in parts)),
        ordinals=frozenset().union(*(part.ordinals for part in parts)),
        packs=frozenset().union(*(part.packs for part in parts)),
    )
