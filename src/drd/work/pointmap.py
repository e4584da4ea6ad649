"""The map of one point, a window at a time: where its blocks lie, and what its cells digest to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from drd.core import merge, needs
from drd.core.manifest import Clear, Reference
from drd.core.needs import Needs
from drd.core.sections import (
    ITEMS_PER_SECTION,
    Item,
    MapPiece,
    What,
    decode_digests,
    decode_items,
    decode_map,
)
from drd.core.tables import PackRows, TableKind
from drd.core.window import DigestWindow, WindowMap, ramps
from drd.errors import IntegrityError
from drd.model import Geometry
from drd.work.shelf import Shelf

BASE_KIND = {
    What.MAP: TableKind.SHARD,
    What.DIGESTS: TableKind.DIGESTS,
    What.ITEMS: TableKind.ITEMS,
}


class PointMap:
    """Reads the objects that a manifest names; see the module."""

    def __init__(self, shelf: Shelf, references: Sequence[Reference], geometry: Geometry) -> None:
        self.shelf = shelf
        self.references = tuple(references)
        self.geometry = geometry
        self._runs = merge.paint_order(references)

    @classmethod
    def of(cls, shelf: Shelf, clear: Clear, geometry: Geometry) -> PointMap:
        """The map of a manifest."""
        return cls(shelf, clear.references, geometry)

    def layers(self, what: What, number: int) -> Iterable[bytes]:
        """Sections that speak of one window, oldest first: the base, then the runs newer than it."""
        for table in self.tables(what, number):
            data = self.shelf.section(table, what, number)
            if data is None:
                raise IntegrityError("a table lacks its window", about=self.shelf.key(table))
            yield data

    def tables(self, what: What, number: int) -> Iterator[Reference]:
        """The tables that :meth:`layers` are of."""
        base = merge.base_of(self.references, BASE_KIND[what], number)
        through = -1
        if base is not None:
            through = base.through
            yield base
        for run in self._runs:
            if run.through > through and self.shelf.open(run).has(what, number):
                yield run

    def digests(self, window: int) -> npt.NDArray[np.uint64]:
        """Digest of each cell of *window*; 0 for zeros."""
        painted = DigestWindow(self.geometry)
        for data in self.layers(What.DIGESTS, window):
            painted.paint(decode_digests(data, window_cells=self.geometry.window_cells))
        return painted.digest

    def window(self, window: int) -> MapPiece:
        """Where the blocks of *window* lie; blocks not named restore to zeros."""
        return self._painted(window).piece(holes=False)

    def _painted(self, window: int) -> WindowMap:
        geometry = self.geometry
        painted = WindowMap(geometry)
        for data in self.layers(What.MAP, window):
            painted.paint(
                decode_map(data, block=geometry.block, window_blocks=geometry.window_blocks)
            )
        return painted

    def packs(self) -> frozenset[int]:
        """Ordinals of the packs that some block of the map lies in: fewer than its tables reach, which
        tell of what was painted over, too. Paints every window.
        """
        found: set[int] = set()
        for window in self.windows(What.MAP):
            found.update(self.window(window).frames.pack.tolist())
        return frozenset(found)

    def needs_key(self, window: int) -> bytes:
        """Under what the needs of *window* are remembered: it changes with the tables that speak of it."""
        return needs.key(window, (one.table_id for one in self.tables(What.MAP, window)))

    def needs(self, window: int) -> Needs:
        """What *window* needs of packs: of a frame of which only some blocks are painted, that share."""
        frames, blocks = self._painted(window).left()
        share = frames.stored.astype(np.int64) * blocks
        share = -(-share * self.geometry.block // np.maximum(frames.plain, 1).astype(np.int64))
        some = blocks > 0
        shard = merge.base_of(self.references, TableKind.SHARD, window)
        listed = self.shelf.open(shard).head.reached if shard is not None else ()
        return Needs.of(frames.pack[some], share[some], listed)

    def cells_in(self, window: int, packs: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Which cells of *window* have blocks in one of *packs* (ordinals)."""
        found: npt.NDArray[np.bool_] = self.blocks_in(window, packs)
        rows = found.reshape(-1, self.geometry.cell_blocks)
        return np.asarray(rows.any(axis=1), np.bool_)

    def blocks_in(self, window: int, packs: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Which blocks of *window* lie in one of *packs* (ordinals)."""
        piece = self.window(window)
        found = np.zeros(self.geometry.window_blocks, np.bool_)
        per_frame = piece.frames.plain.astype(np.int64) // self.geometry.block
        wanted = np.repeat(np.isin(piece.frames.pack, packs), per_frame)
        before = np.concatenate(([0], np.cumsum(wanted)))
        count = piece.count.astype(np.int64)
        some = ~piece.zero
        some[some] = before[piece.line[some] + count[some]] > before[piece.line[some]]
        first, line = piece.first[some].astype(np.int64), piece.line[some]
        found[ramps(first, count[some])] = wanted[ramps(line, count[some])]
        return found

    def items(self) -> dict[int, Item]:
        """All items that were not removed, by id."""
        shards = {one.number for one in self.references if one.kind is TableKind.ITEMS}
        for run in self._runs:
            shards.update(self.shelf.open(run).numbers(What.ITEMS))
        items: dict[int, Item] = {}
        for shard in sorted(shards):
            for data in self.layers(What.ITEMS, shard):
                for item in decode_items(data):
                    if item.item_id // ITEMS_PER_SECTION != shard:
                        raise IntegrityError("an item stands in a shard that is not its own")
                    items[item.item_id] = item
        return {number: item for number, item in items.items() if not item.removed}

    def rows(self) -> PackRows:
        """The rows of all packs that the point can reach."""
        carriers = (TableKind.RUN, TableKind.PACKS)
        return PackRows.join(
            [self.shelf.rows(one) for one in self.references if one.kind in carriers]
        )

    def windows(self, what: What) -> list[int]:
        """Windows of which anything is said, ascending."""
        kind = BASE_KIND[what]
        numbers = {one.number for one in self.references if one.kind is kind}
        for run in self._runs:
            numbers.update(self.shelf.open(run).numbers(what))
        return sorted(numbers)
