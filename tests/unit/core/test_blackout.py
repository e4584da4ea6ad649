"""Blackout windows, as the clock on the wall shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drd.core.blackout import black_minutes, free_from
from tests.unit.core.zones import EU_ZONES, change_days

STOCKHOLM = "Europe/Stockholm"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "windows,at,free",
    [
        ((), "2027-01-10T21:30", "2027-01-10T21:30"),
        (("22:00-23:00",), "2027-01-10T20:59:59", "2027-01-10T20:59:59"),
        (("22:00-23:00",), "2027-01-10T21:00", "2027-01-10T22:00"),
        (("22:00-23:00",), "2027-01-10T21:59:59", "2027-01-10T22:00"),
        (("22:00-23:00",), "2027-01-10T22:00:01", "2027-01-10T22:00:01"),
        (("22:00-23:00",), "2027-07-10T20:30", "2027-07-10T21:00"),
        (("23:00-01:00",), "2027-01-10T22:30", "2027-01-11T00:00"),
        (("23:00-01:00",), "2027-01-10T23:30", "2027-01-11T00:00"),
        (("22:00-23:00", "23:00-01:30", "01:00-02:00"), "2027-01-10T21:30", "2027-01-11T01:00"),
        # 02:00 to 03:00 is left out: the window ends when the gap does, or does not come at all.
        (("01:30-02:30",), "2027-03-28T00:40", "2027-03-28T01:00"),
        (("02:10-02:50",), "2027-03-28T00:59:59", "2027-03-28T00:59:59"),
        (("02:10-02:50",), "2027-03-28T01:00", "2027-03-28T01:00"),
        # 02:00 to 03:00 comes twice: so does a window in it.
        (("02:10-02:50",), "2027-10-31T00:20", "2027-10-31T00:50"),
        (("02:10-02:50",), "2027-10-31T01:20", "2027-10-31T01:50"),
        (("01:30-03:30",), "2027-10-31T00:00", "2027-10-31T02:30"),
        # Nothing free: as if there were none.
        (("00:00-12:00", "12:00-00:00"), "2027-01-10T21:30", "2027-01-10T21:30"),
    ],
)
def test_when_runs_may_begin_again(windows: tuple[str, ...], at: str, free: str) -> None:
    assert free_from(windows, STOCKHOLM, utc(at)) == utc(free)


TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
WINDOWS = st.lists(
    st.tuples(TIMES, TIMES).filter(lambda pair: pair[0] != pair[1]).map("-".join), max_size=3
)


@settings(deadline=None, max_examples=100)
@given(
    WINDOWS,
    st.sampled_from([*EU_ZONES, "Australia/Lord_Howe"]),
    st.sampled_from(change_days(2026, 2028)),
    st.integers(-86400, 86400),
)
def test_it_is_the_first_minute_outside(
    windows: list[str], zone: str, change: datetime, seconds: int
) -> None:
    at = change + timedelta(seconds=seconds)
    black = black_minutes(tuple(windows))
    free = free_from(windows, zone, at)
    if len(black) == 1440:
        assert free == at
        return
    minute = at
    while (shown := minute.astimezone(ZoneInfo(zone))).hour * 60 + shown.minute in black:
        minute = minute.replace(second=0) + timedelta(minutes=1)
    assert free == minute
