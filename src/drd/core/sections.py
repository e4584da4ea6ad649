"""The sections that make up the map: where blocks lie, what cells digest to, which items there are.

One encoding serves runs (what one point changed), shards and tables (what was consolidated) and
pack footers. A section speaks of one window, and its block numbers are relative to that window.

**Map section.** A table of frames, sorted by (pack, frame), spans one *line* of blocks: frame after
frame, as if their plaintexts were laid end to end. An extent (first block, count) either is ZERO or
begins at a position on that line, and may run over the end of a frame into the next. So a first
full, whatever its size, has few extents, and what is written is the residual against "goes on where
the last one ended": mostly zeros. Measured: about 2.5 bytes per 256 KiB frame, and 2 to 4 bytes per
scattered extent.

**Digest section.** Cells in ascending order with their 64-bit digests; 0 says "restores to zeros".

**Item section.** The named byte spaces: id, name, size, and the cells of the lineage's block space
that they occupy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from drd.core.coding import Reader, Writer
from drd.core.columns import (
    Column,
    Wide,
    decode_column,
    decode_wide,
    encode_column,
    encode_wide,
)
from drd.errors import IntegrityError

ITEMS_PER_SECTION: Final = 1 << 14
_U32 = np.uint32


class What(IntEnum):
    """What a section of a table speaks of."""

    MAP = 1
    DIGESTS = 2
    ITEMS = 3
    PACKS = 4
    ROLL = 5


def _column(values: object) -> Column:
    return np.asarray(values, dtype=_U32)


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Frames in columns: pack ordinal, frame number, offset in the pack, stored and plain bytes."""

    pack: Column
    frame: Column
    offset: Column
    stored: Column
    plain: Column

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.pack)

    @classmethod
    def empty(cls) -> FrameTable:
        """No frames."""
        none = _column([])
        return cls(none, none, none, none, none)

    def take(self, index: npt.NDArray[np.intp]) -> FrameTable:
        """The frames at *index*, in that order."""
        return FrameTable(
            self.pack[index],
            self.frame[index],
            self.offset[index],
            self.stored[index],
            self.plain[index],
        )

    @classmethod
    def join(cls, tables: list[FrameTable]) -> FrameTable:
        """All frames of *tables*, end to end."""
        if not tables:
            return cls.empty()
        return cls(
            np.concatenate([table.pack for table in tables]),
            np.concatenate([table.frame for table in tables]),
            np.concatenate([table.offset for table in tables]),
            np.concatenate([table.stored for table in tables]),
            np.concatenate([table.plain for table in tables]),
        )

    def starts(self, block: int) -> npt.NDArray[np.int64]:
        """Position on the line, in blocks, at which each frame begins."""
        blocks = self.plain.astype(np.int64) // block
        return np.cumsum(blocks) - blocks


@dataclass(frozen=True, slots=True)
class MapPiece:
    """Part of the map of one window: extents over a table of frames.

    ``first`` and ``count`` are in blocks, ascending and apart; ``zero`` marks holes; ``line`` is the
    position on the line of frames (0 for holes).
    """

    frames: FrameTable
    first: Column
    count: Column
    zero: npt.NDArray[np.bool_]
    line: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of extents."""
        return len(self.first)

    @classmethod
    def empty(cls) -> MapPiece:
        """No extents."""
        none = _column([])
        return cls(FrameTable.empty(), none, none, np.zeros(0, np.bool_), np.zeros(0, np.int64))


def encode_map(piece: MapPiece) -> bytes:
    """Encode a map section."""
    frames = piece.frames
    offset_residual = frames.offset.copy()
    if len(frames):
        offset_residual[1:] -= frames.offset[:-1] + frames.stored[:-1]
    first_residual = piece.first.copy()
    if len(piece):
        first_residual[1:] -= piece.first[:-1] + piece.count[:-1]
    data = ~piece.zero
    line = piece.line[data].astype(np.uint64).astype(_U32)
    line_residual = line.copy()
    if len(line):
        line_residual[1:] -= line[:-1] + piece.count[data][:-1]
    return b"".join(
        (
            encode_column(frames.pack, delta=True),
            encode_column(frames.frame, delta=True),
            encode_column(offset_residual),
            encode_column(frames.stored),
            encode_column(frames.plain),
            encode_column(first_residual),
            encode_column((piece.count << _U32(1)) | piece.zero.astype(_U32)),
            encode_column(line_residual),
        )
    )


def _shifted(values: Column) -> Column:
    """*values* moved up by one, with 0 in front."""
    moved = np.zeros_like(values)
    moved[1:] = values[:-1]
    return moved


def decode_map(data: bytes, *, block: int, window_blocks: int) -> MapPiece:
    """Decode a map section.

    Raises:
        IntegrityError: columns that do not fit each other, extents that overlap or lie outside
            the window, or positions beyond the frames.
    """
    reader = Reader(data, "a map section")
    pack = decode_column(reader, delta=True)
    frame = decode_column(reader, delta=True)
    offset_residual = decode_column(reader)
    stored = decode_column(reader)
    plain = decode_column(reader)
    first_residual = decode_column(reader)
    flagged = decode_column(reader)
    line_residual = decode_column(reader)
    reader.end()
    if not len(pack) == len(frame) == len(offset_residual) == len(stored) == len(plain):
        raise IntegrityError("a map section has frame columns of different lengths")
    if len(first_residual) != len(flagged):
        raise IntegrityError("a map section has extent columns of different lengths")
    offset = np.cumsum(offset_residual + _shifted(stored), dtype=_U32)
    count = flagged >> _U32(1)
    zero = (flagged & _U32(1)).astype(np.bool_)
    first = np.cumsum(first_residual + _shifted(count), dtype=_U32)
    data_count = count[~zero]
    if len(data_count) != len(line_residual):
        raise IntegrityError("a map section has a position for each data extent, or is damaged")
    line = np.zeros(len(first), np.int64)
    line[~zero] = np.cumsum(line_residual + _shifted(data_count), dtype=_U32)
    piece = MapPiece(FrameTable(pack, frame, offset, stored, plain), first, count, zero, line)
    _check_map(piece, block=block, window_blocks=window_blocks)
    return piece


def _check_map(piece: MapPiece, *, block: int, window_blocks: int) -> None:
    """Refuse a map that points outside its window or its frames."""
    frames = piece.frames
    if np.any(frames.plain % block) or np.any(frames.plain == 0):
        raise IntegrityError("a map section has a frame that is no whole number of blocks")
    if np.any(piece.count == 0):
        raise IntegrityError("a map section has an empty extent")
    first = piece.first.astype(np.int64)
    end = first + piece.count
    if len(piece) and (end[-1] > window_blocks or np.any(first[1:] < end[:-1])):
        raise IntegrityError("a map section has extents out of order or outside the window")
    total = int(frames.plain.astype(np.int64).sum()) // block
    data = ~piece.zero
    if np.any(piece.line[data] + piece.count[data] > total):
        raise IntegrityError("a map section points beyond its frames")


@dataclass(frozen=True, slots=True)
class CellDigests:
    """Cells (ascending, relative to the window) and their digests; 0 for cells of zeros."""

    cell: Column
    digest: Wide

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.cell)

    @classmethod
    def empty(cls) -> CellDigests:
        """No cells."""
        return cls(_column([]), np.zeros(0, np.uint64))


def encode_digests(digests: CellDigests) -> bytes:
    """Encode a digest section."""
    return encode_column(digests.cell, delta=True) + encode_wide(digests.digest)


def decode_digests(data: bytes, *, window_cells: int) -> CellDigests:
    """Decode a digest section.

    Raises:
        IntegrityError: it is damaged, out of order, or names cells outside the window.
    """
    reader = Reader(data, "a digest section")
    cell = decode_column(reader, delta=True)
    digest = decode_wide(reader)
    reader.end()
    if len(cell) != len(digest):
        raise IntegrityError("a digest section has columns of different lengths")
    if len(cell) and (cell[-1] >= window_cells or np.any(cell[1:] <= cell[:-1])):
        raise IntegrityError("a digest section has cells out of order or outside the window")
    return CellDigests(cell, digest)


@dataclass(frozen=True, slots=True)
class Item:
    """A named byte space inside a point. ``extents`` are (first cell, cells) of the block space.

    ``size`` is bytes; a ``removed`` item keeps its id for ever (ids are never used again).
    """

    item_id: int
    name: str
    size: int
    extents: tuple[tuple[int, int], ...]
    removed: bool = False

    @property
    def cells(self) -> int:
        """Cells that the item has room for."""
        return sum(cells for _, cells in self.extents)


def encode_items(items: list[Item]) -> bytes:
    """Encode an item section; *items* in ascending order of id."""
    writer = Writer().u32(len(items))
    for item in items:
        writer.u32(item.item_id).u8(item.removed).text(item.name).u64(item.size)
        writer.u32(len(item.extents))
        for first, cells in item.extents:
            writer.u64(first).u64(cells)
    return bytes(writer)


def decode_items(data: bytes) -> list[Item]:
    """Decode an item section.

    Raises:
        IntegrityError: it is damaged or out of order.
    """
    reader = Reader(data, "an item section")
    items: list[Item] = []
    for _ in range(reader.u32()):
        item_id = reader.u32()
        removed = reader.u8()
        name = reader.text()
        size = reader.u64()
        count = reader.u32()
        if count * 16 > reader.left:
            raise IntegrityError("an item section is cut short")
        extents = tuple((reader.u64(), reader.u64()) for _ in range(count))
        if removed > 1 or (items and items[-1].item_id >= item_id):
            raise IntegrityError("an item section is out of order")
        items.append(Item(item_id, name, size, extents, removed=bool(removed)))
    reader.end()
    return items
