"""Which packs and tables are alive: reachability, never counting.

A pack is alive while any retained, held or partial point reaches it. What a point reaches is the
union of what its runs and shards *list* in clear, before painting: an overestimate, at most until the
next merge, and one that needs no key. Counts of released bytes are never a reason to delete: one
wrong count in a thousand lost half of the points in simulation.

A partial point stops being a root once a later full point of its lineage is committed.

The map of a point derives from its predecessor alone: a table that a point drops never comes back. So
the points that name a table are neighbours, and the first and last of them (a *span*) say it all: a
table is alive when any root lies within its span. Where points are not known any more a span can only
be too wide, which keeps more. :func:`dead` answers from spans what :func:`alive` answers from manifests.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from drd.core.coding import Reader, Writer
from drd.core.kinds import TableKind
from drd.core.manifest import Clear
from drd.errors import IntegrityError
from drd.model import ID_BYTES, PointKind, TableSpan

REACHING = frozenset({TableKind.RUN, TableKind.SHARD, TableKind.PACKS})
"""Kinds of tables whose clear parts reach packs, or carry their rows."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one point needs: ids of ``x/`` objects, ordinals and ids of packs."""

    tables: frozenset[bytes]
    ordinals: frozenset[int]
    packs: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class TableClear:
    """What the clear part of an ``x/`` object says: ordinals reached, and the rows it carries.

    ``rows`` has the id of the pack of each ordinal, ``sizes`` the bytes of each of these packs.
    """

    reached: frozenset[int]
    rows: Mapping[int, bytes]
    sizes: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dead:
    """What no root needs: spans of tables, and packs with their bytes."""

    tables: tuple[TableSpan, ...]
    packs: Mapping[bytes, int]


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


# ── from spans ──────────────────────────────────────────────────────────────────────────────────


def widen(spans: Mapping[bytes, TableSpan], points: Iterable[Clear]) -> dict[bytes, TableSpan]:
    """The spans that change when *points*, in any order, become known: new ones and wider ones.

    Raises:
        IntegrityError: two points name a table by one id and not the same object.
    """
    changed: dict[bytes, TableSpan] = {}
    for point in points:
        for one in point.references:
            known = changed.get(one.table_id) or spans.get(one.table_id)
            if known is None:
                changed[one.table_id] = TableSpan(
                    one.table_id,
                    int(one.kind),
                    one.size,
                    one.sha256,
                    one.version,
                    first=point.seq,
                    last=point.seq,
                )
                continue
            if (known.sha256, known.kind) != (one.sha256, int(one.kind)):
                raise IntegrityError("two points name one table, and not as the same object")
            first, last = min(known.first, point.seq), max(known.last, point.seq)
            if (first, last) != (known.first, known.last):
                changed[one.table_id] = replace(known, first=first, last=last)
    return changed


def living(spans: Iterable[TableSpan], roots: Iterable[int]) -> list[TableSpan]:
    """The tables in whose span lies any of *roots* (sequence numbers)."""
    ordered = sorted(roots)

    def has_root(one: TableSpan) -> bool:
        place = bisect_left(ordered, one.first)
        return place < len(ordered) and ordered[place] <= one.last

    return [one for one in spans if has_root(one)]


def packs_reached(tables: Iterable[TableClear]) -> frozenset[bytes]:
    """The packs that *tables*, together all that some points name, reach.

    Raises:
        IntegrityError: an ordinal reached has no row, or two that name different packs.
    """
    ordinals: set[int] = set()
    rows: dict[int, bytes] = {}
    for table in tables:
        ordinals |= table.reached
        for ordinal, pack in table.rows.items():
            if rows.setdefault(ordinal, pack) != pack:
                raise IntegrityError(f"pack ordinal {ordinal} has two rows")
    missing = ordinals - rows.keys()
    if missing:
        raise IntegrityError(f"pack ordinal {min(missing)} is reached and has no row")
    return frozenset(rows[ordinal] for ordinal in ordinals)


def dead(
    spans: Sequence[TableSpan], clears: Mapping[bytes, TableClear], roots: Iterable[int]
) -> Dead:
    """What of all that *spans* name none of *roots* (sequence numbers) needs.

    Args:
        spans: every table that any known point names.
        clears: the clear part of each of them whose kind is in ``REACHING``.
        roots: numbers of the points that keep things alive.

    Raises:
        IntegrityError: a clear part is not known, or rows are missing or contradict each other.
    """
    for one in spans:
        if one.kind in REACHING and one.table_id not in clears:
            raise IntegrityError("the clear part of a table is not known")
    alive = living(spans, roots)
    ids = {one.table_id for one in alive}
    kept = packs_reached(clears[one.table_id] for one in alive if one.kind in REACHING)
    packs: dict[bytes, int] = {}
    for clear in clears.values():
        packs |= {pack: clear.sizes.get(pack, 0) for pack in clear.rows.values()}
    return Dead(
        tuple(one for one in spans if one.table_id not in ids),
        {pack: size for pack, size in packs.items() if pack not in kept},
    )


def encode_clear(clear: TableClear) -> bytes:
    """A clear part as a local cache keeps it; no format of the bucket."""
    writer = Writer().u32(len(clear.reached))
    for ordinal in sorted(clear.reached):
        writer.u32(ordinal)
    writer.u32(len(clear.rows))
    for ordinal, pack in sorted(clear.rows.items()):
        writer.u32(ordinal).raw(pack).u64(clear.sizes.get(pack, 0))
    return bytes(writer)


def decode_clear(data: bytes) -> TableClear:
    """The inverse of :func:`encode_clear`.

    Raises:
        IntegrityError: it is damaged.
    """
    reader = Reader(data, "a cached clear part")
    reached = frozenset(reader.u32() for _ in range(reader.u32()))
    rows: dict[int, bytes] = {}
    sizes: dict[bytes, int] = {}
    for _ in range(reader.u32()):
        ordinal, pack = reader.u32(), reader.raw(ID_BYTES)
        rows[ordinal], sizes[pack] = pack, reader.u64()
    reader.end()
    return TableClear(reached, rows, sizes)
