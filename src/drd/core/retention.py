"""Which points of a lineage to keep: grandfather, father, son, with a reason for each decision.

Rules:

1. ``hourly``, ``daily``, ``weekly``, ``monthly``, ``yearly`` = n: of the n newest hours (days, ISO
   8601 weeks, months, years), in UTC, that have a point at all, the newest point of each is kept.
   Empty buckets do not count: a machine that was off for a year loses nothing by it. The running
   bucket counts too.
2. ``last`` = n: the n newest points are kept.
3. The rules do not know of each other: a point is kept when one of them keeps it (so do restic's
   ``forget`` and its users; Proxmox' ``prune`` does not count in a later rule what an earlier one
   kept, and keeps more).
4. The newest point is always kept.
5. ``minimum`` = n: when rules 1 to 4 keep fewer than n, the newest of the others fill up to n.
6. Points in the future of ``now`` are kept, said to be, and count in no rule: a clock that is wrong
   must cost nothing.
7. Points of one time are kept or released together.

So: what is kept stays kept when it is decided again at the same time; a higher count in one rule
never releases what a rule kept; the order of the input does not matter.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

from drd.core.selectors import parse_time, show_time
from drd.errors import UsageError

MAX_COUNT: Final = 1_000_000
_COUNT: Final = re.compile(r"[0-9]{1,7}")


@dataclass(frozen=True, slots=True)
class Keep:
    """Counts of the module's rules; 0 switches one off."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    minimum: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the point of *time* is kept, and why (or why not); there always is a reason."""

    time: datetime
    keep: bool
    reasons: tuple[str, ...]


def _week(when: datetime) -> str:
    year, week, _ = when.isocalendar()
    return f"{year:04d}-W{week:02d}"


_BUCKETS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "hourly": lambda when: when.isoformat()[:13],
    "daily": lambda when: when.isoformat()[:10],
    "weekly": _week,
    "monthly": lambda when: when.isoformat()[:7],
    "yearly": lambda when: when.isoformat()[:4],
}
"""Name of the bucket of a time in UTC."""


def decide(times: Iterable[datetime], keep: Keep, now: datetime) -> list[Decision]:
    """Decide on every one of *times* (aware, any zone, in any order, repetitions allowed).

    Returns:
        One decision for each of *times*, in UTC, oldest first.

    Raises:
        UsageError: a time has no zone.
    """
    all_times = sorted(_utc(when) for when in times)
    present = sorted({when for when in all_times if when <= _utc(now)}, reverse=True)
    kept: dict[datetime, list[str]] = {when: [] for when in present}
    lost: dict[datetime, list[str]] = {when: [] for when in present}
    if present:
        kept[present[0]].append("newest")
    for place, when in enumerate(present[: keep.last], 1):
        kept[when].append(f"last {place} of {keep.last}")
    for rule in _BUCKETS:
        _apply(rule, getattr(keep, rule), present, kept=kept, lost=lost)
    _fill(keep.minimum, present, kept)
    return [_decision(when, kept, lost) for when in all_times]


def _utc(when: datetime) -> datetime:
    if when.tzinfo is None:
        raise UsageError(f"the time {when.isoformat()} has no zone")
    return when.astimezone(UTC)


def _apply(
    rule: str,
    count: int,
    present: Sequence[datetime],
    *,
    kept: Mapping[datetime, list[str]],
    lost: Mapping[datetime, list[str]],
) -> None:
    """One rule of buckets over *present*, newest first; a note for each time, kept or lost."""
    if not count:
        return
    newest: dict[str, datetime] = {}
    for when in present:
        bucket = _BUCKETS[rule](when)
        if bucket in newest:
            lost[when].append(f"{rule}: {show_time(newest[bucket])} stands for {bucket}")
        elif len(newest) < count:
            newest[bucket] = when
            kept[when].append(f"{rule} {bucket} ({len(newest)} of {count})")
        else:
            lost[when].append(f"{rule}: {bucket} is older than the {count} kept")


def _fill(minimum: int, present: Sequence[datetime], kept: Mapping[datetime, list[str]]) -> None:
    """Rule 5."""
    missing = minimum - sum(bool(reasons) for reasons in kept.values())
    for when in [when for when in present if not kept[when]][: max(missing, 0)]:
        kept[when].append(f"minimum of {minimum}")


def _decision(
    when: datetime, kept: Mapping[datetime, list[str]], lost: Mapping[datetime, list[str]]
) -> Decision:
    if when not in kept:
        return Decision(when, keep=True, reasons=("in the future",))
    if kept[when]:
        return Decision(when, keep=True, reasons=tuple(kept[when]))
    return Decision(when, keep=False, reasons=tuple(lost[when]) or ("no rule keeps it",))


def parse_keep(text: str) -> Keep:
    """Understand ``hourly=24,daily=7``; spaces around words do not count.

    Raises:
        UsageError: an unknown word (the nearest known is named), one given twice, or no count.
    """
    counts: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in _RULES:
            near = difflib.get_close_matches(name, _RULES, 1, cutoff=0.0)[0]
            raise UsageError(
                f"{name!r} is no rule of retention; the nearest is {near!r}",
                hint=f"known: {', '.join(_RULES)}",
            )
        if name in counts:
            raise UsageError(f"{name} is given twice", about=text)
        if not _COUNT.fullmatch(value) or int(value) > MAX_COUNT:
            raise UsageError(
                f"{name} needs a count from 0 to {MAX_COUNT}, not {value!r}",
                hint="write it as hourly=24,daily=7",
            )
        counts[name] = int(value)
    return Keep(**counts)


_RULES: Final = tuple(one.name for one in fields(Keep))


def parse_times(text: str) -> list[datetime]:
    """Times, one RFC 3339 a line; blank lines and those that begin with ``#`` do not count.

    Raises:
        UsageError: a line is no time with an offset; it is named by its number.
    """
    times = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if word and not word.startswith("#"):
            try:
                times.append(parse_time(word))
            except UsageError as error:
                raise UsageError(f"line {number}: {error.message}", hint=error.hint) from error
    return times
