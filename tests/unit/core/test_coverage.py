"""Rotating coverage: whatever packs are born and die, each is looked at within the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drd.core.coverage import STEPS, TURN, Cursor, Mark, Weighed, place, plan

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MONTH = 30 * DAY


def pack(number: int, size: int = 100) -> Weighed:
    return Weighed(number.to_bytes(16, "big"), number, size)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 60, 700, 1000, 1439, 1440]), st.integers(0, 12), st.integers(0, 4)
        ),
        min_size=1,
        max_size=90,
    ),
    st.integers(1, 8),
    st.integers(0, 100),
)
def test_each_pack_is_looked_at_within_the_window(
    runs: list[tuple[int, int, int]], window: int, at_first: int
) -> None:
    """Runs up to a day apart; between them packs are born and die. No pack waits longer than the window."""
    coverage, now, cursor = window * DAY, START, Cursor()
    alive = dict.fromkeys(range(at_first), START)  # since when nobody has looked at it
    born = at_first
    for minutes, births, deaths in runs:
        before, now = now, now + timedelta(minutes=minutes)
        for _ in range(births):
            alive[born] = before  # at once after the last run: the longest that it can wait
            born += 1
        for one in sorted(alive, key=lambda one: place(pack(one).pack_id))[:deaths]:
            del alive[one]
        turn = plan([pack(one) for one in alive], cursor, now, every=DAY, coverage=coverage)
        cursor = turn.cursor
        for one in alive:
            assert now - alive[one] <= coverage, "the promise"
            if pack(one).pack_id in turn.packs:
                alive[one] = now


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=40, max_size=80))
def test_late_runs_catch_up(minutes: list[int]) -> None:
    """Of runs that are late, what was due is looked at in the first of them."""
    packs = [pack(one) for one in range(50)]
    now, cursor = START, Cursor()
    looked = dict.fromkeys((one.pack_id for one in packs), START)
    for minute in minutes:
        before, now = now, now + timedelta(minutes=minute)
        turn = plan(packs, cursor, now, every=DAY, coverage=MONTH)
        cursor = turn.cursor
        for one in turn.packs:
            looked[one] = now
        late = max(timedelta(), now - before - DAY)
        assert all(now - when <= MONTH + late for when in looked.values())


def test_the_work_of_a_run_is_its_share() -> None:
    packs = [pack(one) for one in range(3000)]
    cursor = plan(packs, Cursor(), START, every=DAY, coverage=MONTH).cursor
    for day in range(1, 60):
        turn = plan(packs, cursor, START + day * DAY, every=DAY, coverage=MONTH)
        assert 60 < len(turn.packs) < 160  # 3000 ÷ 29, give or take
        cursor = turn.cursor
    hourly = plan(packs, cursor, START + 59 * DAY + DAY / 24, every=DAY, coverage=MONTH)
    assert len(hourly.packs) < 20


def test_what_was_never_looked_at_goes_first_and_the_newest_of_it_first_of_all() -> None:
    old = [pack(one) for one in range(1000)]
    cursor = plan(old, Cursor(), START, every=DAY, coverage=MONTH).cursor
    assert cursor.through == 1000
    young = [pack(one) for one in range(1000, 1020)]
    turn = plan([*old, *young], cursor, START + DAY, every=DAY, coverage=MONTH)
    assert {one.pack_id for one in young} <= turn.packs
    many = [pack(one) for one in range(1000, 3000)]
    turn = plan([*old, *many], cursor, START + DAY, every=DAY, coverage=MONTH)
    assert {one.pack_id for one in many[-90:]} <= turn.packs
    assert len(turn.packs) < 300
    first = plan(old, Cursor(), START, every=DAY, coverage=MONTH)
    assert {one.pack_id for one in old[-30:]} <= first.packs
    assert len(first.packs) < 100


def test_a_window_no_longer_than_the_interval_means_everything() -> None:
    packs = [pack(one) for one in range(10)]
    for coverage in (DAY, DAY / 2):
        turn = plan(packs, Cursor(), START, every=DAY, coverage=coverage)
        assert len(turn.packs) == 10
    late = plan(packs, Cursor((Mark(START, 0),)), START + 29 * DAY, every=DAY, coverage=MONTH)
    assert len(late.packs) == 10
    assert plan([], Cursor(), START, every=DAY, coverage=MONTH).packs == frozenset()


def test_a_clock_that_was_put_back_looks_at_a_share_each_time() -> None:
    packs = [pack(one) for one in range(300)]
    cursor = Cursor((Mark(START + 400 * DAY, 5),), 300)
    seen: set[bytes] = set()
    for day in range(29):
        turn = plan(packs, cursor, START + day * DAY, every=DAY, coverage=MONTH)
        seen |= turn.packs
        cursor = turn.cursor
    assert len(seen) == 300


def test_how_much_was_covered_and_when_a_pack_was_passed() -> None:
    packs = [pack(one) for one in range(200)]
    now, cursor, looked = START, Cursor(), {}
    assert cursor.covered(START) == 0
    assert cursor.passed(packs[0].pack_id) is None
    for day in range(40):
        now = START + day * DAY
        turn = plan(packs, cursor, now, every=DAY, coverage=MONTH)
        cursor = turn.cursor
        looked.update(dict.fromkeys(turn.packs, now))
        if day == 9:
            assert cursor.covered(now - MONTH) == pytest.approx(10 / 29, abs=0.01)
    assert cursor.covered(now - MONTH) == 1
    assert cursor.covered(now - 10 * DAY) == pytest.approx(10 / 29, abs=0.01)
    passed = [cursor.passed(one.pack_id) for one in packs]
    assert all(
        when is not None and when <= looked[one.pack_id]
        for when, one in zip(passed, packs, strict=True)
    )
    assert sum(when == looked[one.pack_id] for when, one in zip(passed, packs, strict=True)) > 190


def test_a_cursor_stays_small_whatever_the_number_of_runs() -> None:
    packs = [pack(one) for one in range(20)]
    now, cursor = START, Cursor()
    for hour in range(24 * 40):
        now = START + timedelta(hours=hour)
        cursor = plan(packs, cursor, now, every=DAY, coverage=MONTH).cursor
        assert len(cursor.marks) <= STEPS + 4
    assert cursor.covered(now - MONTH) == 1
    blurred = MONTH / STEPS / (29 * DAY)  # what is told as a little older than it is
    assert 1 / 29 - blurred < cursor.covered(now - DAY) <= 1 / 29
    assert 18 / 29 < cursor.covered(now - 20 * DAY) <= 20 / 29
    assert cursor.turned < 3 * TURN
