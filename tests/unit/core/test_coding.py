"""Bytes and columns: what is written is read back, and nothing else is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.coding import Reader, Writer, lp
from drd.core.columns import (
    Column,
    Wide,
    decode_column,
    decode_wide,
    encode_column,
    encode_wide,
)
from drd.errors import IntegrityError
from tests.unit.core.adversary import assert_strict

U32 = st.integers(0, (1 << 32) - 1)
U64 = st.integers(0, (1 << 64) - 1)
Numbers: TypeAlias = list[int]


def read_all(take: Callable[[Reader], object]) -> Callable[[bytes], object]:
    """A decoder that takes one thing and then wants the end."""

    def decode(data: bytes) -> object:
        reader = Reader(data, "a test")
        value = take(reader)
        reader.end()
        return value

    return decode


def plain_column(values: Numbers) -> bytes:
    """A column by the words of docs/format.md, without numpy."""
    planes = [bytes((value >> (8 * plane)) & 0xFF for value in values) for plane in range(4)]
    return len(values).to_bytes(4, "big") + b"".join(planes)


@given(st.lists(U32))
def test_a_column_is_four_byte_planes(values: Numbers) -> None:
    assert encode_column(np.array(values, np.uint32)) == plain_column(values)


@given(st.lists(U32))
def test_a_delta_column_holds_differences_modulo_2_to_32(values: Numbers) -> None:
    before = [0, *values][: len(values)]
    differences = [(new - old) % (1 << 32) for old, new in zip(before, values, strict=True)]
    assert encode_column(np.array(values, np.uint32), delta=True) == plain_column(differences)


@given(st.lists(U32), st.booleans())
def test_columns_round_trip(values: Numbers, delta: bool) -> None:  # noqa: FBT001
    encoded = encode_column(np.array(values, np.uint32), delta=delta)
    decoded = read_all(lambda reader: decode_column(reader, delta=delta))(encoded)
    assert isinstance(decoded, np.ndarray)
    assert decoded.dtype == np.uint32
    assert decoded.tolist() == values


@given(st.lists(U64))
def test_wide_numbers_are_little_endian(values: Numbers) -> None:
    encoded = encode_wide(np.array(values, np.uint64))
    words = b"".join(value.to_bytes(8, "little") for value in values)
    assert encoded == len(values).to_bytes(4, "big") + words
    decoded = read_all(decode_wide)(encoded)
    assert isinstance(decoded, np.ndarray)
    assert decoded.dtype == np.uint64
    assert decoded.tolist() == values


@pytest.mark.parametrize("delta", [False, True])
def test_a_damaged_column_is_refused_or_another_one(*, delta: bool) -> None:
    def encode(value: object) -> bytes:
        assert isinstance(value, np.ndarray)
        column: Column = value
        return encode_column(column, delta=delta)

    data = encode(np.array([0, 5, (1 << 32) - 1, 5], np.uint32))
    assert_strict(read_all(lambda reader: decode_column(reader, delta=delta)), encode, data)


def test_a_damaged_wide_is_refused_or_another_one() -> None:
    def encode(value: object) -> bytes:
        assert isinstance(value, np.ndarray)
        wide: Wide = value
        return encode_wide(wide)

    assert_strict(read_all(decode_wide), encode, encode(np.array([1, 1 << 63], np.uint64)))


def test_a_column_that_claims_to_be_huge_is_refused_before_memory_is_taken() -> None:
    for decode in (decode_column, decode_wide):
        with pytest.raises(IntegrityError):
            decode(Reader(b"\xff\xff\xff\xff" + bytes(100), "a test"))


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_lists_of_fields_never_collide(one: list[bytes], other: list[bytes]) -> None:
    assert (lp(*one) == lp(*other)) == (one == other)


@given(st.integers(0, 255), U32, U64, st.binary(), st.text())
def test_fields_round_trip(  # noqa: PLR0917  one value of each kind of field
    u8: int, u32: int, u64: int, blob: bytes, text: str
) -> None:
    data = bytes(Writer().u8(u8).u32(u32).u64(u64).raw(blob).blob(blob).text(text))
    reader = Reader(data, "a test")
    assert (reader.u8(), reader.u32(), reader.u64()) == (u8, u32, u64)
    assert (reader.raw(len(blob)), reader.blob(), reader.text()) == (blob, blob, text)
    assert (reader.at, reader.left) == (len(data), 0)
    reader.end()


def test_integers_are_big_endian() -> None:
    data = bytes(Writer().u32(2).u64(3))
    assert data == b"\0\0\0\2" + b"\0\0\0\0\0\0\0\3"


@pytest.mark.parametrize(
    "take",
    [Reader.u8, Reader.u32, Reader.u64, Reader.blob, Reader.text],
)
def test_a_field_cut_short_is_damage(take: Callable[[Reader], object]) -> None:
    for data in (b"", b"\0\0\0\5ab"[:7] if take in {Reader.blob, Reader.text} else b""):
        with pytest.raises(IntegrityError, match="cut short"):
            take(Reader(data, "a test"))


def test_text_that_is_not_utf_8_is_damage() -> None:
    with pytest.raises(IntegrityError, match="UTF-8"):
        Reader(bytes(Writer().blob(b"\xff")), "a test").text()


def test_bytes_left_over_are_damage() -> None:
    reader = Reader(b"abc", "a test")
    reader.expect(b"ab", "magic")
    with pytest.raises(IntegrityError, match="1 bytes too many"):
        reader.end()


def test_a_wrong_magic_is_damage() -> None:
    with pytest.raises(IntegrityError, match="wrong magic"):
        Reader(b"abc", "a test").expect(b"abd", "magic")
