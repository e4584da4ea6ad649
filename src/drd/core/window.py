"""The map of one window in memory: an array with one entry per block, painted oldest to newest.

An entry is 0 where nothing was painted, 1 for a hole, else 2 + position on the line of frames. No
tree and no interval arithmetic: slice assignments of numpy. 4 M blocks take 16 MiB, whatever the
size of the image; only one window is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from drd.core.sections import CellDigests, FrameTable, MapPiece
from drd.errors import IntegrityError
from drd.model import Geometry

UNTOUCHED: Final = 0
HOLE: Final = 1
_FIRST_LINE: Final = 2
_MAX_LINE: Final = (1 << 32) - 1 - _FIRST_LINE


def ramps(first: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``first[0] … first[0]+count[0]-1, first[1] …``: the numbers of many ranges, laid end to end."""
    total = int(count.sum())
    before = np.cumsum(count) - count
    return np.repeat(first - before, count) + np.arange(total, dtype=np.int64)


class WindowMap:
    """The map of one window; see the module."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.entries = np.zeros(geometry.window_blocks, dtype=np.uint32)
        self._frames: list[FrameTable] = []
        self._line = 0

    def paint(self, piece: MapPiece) -> None:
        """Paint *piece* over what is there."""
        blocks = int(piece.frames.plain.astype(np.int64).sum()) // self.geometry.block
        if self._line + blocks > _MAX_LINE:
            raise IntegrityError("a window has more frames than a map can hold; merge its runs")
        holes = piece.zero
        count = piece.count.astype(np.int64)
        first = piece.first.astype(np.int64)
        self.entries[ramps(first[holes], count[holes])] = HOLE
        data = ~holes
        values = ramps(piece.line[data] + self._line + _FIRST_LINE, count[data])
        self.entries[ramps(first[data], count[data])] = values.astype(np.uint32)
        self._frames.append(piece.frames)
        self._line += blocks

    def wipe(self, piece: MapPiece) -> None:
        """Forget what is painted where *piece* has anything: it will be painted over in any case."""
        self.entries[ramps(piece.first.astype(np.int64), piece.count.astype(np.int64))] = UNTOUCHED

    def left(self) -> tuple[FrameTable, npt.NDArray[np.int64]]:
        """All frames that were painted, and how many blocks of each are not painted over."""
        frames = FrameTable.join(self._frames)
        if not len(frames):
            return frames, np.zeros(0, np.int64)
        seen = np.zeros(self._line, np.bool_)
        seen[self.entries[self.entries >= _FIRST_LINE] - np.uint32(_FIRST_LINE)] = True
        starts = frames.starts(self.geometry.block)
        return frames, np.add.reduceat(seen, starts, dtype=np.int64)

    def piece(self, *, holes: bool) -> MapPiece:
        """What is painted, as one piece with only the frames that are still reached.

        Args:
            holes: keep holes (a run must say ZERO) or drop them (a shard need not).
        """
        entries = self.entries
        if not holes:
            entries = np.where(entries == HOLE, np.uint32(UNTOUCHED), entries)
        first, end = _stretches(entries)
        value = entries[first]
        keep = value != UNTOUCHED
        first, end, value = first[keep], end[keep], value[keep]
        zero = value == HOLE
        line = np.where(zero, 0, value.astype(np.int64) - _FIRST_LINE)
        raw = MapPiece(
            FrameTable.join(self._frames),
            first.astype(np.uint32),
            (end - first).astype(np.uint32),
            zero,
            line,
        )
        return compact(raw, self.geometry.block)


def _stretches(
    entries: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and end of each stretch of one value (hole, untouched) or of ascending positions."""
    if not len(entries):
        none = np.zeros(0, np.int64)
        return none, none
    before, after = entries[:-1], entries[1:]
    same = (after == before) & (after < _FIRST_LINE)
    ascending = (after == before + np.uint32(1)) & (before >= _FIRST_LINE)
    breaks = np.flatnonzero(~(same | ascending)) + 1
    first = np.concatenate(([0], breaks)).astype(np.int64)
    end = np.concatenate((breaks, [len(entries)])).astype(np.int64)
    return first, end


def compact(piece: MapPiece, block: int) -> MapPiece:
    """Drop frames that no extent reaches, drop doubles, and sort the rest by (pack, frame)."""
    frames = piece.frames
    if not len(frames):
        return piece
    starts = frames.starts(block)
    data = ~piece.zero
    low = np.searchsorted(starts, piece.line[data], side="right") - 1
    high = np.searchsorted(
        starts, piece.line[data] + piece.count[data].astype(np.int64) - 1, side="right"
    )
    marks = np.zeros(len(frames) + 1, np.int64)
    np.add.at(marks, low, 1)
    np.subtract.at(marks, high, 1)
    used = np.flatnonzero(np.cumsum(marks[:-1]) > 0)
    identity = (frames.pack[used].astype(np.uint64) << np.uint64(32)) | frames.frame[used]
    if np.all(identity[1:] > identity[:-1]) and len(used) == len(frames):
        return piece
    _, chosen, position = np.unique(identity, return_index=True, return_inverse=True)
    kept = frames.take(used[chosen])
    moved = np.zeros(len(frames), np.int64)
    moved[used] = kept.starts(block)[position] - starts[used]
    return _relocate(piece, kept, starts, moved)


def _relocate(
    piece: MapPiece,
    kept: FrameTable,
    starts: npt.NDArray[np.int64],
    moved: npt.NDArray[np.int64],
) -> MapPiece:
    """Move extents to a new line; cut those whose frames are no longer neighbours on it."""
    first, count, line = [], [], []
    data = np.flatnonzero(~piece.zero)
    at = piece.line[data].copy()
    left = piece.count[data].astype(np.int64)
    block_at = piece.first[data].astype(np.int64)
    ends = np.append(starts[1:], np.iinfo(np.int64).max)
    while len(at):
        frame = np.searchsorted(starts, at, side="right") - 1
        take = np.minimum(left, ends[frame] - at)
        first.append(block_at)
        count.append(take)
        line.append(at + moved[frame])
        more = left > take
        at, block_at, left = (at + take)[more], (block_at + take)[more], (left - take)[more]
    all_first = np.concatenate([*first, piece.first[piece.zero].astype(np.int64)])
    all_count = np.concatenate([*count, piece.count[piece.zero].astype(np.int64)])
    holes = int(piece.zero.sum())
    all_line = np.concatenate([*line, np.zeros(holes, np.int64)])
    zero = np.zeros(len(all_first), np.bool_)
    zero[len(all_first) - holes :] = True
    order = np.argsort(all_first, kind="stable")
    return _join_neighbours(
        kept,
        first=all_first[order],
        count=all_count[order],
        zero=zero[order],
        line=all_line[order],
    )


def _join_neighbours(
    frames: FrameTable,
    *,
    first: npt.NDArray[np.int64],
    count: npt.NDArray[np.int64],
    zero: npt.NDArray[np.bool_],
    line: npt.NDArray[np.int64],
) -> MapPiece:
    """Make one extent of those that follow each other, on the window and on the line."""
    if not len(first):
        return MapPiece(frames, *(first.astype(np.uint32),) * 2, zero, line)
    meets = first[1:] == first[:-1] + count[:-1]
    alike = (zero[1:] & zero[:-1]) | (~zero[1:] & ~zero[:-1] & (line[1:] == line[:-1] + count[:-1]))
    begins = np.concatenate(([True], ~(meets & alike)))
    index = np.flatnonzero(begins)
    ends = np.append(index[1:], len(first)) - 1
    return MapPiece(
        frames,
        first[index].astype(np.uint32),
        (first[ends] + count[ends] - first[index]).astype(np.uint32),
        zero[index],
        line[index],
    )


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one run put: extents over the whole block space, and the frames that hold them.

    ``first`` (ascending) and ``count`` are in blocks; ``line`` is the position on the line of
    ``frames`` (0 for holes).
    """

    frames: FrameTable
    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    zero: npt.NDArray[np.bool_]
    line: npt.NDArray[np.int64]


def by_window(drawn: Drawn, geometry: Geometry) -> Iterator[tuple[int, MapPiece]]:
    """Cut *drawn* at the edges of windows; yield (window, piece) ascending."""
    size = geometry.window_blocks
    end = drawn.first + drawn.count
    if not len(drawn.first):
        return
    low, high = int(drawn.first[0]) // size, int(end[-1] - 1) // size
    touched = np.unique(np.concatenate((drawn.first // size, (end - 1) // size)))
    wide = np.any((end - 1) // size > drawn.first // size + 1)
    windows = range(low, high + 1) if wide else [int(window) for window in touched]
    for window in windows:
        edge = window * size
        inside = (drawn.first < edge + size) & (end > edge)
        if not inside.any():
            continue
        first = np.maximum(drawn.first[inside], edge)
        stop = np.minimum(end[inside], edge + size)
        zero = drawn.zero[inside]
        line = np.where(zero, 0, drawn.line[inside] + (first - drawn.first[inside]))
        piece = _join_neighbours(
            drawn.frames, first=first - edge, count=stop - first, zero=zero, line=line
        )
        yield window, compact(piece, geometry.block)


class DigestWindow:
    """Digests of one window's cells, painted oldest to newest; 0 for zeros and for never painted."""

    def __init__(self, geometry: Geometry) -> None:
        self.digest = np.zeros(geometry.window_cells, dtype=np.uint64)
        self.touched = np.zeros(geometry.window_cells, dtype=np.bool_)

    def paint(self, digests: CellDigests) -> None:
        """Paint *digests* over what is there."""
        self.digest[digests.cell] = digests.digest
        self.touched[digests.cell] = True

    def all(self, *, zeros: bool) -> CellDigests:
        """What is painted; *zeros*: keep cells of digest 0 (a run must say so, a table need not)."""
        chosen = self.touched if zeros else (self.digest != 0)
        cell = np.flatnonzero(chosen)
        return CellDigests(cell.astype(np.uint32), self.digest[cell])
