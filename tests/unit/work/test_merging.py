"""A map of runs, merged runs and shards equals a dictionary with one entry per block.

Small windows, small fan-out: a few runs go through several levels, and shards are written anew for some
windows and not for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import liveness
from drd.core.liveness import TableClear
from drd.core.manifest import Reference
from drd.core.pack import Epoch
from drd.core.sections import CellDigests, Item, What, encode_digests, encode_items, encode_map
from drd.core.tables import PackRow, PackRows, PackSecret, Part, TableKind, decode_head
from drd.core.window import Drawn, by_window
from drd.errors import IntegrityError
from drd.testing.fakes import START, MemoryRing, seeded
from drd.testing.repository import make_repository
from drd.testing.stores import MemoryStore
from drd.work.lineagekeys import make_generation
from drd.work.merging import Scribe, merge_runs, reached
from drd.work.pointmap import PointMap
from drd.work.shelf import Shelf
from tests.unit.core.drawing import Blocks, blocks_of, drawns, frame_table
from tests.unit.core.specimens import GEOMETRY, clear, column
from tests.unit.work.effort import effort

WINDOWS = 4
RING = MemoryRing.make("merging")
LINEAGE = b"lineage of tests"
ITEM_SHARD = 1 << 14


def scribe(fanout: int) -> Scribe:
    """A scribe on a lineage of its own."""
    repository = make_repository(MemoryStore(), RING)
    draw = seeded("merging")
    keys = make_generation(repository, LINEAGE, 1, random=draw, now=START)
    shelf = Shelf(repository.store, keys)
    return Scribe(repository.store, keys, shelf, draw, GEOMETRY, fanout)


@dataclass(frozen=True)
class Change:
    """What one point changes: blocks, digests of cells, items."""

    drawn: Drawn
    cells: dict[int, int]
    items: tuple[Item, ...]


changes = st.builds(
    Change,
    drawn=drawns(WINDOWS * GEOMETRY.window_blocks),
    cells=st.dictionaries(
        st.integers(0, WINDOWS * GEOMETRY.window_cells - 1), st.integers(0, 5), max_size=8
    ),
    items=st.lists(
        st.builds(
            Item,
            item_id=st.sampled_from([1, 2, 3, ITEM_SHARD, ITEM_SHARD + 1]),
            name=st.sampled_from(["", "a"]),
            size=st.integers(0, 9),
            extents=st.just(()),
            removed=st.booleans(),
        ),
        max_size=2,
        unique_by=lambda item: item.item_id,
    ).map(tuple),
)


@dataclass
class Lineage:
    """References as a manifest holds them, and the same in dictionaries."""

    scribe: Scribe
    references: list[Reference] = field(default_factory=list)
    blocks: Blocks = field(default_factory=dict)
    cells: dict[int, int] = field(default_factory=dict)
    items: dict[int, Item] = field(default_factory=dict)
    seq: int = 0

    def point(self, change: Change) -> None:
        """As a backup does: merge what is full, then add the run of this point."""
        self.seq += 1
        self.references = merge_runs(self.references, self.scribe)
        # Each point has a pack of its own: its ordinal is the point's number.
        drawn = replace(
            change.drawn,
            frames=replace(change.drawn.frames, pack=change.drawn.frames.pack * 0 + self.seq),
        )
        self.references.append(
            self.scribe.write(
                TableKind.RUN, self._parts(drawn, change), through=self.seq, rows=row(self.seq)
            )
        )
        self.blocks.update(blocks_of(drawn))
        self.cells.update(change.cells)
        self.items.update({item.item_id: item for item in change.items})

    def _parts(self, drawn: Drawn, change: Change) -> list[Part]:
        parts = [
            Part(What.MAP, number, encode_map(piece))
            for number, piece in by_window(drawn, GEOMETRY)
        ]
        for number in range(WINDOWS):
            low = number * GEOMETRY.window_cells
            inside = sorted(c for c in change.cells if low <= c < low + GEOMETRY.window_cells)
            if inside:
                cells = column(*(cell - low for cell in inside))
                values = np.array([change.cells[cell] for cell in inside], np.uint64)
                data = encode_digests(CellDigests(cells, values))
                parts.append(Part(What.DIGESTS, number, data))
        for shard in (0, 1):
            some = sorted(
                (item for item in change.items if item.item_id // ITEM_SHARD == shard),
                key=lambda item: item.item_id,
            )
            if some:
                parts.append(Part(What.ITEMS, shard, encode_items(some)))
        return parts

    def map(self) -> PointMap:
        """The map, read with a shelf that remembers nothing."""
        fresh = Shelf(self.scribe.store, self.scribe.keys)
        return PointMap(fresh, self.references, GEOMETRY)


def row(ordinal: int) -> PackRows:
    """One pack; every third begins an epoch."""
    epoch = Epoch(ordinal.to_bytes(16, "big") if ordinal % 3 == 0 else b"e" * 16, 1, bytes(32), b"")
    return PackRows(
        (PackRow(ordinal, ordinal.to_bytes(16, "little"), 1, 99, bytes(32), ""),),
        (PackSecret(ordinal, epoch.epoch_id, bytes(32), bytes(32), 1),),
        (epoch,),
    )


def assert_same(lineage: Lineage) -> None:
    """Map, digests and items equal the dictionaries."""
    found, cells = Blocks(), dict[int, int]()
    for number in range(WINDOWS):
        low = number * GEOMETRY.window_blocks
        piece = blocks_of(lineage.map().window(number))
        found.update({block + low: place for block, place in piece.items()})
        digests = lineage.map().digests(number).tolist()
        low = number * GEOMETRY.window_cells
        cells.update({low + at: digest for at, digest in enumerate(digests) if digest})
    assert found == {block: place for block, place in lineage.blocks.items() if place}
    assert cells == {cell: digest for cell, digest in lineage.cells.items() if digest}
    assert lineage.map().items() == {
        number: item for number, item in lineage.items.items() if not item.removed
    }


def assert_reachable(lineage: Lineage) -> None:
    """What stands in clear covers what is painted, and each ordinal reached has its one row."""
    tables = {}
    for one in lineage.references:
        head = decode_head(lineage.scribe.store.get(lineage.scribe.shelf.key(one)), one.kind)
        rows = {each.ordinal: each.pack_id for each in head.rows}
        tables[one.table_id] = TableClear(frozenset(head.reached), rows)
    point = replace(clear(lineage.seq), references=tuple(lineage.references))
    reach = liveness.reach(point, tables)
    painted = {place[0] for place in lineage.blocks.values() if place}
    assert painted <= reach.ordinals
    kept = lineage.map().rows()
    assert reach.ordinals <= {each.ordinal for each in kept.rows}
    assert {s.epoch_id for s in kept.secrets} <= {e.epoch_id for e in kept.epochs}
    assert [each.ordinal for each in kept.rows] == [each.ordinal for each in kept.secrets]


def assert_bounded(lineage: Lineage, fanout: int) -> None:
    """At most so many objects of a level, bases aside; one base for each window."""
    levels: dict[tuple[TableKind, int], int] = {}
    for one in lineage.references:
        if one.kind in {TableKind.RUN, TableKind.PACKS}:
            levels[one.kind, one.level] = levels.get((one.kind, one.level), 0) + 1
    assert all(count <= fanout for count in levels.values())
    bases = [(one.kind, one.number) for one in lineage.references if one.kind in BASES]
    assert len(set(bases)) == len(bases)


BASES = {TableKind.SHARD, TableKind.DIGESTS, TableKind.ITEMS}


@effort(100)
@given(st.lists(changes, max_size=14), st.integers(2, 3))
def test_runs_and_shards_equal_a_dictionary(made: list[Change], fanout: int) -> None:
    lineage = Lineage(scribe(fanout))
    for change in made:
        lineage.point(change)
        assert_bounded(lineage, fanout)
    assert_same(lineage)
    assert_reachable(lineage)


@effort(40)
@given(st.lists(changes, min_size=5, max_size=9))
def test_every_point_of_a_history_reads_as_it_did(made: list[Change]) -> None:
    """Merging writes anew and never over: older manifests still find all that they name."""
    lineage = Lineage(scribe(2))
    history = []
    for change in made:
        lineage.point(change)
        history.append(
            Lineage(
                lineage.scribe,
                list(lineage.references),
                dict(lineage.blocks),
                dict(lineage.cells),
                dict(lineage.items),
                lineage.seq,
            )
        )
    for then in history:
        assert_same(then)
        assert_reachable(then)


FRAME = frame_table([(4, 0)], GEOMETRY.block)


def one_block(at: int, *, hole: bool = False) -> Change:
    """One block at *at*, of one frame."""
    drawn = Drawn(
        frames=FRAME,
        first=np.array([at], np.int64),
        count=np.array([1], np.int64),
        zero=np.array([hole]),
        line=np.array([0], np.int64),
    )
    return Change(drawn, {at // GEOMETRY.cell_blocks: 0 if hole else at + 1}, ())


def run_merges(lineage: Lineage, blocks: Sequence[int]) -> None:
    for at in blocks:
        lineage.point(one_block(at))


def test_a_window_that_hardly_changed_keeps_its_shard() -> None:
    """Cost follows change: shards and digest tables are shared between points until it is worth it."""
    lineage = Lineage(scribe(3))
    whole = Change(wide_drawn(), dict.fromkeys(range(WINDOWS * GEOMETRY.window_cells), 9), ())
    for _ in range(3):
        lineage.point(whole)
    lineage.point(one_block(0))
    shards = {one.number: one for one in lineage.references if one.kind is TableKind.SHARD}
    assert set(shards) == set(range(WINDOWS))
    run_merges(lineage, [0, 0, 0])
    later = {one.number: one for one in lineage.references if one.kind is TableKind.SHARD}
    assert [later[number] for number in range(1, WINDOWS)] == [
        shards[number] for number in range(1, WINDOWS)
    ]
    assert_same(lineage)


def wide_drawn() -> Drawn:
    """Data in every other block of all windows, so that a shard is large beside one block."""
    count = WINDOWS * GEOMETRY.window_blocks // 2
    return Drawn(
        frames=FRAME,
        first=np.arange(count, dtype=np.int64) * 2,
        count=np.ones(count, np.int64),
        zero=np.zeros(count, np.bool_),
        line=np.arange(count, dtype=np.int64) % 5 % int(FRAME.plain[0] // GEOMETRY.block),
    )


def test_what_a_newer_shard_holds_already_is_not_merged_again() -> None:
    """A run of a higher level may speak of a window whose shard was written anew since."""
    lineage = Lineage(scribe(2))
    all_cells = dict.fromkeys(range(WINDOWS * GEOMETRY.window_cells), 9)
    for _ in range(2):
        lineage.point(Change(wide_drawn(), all_cells, ()))
    run_merges(lineage, [0, 0])
    drawn = wide_drawn()
    first_window = np.arange(GEOMETRY.window_blocks // 2 + 1)
    most = replace(
        drawn,
        first=drawn.first[first_window],
        count=drawn.count[first_window],
        zero=drawn.zero[first_window],
        line=drawn.line[first_window],
    )
    for digest in (3, 4):
        lineage.point(Change(most, dict.fromkeys(range(GEOMETRY.window_cells + 1), digest), ()))
    run_merges(lineage, [0])
    (run,) = (one for one in lineage.references if one.kind is TableKind.RUN and one.level)
    assert lineage.scribe.shelf.open(run).numbers(What.MAP) == [1]
    assert_same(lineage)
    assert_reachable(lineage)


def test_a_pack_that_nothing_reaches_loses_its_row_in_time() -> None:
    """Overwritten blocks: after merges the rows of the first packs are gone from new manifests."""
    lineage = Lineage(scribe(2))
    run_merges(lineage, [0] * 20)
    rows = [each.ordinal for each in lineage.map().rows().rows]
    assert 1 not in rows
    assert 20 in rows
    assert_reachable(lineage)


def test_what_map_sections_point_to_is_what_is_listed() -> None:
    parts = [Part(What.MAP, 0, encode_map(piece)) for _, piece in by_window(wide_drawn(), GEOMETRY)]
    assert reached(parts, GEOMETRY) == {4}
    assert reached([Part(What.DIGESTS, 0, b"")], GEOMETRY) == set()


def test_an_item_in_a_foreign_shard_is_damage() -> None:
    lineage = Lineage(scribe(2))
    part = Part(What.ITEMS, 1, encode_items([Item(1, "", 0, ())]))
    lineage.references.append(lineage.scribe.write(TableKind.RUN, [part], through=1))
    with pytest.raises(IntegrityError, match="not its own"):
        lineage.map().items()


def test_a_base_that_lacks_its_window_is_damage() -> None:
    """Else a window would silently restore to zeros."""
    lineage = Lineage(scribe(2))
    part = Part(What.MAP, 1, encode_map(dict(by_window(wide_drawn(), GEOMETRY))[1]))
    lineage.references.append(lineage.scribe.write(TableKind.SHARD, [part], through=1, number=0))
    with pytest.raises(IntegrityError, match="lacks its window"):
        lineage.map().window(0)
