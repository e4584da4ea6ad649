"""The longest time between two slots of a cron line: what an RPO must allow for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise, takewhile
from operator import itemgetter
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from drd.core.blackout import black_minutes, free_from
from drd.core.cron import newest_slot, next_slot
from drd.core.crontab import longest_day_gap, parse_crontab

_MINUTES_OF_DAY: Final = 1440
_FROM: Final = datetime(2026, 1, 1, tzinfo=UTC)
_YEARS: Final = 4
"""Clock changes of so many years are tried: daily and weekly lines have met the worst by then."""
_AROUND: Final = timedelta(hours=36)
_SAMPLE: Final = 64
"""Slots that are tried against blackout windows."""


class Gap(NamedTuple):
    """The longest time between two slots: seconds, and the local date on which it begins."""

    seconds: int
    begins: str


def ordinary_gap(cron: str) -> int:
    """Seconds, where clocks do not change.

    Raises:
        ConfigError: *cron* is no line of crontab(5).
    """
    table = parse_crontab(cron)
    minutes = [hour * 60 + minute for hour in table.hours for minute in table.minutes]
    within = max((later - one for one, later in pairwise(minutes)), default=0)
    overnight = longest_day_gap(table) * _MINUTES_OF_DAY - minutes[-1] + minutes[0]
    return max(within, overnight) * 60


@lru_cache(maxsize=256)
def gap_at_changes(cron: str, zone: str) -> Gap | None:
    """The longest around a change of clocks in *zone*; None where clocks do not change.

    Raises:
        ConfigError: *cron* is no line of crontab(5).
    """
    found = [_longest(_around(cron, zone, change)) for change in _changes(zone)]
    if not found:
        return None

    seconds, begins = max(found, key=itemgetter(0))  # the first of equal ones
    return Gap(seconds, f"{begins.astimezone(ZoneInfo(zone)):%Y-%m-%d}")


def gap_with_blackout(cron: str, zone: str, windows: Sequence[str], windows_zone: str) -> int:
    """Seconds from one run to the next when those whose slot lies in a window begin at its end."""
    slots = islice(_from(cron, zone, _FROM), _SAMPLE)
    return _longest([free_from(windows, windows_zone, slot) for slot in slots])[0]


def longest_blackout(windows: Sequence[str]) -> int:
    """Seconds of the longest stretch of the day that *windows* leave no minute of."""
    black = black_minutes(tuple(windows))
    longest = run = 0
    for minute in range(2 * _MINUTES_OF_DAY):
        run = run + 1 if minute % _MINUTES_OF_DAY in black else 0
        longest = max(longest, run)
    return min(longest, _MINUTES_OF_DAY) * 60


def _around(cron: str, zone: str, change: datetime) -> list[datetime]:
    """Slots from the last before *change* (and a day and a half) to the first after it (and as much)."""
    begin, end = newest_slot(cron, zone, change - _AROUND), change + _AROUND
    inside = takewhile(lambda slot: slot <= end, _from(cron, zone, begin))
    return [begin, *inside, next_slot(cron, zone, end)]


def _from(cron: str, zone: str, at: datetime) -> Iterator[datetime]:
    while True:
        at = next_slot(cron, zone, at)
        yield at


def _longest(slots: Sequence[datetime]) -> tuple[int, datetime]:
    """Seconds of the longest gap, and the slot before it."""
    gaps = ((round((later - one).total_seconds()), one) for one, later in pairwise(slots))
    return max(gaps, key=itemgetter(0))


def _changes(zone: str) -> Iterator[datetime]:
    """Days (UTC) within which the clock of *zone* changes."""
    where = ZoneInfo(zone)
    for day in range(366 * _YEARS):
        at = _FROM + timedelta(days=day)
        if (
            at.astimezone(where).utcoffset()
            != (at + timedelta(days=1)).astimezone(where).utcoffset()
        ):
            yield at
