"""Hypothesis strategies: pieces of maps, as runs and shards hold them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from drd.core.sections import FrameTable, MapPiece
from drd.model import Geometry
from tests.unit.core.specimens import GEOMETRY, column


@dataclass
class Draft:
    """Extents in blocks, and blocks of data on the line so far."""

    first: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    zero: list[bool] = field(default_factory=list)


@st.composite
def extents(draw: st.DrawFn, blocks: int) -> Draft:
    """Ascending extents within *blocks*; neighbours may touch."""
    made = Draft()
    at = 0
    for _ in range(draw(st.integers(0, 6))):
        at += draw(st.integers(0, max(1, blocks // 4)))
        length = draw(st.integers(1, max(1, blocks // 3)))
        if at + length > blocks:
            break
        made.first.append(at)
        made.count.append(length)
        made.zero.append(draw(st.booleans()))
        at += length
    return made


@st.composite
def map_pieces(
    draw: st.DrawFn, geometry: Geometry = GEOMETRY, packs: tuple[int, ...] = (1, 2, 7)
) -> MapPiece:
    """A piece whose frames ascend by (pack, number), as they do in every encoded section."""
    frames: list[tuple[int, int, int, int, int]] = []
    for pack in sorted(draw(st.sets(st.sampled_from(packs), max_size=len(packs)))):
        offset = draw(st.integers(0, 1000))
        number = 0
        for _ in range(draw(st.integers(1, 4))):
            number += draw(st.integers(0, 2))
            offset += draw(st.integers(0, 50))
            stored = draw(st.integers(17, 400))
            frames.append((pack, number, offset, stored, geometry.block * draw(st.integers(1, 5))))
            number, offset = number + 1, offset + stored
    table = FrameTable(*(column(*(frame[at] for frame in frames)) for at in range(5)))
    total = int(table.plain.astype(np.int64).sum()) // geometry.block
    drawn = draw(extents(geometry.window_blocks))
    line = []
    for at, count in enumerate(drawn.count):
        if not drawn.zero[at] and count > total:
            drawn.zero[at] = True
        line.append(0 if drawn.zero[at] else draw(st.integers(0, total - count)))
    return MapPiece(
        frames=table,
        first=column(*drawn.first),
        count=column(*drawn.count),
        zero=np.array(drawn.zero, np.bool_),
        line=np.array(line, np.int64),
    )
