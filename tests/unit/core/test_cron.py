"""Slots of cron lines: examples for a person with a clock, and the rule for clock changes as a law."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drd.core.cron import newest_slot, next_slot
from drd.core.crontab import parse_crontab
from tests.unit.core.zones import EU_ZONES, change_days

STOCKHOLM = "Europe/Stockholm"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(cron: str, zone: str, begin: str, end: str) -> list[str]:
    """All slots after *begin* and up to *end*, both UTC."""
    found, at = [], utc(begin)
    while (at := next_slot(cron, zone, at)) <= utc(end):
        assert newest_slot(cron, zone, at) == at
        found.append(f"{at:%d %H:%M}")
    return found


# ── examples ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "cron,begin,end,expected",
    [
        ("30 2 * * *", "2027-03-27T12:00", "2027-03-29T12:00", ["28 01:00", "29 00:30"]),
        ("30 2 * * *", "2027-10-30T12:00", "2027-11-01T12:00", ["31 00:30", "01 01:30"]),
        ("0,30 2,3 * * *", "2027-03-28T00:00", "2027-03-28T12:00", ["28 01:00", "28 01:30"]),
        ("15 * * * *", "2027-03-28T00:00", "2027-03-28T02:00", ["28 00:15", "28 01:15"]),
        (
            "15 * * * *",
            "2027-10-31T00:00",
            "2027-10-31T03:00",
            ["31 00:15", "31 01:15", "31 02:15"],
        ),
    ],
)
def test_the_days_on_which_clocks_change(
    cron: str, begin: str, end: str, expected: list[str]
) -> None:
    assert slots(cron, STOCKHOLM, begin, end) == expected


@pytest.mark.parametrize(
    "cron,zone,span,expected",
    [
        # A date that is left out whole (Samoa crossed the date line): its run comes when it is over.
        ("0 12 * * *", "Pacific/Apia", ("2011-12-29T12:00", "2011-12-31T12:00"),
         ["29 22:00", "30 10:00", "30 22:00"]),
        # Half an hour.
        ("10,40 2 * * *", "Australia/Lord_Howe", ("2027-10-02T12:00", "2027-10-03T12:00"),
         ["02 15:30", "02 15:40"]),
        ("45 1 * * *", "Australia/Lord_Howe", ("2027-04-03T12:00", "2027-04-04T12:00"), ["03 14:45"]),
        ("45 * * * *", "Australia/Lord_Howe", ("2027-04-03T14:00", "2027-04-03T16:00"),
         ["03 14:45", "03 15:15"]),
        # A gap at midnight.
        ("30 0 * * *", "Asia/Beirut", ("2027-03-27T12:00", "2027-03-29T00:00"), ["27 22:00", "28 21:30"]),
        # No changes.
        ("0 0 * * *", "America/Cayenne", ("2027-03-27T12:00", "2027-03-29T00:00"), ["28 03:00"]),
        # Sparse.
        ("0 0 29 2 *", "UTC", ("2027-01-01T00:00", "2033-01-01T00:00"), ["29 00:00", "29 00:00"]),
        ("@weekly", "UTC", ("2026-11-21T00:00", "2026-11-30T00:00"), ["22 00:00", "29 00:00"]),
    ],
)  # fmt: skip
def test_other_days_and_zones(
    cron: str, zone: str, span: tuple[str, str], expected: list[str]
) -> None:
    assert slots(cron, zone, *span) == expected


def test_slots_lie_on_both_sides_however_sparse() -> None:
    at = utc("2100-06-01T00:00")
    assert newest_slot("0 0 29 2 *", "UTC", at) == utc("2096-02-29T00:00")
    assert next_slot("0 0 29 2 *", "UTC", at) == utc("2104-02-29T00:00")
    # Both fields must hold, as one begins with a star: 29 February on a Sunday, forty years apart here.
    assert newest_slot("0 0 29 2 */7", "UTC", at) == utc("2088-02-29T00:00")
    assert next_slot("0 0 29 2 */7", "UTC", at) == utc("2128-02-29T00:00")


# ── the rule as a law ───────────────────────────────────────────────────────────────────────────
# The law in other words than the code's: a time of day is reached when a clock on the wall shows it
# *or anything later* for the first time; an hour's minute is reached whenever the clock shows it.
@st.composite
def lines(draw: st.DrawFn) -> str:
    minutes = ",".join(map(str, draw(st.lists(st.integers(0, 59), min_size=1, max_size=3))))
    hours = draw(
        st.sampled_from(["*", "*/2", "*/3", "2", "1-3", "0,2,23", "1-23", "0-23", "*/1"])
        | st.integers(0, 23).map(str)
    )
    days = draw(st.sampled_from(["* * *", "* * *", "25-31 * *", "* * 0", "* * mon", "1 * 6"]))
    return f"{minutes} {hours} {days}"


@lru_cache(maxsize=256)
def wall(zone: str, change: datetime) -> list[tuple[datetime, datetime]]:
    """Each minute of the three days around a change: its moment, and what the clock shows."""
    begin = change - timedelta(days=1, hours=14)
    moments = (begin + timedelta(minutes=one) for one in range(3 * 1440 + 840))
    return [(one, one.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for one in moments]


def reference(line: str, zone: str, change: datetime) -> list[datetime]:
    table = parse_crontab(line)
    clock = wall(zone, change)
    if table.every_hour:
        return [
            at for at, shown in clock if shown.minute in table.minutes and table.on(shown.date())
        ]
    first = clock[0][1]
    times = (first + timedelta(minutes=one) for one in range(3 * 1440 + 1500))
    meant = [
        one
        for one in times
        if one.hour in table.hours and one.minute in table.minutes and table.on(one.date())
    ]
    reached: list[datetime] = []
    for at, shown in clock:
        passed = bisect_right(meant, shown)
        if passed:
            reached.append(at)
            del meant[:passed]
    return reached


def all_slots(line: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    found, at = [], begin - timedelta(microseconds=1)
    while (at := next_slot(line, zone, at)) < end:
        found.append(at)
    return found


def check_law(line: str, zone: str, change: datetime) -> None:
    clock = wall(zone, change)
    begin, end = clock[0][0], clock[-1][0]
    expected = [one for one in reference(line, zone, change) if begin < one < end]
    found = [one for one in all_slots(line, zone, begin, end) if begin < one < end]
    assert found == expected
    for one, other in pairwise(found):
        assert newest_slot(line, zone, one) == one
        assert newest_slot(line, zone, other - timedelta(microseconds=1)) == one


@pytest.mark.parametrize("zone", EU_ZONES)
def test_the_law_in_each_zone_of_the_union(zone: str) -> None:
    for change in change_days(2026, 2028):
        for line in ("30 2 * * *", "0,30 */2 * * *", "15 * * * *", "5 0-4 * * 0"):
            check_law(line, zone, change)


@settings(deadline=None, max_examples=150)
@given(lines(), st.sampled_from(EU_ZONES), st.sampled_from(change_days(2021, 2036)))
def test_the_law_for_any_line(line: str, zone: str, change: datetime) -> None:
    check_law(line, zone, change)


@settings(deadline=None, max_examples=60)
@given(
    lines(),
    st.sampled_from(
        ["Australia/Lord_Howe", "Asia/Beirut", "America/St_Johns", "Africa/Casablanca"]
    ),
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),  # noqa: DTZ001
)
def test_slots_go_up_and_newest_and_next_agree_anywhere(line: str, zone: str, at: datetime) -> None:
    newest, following = newest_slot(line, zone, at), next_slot(line, zone, at)
    assert newest <= at < following
    assert next_slot(line, zone, newest) == following
    assert newest_slot(line, zone, following - timedelta(microseconds=1)) == newest


@pytest.mark.parametrize("zone", EU_ZONES)
def test_once_a_local_day_and_each_hour(zone: str) -> None:
    """Counted over a year: as many runs of a time of day as dates, as many of each hour as hours."""
    begin, end = utc("2027-01-01T12:00"), utc("2028-01-01T12:00")
    daily = all_slots("30 2 * * *", zone, begin, end)
    dates = [one.astimezone(ZoneInfo(zone)).date() for one in daily]
    assert len(set(dates)) == len(dates) == (dates[-1] - dates[0]).days + 1
    hourly = all_slots("15 * * * *", zone, begin, end)
    assert {other - one for one, other in pairwise(hourly)} == {timedelta(hours=1)}
