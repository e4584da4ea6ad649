"""Slots of cron lines: examples for a person with a clock, and the rule for clock changes as a law."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from drd.core.cron import newest_slot, next_slot

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
