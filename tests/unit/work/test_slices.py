"""What is fetched, and when: a frame once for a region, whatever slices it reaches into."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from drd.core.sections import FrameTable, MapPiece
from drd.work.board import Board, Handover, Rooms
from drd.work.slices import (
    GAP,
    KEEP_BYTES,
    MOST,
    REGION_BLOCKS,
    REGION_SLICES,
    SLICE_BLOCKS,
    Region,
    regions,
)
from tests.unit.core.specimens import column
from tests.unit.work.world import BLOCK

FRAME_BLOCKS = 64


def line_of_frames(offsets: list[int], *, stored: int, packs: list[int] | None = None) -> MapPiece:
    """One block for each frame, at every other block of a window."""
    count = len(offsets)
    frames = FrameTable(
        pack=column(*(packs or [1] * count)),
        frame=column(*range(count)),
        offset=column(*offsets),
        stored=column(*([stored] * count)),
        plain=column(*([BLOCK] * count)),
    )
    return MapPiece(
        frames,
        first=column(*range(0, 2 * count, 2)),
        count=column(*([1] * count)),
        zero=np.zeros(count, np.bool_),
        line=np.arange(count, dtype=np.int64),
    )


def scattered(frames: int, *, over: int) -> MapPiece:
    """Each frame holds blocks from all over ``over`` blocks, as the points of a long history do:
    block ``b`` lies in frame ``b % frames``. Each frame is a pack.
    """
    blocks = frames * FRAME_BLOCKS
    number = np.arange(blocks)
    stride = over // blocks
    table = FrameTable(
        pack=column(*range(1, frames + 1)),
        frame=column(*([0] * frames)),
        offset=column(*([400] * frames)),
        stored=column(*([FRAME_BLOCKS * BLOCK + 16] * frames)),
        plain=column(*([FRAME_BLOCKS * BLOCK] * frames)),
    )
    line = (number % frames) * FRAME_BLOCKS + number // frames
    return MapPiece(
        table,
        first=(number * stride).astype(np.uint32),
        count=np.ones(blocks, np.uint32),
        zero=np.zeros(blocks, np.bool_),
        line=line.astype(np.int64),
    )


def fetched(piece: MapPiece) -> list[tuple[int, int, int]]:
    (region,) = regions(piece, BLOCK, 0, SLICE_BLOCKS)
    (one,) = region.slices
    return [(fetch.ordinal, fetch.start, fetch.length) for fetch in one.fetches]


def frames_of(region: Region) -> list[int]:
    """Frames of all requests of a region, as often as they are asked for."""
    return [frame for one in region.slices for fetch in one.fetches for frame in fetch.frames]


def test_neighbours_in_a_pack_are_one_request_up_to_a_limit() -> None:
    assert fetched(line_of_frames([0, 100, 100 + 50 + GAP], stored=50)) == [(1, 0, 200 + GAP)]
    assert fetched(line_of_frames([0, 51 + GAP], stored=50)) == [(1, 0, 50), (1, 51 + GAP, 50)]
    assert fetched(line_of_frames([0, 50], stored=50, packs=[1, 2])) == [(1, 0, 50), (2, 50, 50)]
    half = MOST // 2
    assert fetched(line_of_frames([0, half, 2 * half], stored=half)) == [
        (1, 0, MOST),
        (1, MOST, half),
    ]


def test_slices_and_regions_without_data_are_left_out() -> None:
    assert list(regions(MapPiece.empty(), BLOCK, 0, SLICE_BLOCKS)) == []
    piece = line_of_frames([0, 50], stored=50)
    far = replace(piece, first=column(1, 5 * SLICE_BLOCKS + 3))
    (region,) = regions(far, BLOCK, 0, 7 * SLICE_BLOCKS)
    assert [one.first for one in region.slices] == [0, 5 * SLICE_BLOCKS]
    assert [len(one.pieces) for one in region.slices] == [1, 1]
    assert list(regions(far, BLOCK, 2, SLICE_BLOCKS)) == []
    further = replace(piece, first=column(1, 5 * REGION_BLOCKS + 3))
    found = list(regions(further, BLOCK, 0, 7 * REGION_BLOCKS))
    assert [one.slices[0].first for one in found] == [0, 5 * REGION_BLOCKS]


def test_a_frame_is_fetched_once_for_a_region() -> None:
    """By the first slice that needs it, and before every slice that does."""
    piece = scattered(500, over=REGION_BLOCKS)
    (region,) = regions(piece, BLOCK, 0, REGION_BLOCKS)
    assert len(region.slices) == REGION_SLICES
    assert sorted(frames_of(region)) == list(range(500))
    there: set[int] = set()
    for one in region.slices:
        there.update(frame for fetch in one.fetches for frame in fetch.frames)
        assert there >= set(one.pieces.frame.tolist())


def test_in_a_whole_image_each_slice_fetches_its_own() -> None:
    """Nothing waits for what a later slice needs: the first byte is written as early as ever."""
    count = 2 * REGION_BLOCKS // FRAME_BLOCKS
    size = FRAME_BLOCKS * BLOCK
    frames = FrameTable(
        pack=np.arange(count, dtype=np.uint32) // 128 + 1,
        frame=np.arange(count, dtype=np.uint32) % 128,
        offset=(np.arange(count, dtype=np.uint32) % 128) * size,
        stored=column(*([size] * count)),
        plain=column(*([size] * count)),
    )
    piece = MapPiece(
        frames,
        first=column(0),
        count=column(2 * REGION_BLOCKS),
        zero=np.zeros(1, np.bool_),
        line=np.zeros(1, np.int64),
    )
    found = list(regions(piece, BLOCK, 0, 2 * REGION_BLOCKS))
    for one in (one for region in found for one in region.slices):
        assert [len(fetch.frames) for fetch in one.fetches] == [16, 16]
        assert sum(one.pieces.count.tolist()) == SLICE_BLOCKS
    assert [one.kept for one in found] == [frozenset(), frozenset()]


@pytest.mark.parametrize("frames", [20, 400])
def test_frames_over_the_edge_of_a_region_are_kept_while_they_fit(frames: int) -> None:
    piece = scattered(frames, over=3 * REGION_BLOCKS)
    found = list(regions(piece, BLOCK, 0, 3 * REGION_BLOCKS))
    most = KEEP_BYTES // (FRAME_BLOCKS * BLOCK)
    assert [len(one.kept) for one in found] == [min(frames, most), min(frames, most), 0]
    times = Counter(frame for region in found for frame in frames_of(region))
    assert set(times.values()) == {3}, "planned each time: it may not have been there"


def test_blocks_go_where_they_belong_whatever_frame_comes_first() -> None:
    piece = scattered(30, over=REGION_BLOCKS)
    low, high = 7, REGION_BLOCKS - 5
    (region,) = regions(piece, BLOCK, low, high)
    rooms = Rooms(SLICE_BLOCKS * BLOCK, most=1)
    board = Board(region, BLOCK, Handover(), rooms)
    content = {
        frame: np.random.default_rng(frame).bytes(FRAME_BLOCKS * BLOCK) for frame in range(30)
    }
    for frame in reversed(range(30)):
        board.place(frame, content[frame])
    seen = 0
    for one in region.slices:
        room = board.take(one)
        data = room[: (one.end - one.first) * BLOCK].tobytes()
        rooms.give_back(room)  # the next slice may be laid into it
        for first, line in zip(piece.first.tolist(), piece.line.tolist(), strict=True):
            if one.first <= first < one.end:
                at, inside = (first - one.first) * BLOCK, (line % FRAME_BLOCKS) * BLOCK
                held = content[line // FRAME_BLOCKS]
                assert data[at : at + BLOCK] == held[inside : inside + BLOCK]
                seen += 1
    assert seen == sum(low <= first < high for first in piece.first.tolist())
