"""Map, digest and item sections: round trips, and every way to damage them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.columns import encode_column, encode_wide
from drd.core.sections import (
    CellDigests,
    FrameTable,
    Item,
    MapPiece,
    decode_digests,
    decode_items,
    decode_map,
    encode_digests,
    encode_items,
    encode_map,
)
from drd.errors import IntegrityError
from drd.model import Geometry
from tests.unit.core.adversary import assert_refused, assert_strict, exchanges
from tests.unit.core.drawing import map_pieces
from tests.unit.core.specimens import GEOMETRY, ITEMS, column, digests, map_piece


def decode(data: bytes, geometry: Geometry = GEOMETRY) -> MapPiece:
    return decode_map(data, block=geometry.block, window_blocks=geometry.window_blocks)


def decode_cells(data: bytes) -> CellDigests:
    return decode_digests(data, window_cells=GEOMETRY.window_cells)


def same(one: MapPiece, other: MapPiece) -> bool:
    return encode_map(one) == encode_map(other) and one.line.tolist() == other.line.tolist()


# ── map ─────────────────────────────────────────────────────────────────────────────────────────


@given(map_pieces())
def test_a_map_section_round_trips(piece: MapPiece) -> None:
    assert same(decode(encode_map(piece)), piece)


def test_a_damaged_map_section_is_refused_or_another_one() -> None:
    assert_strict(decode, encode_map_object, encode_map(map_piece()))


def encode_map_object(value: object) -> bytes:
    assert isinstance(value, MapPiece)
    return encode_map(value)


def test_an_empty_map_section_is_read() -> None:
    assert len(decode(encode_map(MapPiece.empty()))) == 0


def columns_of(piece: MapPiece) -> list[bytes]:
    """The eight columns of an encoded section."""
    data, columns = encode_map(piece), []
    while data:
        length = 4 + 4 * int.from_bytes(data[:4], "big")
        columns.append(data[:length])
        data = data[length:]
    assert len(columns) == 8
    return columns


def test_a_map_section_with_a_column_missing_or_doubled_is_refused() -> None:
    columns = columns_of(map_piece())
    for at in range(8):
        assert_refused(decode, [b"".join(columns[:at] + columns[at + 1 :])])
        assert_refused(decode, [b"".join(columns[: at + 1] + columns[at:])])


def test_exchanged_columns_never_mean_the_same() -> None:
    """Columns have no names: swapped ones must fail, or mean something else."""
    columns = columns_of(map_piece())
    right = map_piece()
    for data in exchanges(columns[4:8]):
        try:
            piece = decode(b"".join(columns[:4]) + data)
        except IntegrityError:
            continue
        assert not same(piece, right)


def wrong(**fields: object) -> bytes:
    """The specimen with other fields, encoded without a check."""
    changes: dict[str, Any] = fields
    return encode_map(replace(map_piece(), **changes))


def with_frames(**fields: object) -> bytes:
    changes: dict[str, Any] = fields
    return wrong(frames=replace(map_piece().frames, **changes))


@pytest.mark.parametrize(
    "data, why",
    [
        (with_frames(plain=column(256, 100, 128)), "whole number of blocks"),
        (with_frames(plain=column(256, 0, 128)), "whole number of blocks"),
        (wrong(count=column(5, 0, 2)), "empty extent"),
        (wrong(first=column(8, 1, 60)), "out of order"),
        (wrong(first=column(1, 5, 60)), "out of order"),
        (wrong(first=column(1, 8, 63)), "outside the window"),
        (wrong(line=np.array([1, 0, 7])), "beyond its frames"),
        (wrong(line=np.array([4, 0, 6])), "beyond its frames"),
        (wrong(count=column(5, (1 << 31) - 1, 2)), "outside the window"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_map_that_points_outside_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(IntegrityError, match=why):
        decode(data)


def test_columns_of_different_lengths_are_refused() -> None:
    columns = columns_of(map_piece())
    longer = encode_column(column(1, 2, 3, 4))
    for at in range(8):
        changed = [*columns[:at], longer, *columns[at + 1 :]]
        assert_refused(decode, [b"".join(changed)])


# ── digests ─────────────────────────────────────────────────────────────────────────────────────


@given(st.dictionaries(st.integers(0, GEOMETRY.window_cells - 1), st.integers(0, (1 << 64) - 1)))
def test_a_digest_section_round_trips(cells: dict[int, int]) -> None:
    ordered = sorted(cells)
    values = np.array([cells[cell] for cell in ordered], np.uint64)
    decoded = decode_cells(encode_digests(CellDigests(column(*ordered), values)))
    assert decoded.cell.tolist() == ordered
    assert decoded.digest.tolist() == values.tolist()


def test_a_damaged_digest_section_is_refused_or_another_one() -> None:
    def encode(value: object) -> bytes:
        assert isinstance(value, CellDigests)
        return encode_digests(value)

    assert_strict(decode_cells, encode, encode_digests(digests()))


@pytest.mark.parametrize("cells", [(3, 3), (4, 3), (0, GEOMETRY.window_cells), ((1 << 32) - 1, 0)])
def test_cells_out_of_order_or_outside_are_refused(cells: tuple[int, int]) -> None:
    values = np.ones(2, np.uint64)
    assert_refused(decode_cells, [encode_digests(CellDigests(column(*cells), values))])


def test_digest_columns_of_different_lengths_are_refused() -> None:
    data = encode_column(column(1, 2), delta=True) + encode_wide(np.ones(1, np.uint64))
    assert_refused(decode_cells, [data])


def test_no_digests_are_no_digests() -> None:
    assert len(decode_cells(encode_digests(CellDigests.empty()))) == 0


# ── items ───────────────────────────────────────────────────────────────────────────────────────

U64 = st.integers(0, (1 << 64) - 1)
some_items = st.lists(
    st.builds(
        Item,
        item_id=st.integers(0, (1 << 32) - 1),
        name=st.text(max_size=8),
        size=U64,
        extents=st.lists(st.tuples(U64, U64), max_size=3).map(tuple),
        removed=st.booleans(),
    ),
    unique_by=lambda item: item.item_id,
).map(lambda items: sorted(items, key=lambda item: item.item_id))


@given(some_items)
def test_an_item_section_round_trips(items: list[Item]) -> None:
    assert decode_items(encode_items(items)) == items


def test_a_damaged_item_section_is_refused_or_another_one() -> None:
    def encode(value: object) -> bytes:
        assert isinstance(value, list)
        return encode_items(value)

    assert_strict(decode_items, encode, encode_items(ITEMS))


def test_an_item_knows_the_cells_it_has_room_for() -> None:
    assert [item.cells for item in ITEMS] == [4, 0, 20]


@pytest.mark.parametrize(
    "items",
    [[ITEMS[0], ITEMS[0]], [ITEMS[1], ITEMS[0]]],
    ids=["one id twice", "descending"],
)
def test_items_out_of_order_are_refused(items: list[Item]) -> None:
    assert_refused(decode_items, [encode_items(items)])


def test_an_item_that_claims_too_many_extents_is_refused_before_memory_is_taken() -> None:
    data = bytearray(encode_items([Item(1, "", 0, ())]))
    data[-4:] = b"\xff\xff\xff\xff"
    assert_refused(decode_items, [bytes(data)])


# ── frames ──────────────────────────────────────────────────────────────────────────────────────


def test_joined_tables_lie_end_to_end() -> None:
    frames = map_piece().frames
    joined = FrameTable.join([frames, frames])
    assert joined.pack.tolist() == [3, 3, 5] * 2
    assert joined.starts(64).tolist() == [0, 4, 6, 8, 12, 14]
    assert len(FrameTable.join([])) == 0
