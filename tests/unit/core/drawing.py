"""Hypothesis strategies for maps, and what maps mean, block by block."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from hypothesis import strategies as st

from drd.core.sections import FrameTable, MapPiece
from drd.core.window import Drawn
from drd.model import Geometry
from tests.unit.core.specimens import GEOMETRY, column

Place: TypeAlias = "tuple[int, int, int] | None"
"""Pack, frame and block inside that frame; None for a hole."""

Blocks: TypeAlias = dict[int, Place]
Extent: TypeAlias = tuple[int, int, int | None]
"""First block, count, position on the line (None for a hole)."""

FRAME_BLOCKS = 5


def frame_table(frames: list[tuple[int, int]], block: int) -> FrameTable:
    """A table of (pack, number); where a frame lies, and how long it is, follows from its name."""
    return FrameTable(
        pack=column(*(pack for pack, _ in frames)),
        frame=column(*(number for _, number in frames)),
        offset=column(*(100 + 1000 * number for _, number in frames)),
        stored=column(*(17 + number for _, number in frames)),
        plain=column(
            *(block * (1 + (pack + 3 * number) % FRAME_BLOCKS) for pack, number in frames)
        ),
    )


@st.composite
def extents(draw: st.DrawFn, blocks: int, line: int) -> list[Extent]:
    """Ascending extents within *blocks*, over a line of *line* blocks; neighbours may touch."""
    made: list[Extent] = []
    at = 0
    for _ in range(draw(st.integers(0, 6))):
        at += draw(st.integers(0, max(1, blocks // 4)))
        count = draw(st.integers(1, max(1, blocks // 3)))
        if at + count > blocks:
            break
        hole = count > line or draw(st.booleans())
        made.append((at, count, None if hole else draw(st.integers(0, line - count))))
        at += count
    return made


def names_of_frames(packs: tuple[int, ...]) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Some frames, ascending, as they stand in every encoded section."""
    return st.sets(st.tuples(st.sampled_from(packs), st.integers(0, 5)), max_size=6).map(sorted)


def line_of(table: FrameTable, block: int) -> int:
    return int(table.plain.astype(np.int64).sum()) // block


@st.composite
def map_pieces(
    draw: st.DrawFn, geometry: Geometry = GEOMETRY, packs: tuple[int, ...] = (1, 2, 7)
) -> MapPiece:
    """A piece as a section of a run or a shard holds it."""
    table = frame_table(draw(names_of_frames(packs)), geometry.block)
    drawn = draw(extents(geometry.window_blocks, line_of(table, geometry.block)))
    return MapPiece(
        frames=table,
        first=column(*(first for first, _, _ in drawn)),
        count=column(*(count for _, count, _ in drawn)),
        zero=np.array([line is None for _, _, line in drawn], np.bool_),
        line=np.array([line or 0 for _, _, line in drawn], np.int64),
    )


@st.composite
def drawns(draw: st.DrawFn, blocks: int, geometry: Geometry = GEOMETRY) -> Drawn:
    """What one run put, over a block space of several windows."""
    table = frame_table(draw(names_of_frames((4,))), geometry.block)
    drawn = draw(extents(blocks, line_of(table, geometry.block)))
    return Drawn(
        table,
        first=np.array([first for first, _, _ in drawn], np.int64),
        count=np.array([count for _, count, _ in drawn], np.int64),
        zero=np.array([line is None for _, _, line in drawn], np.bool_),
        line=np.array([line or 0 for _, _, line in drawn], np.int64),
    )


def blocks_of(piece: MapPiece | Drawn, geometry: Geometry = GEOMETRY) -> Blocks:
    """What a piece says, block by block, by the words of docs/format.md."""
    line: list[Place] = []
    for pack, number, plain in zip(
        piece.frames.pack.tolist(),
        piece.frames.frame.tolist(),
        piece.frames.plain.tolist(),
        strict=True,
    ):
        line += [(pack, number, at) for at in range(plain // geometry.block)]
    found: Blocks = {}
    for first, count, zero, at in zip(
        piece.first.tolist(),
        piece.count.tolist(),
        piece.zero.tolist(),
        piece.line.tolist(),
        strict=True,
    ):
        for step in range(count):
            assert first + step not in found
            found[first + step] = None if zero else line[at + step]
    return found
