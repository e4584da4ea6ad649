"""Look at an image: which cells to read, read them, and say how they differ from what the map restores."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from drd.core.cells import Difference, Lens, Span, differ
from drd.core.compress import Compressor
from drd.core.sections import Item
from drd.model import ByteRange, Geometry
from drd.pipeline.batching import Batch, Wanted, batches, pieces, read_spans
from drd.pipeline.ordered import ordered
from drd.pipeline.packing import Placed
from drd.ports import Frozen
from drd.work import layout
from drd.work.layout import Stretch

Cells = npt.NDArray[np.int64]
Digests = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at, and from where on.

    ``stored`` gives the digests that the map has for a window (zeros when nothing is known), ``again``
    its cells that are put again, because what the map restores them from is lost, ``refill`` its blocks
    that are put again, because what the map restores them from is to become free (None: none of them).
    ``resized_from`` is the size (bytes) that the map restores, None for a first point.
    """

    frozen: Frozen
    item: Item
    stored: Callable[[int], Digests]
    resized_from: int | None
    from_cell: int = 0
    sample_from: int = 0
    sample_cells: int = 0
    again: Callable[[int], Flags] | None = None
    refill: Callable[[int], Flags | None] | None = None


@dataclass(slots=True)
class Tally:
    """What was seen, counted while looking: bytes, cells, and blocks that changed or were refilled."""

    bytes_read: int = 0
    mismatched: int = 0
    sampled: int = 0
    sample_missed: int = 0
    sample_next: int = 0
    blocks: int = 0
    refilled: int = 0
    sample: set[int] = field(default_factory=set)


class Looker:
    """Reads what may have changed and compares it, many cells at a time; see the module."""

    def __init__(self, view: View, lens: Lens, cpu: Executor, *, level: int, ahead: int) -> None:
        self._view = view
        self._lens = lens
        self._cpu = cpu
        self._ahead = ahead
        self._level = level
        self._local = threading.local()
        self._stretches = layout.stretches(view.item, lens.geometry)
        self._starts = [stretch.first for stretch in self._stretches]
        self.tally = Tally(sample_next=view.sample_from)

    def look(self) -> Iterator[Placed]:
        """Differences in ascending order of cells; ones without any change included (they move
        the cursor).
        """
        geometry = self._lens.geometry
        spans = self._counted(read_spans(self._view.frozen, self._wanted(), geometry))
        work = batches(spans, geometry, self._shift)
        for placed in ordered(self._cpu, self._compare, work, ahead=self._ahead):
            self._count(placed.difference)
            yield placed

    def _compare(self, batch: Batch) -> Placed:
        """Runs in a thread of the pool; each has a compressor of its own."""
        compressor = getattr(self._local, "compressor", None)
        if compressor is None:
            compressor = self._local.compressor = Compressor(self._level)
        difference = differ(batch.spans, self._lens, compressor)
        last = batch.spans[-1]
        return Placed(difference, batch.shift, last.first + len(last.stored))

    def _counted(self, spans: Iterable[Span]) -> Iterator[Span]:
        for span in spans:
            self.tally.bytes_read += len(span.new) + (len(span.base) if span.base else 0)
            yield span

    def _count(self, difference: Difference) -> None:
        tally = self.tally
        tally.blocks += difference.blocks - difference.refilled
        tally.refilled += difference.refilled
        tally.mismatched += difference.mismatched
        if (
            self._view.frozen.base is not None
        ):  # else everything is compared, and nothing was missed
            tally.sample_missed += difference.drifted
        if tally.sample:
            tally.sample_missed += len(tally.sample.intersection(difference.cell.tolist()))

    def _shift(self, cell: int) -> int:
        stretch = self._stretches[bisect_right(self._starts, cell) - 1]
        return stretch.space - stretch.first

    def _wanted(self) -> Iterator[Wanted]:
        """Cells to look at, stretch by stretch: one window's digests in memory at a time."""
        geometry = self._lens.geometry
        for stretch in self._stretches:
            if stretch.first + stretch.cells <= self._view.from_cell:
                continue
            window = self._view.stored(stretch.window)
            low = stretch.space - stretch.window * geometry.window_cells
            stored = window[low : low + stretch.cells]
            again = self._again(stretch, low)
            refill = self._refill(stretch, low)
            mask, compare = self._choose(stretch, stored, again, refill)
            own = np.flatnonzero(mask)
            own = own[own + stretch.first >= self._view.from_cell]
            repeated = None if again is None else again[own]
            yield from pieces(
                own + stretch.first,
                stored[own],
                compare[own],
                geometry,
                again=repeated,
                refill=None if refill is None else refill[own],
            )

    def _again(self, stretch: Stretch, low: int) -> Flags | None:
        """Which cells of a stretch are put again; those beyond the image's end are emptied anyhow."""
        if self._view.again is None:
            return None
        again = self._view.again(stretch.window)[low : low + stretch.cells].copy()
        again[self._inside(stretch) :] = False
        return again

    def _refill(self, stretch: Stretch, low: int) -> Flags | None:
        """Which blocks of a stretch are refilled: a row for each cell."""
        flags = self._view.refill(stretch.window) if self._view.refill else None
        if flags is None:
            return None
        rows = flags.reshape(-1, self._lens.geometry.cell_blocks)
        rows = rows[low : low + stretch.cells].copy()
        rows[self._inside(stretch) :] = False
        return rows

    def _inside(self, stretch: Stretch) -> int:
        """How many cells of a stretch lie before the image's end."""
        size = self._view.frozen.snapshot.size
        return max(0, layout.cells_of(size, self._lens.geometry) - stretch.first)

    def _choose(
        self, stretch: Stretch, stored: Digests, again: Flags | None, refill: Flags | None
    ) -> tuple[Flags, Flags]:
        """Which cells of a stretch to look at, and which of them to compare with the base."""
        view, geometry = self._view, self._lens.geometry
        filled = stored != 0
        mask = np.zeros(stretch.cells, np.bool_)
        self._mark_changed(stretch, filled, mask)
        if again is not None:
            mask |= again
        compare = np.full(stretch.cells, view.frozen.base is not None)
        size = view.frozen.snapshot.size
        beyond = max(0, layout.cells_of(size, geometry) - stretch.first)
        if beyond < stretch.cells:
            mask[beyond:] = filled[beyond:]
            compare[beyond:] = False
        if view.frozen.base is None:
            mask |= filled
        elif view.resized_from not in (None, size):
            edge = min(size, view.resized_from or 0) // geometry.cell - stretch.first
            if 0 <= edge < stretch.cells:
                mask[edge] = True
        if refill is not None:
            own = refill.any(axis=1)
            compare &= mask | ~own  # what the source calls unchanged must be it, by its digest
            mask |= own
        if view.frozen.base is not None:
            sample = self._sample(stretch, filled & ~mask)
            mask[sample] = True
            compare[sample] = False
        return mask, compare

    def _mark_changed(
        self, stretch: Stretch, filled: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_]
    ) -> None:
        """Mark the cells that the source names; holes only where the map has something."""
        geometry = self._lens.geometry
        asked = _clip(stretch, geometry, self._view.frozen.snapshot.size)
        if asked is None:
            return
        for changed in self._view.frozen.changed(asked.offset, asked.length):
            first = changed.offset // geometry.cell - stretch.first
            end = -(-changed.end // geometry.cell) - stretch.first
            if changed.data:
                mask[first:end] = True
            else:
                mask[first:end] |= filled[first:end]

    def _sample(self, stretch: Stretch, unchanged: npt.NDArray[np.bool_]) -> Cells:
        """The next cells of the rotating sample that lie in this stretch."""
        view, tally = self._view, self.tally
        left = view.sample_cells - tally.sampled
        if left <= 0:
            return np.zeros(0, np.int64)
        own = np.flatnonzero(unchanged)
        own = own[own + stretch.first >= view.sample_from][:left]
        tally.sampled += len(own)
        tally.sample.update((own + stretch.first).tolist())
        if len(own):
            tally.sample_next = int(own[-1]) + stretch.first + 1
        return own

    def next_sample(self) -> int:
        """Where the next run's sample begins; from the front again when the end was reached."""
        return self.tally.sample_next if self.tally.sampled >= self._view.sample_cells else 0


def _clip(stretch: Stretch, geometry: Geometry, size: int) -> ByteRange | None:
    """The bytes of a stretch that lie inside the image."""
    offset = stretch.first * geometry.cell
    length = min(stretch.cells * geometry.cell, size - offset)
    return ByteRange(offset, length) if length > 0 else None
