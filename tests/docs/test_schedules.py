"""The table of ``docs/schedules.md``: each row is computed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drd.core.cron import next_slot

PAGE = Path(__file__).parents[2] / "docs" / "schedules.md"
ZONE = "Europe/Stockholm"
ROW = re.compile(
    r"^\| `(?P<cron>[^`]+)` \| (?P<day>[0-9-]{10}) \| (?P<runs>\d+) \| (?P<times>.+) \|$"
)
ROWS = [match.groupdict() for line in PAGE.read_text().splitlines() if (match := ROW.match(line))]


def shown(at: datetime) -> str:
    """Local time as the page writes it: the second of two equal ones with its offset."""
    local = at.astimezone(ZoneInfo(ZONE))
    return f"{local:%H:%M}+01:00" if local.fold else f"{local:%H:%M}"


def times(cron: str, day: date) -> list[str]:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    found = []
    while (at := next_slot(cron, ZONE, at)).astimezone(ZoneInfo(ZONE)).date() <= day:
        if at.astimezone(ZoneInfo(ZONE)).date() == day:
            found.append(shown(at))
    return found


def test_the_page_has_its_table() -> None:
    assert len(ROWS) >= 14
    assert {row["day"] for row in ROWS} >= {"2027-03-28", "2027-10-31"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['cron']} on {row['day']}")
def test_each_row_is_so(row: dict[str, str]) -> None:
    found = times(row["cron"], date.fromisoformat(row["day"]))
    assert len(found) == int(row["runs"])
    first, dots, last = row["times"].partition(" … ")
    begin, end = first.split(), last.split()
    assert found[: len(begin)] == begin
    assert not dots or found[-len(end) :] == end
    assert dots or found == begin
