"""The five fields of crontab(5): what is written, which times are meant, and what is refused.

Rules, those of cron(8) on Debian (Vixie's cron 3.0):

1. Minute 0-59, hour 0-23, day 1-31, month 1-12, weekday 0-7, where 0 and 7 are Sunday. Months and
   weekdays have English names of three letters, in any case.
2. A field is a list of ``*``, single values and ranges; ``*`` and ranges may have a step. A range takes
   its last value in, and begins before it ends. ``sat-sun`` ends on the seventh day.
3. Day and weekday: when both are restricted, a date that either names is meant; otherwise the date
   must be in both. A field is restricted when it does not begin with ``*``: so does cron itself, where
   ``*/2`` in one of them means "of those that the other names, every second". (The page says "aren't
   *", which would leave open what ``*/2`` is.)
4. ``@hourly``, ``@daily``, ``@midnight``, ``@weekly``, ``@monthly``, ``@yearly``, ``@annually``.

Beyond cron, what could be no more than a mistake is refused: a step larger than its field, and days that
no calendar has (30 February).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from drd.errors import ConfigError

MACROS: Final[Mapping[str, str]] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS: Final = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_WEEKDAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_SUNDAY_TOO: Final = 7
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""The longest that each month can be."""
_NUMBER: Final = re.compile(r"[0-9]{1,4}")


class _Field(NamedTuple):
    """One of the five: what it is called, its first and last value, names and the first one's value."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()
    named_from: int = 0


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS), 1),
    _Field("weekday", 0, _SUNDAY_TOO, tuple(_WEEKDAYS)),
)


@dataclass(frozen=True, slots=True)
class Crontab:
    """The times of day and the dates that a line means. Weekdays are 0 (Sunday) to 6."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    """True when a date that is in *days* or *weekdays* is meant, False when it must be in both."""

    @property
    def every_hour(self) -> bool:
        """Whether the line names all 24 hours, so that it means "each hour" and not a time of day."""
        return len(self.hours) == len(range(24))

    def on(self, day: date) -> bool:
        """Whether *day* is one of its dates."""
        if day.month not in self.months:
            return False
        in_days, in_weekdays = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (in_days or in_weekdays) if self.either else (in_days and in_weekdays)


@lru_cache(maxsize=4096)
def parse_crontab(text: str) -> Crontab:
    """Read five fields of crontab(5), or one of its ``@`` words.

    Raises:
        ConfigError: it is none; the message names the field, the hint the nearest right thing.
    """
    words = _words(text)
    minutes, hours, days, months, weekdays = (
        frozenset(_values(word, field)) for word, field in zip(words, _FIELDS, strict=True)
    )
    either = not words[2].startswith("*") and not words[4].startswith("*")
    longest = max(_DAYS[month - 1] for month in months)
    if not either and min(days) > longest:
        raise ConfigError(
            f"day {words[2]!r} is in none of the months {words[3]!r}",
            hint=f"the last day that there is in one of them is {longest}",
        )
    return Crontab(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        days,
        months,
        frozenset(one % 7 for one in weekdays),
        either,
    )


def _words(text: str) -> list[str]:
    """The five fields of *text*, as they are written."""
    words = text.split()
    if len(words) == 1 and words[0].startswith("@"):
        if words[0].lower() not in MACROS:
            near = difflib.get_close_matches(words[0].lower(), MACROS, 1, cutoff=0.0)[0]
            raise ConfigError(
                f"{words[0]!r} is no word of crontab(5)", hint=f"the nearest is {near}"
            )
        return MACROS[words[0].lower()].split()
    if len(words) != len(_FIELDS):
        raise ConfigError(
            f"it has {len(words)} field{'' if len(words) == 1 else 's'}",
            hint='it needs five: minute, hour, day, month, weekday, such as "15 * * * *"',
        )
    return words


def _values(word: str, field: _Field) -> Iterator[int]:
    """The values that one field names, Sunday as it is written."""
    for part in word.split(","):
        base, slash, step = part.partition("/")
        low, dash, high = base.partition("-")
        if base == "*":
            first, last = field.first, _last(field)
        elif dash:
            first, last = _range(low, high, part, field)
        else:
            first = last = _value(base, part, field)
            if slash:
                raise ConfigError(
                    f"{field.name} {part!r} has a step, and is no range",
                    hint=f"write {base}-{_last(field)}/{step}",
                )
        yield from range(first, last + 1, _step(step, part, field) if slash else 1)


def _last(field: _Field) -> int:
    """Where ``*`` ends: Sunday is not taken twice."""
    return _SUNDAY_TOO - 1 if field.last == _SUNDAY_TOO else field.last


def _range(low: str, high: str, part: str, field: _Field) -> tuple[int, int]:
    first, last = _value(low, part, field), _value(high, part, field)
    if field.name == "weekday" and last == 0 < first and high.lower() == "sun":
        last = _SUNDAY_TOO
    if last < first:
        raise ConfigError(
            f"{field.name} {part!r} ends before it begins",
            hint=f"write {low}-{_last(field)},{field.first}-{high}",
        )
    return first, last


def _value(word: str, part: str, field: _Field) -> int:
    where = f"{field.name} {part!r}" if word == part else f"{field.name} {word!r} (of {part!r})"
    span = f"it goes from {field.first} to {field.last}"
    if _NUMBER.fullmatch(word):
        number = int(word)
        if field.first <= number <= field.last:
            return number
        near = min(max(number, field.first), field.last)
        raise ConfigError(f"{where} is out of range", hint=f"{span}, the nearest is {near}")
    if word.lower() in field.names:
        return field.names.index(word.lower()) + field.named_from
    if word.isalpha() and field.names:
        near_name = difflib.get_close_matches(word.lower(), field.names, 1, cutoff=0.0)[0]
        raise ConfigError(f"{where} is no name of one", hint=f"the nearest is {near_name}")
    raise ConfigError(
        f"{where} is no number" + (", name" if field.names else "") + ", range or *",
        hint=f"{span}; crontab(5) has lists (1,2), ranges (1-5) and steps (*/2), no other signs",
    )


def _step(step: str, part: str, field: _Field) -> int:
    most = _last(field) - field.first + 1
    if not _NUMBER.fullmatch(step) or not 1 <= int(step) <= most:
        near = most if _NUMBER.fullmatch(step) and int(step) > most else 1
        raise ConfigError(
            f"{field.name} {part!r} has the step {step!r}",
            hint=f"a step is from 1 to {most}, the nearest is {near}",
        )
    return int(step)


def longest_day_gap(line: Crontab) -> int:
    """The most days from one of its dates to the next.

    Looked for from 2024 to 2128: each pair of date and weekday comes about within 28 years, and around
    2100, which is no leap year, lies the longest gap of all (eight years between two 29 February).
    """
    longest, before = 1, 0
    for day in range(date(2024, 1, 1).toordinal(), date(2128, 1, 1).toordinal()):
        if line.on(date.fromordinal(day)):
            longest = max(longest, day - before) if before else 1
            before = day
    return longest
