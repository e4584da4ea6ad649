from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from drd.model import ByteRange, Changed
from drd.sources.ranges import clipped, merged, spans, without

LIMIT = 60
changes = st.lists(
    st.builds(
        Changed,
        st.integers(0, LIMIT),
        st.integers(0, 12),
        st.booleans(),
    ),
    max_size=12,
)


def bytes_of(ranges: list[Changed], *, data: bool) -> set[int]:
    return {at for one in ranges if one.data == data for at in range(one.offset, one.end)}


@given(changes)
def test_merging_keeps_every_byte_and_lets_data_win(given_: list[Changed]) -> None:
    told = merged(given_)
    data = bytes_of(given_, data=True)
    assert bytes_of(told, data=True) == data
    assert bytes_of(told, data=False) == bytes_of(given_, data=False) - data
    for before, after in itertools.pairwise(told):
        assert before.end < after.offset or (
            before.end == after.offset and before.data != after.data
        )


@given(changes, st.integers(0, LIMIT), st.integers(0, LIMIT))
def test_clipping_keeps_what_is_inside(given_: list[Changed], first: int, last: int) -> None:
    cut = clipped(merged(given_), first, last)
    inside = set(range(first, last))
    for data in (True, False):
        assert bytes_of(cut, data=data) == bytes_of(merged(given_), data=data) & inside


@given(changes, changes)
def test_what_is_left_is_what_nobody_took(given_: list[Changed], taken: list[Changed]) -> None:
    left = without(merged(given_), merged(taken))
    covered = {at for one in given_ for at in range(one.offset, one.end)}
    gone = {at for one in taken for at in range(one.offset, one.end)}
    assert {at for one in left for at in range(one.offset, one.end)} == covered - gone


@given(changes, st.integers(1, 9), st.integers(0, 3))
def test_spans_are_whole_units_and_cover_everything(
    given_: list[Changed], unit: int, gap: int
) -> None:
    end = 100
    told = merged(given_)
    runs = spans(told, unit=unit, gap=gap, end=end)
    covered = {at for run in runs for at in range(run.offset, run.end)}
    assert {at for one in told for at in range(one.offset, one.end)} <= covered
    for run in runs:
        assert run.offset % unit == 0
        assert run.end % unit == 0 or run.end == end
    for before, after in itertools.pairwise(runs):
        assert after.offset - before.end > gap * unit


def test_a_span_ends_with_the_image() -> None:
    assert spans([Changed(9, 1)], unit=4, gap=0, end=10) == [ByteRange(8, 2)]
