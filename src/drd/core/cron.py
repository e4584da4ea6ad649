"""Slots: the moments that a line of crontab(5) means in a time zone, and the rule for clock changes.

Rules:

1. A line that names hours (not all 24) means *times of day*. Each is a slot once on each of its
   local dates: one that the clock leaves out (spring) is at the moment at which the gap ends, one
   that comes twice (autumn) is at the first of the two. Times that fall together are one slot.
2. A line that names all 24 hours means *each hour*: its slots are all moments at which the local clock
   shows one of its minutes, on its dates. Nothing is left out and nothing comes late: on the two days
   there are 23 and 25 hours.

Debian's cron(8) has the same thought for changes below three hours, but tells the two kinds apart by
whether minute *or* hour begins with ``*``; so it makes no run at all of ``*/30 2 * * *`` in spring,
and two sets in autumn. Here the hours alone decide.

Rule 1 never goes back: a later local time is never at an earlier moment. So slots of a later date
are never before those of an earlier one, and days can be searched one after the other. What was found is
kept by line, zone and day, so that asking for 10,000 images costs ten thousand look-ups.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from drd.core.crontab import Crontab, parse_crontab

DAY: Final = 86400
HOUR: Final = 3600
MINUTE: Final = 60
_EPOCH: Final = date(1970, 1, 1).toordinal()
_NEIGHBOURS: Final = 2
"""Days around one of UTC that a local date of it can be: zones reach from -12 to +14 hours, and a date
may be left out whole (Samoa, 2011)."""
_SEARCHED: Final = 366 * 100
"""Days within which every line has a slot: 29 February on a given weekday can take forty years."""


def newest_slot(cron: str, zone: str, at: datetime) -> datetime:
    """The newest slot of *cron* in *zone* at or before *at*; in UTC.

    Raises:
        ConfigError: *cron* is no line of crontab(5).
    """
    moment = at.timestamp()
    slots = _around(cron, zone, int(moment // DAY))
    return datetime.fromtimestamp(slots[bisect_right(slots, moment) - 1], UTC)


def next_slot(cron: str, zone: str, after: datetime) -> datetime:
    """The first slot of *cron* in *zone* after *after*; in UTC.

    Raises:
        ConfigError: *cron* is no line of crontab(5).
    """
    moment = after.timestamp()
    slots = _around(cron, zone, int(moment // DAY))
    return datetime.fromtimestamp(slots[bisect_right(slots, moment)], UTC)


@lru_cache(maxsize=2048)
def _around(cron: str, zone: str, day: int) -> array[int]:
    """Slots of the UTC day *day* (days since 1970), with the last one before and the first one after."""
    line, where = parse_crontab(cron), ZoneInfo(zone)
    begin, end = day * DAY, (day + 1) * DAY
    near = sorted(
        {
            slot
            for one in range(day - _NEIGHBOURS, day + _NEIGHBOURS + 1)
            for slot in _slots_of(line, where, one)
        }
    )
    inside = [slot for slot in near if begin <= slot < end]
    before = [slot for slot in near if slot < begin] or _search(line, where, day - _NEIGHBOURS, -1)
    after = [slot for slot in near if slot >= end] or _search(line, where, day + _NEIGHBOURS, 1)
    return array("q", [*before[-1:], *inside, *after[:1]])  # a minute's line: 12 KB a day


def _search(line: Crontab, zone: ZoneInfo, day: int, step: int) -> list[int]:
    """Slots of the nearest day that has any, from *day* on (not with it) by *step*; there is one, for
    ``parse_crontab`` refuses other lines.
    """
    days = range(day + step, day + step * _SEARCHED, step)
    return next(slots for one in days if (slots := _slots_of(line, zone, one)))


def _slots_of(line: Crontab, zone: ZoneInfo, day: int) -> list[int]:
    """Slots of one day (since 1970) in order: a local date (rule 1), or a day of UTC (rule 2)."""
    if line.every_hour:
        return _each_hour(line, zone, day)
    date_ = date.fromordinal(_EPOCH + day)
    if not line.on(date_):
        return []
    midnight = datetime(date_.year, date_.month, date_.day, tzinfo=zone)
    times = (
        midnight.replace(hour=hour, minute=minute) for hour in line.hours for minute in line.minutes
    )
    return sorted({_moment(one) for one in times})


def _moment(local: datetime) -> int:
    """When the clock of a zone shows *local* first; of a time in a gap, when the gap ends.

    Of a time that comes twice, ``fold`` 0 is the first. Of one that never comes, ``fold`` 0 takes the
    offset from before the gap, and so lies after its end, and ``fold`` 1 lies before it (PEP 495).
    """
    late, early = int(local.timestamp()), int(local.replace(fold=1).timestamp())
    if early >= late:
        return late
    while late - early > 1:  # the offset changes once between the two
        middle = (early + late) // 2
        if _offset(middle, local.tzinfo) == _offset(late, local.tzinfo):
            late = middle
        else:
            early = middle
    return late


def _offset(moment: int, zone: tzinfo | None) -> int:
    """Seconds by which the clock of *zone* is ahead of UTC at *moment*."""
    return int((datetime.fromtimestamp(moment, zone).utcoffset() or timedelta()).total_seconds())


def _each_hour(line: Crontab, zone: ZoneInfo, day: int) -> list[int]:
    """Rule 2 for one day of UTC."""
    begin, end = day * DAY, (day + 1) * DAY
    dates = {datetime.fromtimestamp(moment, zone).date() for moment in (begin, end - 1)}
    if not any(line.on(one) for one in dates):
        return []
    # A minute of the clock is at one place in an hour of UTC as long as the offset stays; where that
    # changes within the hour, the place of either is tried.
    offsets = (
        (hour, _offset(moment, zone))
        for hour in range(begin, end, HOUR)
        for moment in (hour, hour + HOUR)
    )
    tried = {
        hour + (minute * MINUTE - offset) % HOUR
        for hour, offset in offsets
        for minute in line.minutes
    }
    return sorted(one for one in tried if _meant(line, datetime.fromtimestamp(one, zone)))


def _meant(line: Crontab, local: datetime) -> bool:
    return local.second == 0 and local.minute in line.minutes and line.on(local.date())
