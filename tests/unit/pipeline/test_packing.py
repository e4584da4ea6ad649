"""Packs: what fills one, also where nothing is stored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from drd.core import hybrid, pack
from drd.core.cells import Difference
from drd.core.compress import Compressor
from drd.core.pack import Frame
from drd.core.seal import Scope
from drd.model import IMAGE_GEOMETRY
from drd.pipeline.packing import MOST_CELLS, Packer, Placed, Press, Seal
from drd.testing.fakes import Inline, seeded
from drd.testing.stores import MemoryStore

SCOPE = Scope(b"r" * 16, b"t" * 16, b"l" * 16)
CELL_BLOCKS = IMAGE_GEOMETRY.cell_blocks


@pytest.fixture
def packer() -> Packer:
    draw = seeded("packing")
    public = hybrid.public_of(draw(hybrid.SEED_BYTES))
    epoch_id, epoch_key = draw(16), draw(32)
    sealed = hybrid.seal_to(public, pack.epoch_info(SCOPE, 1, epoch_id), epoch_key)
    epoch = pack.Epoch(epoch_id, 1, bytes(32), sealed)
    press = Press(IMAGE_GEOMETRY, 1 << 20, 2, draw, MemoryStore().put, Inline())
    return Packer(Seal(SCOPE, epoch, epoch_key, 1, draw(32)), press, first_ordinal=1)


def placed(first: int, cells: int, frames: tuple[Frame, ...] = ()) -> Placed:
    """Neighbouring cells that became zeros, and a block of data before them for each frame."""
    data = len(frames)
    index = np.arange(first, first + data + cells, dtype=np.int64)
    starts = [*(index[:data] * CELL_BLOCKS), (first + data) * CELL_BLOCKS]
    difference = Difference(
        frames=frames,
        first=np.asarray(starts, np.int64),
        count=np.asarray([1] * data + [cells * CELL_BLOCKS], np.int64),
        zero=np.asarray([False] * data + [True]),
        line=np.asarray([*range(data), 0], np.int64),
        cell=index,
        digest=np.asarray([7] * data + [0] * cells, np.uint64),
        root=0,
        mismatched=0,
        looked=len(index),
    )
    return Placed(difference, 0, first + len(index))


def frame() -> Frame:
    data = seeded("frame")(IMAGE_GEOMETRY.block)
    return Frame(Compressor(1).shrink(data), len(data))


def test_zeros_alone_fill_a_pack(packer: Packer) -> None:
    """What is known of them is held until the next point: a discarded image must not lie in memory."""
    batch = MOST_CELLS // 4
    for number in range(13):
        packer.add(placed(number * batch, batch))
    stored = packer.stored(3)
    assert [len(one.cell) for one in stored] == [MOST_CELLS] * 3
    assert [one.row for one in stored] == [None] * 3
    assert [one.cursor for one in stored] == [MOST_CELLS, 2 * MOST_CELLS, 3 * MOST_CELLS]
    (last,) = packer.drain()
    assert len(last.cell) == batch


FILLERS: list[tuple[Callable[[], tuple[Frame, ...]], int]] = [(lambda: (frame(),), 1), (tuple, 0)]


@pytest.mark.parametrize("make, ordinals", FILLERS)
def test_what_comes_first_does_not_matter(
    packer: Packer, make: Callable[[], tuple[Frame, ...]], ordinals: int
) -> None:
    """Zeros before data and after it are in one pack, and need an ordinal only with data."""
    packer.add(placed(0, 5))
    packer.add(placed(5, 5, make()))
    packer.add(placed(20, 5))
    (only,) = packer.drain()
    assert len(only.cell) == 15 + len(make())
    assert packer.ordinal == 1 + ordinals
