"""Merge the runs of a full level into one of the next; write anew only the bases that are worth it.

What is written here is known to nobody until the manifest names it: a crash leaves orphans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drd.core import merge, names, seal
from drd.core.manifest import Reference
from drd.core.seal import SealOrder
from drd.core.sections import (
    CellDigests,
    Item,
    MapPiece,
    What,
    decode_digests,
    decode_items,
    decode_map,
    encode_digests,
    encode_items,
    encode_map,
)
from drd.core.tables import PackRows, Part, TableKind, encode_table
from drd.core.window import DigestWindow, WindowMap
from drd.model import Geometry
from drd.ports import Random, Store
from drd.work.lineagekeys import LineageKeys
from drd.work.pointmap import BASE_KIND, PointMap
from drd.work.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes tables of one lineage: seals them with the current metadata key, puts them."""

    store: Store
    keys: LineageKeys
    shelf: Shelf
    random: Random
    geometry: Geometry
    fanout: int = merge.FANOUT

    def write(
        self,
        kind: TableKind,
        parts: Sequence[Part],
        *,
        through: int,
        number: int = 0,
        level: int = 0,
        rows: PackRows | None = None,
    ) -> Reference:
        """Seal one table, put it, and say how a manifest refers to it."""
        table_id = self.random(16)
        generation = self.keys.current.number
        order = SealOrder(
            self.keys.scope,
            generation,
            self.keys.metadata(generation),
            self.random(seal.SALT_BYTES),
        )
        data = encode_table(
            kind,
            order,
            table_id,
            rows=rows or PackRows(),
            reached=sorted(reached(parts, self.geometry)),
            parts=parts,
        )
        scope = self.keys.scope
        version = self.store.put(names.table_key(scope.tenant, scope.lineage, table_id), data)
        reference = Reference(
            kind, number, level, through, table_id, len(data), seal.sha256(data), version
        )
        self.shelf.put_away(reference, data)
        return reference


def reached(parts: Sequence[Part], geometry: Geometry) -> set[int]:
    """Ordinals of the packs that map sections among *parts* point to."""
    ordinals: set[int] = set()
    for part in parts:
        if part.what is What.MAP:
            piece = decode_map(
                part.data, block=geometry.block, window_blocks=geometry.window_blocks
            )
            ordinals.update(int(pack) for pack in set(piece.frames.pack.tolist()))
    return ordinals


def merge_runs(references: Sequence[Reference], scribe: Scribe) -> list[Reference]:
    """Merge until no level is full; see :mod:`drd.core.merge` for when and why."""
    current = list(references)
    while runs := merge.runs_to_merge(current, TableKind.RUN, fanout=scribe.fanout):
        current = _merge_level(current, runs, scribe)
    while tables := merge.runs_to_merge(current, TableKind.PACKS, fanout=scribe.fanout):
        current = _merge_pack_tables(current, tables, scribe)
    return current


def _merge_level(
    references: list[Reference], runs: Sequence[Reference], scribe: Scribe
) -> list[Reference]:
    level, through = runs[0].level + 1, max(run.through for run in runs)
    whole = PointMap(scribe.shelf, references, scribe.geometry)
    merged = PointMap(scribe.shelf, runs, scribe.geometry)
    kept_parts: list[Part] = []
    rewritten: list[Reference] = []
    for what in (What.MAP, What.DIGESTS, What.ITEMS):
        for number in merged.windows(what):
            section = _merged_section(merged, references, what, number)
            base = merge.base_of(references, BASE_KIND[what], number)
            if section is None:
                continue
            if merge.rewrite(len(section), base):
                data = _full_section(whole, what, number, runs)
                part = Part(what, number, data)
                rewritten.append(
                    scribe.write(BASE_KIND[what], [part], through=through, number=number)
                )
            else:
                kept_parts.append(Part(what, number, section))
    gone = {run.table_id for run in runs}
    replaced = {(one.kind, one.number) for one in rewritten}
    result = [
        one
        for one in references
        if one.table_id not in gone and (one.kind, one.number) not in replaced
    ]
    result += rewritten
    rows = PackRows.join([scribe.shelf.rows(run) for run in runs])
    if rows.rows:
        result.append(scribe.write(TableKind.PACKS, [], through=through, level=level, rows=rows))
    if kept_parts:
        result.append(scribe.write(TableKind.RUN, kept_parts, through=through, level=level))
    return result


def _merged_section(
    merged: PointMap, references: Sequence[Reference], what: What, number: int
) -> bytes | None:
    """What the merged runs say of a window, without what its base already holds."""
    base = merge.base_of(references, BASE_KIND[what], number)
    floor = base.through if base is not None else -1
    newer = [run for run in merged.references if run.through > floor]
    layers = list(PointMap(merged.shelf, newer, merged.geometry).layers(what, number))
    if not layers:
        return None
    return _encode(what, layers, merged.geometry, holes=True)


def _full_section(whole: PointMap, what: What, number: int, merged: Sequence[Reference]) -> bytes:
    """All that is known of a window up to the merged runs: they are the newest there are.

    Runs of a lower level would be newer; when a level is merged there are none of a lower level
    left (a level is full only when a merge of the level below has just emptied that one).
    """
    newest = max(run.through for run in merged)
    upto = [one for one in whole.references if one.kind is not TableKind.RUN]
    upto += [run for run in whole.references if run.kind is TableKind.RUN and run.through <= newest]
    layers = list(PointMap(whole.shelf, upto, whole.geometry).layers(what, number))
    return _encode(what, layers, whole.geometry, holes=False)


_Encoder = Callable[[Sequence[bytes], Geometry, bool], bytes]


def _encode(what: What, layers: Sequence[bytes], geometry: Geometry, *, holes: bool) -> bytes:
    """Paint *layers* and encode the result; *holes*: keep what says ZERO."""
    painters: dict[What, _Encoder] = {
        What.MAP: _paint_map,
        What.DIGESTS: _paint_digests,
        What.ITEMS: _paint_items,
    }
    return painters[what](layers, geometry, holes)


def _paint_map(layers: Sequence[bytes], geometry: Geometry, holes: bool) -> bytes:  # noqa: FBT001
    painted = WindowMap(geometry)
    for data in layers:
        painted.paint(decode_map(data, block=geometry.block, window_blocks=geometry.window_blocks))
    piece: MapPiece = painted.piece(holes=holes)
    return encode_map(piece)


def _paint_digests(layers: Sequence[bytes], geometry: Geometry, holes: bool) -> bytes:  # noqa: FBT001
    painted = DigestWindow(geometry)
    for data in layers:
        painted.paint(decode_digests(data, window_cells=geometry.window_cells))
    digests: CellDigests = painted.all(zeros=holes)
    return encode_digests(digests)


def _paint_items(layers: Sequence[bytes], geometry: Geometry, holes: bool) -> bytes:  # noqa: ARG001, FBT001
    items: dict[int, Item] = {}
    for data in layers:
        items.update({item.item_id: item for item in decode_items(data)})
    return encode_items([items[number] for number in sorted(items)])


def _merge_pack_tables(
    references: list[Reference], tables: Sequence[Reference], scribe: Scribe
) -> list[Reference]:
    """One pack table of the next level, with only the rows that something still reaches."""
    shelf = scribe.shelf
    alive: set[int] = set()
    for one in references:
        alive.update(shelf.open(one).head.reached)
    rows = PackRows.join([shelf.rows(table) for table in tables]).only(alive)
    gone = {table.table_id for table in tables}
    result = [one for one in references if one.table_id not in gone]
    if rows.rows:
        level, through = tables[0].level + 1, max(table.through for table in tables)
        result.append(scribe.write(TableKind.PACKS, [], through=through, level=level, rows=rows))
    return result
