"""Blackout windows: parts of the local day in which no run begins.

A window ``22:00-23:30`` is what the clock on the wall shows: from 22:00 on, up to 23:30. One that ends
before it begins goes over midnight. On the day on which an hour comes twice, a window within it comes
twice; one within an hour that is left out does not come.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

MINUTES_OF_DAY: Final = 24 * 60
_MINUTE: Final = 60


def free_from(windows: Sequence[str], zone: str, at: datetime) -> datetime:
    """The first moment at or after *at* outside all *windows* (``HH:MM-HH:MM``); in UTC.

    Windows that leave no minute of the day free count as none: ``check-config`` refuses them, and a daemon
    that never begins a run is the worse of two mistakes.
    """
    held = tuple(windows)
    if len(black_minutes(held)) in (0, MINUTES_OF_DAY):
        return at
    day, minute = divmod(int(at.timestamp()) // _MINUTE, MINUTES_OF_DAY)
    while True:
        free = _free_minutes(held, zone, day)
        place = bisect_left(free, minute)
        if place < len(free):
            found = day * MINUTES_OF_DAY + free[place]
            return max(at, datetime.fromtimestamp(found * _MINUTE, UTC))
        day, minute = day + 1, 0


@lru_cache(maxsize=64)
def black_minutes(windows: tuple[str, ...]) -> frozenset[int]:
    """Minutes of the local day that *windows* hold."""
    return frozenset(
        minute % MINUTES_OF_DAY
        for begin, end in (_bounds(one) for one in windows)
        for minute in range(begin, end if begin < end else end + MINUTES_OF_DAY)
    )


def _bounds(window: str) -> tuple[int, int]:
    begin, _, end = window.partition("-")
    return _minute_of(begin), _minute_of(end)


def _minute_of(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


@lru_cache(maxsize=512)
def _free_minutes(windows: tuple[str, ...], zone: str, day: int) -> array[int]:
    """Minutes of the UTC day *day* (days since 1970) outside all windows."""
    black, where, begin = black_minutes(windows), ZoneInfo(zone), day * MINUTES_OF_DAY
    local = (
        datetime.fromtimestamp((begin + minute) * _MINUTE, where)
        for minute in range(MINUTES_OF_DAY)
    )
    free = (minute for minute, at in enumerate(local) if at.hour * 60 + at.minute not in black)
    return array("H", free)
