"""Which points of a lineage stay, with a reason for each decision: what ``restic forget --keep-*`` means.

Rules:

1. ``hourly``, ``daily``, ``weekly``, ``monthly``, ``yearly`` = n: of the n newest hours (days, ISO
   8601 weeks, months, years) that have a point at all, the newest point of each is kept. A period is
   one of the policy's time zone, by what its clocks show: on the day on which they are put back, the
   hour that they show twice is one hour. Empty periods do not count: a machine that was off for a
   year loses nothing by it. The running period counts too.
2. ``last`` = n: the n newest points are kept.
3. -1 in place of n: of every period the newest (every point, for ``last``); 0: the rule is off.
4. A rule that has found fewer than its n keeps the oldest point as well (and so does one of -1):
   restic does since 0.16, so that a young repository keeps its beginning.
5. The rules do not know of each other: a point is kept when one of them keeps it.
6. The newest point is kept for ever, whatever the rules say.
7. A held point is kept, and one that trust names as the last good one of a revoked key (it vouches for
   the lineage's keys: without it nobody could write the lineage any more). Such a point counts in the
   rules as if it were neither, so keeping it costs no other point.
8. ``minimum`` = n: when rules 1 to 6 keep fewer than n, the newest of the others fill up to n.
9. Points in the future of ``now`` are kept, said to be, and count in no rule: a clock that is wrong
   must cost nothing.
10. Points of one time are kept or lost together.

Laws, tested: the order of the input does not matter. Deciding again, at the same time, about what was kept
loses nothing. A higher count never loses what a rule kept (what ``minimum`` alone kept may go, when a rule
keeps enough others). A hold loses nothing. Pruning every hour for a year keeps what pruning once at its end
keeps: the newest of a period is that for as long as there are points, and its place among the periods only
falls; and a rule that has room now had room always.

One law does not hold, and is restic's way: another point may cost one. Rule 4 keeps *the* oldest, so one
that is older still (learnt later from the bucket, or put back) takes its place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, tzinfo
from typing import Final, Protocol

from drd.core.selectors import parse_time, show_time
from drd.errors import UsageError

MAX_COUNT: Final = 1_000_000
ALL: Final = -1
"""A count without end (rule 3); restic writes ``unlimited`` or -1."""
NO_RULES: Final = "the policy has no keep rules"
LAST_GOOD: Final = "trust names it as the last good point of a revoked key"
_COUNT: Final = re.compile(r"-1|[0-9]{1,7}")


@dataclass(frozen=True, slots=True)
class Keep:
    """Counts of the module's rules; 0 switches one off, -1 (``ALL``) keeps all of a kind."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    minimum: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the point of *time* (UTC) is kept, and why (or why not); there always is a reason.

    ``seq`` is its number where a point was decided on, None for a bare time.
    """

    time: datetime
    keep: bool
    reasons: tuple[str, ...]
    seq: int | None = None


def _week(when: datetime) -> str:
    year, week, _ = when.isocalendar()
    return f"{year:04d}-W{week:02d}"


_PERIODS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "hourly": lambda when: when.isoformat()[:13],
    "daily": lambda when: when.isoformat()[:10],
    "weekly": _week,
    "monthly": lambda when: when.isoformat()[:7],
    "yearly": lambda when: when.isoformat()[:4],
}
"""Name of the period of a local time."""


@dataclass(slots=True)
class _Notes:
    """What the rules say of each time that is not in the future, newest first."""

    present: Sequence[datetime]
    zone: tzinfo
    kept: dict[datetime, list[str]] = field(default_factory=dict)
    lost: dict[datetime, list[str]] = field(default_factory=dict)

    def keep(self, when: datetime, why: str) -> None:
        self.kept.setdefault(when, []).append(why)

    def lose(self, when: datetime, why: str) -> None:
        self.lost.setdefault(when, []).append(why)


def decide(
    times: Iterable[datetime],
    keep: Keep | None,
    now: datetime,
    *,
    zone: tzinfo = UTC,
    held: Collection[datetime] = (),
) -> list[Decision]:
    """Decide on every one of *times* (aware, any zone, in any order, repetitions allowed).

    Args:
        times: of the points, a time for each.
        keep: the counts; None for no rules at all, which lose nothing.
        now: what is after it is in the future.
        zone: whose hours, days, weeks, months and years are meant.
        held: times of points that must not go.

    Returns:
        One decision for each of *times*, in UTC, oldest first.

    Raises:
        UsageError: a time has no zone.
    """
    all_times = sorted(_utc(when) for when in times)
    if keep is None:
        return [Decision(when, keep=True, reasons=(NO_RULES,)) for when in all_times]
    present = sorted({when for when in all_times if when <= _utc(now)}, reverse=True)
    notes = _Notes(present, zone)
    if present:
        notes.keep(present[0], "newest")
    _newest(keep.last, notes)
    for rule in _PERIODS:
        _apply(rule, getattr(keep, rule), notes)
    _fill(keep.minimum, notes)
    holds = {_utc(when) for when in held}
    return [_decision(when, notes, is_held=when in holds) for when in all_times]


class Timed(Protocol):
    """A point, as far as it matters here."""

    @property
    def seq(self) -> int:
        """Its number."""
        ...

    @property
    def point_at(self) -> datetime:
        """Its time."""
        ...


def decide_points(
    points: Iterable[Timed],
    keep: Keep | None,
    now: datetime,
    *,
    zone: tzinfo = UTC,
    held: Collection[int] = (),
    last_good: Collection[int] = (),
) -> list[Decision]:
    """Decide on the points of one lineage by their times; *held* and *last_good* (rule 7) are numbers.

    The one of the highest number is kept in any case, also when a clock that was put back has given
    it an earlier time than others have: what comes next derives from it.

    Returns:
        One decision for each point, with its number, oldest first (of one time: by number).
    """
    ordered = sorted(points, key=lambda one: (one.point_at, one.seq))
    decisions = decide((one.point_at for one in ordered), keep, now, zone=zone)
    last = max((one.seq for one in ordered), default=0)
    found = []
    for point, decision in zip(ordered, decisions, strict=True):
        more = ["held"] if point.seq in held else []
        if point.seq in last_good:
            more.append(LAST_GOOD)
        if point.seq == last and not decision.keep:
            more.append("newest by number")
        if more and not decision.keep:
            found.append(Decision(decision.time, keep=True, reasons=tuple(more), seq=point.seq))
        else:
            found.append(replace(decision, seq=point.seq, reasons=(*more, *decision.reasons)))
    return found


def _utc(when: datetime) -> datetime:
    if when.tzinfo is None:
        raise UsageError(f"the time {when.isoformat()} has no zone")
    return when.astimezone(UTC)


def _newest(count: int, notes: _Notes) -> None:
    """Rule 2. It has no room that could keep the oldest as well: then it keeps every one."""
    for place, when in enumerate(notes.present[: None if count == ALL else count], 1):
        notes.keep(when, f"last {place} of {_shown(count)}")


def _apply(rule: str, count: int, notes: _Notes) -> None:
    """One rule of periods, newest first; a note for each time, kept or lost."""
    if not count:
        return
    newest: dict[str, datetime] = {}
    for when in notes.present:
        period = _PERIODS[rule](when.astimezone(notes.zone))
        if period in newest:
            room = count == ALL or len(newest) < count
            if room and when == notes.present[-1]:
                notes.keep(when, f"{rule}: oldest, with room ({len(newest)} of {_shown(count)})")
            else:
                notes.lose(when, f"{rule}: {show_time(newest[period])} stands for {period}")
        elif count == ALL or len(newest) < count:
            newest[period] = when
            notes.keep(when, f"{rule} {period} ({len(newest)} of {_shown(count)})")
        else:
            notes.lose(when, f"{rule}: {period} is older than the {count} kept")


def _shown(count: int) -> str:
    return "all" if count == ALL else str(count)


def _fill(minimum: int, notes: _Notes) -> None:
    """Rule 8."""
    missing = max(minimum - len(notes.kept), 0)
    for when in [when for when in notes.present if when not in notes.kept][:missing]:
        notes.keep(when, f"minimum of {minimum}")


def _decision(when: datetime, notes: _Notes, *, is_held: bool) -> Decision:
    holds = ("held",) if is_held else ()
    if not notes.present or when > notes.present[0]:
        return Decision(when, keep=True, reasons=(*holds, "in the future"))
    if holds or when in notes.kept:
        return Decision(when, keep=True, reasons=(*holds, *notes.kept.get(when, ())))
    return Decision(when, keep=False, reasons=tuple(notes.lost.get(when, ["no rule keeps it"])))


def _least(name: str) -> int:
    """The lowest count; fewer than none is no minimum."""
    return 0 if name == "minimum" else ALL


def parse_keep(text: str) -> Keep:
    """Understand ``hourly=24,daily=-1``; spaces around words do not count.

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
        if not _COUNT.fullmatch(value) or not _least(name) <= int(value) <= MAX_COUNT:
            raise UsageError(
                f"{name} needs a count from {_least(name)} to {MAX_COUNT}, not {value!r}",
                hint="write it as hourly=24,daily=7; -1 keeps all",
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
