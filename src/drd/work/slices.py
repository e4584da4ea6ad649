"""Plan the reading of a window: slices of the image, frames of each slice, ranges of each pack.

A slice is a stretch of the window that is put together in memory, checked, and then written. The
frames of a slice lie in a few packs, mostly side by side; neighbours are fetched with one request,
gaps up to 256 KiB included, but not more than 4 MiB at a time, so that many requests are in flight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from drd.core.sections import MapPiece

SLICE_BLOCKS: Final = 2048
"""8 MiB, two writes: a slice is held as fetched, opened and put together, and several are under way.
With 32 MiB a restore needed 80 MiB more, and began to write later."""
GAP: Final = 256 * 1024
MOST: Final = 4 * 1024 * 1024
_Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Extents of a slice, cut at the edges of frames; in blocks.

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


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request: a range of one pack, and the frames (indices) that lie in it, ascending."""

    ordinal: int
    start: int
    length: int
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Blocks ``[first, end)`` of a window, and where their data comes from."""

    first: int
    end: int
    pieces: Pieces
    fetches: tuple[Fetch, ...]


def cut(piece: MapPiece, block: int) -> Pieces:
    """All data extents of *piece*, cut at the edges of its frames; ascending in the window."""
    starts = piece.frames.starts(block)
    ends = np.concatenate((starts[1:], [np.iinfo(np.int64).max])).astype(np.int64)
    data = ~piece.zero
    at, left = piece.line[data].copy(), piece.count[data].astype(np.int64)
    here = piece.first[data].astype(np.int64)
    columns: list[tuple[_Index, _Index, _Index, _Index]] = []
    while len(at):
        frame = np.searchsorted(starts, at, side="right") - 1
        take = np.minimum(left, ends[frame] - at)
        columns.append((frame, at - starts[frame], here, take))
        more = left > take
        at, here, left = (at + take)[more], (here + take)[more], (left - take)[more]
    if not columns:
        none = np.zeros(0, np.int64)
        return Pieces(none, none, none, none)
    frame, inside, blocks, count = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(blocks, kind="stable")
    return Pieces(frame[order], inside[order], blocks[order], count[order])


def slices(piece: MapPiece, block: int, low: int, high: int) -> Iterator[Slice]:
    """Slices of blocks ``[low, high)`` of a window; those without data are left out."""
    pieces = cut(piece, block)
    ends = pieces.block + pieces.count
    for first in range(low, high, SLICE_BLOCKS):
        end = min(first + SLICE_BLOCKS, high)
        begin = int(np.searchsorted(ends, first, side="right"))
        stop = int(np.searchsorted(pieces.block, end, side="left"))
        if begin >= stop:
            continue
        inside = _clip(pieces, slice(begin, stop), first, end)
        yield Slice(first, end, inside, tuple(_fetches(piece, np.unique(inside.frame))))


def _clip(pieces: Pieces, chosen: slice, first: int, end: int) -> Pieces:
    block: _Index = np.maximum(pieces.block[chosen], first)
    stop = np.minimum(pieces.block[chosen] + pieces.count[chosen], end)
    at = pieces.at[chosen] + (block - pieces.block[chosen])
    return Pieces(pieces.frame[chosen], at, block, stop - block)


def _fetches(piece: MapPiece, frames: _Index) -> Iterator[Fetch]:
    """Requests for *frames* (ascending indices, one at least; frames are sorted by pack and place)."""
    table = piece.frames
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
    yield Fetch(ordinal, start, end - start, tuple(group))
