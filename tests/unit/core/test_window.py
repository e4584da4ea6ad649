"""Painting equals a dictionary with one entry per block; what comes out is small and in order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import window
from drd.core.sections import CellDigests, MapPiece, decode_map, encode_map
from drd.core.window import DigestWindow, Drawn, WindowMap, by_window, compact, ramps
from drd.errors import IntegrityError
from drd.model import Geometry
from tests.unit.core.drawing import Blocks, blocks_of, drawns, map_pieces
from tests.unit.core.specimens import GEOMETRY, column, map_piece

pieces = st.lists(map_pieces(), max_size=5)
SPACE = GEOMETRY.window_blocks * 4


def painted(layers: list[MapPiece]) -> tuple[WindowMap, Blocks]:
    """The same layers, on a window map and in a dictionary."""
    drawn, naive = WindowMap(GEOMETRY), Blocks()
    for layer in layers:
        drawn.paint(layer)
        naive.update(blocks_of(layer))
    return drawn, naive


def assert_tidy(piece: MapPiece) -> None:
    """Frames ascend and each is reached; extents are as long as they can be; all of it encodes."""
    frames = list(zip(piece.frames.pack.tolist(), piece.frames.frame.tolist(), strict=True))
    assert frames == sorted(set(frames))
    assert {place[:2] for place in blocks_of(piece).values() if place} == set(frames)
    for at in range(len(piece) - 1):
        if piece.first[at] + piece.count[at] == piece.first[at + 1]:
            both_zero = piece.zero[at] and piece.zero[at + 1]
            follows = piece.line[at] + piece.count[at] == piece.line[at + 1]
            assert not both_zero
            assert piece.zero[at] or piece.zero[at + 1] or not follows
    data = encode_map(piece)
    again = decode_map(data, block=GEOMETRY.block, window_blocks=GEOMETRY.window_blocks)
    assert encode_map(again) == data


@given(pieces)
def test_painting_equals_a_dictionary(layers: list[MapPiece]) -> None:
    drawn, naive = painted(layers)
    whole = drawn.piece(holes=True)
    assert blocks_of(whole) == naive
    assert_tidy(whole)


@given(pieces)
def test_a_shard_drops_holes_and_what_only_they_needed(layers: list[MapPiece]) -> None:
    drawn, naive = painted(layers)
    shard = drawn.piece(holes=False)
    assert blocks_of(shard) == {block: place for block, place in naive.items() if place}
    assert_tidy(shard)


@given(pieces, st.integers(0, 5))
def test_merging_some_layers_first_changes_nothing(layers: list[MapPiece], at: int) -> None:
    """Runs merge with runs: old ones into one, the rest painted over it."""
    merged = painted(layers[:at])[0].piece(holes=True)
    once = painted([merged, *layers[at:]])[0].piece(holes=True)
    assert encode_map(once) == encode_map(painted(layers)[0].piece(holes=True))


@given(map_pieces())
def test_compacting_keeps_the_meaning(piece: MapPiece) -> None:
    small = compact(piece, GEOMETRY.block)
    assert blocks_of(small) == blocks_of(piece)
    frames = set(zip(small.frames.pack.tolist(), small.frames.frame.tolist(), strict=True))
    assert {place[:2] for place in blocks_of(piece).values() if place} == frames


def test_a_frame_that_two_layers_reach_stands_once() -> None:
    drawn, naive = painted([map_piece(), map_piece()])
    assert blocks_of(drawn.piece(holes=True)) == naive
    assert len(drawn.piece(holes=True).frames) == len(map_piece().frames)


def test_nothing_painted_is_an_empty_piece() -> None:
    assert len(WindowMap(GEOMETRY).piece(holes=True)) == 0
    drawn = WindowMap(GEOMETRY)
    drawn.paint(MapPiece.empty())
    assert len(drawn.piece(holes=True)) == 0
    assert len(drawn.piece(holes=True).frames) == 0


def test_a_window_that_is_nothing_but_holes_needs_no_frames() -> None:
    drawn, _ = painted([map_piece()])
    everything = MapPiece(
        MapPiece.empty().frames, column(0), column(64), np.array([True]), np.zeros(1, np.int64)
    )
    drawn.paint(everything)
    holes = drawn.piece(holes=True)
    assert blocks_of(holes) == dict.fromkeys(range(64))
    assert len(holes.frames) == 0
    assert len(drawn.piece(holes=False)) == 0


def test_a_map_with_more_frames_than_it_can_hold_says_so() -> None:
    """Positions are 32 bits; merging keeps lines far below that."""
    frames = map_piece().frames
    most = GEOMETRY.block * ((1 << 32) // GEOMETRY.block - 1)
    long = replace(frames, plain=column(most, most, most))
    drawn = WindowMap(Geometry(block=8, cell=8, window_blocks=8))
    piece = MapPiece(long, column(), column(), np.zeros(0, np.bool_), np.zeros(0, np.int64))
    drawn.paint(piece)
    drawn.paint(piece)
    with pytest.raises(IntegrityError, match="merge its runs"):
        drawn.paint(piece)


# ── windows ─────────────────────────────────────────────────────────────────────────────────────


@given(drawns(SPACE))
def test_what_a_run_drew_is_cut_at_the_edges_of_windows(drawn: Drawn) -> None:
    cut = dict(by_window(drawn, GEOMETRY))
    assert list(cut) == sorted(cut)
    found: Blocks = {}
    for number, piece in cut.items():
        assert len(piece)
        assert_tidy(piece)
        shift = number * GEOMETRY.window_blocks
        found.update({block + shift: place for block, place in blocks_of(piece).items()})
    assert found == blocks_of(drawn)


def test_windows_between_two_extents_are_not_touched() -> None:
    drawn = Drawn(
        map_piece().frames,
        first=np.array([1, 3 * 64 + 2]),
        count=np.array([2, 1]),
        zero=np.zeros(2, np.bool_),
        line=np.array([0, 2]),
    )
    assert [number for number, _ in by_window(drawn, GEOMETRY)] == [0, 3]


def test_an_extent_over_several_windows_reaches_each_beside_one_that_is_apart() -> None:
    drawn = Drawn(
        map_piece().frames,
        first=np.array([60, 64 * 9]),
        count=np.array([64 * 2, 4]),
        zero=np.array([True, True]),
        line=np.zeros(2, np.int64),
    )
    assert [number for number, _ in by_window(drawn, GEOMETRY)] == [0, 1, 2, 9]


def test_ramps_lay_ranges_end_to_end() -> None:
    made = ramps(np.array([5, 1, 9]), np.array([2, 0, 3]))
    assert made.tolist() == [5, 6, 9, 10, 11]
    assert ramps(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def test_no_entries_have_no_stretches() -> None:
    first, end = window._stretches(np.zeros(0, np.uint32))
    assert (len(first), len(end)) == (0, 0)


# ── digests ─────────────────────────────────────────────────────────────────────────────────────

cell_layers = st.lists(
    st.dictionaries(st.integers(0, GEOMETRY.window_cells - 1), st.integers(0, 3)), max_size=4
)


@given(cell_layers)
def test_painting_digests_equals_a_dictionary(layers: list[dict[int, int]]) -> None:
    drawn, naive = DigestWindow(GEOMETRY), dict[int, int]()
    for layer in layers:
        ordered = sorted(layer)
        values = np.array([layer[cell] for cell in ordered], np.uint64)
        drawn.paint(CellDigests(column(*ordered), values))
        naive.update(layer)
    for zeros in (True, False):
        told = drawn.all(zeros=zeros)
        expected = {cell: one for cell, one in naive.items() if zeros or one}
        assert dict(zip(told.cell.tolist(), told.digest.tolist(), strict=True)) == expected
    assert drawn.digest.tolist() == [naive.get(cell, 0) for cell in range(GEOMETRY.window_cells)]
