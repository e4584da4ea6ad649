"""Merge the runs of a full level into one of the next; write anew only the bases that are worth it.

What is written here is known to nobody until the manifest names it: a crash leaves orphans.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        current = _merge_level(current, runs, _Desk(scribe), level=runs[0].level + 1)
    while tables := merge.runs_to_merge(current, TableKind.PACKS, fanout=scribe.fanout):
        current = _merge_pack_tables(current, tables, scribe)
    return current


def unlist(
    references: Sequence[Reference], packs: frozenset[int], scribe: Scribe, *, newer: int
) -> list[Reference]:
    """Write anew the tables that list *packs*: shards, and runs up to the highest level at which one lists
    any of them, these as one; those of level 0 in any case when they are many. Then merge as ever.

    Runs through a number above *newer* stay as they are, and so what they paint is left out: nothing is
    painted from *packs* without them. What still is would be listed again.
    """
    fresh = [one for one in references if one.kind is TableKind.RUN and one.through > newer]
    current = [one for one in references if one not in fresh]
    runs = [one for one in current if one.kind is TableKind.RUN]
    due = bool(merge.runs_to_merge(current, TableKind.RUN, fanout=scribe.fanout))
    top = max((run.level for run in runs if _lists(run, packs, scribe)), default=0 if due else -1)
    merged = [run for run in runs if run.level <= top]
    desk = _Desk(scribe, PointMap(scribe.shelf, fresh, scribe.geometry))
    whole = PointMap(scribe.shelf, current, scribe.geometry)
    for index, one in enumerate(current):
        if one.kind is TableKind.SHARD and _lists(one, packs, scribe):
            through = max((run.through for run in runs), default=one.through)
            data = desk.full_section(whole, What.MAP, one.number, through)
            part = Part(What.MAP, one.number, data)
            current[index] = scribe.write(one.kind, [part], through=through, number=one.number)
    if merged:
        current = _merge_level(current, merged, desk, level=max(top, 1))
    return merge_runs([*current, *fresh], scribe)


def _lists(table: Reference, packs: frozenset[int], scribe: Scribe) -> bool:
    return not packs.isdisjoint(scribe.shelf.open(table).head.reached)


def _merge_level(
    references: list[Reference], runs: Sequence[Reference], desk: _Desk, *, level: int
) -> list[Reference]:
    """Merge *runs*, all that there are up to a level, into one of *level*."""
    scribe, through = desk.scribe, max(run.through for run in runs)
    whole = PointMap(scribe.shelf, references, scribe.geometry)
    merged = PointMap(scribe.shelf, runs, scribe.geometry)
    kept_parts: list[Part] = []
    rewritten: list[Reference] = []
    for what in (What.MAP, What.DIGESTS, What.ITEMS):
        for number in merged.windows(what):
            section = desk.merged_section(merged, references, what, number)
            base = merge.base_of(references, BASE_KIND[what], number)
            if section is None:
                continue
            if merge.rewrite(len(section), base):
                data = desk.full_section(whole, what, number, through)
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


@dataclass(frozen=True, slots=True)
class _Desk:
    """Paints sections. What *over* paints is left out of maps: it is painted over them anyhow."""

    scribe: Scribe
    over: PointMap | None = None

    def merged_section(
        self, merged: PointMap, references: Sequence[Reference], what: What, number: int
    ) -> bytes | None:
        """What the merged runs say of a window, without what its base already holds."""
        base = merge.base_of(references, BASE_KIND[what], number)
        floor = base.through if base is not None else -1
        newer = [run for run in merged.references if run.through > floor]
        layers = list(PointMap(merged.shelf, newer, merged.geometry).layers(what, number))
        if not layers:
            return None
        return self._encode(what, number, layers, holes=True)

    def full_section(self, whole: PointMap, what: What, number: int, through: int) -> bytes:
        """All that is known of a window up to *through*, the merged runs: they are the newest there are.

        Runs of a lower level would be newer; when a level is merged there are none of a lower level
        left (a level is full only when a merge of the level below has just emptied that one).
        """
        upto = [
            one
            for one in whole.references
            if one.kind is not TableKind.RUN or one.through <= through
        ]
        layers = list(PointMap(whole.shelf, upto, whole.geometry).layers(what, number))
        return self._encode(what, number, layers, holes=False)

    def _encode(self, what: What, number: int, layers: Sequence[bytes], *, holes: bool) -> bytes:
        """Paint *layers* and encode the result; *holes*: keep what says ZERO."""
        geometry = self.scribe.geometry
        if what is What.MAP:
            over = self.over.layers(what, number) if self.over else ()
            return _paint_map(layers, geometry, holes=holes, over=over)
        if what is What.DIGESTS:
            return _paint_digests(layers, geometry, holes=holes)
        return _paint_items(layers)


def _paint_map(
    layers: Sequence[bytes], geometry: Geometry, *, holes: bool, over: Iterable[bytes]
) -> bytes:
    def decode(data: bytes) -> MapPiece:
        return decode_map(data, block=geometry.block, window_blocks=geometry.window_blocks)

    painted = WindowMap(geometry)
    for data in layers:
        painted.paint(decode(data))
    for data in over:
        painted.wipe(decode(data))
    piece: MapPiece = painted.piece(holes=holes)
    return encode_map(piece)


def _paint_digests(layers: Sequence[bytes], geometry: Geometry, *, holes: bool) -> bytes:
    painted = DigestWindow(geometry)
    for data in layers:
        painted.paint(decode_digests(data, window_cells=geometry.window_cells))
    digests: CellDigests = painted.all(zeros=holes)
    return encode_digests(digests)


def _paint_items(layers: Sequence[bytes]) -> bytes:
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
