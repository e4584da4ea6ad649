"""Plan the reading of a window: regions of the image, slices of each, frames, ranges of each pack.

A slice is a stretch of the window that is put together in memory, checked, and then written. The
frames of a slice lie in a few packs, mostly side by side; neighbours are fetched with one request,
gaps up to 256 KiB included, but not more than 4 MiB at a time, so that many requests are in flight.

The frames of many small points lie the other way round: each holds blocks from all over the image,
and each slice needs blocks of very many. So slices are planned by the region: a frame is fetched for
the first slice of the region that needs it, and laid into all of them; it need not be kept, nor
fetched again before the next region.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from drd.core.sections import FrameTable, MapPiece

SLICE_BLOCKS: Final = 2048
"""8 MiB, two writes: a slice is held until it is written, and several are under way. With 32 MiB a
restore needed 80 MiB more, and began to write later."""
REGION_SLICES: Final = 16
"""128 MiB: what a restore may hold when every frame reaches into every slice. A frame is fetched
once for each region that it reaches into, so twice as much halves the traffic of such an image."""
REGION_BLOCKS: Final = REGION_SLICES * SLICE_BLOCKS
KEEP_BYTES: Final = 32 * 1024 * 1024
"""Opened frames that reach over the edge of a region and are handed to the next one."""
GAP: Final = 256 * 1024
MOST: Final = 4 * 1024 * 1024
_Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Extents of a region, cut at the edges of frames and slices; in blocks.

    ``frame`` is an index into the window's frames, ``at`` the block inside that frame, ``block`` the
    block of the window.
    """

    frame: _Index
    at: _Index
    block: _Index
    count: _Index

    def __len__(self) -> int:
        """Number of pieces."""
        return len(self.frame)

    def take(self, chosen: npt.NDArray[np.intp] | slice) -> Pieces:
        """Some of them, in the order of *chosen*."""
        return Pieces(self.frame[chosen], self.at[chosen], self.block[chosen], self.count[chosen])


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request: a range of one pack, and the frames (indices) that lie in it, ascending."""

    ordinal: int
    start: int
    length: int
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Blocks ``[first, end)`` of a window. Its data come from the frames of its own fetches, and of
    those of the slices before it in the region.
    """

    first: int
    end: int
    pieces: Pieces
    fetches: tuple[Fetch, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """Slices that are planned together, those without data left out.

    ``pieces`` are those of all slices, by frame; ``frames`` (ascending) is what they need; ``kept``
    are the frames that the next region needs, too, as many as may be kept for it.
    """

    slices: tuple[Slice, ...]
    pieces: Pieces
    frames: _Index
    kept: frozenset[int] = frozenset()

    def of(self, frame: int) -> Iterator[tuple[int, int, int]]:
        """Where the blocks of a frame go: (block inside the frame, block of the window, count)."""
        low, high = np.searchsorted(self.pieces.frame, (frame, frame + 1)).tolist()
        own = self.pieces.take(slice(low, high))
        yield from zip(own.at.tolist(), own.block.tolist(), own.count.tolist(), strict=True)


def regions(piece: MapPiece, block: int, low: int, high: int) -> Iterator[Region]:
    """Regions of blocks ``[low, high)`` of a window; those without data are left out."""
    starts = piece.frames.starts(block)
    edges = np.append(starts, np.iinfo(np.int64).max)
    before: Region | None = None
    for first in range(low, high, REGION_BLOCKS):
        found = _region(piece, edges, first, min(first + REGION_BLOCKS, high))
        if found is None:
            continue
        if before is not None:
            yield _handing_on(piece.frames, before, found)
        before = found
    if before is not None:
        yield before


def _region(piece: MapPiece, edges: _Index, low: int, high: int) -> Region | None:
    pieces = _cut(piece, edges, low, high)
    if not len(pieces):
        return None
    frames, begins = np.unique(pieces.frame, return_index=True)
    needed_by = (pieces.block[begins] - low) // SLICE_BLOCKS
    found = []
    for number, first in enumerate(range(low, high, SLICE_BLOCKS)):
        end = min(first + SLICE_BLOCKS, high)
        begin, stop = np.searchsorted(pieces.block, (first, end)).tolist()
        if begin < stop:
            fetches = tuple(_fetches(piece.frames, frames[needed_by == number]))
            found.append(Slice(first, end, pieces.take(slice(begin, stop)), fetches))
    by_frame = np.argsort(pieces.frame, kind="stable")
    return Region(tuple(found), pieces.take(by_frame), frames)


def _handing_on(table: FrameTable, region: Region, after: Region) -> Region:
    """*region*, with what it keeps for the one *after* it."""
    shared = np.intersect1d(region.frames, after.frames, assume_unique=True)
    fits = np.cumsum(table.plain[shared].astype(np.int64)) <= KEEP_BYTES
    return Region(region.slices, region.pieces, region.frames, frozenset(shared[fits].tolist()))


def _cut(piece: MapPiece, edges: _Index, low: int, high: int) -> Pieces:
    """Data extents of *piece* in blocks ``[low, high)``, cut at the edges of frames and of slices;
    ascending in the window. *edges* has the first position of each frame on the line, and an end.
    """
    # Searched for in the type of the column: another one would copy all of it.
    begin = max(0, int(np.searchsorted(piece.first, np.uint32(low), side="right")) - 1)
    stop = int(np.searchsorted(piece.first, np.uint32(high), side="left"))
    data = begin + np.flatnonzero(~piece.zero[begin:stop])
    here = piece.first[data].astype(np.int64)
    passed = np.maximum(low - here, 0)
    left = np.minimum(here + piece.count[data], high) - here - passed
    here, at = here + passed, piece.line[data] + passed
    here, at, left = here[left > 0], at[left > 0], left[left > 0]
    if not len(left):
        none = np.zeros(0, np.int64)
        return Pieces(none, none, none, none)
    # All extents laid end to end: where each begins there, and where an edge cuts it.
    ends = np.cumsum(left)
    begins = ends - left
    slices = np.arange(low, high, SLICE_BLOCKS)
    cuts = (begins, _inside(edges, at, left, begins), _inside(slices, here, left, begins))
    start = np.unique(np.concatenate(cuts))
    owner = np.searchsorted(begins, start, side="right") - 1
    into = start - begins[owner]
    line = at[owner] + into
    frame = np.searchsorted(edges, line, side="right") - 1
    count = np.diff(np.append(start, ends[-1]))
    return Pieces(frame, line - edges[frame], here[owner] + into, count)


def _inside(edges: _Index, at: _Index, left: _Index, begins: _Index) -> _Index:
    """Ascending *edges* that lie inside stretches ``(at, at + left)``, moved to where those *begin*."""
    low = np.searchsorted(edges, at, side="right")
    inside = np.searchsorted(edges, at + left, side="left") - low
    owner = np.repeat(np.arange(len(at)), inside)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(inside) - inside, inside)
    moved: _Index = begins[owner] + edges[low[owner] + nth] - at[owner]
    return moved


def _fetches(table: FrameTable, frames: _Index) -> Iterator[Fetch]:
    """Requests for *frames* (ascending indices; frames are sorted by pack and place)."""
    group: list[int] = []
    start = end = ordinal = 0
    for index in frames.tolist():
        offset, stored = int(table.offset[index]), int(table.stored[index])
        pack = int(table.pack[index])
        near = group and pack == ordinal and end <= offset <= end + GAP
        if group and not (near and offset + stored - start <= MOST):
            yield Fetch(ordinal, start, end - start, tuple(group))
            group = []
        if not group:
            start, ordinal = offset, pack
        group.append(index)
        end = offset + stored
    if group:
        yield Fetch(ordinal, start, end - start, tuple(group))
