"""What windows need is what is painted; what is remembered is that, or nothing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import needs
from drd.core.needs import Needs
from drd.core.sections import MapPiece
from drd.core.window import WindowMap
from drd.errors import IntegrityError
from tests.unit.core.drawing import Blocks, blocks_of, map_pieces
from tests.unit.core.specimens import GEOMETRY

ordinals = st.integers(0, 2**32 - 1)
sizes = st.integers(0, 2**32 - 1)
some = st.builds(
    lambda painted, listed: Needs.of(
        np.asarray(list(painted), np.uint32), np.asarray(list(painted.values()), np.int64), listed
    ),
    st.dictionaries(ordinals, sizes),
    st.sets(ordinals),
)
memories = st.dictionaries(st.binary(min_size=16, max_size=16), some, max_size=5)


def told(one: Needs) -> list[tuple[int, int, bool]]:
    """Pack, bytes, whether it is listed."""
    columns = (one.packs.tolist(), one.painted.tolist(), one.listed.tolist())
    return list(zip(*columns, strict=True))


@given(st.lists(map_pieces(), max_size=5))
def test_blocks_that_are_left_are_those_that_are_not_painted_over(layers: list[MapPiece]) -> None:
    drawn, naive = WindowMap(GEOMETRY), Blocks()
    for layer in layers:
        drawn.paint(layer)
        naive.update(blocks_of(layer))
    places = [place for place in naive.values() if place]
    # The drawings put a block of a frame at several places, which nothing real does: once is enough.
    least, most = (Counter(place[:2] for place in which) for which in (set(places), places))
    frames, left = drawn.left()
    found: Counter[tuple[int, int]] = Counter()
    for pack, frame, blocks in zip(
        frames.pack.tolist(), frames.frame.tolist(), left.tolist(), strict=True
    ):
        found[pack, frame] += blocks
    assert least <= found <= most


def test_a_pack_that_is_listed_and_not_painted_needs_nothing() -> None:
    one = Needs.of(np.asarray([7, 3, 7], np.uint32), np.asarray([10, 1, 5], np.int64), {3, 9})
    assert told(one) == [(3, 1, True), (7, 15, False), (9, 0, True)]


@given(memories)
def test_what_is_remembered_comes_back(known: dict[bytes, Needs]) -> None:
    again = needs.decode(needs.encode(known))
    assert {key: told(one) for key, one in again.items()} == {
        key: told(one) for key, one in known.items()
    }


def test_another_layout_is_nothing() -> None:
    data = needs.encode({bytes(16): Needs.of(np.zeros(0, np.uint32), np.zeros(0, np.int64), [5])})
    assert needs.decode(b"") == {}
    assert needs.decode(bytes([needs.LAYOUT + 1]) + data[1:]) == {}


@given(memories.filter(bool), st.data())
def test_what_is_cut_short_or_longer_is_damage(
    known: dict[bytes, Needs], data: st.DataObject
) -> None:
    whole = needs.encode(known)
    with pytest.raises(IntegrityError):
        needs.decode(whole[: data.draw(st.integers(1, len(whole) - 1))])
    with pytest.raises(IntegrityError):
        needs.decode(whole + b"\0")


def test_columns_of_different_lengths_are_damage() -> None:
    one = Needs.of(np.asarray([1, 2], np.uint32), np.asarray([3, 4], np.int64), ())
    short = Needs(one.packs, one.painted[:1], one.listed)
    with pytest.raises(IntegrityError, match="different lengths"):
        needs.decode(needs.encode({bytes(16): short}))
    with pytest.raises(IntegrityError, match="different lengths"):
        needs.decode(needs.encode({bytes(15): one}))


def test_the_key_tells_windows_and_tables_and_their_order_apart() -> None:
    a, b = b"a" * 16, b"b" * 16
    keys = [(0, [a]), (1, [a]), (0, [b]), (0, [a, b]), (0, [b, a]), (0, [])]
    assert len({needs.key(*one) for one in keys}) == len(keys)
