"""Which images are backed up now, and when to look again. Nothing is remembered: see ADR 0051.

Rules:

1. *Slots.* An interval's lie on a grid from 1970-01-01T00:00Z on, a cron line's are :mod:`drd.core.cron`'s;
   both are moved by the image's *spread*: a hash of its identity, within the interval or the policy's
   ``spread`` (a cron line without one is not moved).
2. *Due* is an image whose newest full point is older than the newest slot, and one without a point. So
   one run serves all slots that were missed. The slot is on the grid for a new image, too: the point
   that another node makes of it in the meantime serves it.
3. A point from the future (a clock was wrong) counts as of now while it lies before the next slot, or
   little after. One further ahead would hold back runs that are wanted, and counts as none for the slot;
   that is tried anew at each end of its pause.
4. *Asked* for by a person: due now, before all others, whatever slot, pause and blackout say.
5. *Pauses* after a failure hold an image back, *blackout* windows hold back all.
6. *Lanes.* Slow ones, and those whose last run failed, leave one worker free for the others; with one
   worker there is one lane.
7. *Order.* Who failed last comes after who did not. Sources take turns: the one with the fewest runs
   under way comes first. Within a source the image comes first that is furthest past the first slot it has
   no point for, measured in its intervals; one that has no point at all counts as one interval late.

Identical input gives identical plans: nothing here reads a clock or throws dice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from drd.core import blackout, cron

_SKEW: Final = timedelta(minutes=15)
"""How far clocks of a source and a host may differ; further apart S3 refuses to talk at all."""
_IDLE: Final = timedelta(hours=1)
"""When to look again when no image has a slot."""
_UNSEEN: Final = 1.0
_JITTER: Final = 0.2
_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a policy wants points: *every* (seconds), *cron* in *zone*, or neither; *spread* (seconds)."""

    every: int | None
    cron: str | None
    zone: str
    spread: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One image that a policy covers.

    *newest* is when its newest full point was made (``Head.as_of``). *paused_until* is the end of the
    pause after its last run, which failed; None when that did not fail. *slow*: it has no full point, or
    the last run took long. *asked*: somebody wants it now.
    """

    identity: str
    source: str
    rhythm: Rhythm
    newest: datetime | None
    paused_until: datetime | None
    slow: bool
    asked: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all: number of workers, windows of the day without new runs, and their zone."""

    workers: int
    blackout: tuple[str, ...]
    zone: str


@dataclass(frozen=True, slots=True)
class Start:
    """A run to begin now, and the slot it is for; *slow* is the lane it takes."""

    identity: str
    slot: datetime
    slow: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What to begin, and when to look again at the latest (a run that ends is a reason, too).

    *next_run*: of each image with a rhythm the moment from which on it is to run (now, when it waits for
    a worker). *waiting* counts what is due and neither runs nor begins.
    """

    begin: tuple[Start, ...]
    look_again: datetime
    next_run: Mapping[str, datetime]
    waiting: int


def newest_slot(rhythm: Rhythm, identity: str, now: datetime) -> datetime:
    """The newest slot at or before *now* of an image of that identity; in UTC.

    Raises:
        ValueError: the rhythm names neither an interval nor a cron line.
    """
    moved = _spread(rhythm, identity)
    if rhythm.every is not None:
        seconds = int(now.timestamp() // 1) - moved
        return datetime.fromtimestamp(seconds // rhythm.every * rhythm.every + moved, UTC)
    if rhythm.cron is None:
        raise ValueError("a rhythm without interval and cron line has no slots")
    if not moved:
        return cron.newest_slot(rhythm.cron, rhythm.zone, now)
    by = timedelta(seconds=moved)
    return cron.newest_slot(rhythm.cron, rhythm.zone, now - by) + by


def next_slot(rhythm: Rhythm, identity: str, after: datetime) -> datetime:
    """The first slot after *after* of an image of that identity; in UTC.

    Raises:
        ValueError: as :func:`newest_slot`.
    """
    if rhythm.every is not None:
        return newest_slot(rhythm, identity, after) + timedelta(seconds=rhythm.every)
    if rhythm.cron is None:
        raise ValueError("a rhythm without interval and cron line has no slots")
    by = timedelta(seconds=_spread(rhythm, identity))
    return cron.next_slot(rhythm.cron, rhythm.zone, after - by) + by


def interval(rhythm: Rhythm, identity: str, now: datetime) -> int | None:
    """Seconds from the newest slot to the next; None for a rhythm that has none."""
    if rhythm.every is not None:
        return rhythm.every
    if rhythm.cron is None:
        return None
    slot = newest_slot(rhythm, identity, now)
    return round((next_slot(rhythm, identity, slot) - slot).total_seconds())


def due_slot(
    rhythm: Rhythm, identity: str, newest: datetime | None, now: datetime
) -> datetime | None:
    """The slot that the image is to run for now, None when *newest*, its newest full point, serves it.

    The worker asks again with what the bucket says: another node may have made the point.
    """
    slot = newest_slot(rhythm, identity, now)
    if newest is None:
        return slot
    served = newest >= slot and (newest <= now or newest < next_slot(rhythm, identity, now) + _SKEW)
    return None if served else slot


def pause(subject: str, failures: int, *, first: int, longest: int) -> int:
    """Seconds to wait after the *failures*-th failure in a row (1 is the first), at least one.

    *first* doubled with each failure, at most *longest* (the caller takes the smaller of what is configured
    and the interval), ± 20 % by a hash of subject and count: so those that failed together do not come
    back together.
    """
    doubled = min(first << min(max(failures, 1) - 1, _DOUBLINGS), longest)
    part = _hash(f"{failures}:{subject}", 1 << 16) / ((1 << 16) - 1)
    return max(1, round(doubled * (1 - _JITTER + 2 * _JITTER * part)))


def _spread(rhythm: Rhythm, identity: str) -> int:
    """Seconds by which the slots of an image are moved."""
    within = rhythm.spread if rhythm.spread is not None else rhythm.every
    if rhythm.every is not None and within is not None:
        within = min(within, rhythm.every)
    return _hash(identity, within) if within else 0


def _hash(text: str, below: int) -> int:
    """A number from 0 to *below* - 1: the same for the same text, on each host and with each version."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % below


# ── the plan ────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class _Due:
    """An image that could run now."""

    wanted: Wanted
    slot: datetime
    late: float

    @property
    def failed(self) -> bool:
        return self.wanted.paused_until is not None

    @property
    def slow(self) -> bool:
        return self.wanted.slow or self.failed

    @property
    def order(self) -> tuple[bool, bool, float, str]:
        """Smaller goes first (rules 4 and 7)."""
        return not self.wanted.asked, self.failed, -self.late, self.wanted.identity


def plan(
    wanted: Iterable[Wanted], rules: Rules, running: Mapping[str, bool], now: datetime
) -> Plan:
    """Decide what begins now (the rules stand at the top of the file).

    Args:
        wanted: every image that a policy covers, those that run now, too.
        rules: what holds for all.
        running: of each run under way, by identity, whether it is slow.
        now: the clock.
    """
    images = list(wanted)
    free = blackout.free_from(rules.blackout, rules.zone, now)
    free_worker = len(running) < rules.workers  # else nobody asks who goes first
    next_run: dict[str, datetime] = {}
    able: list[_Due] = []
    held = 0
    for one in images:
        slot = None if one.identity in running else _slot(one, now)
        if slot is None:
            continue
        ready = now if one.asked else max(free, _end_of_pause(one, rules, now))
        next_run[one.identity] = ready
        if ready > now:
            held += 1
        else:
            able.append(_Due(one, slot, _lateness(one, now) if free_worker else 0.0))
    begin = _chosen(able, rules, running, {one.identity: one.source for one in images})
    begun = {one.identity for one in begin}
    for one in images:
        if one.identity in begun or one.identity not in next_run:
            _note_next(next_run, one, rules, now)
    ahead = [at for at in next_run.values() if at > now]
    return Plan(begin, min(ahead, default=now + _IDLE), next_run, held + len(able) - len(begin))


def _slot(one: Wanted, now: datetime) -> datetime | None:
    """The slot that an image is to run for now, if any (rules 2 to 4)."""
    if one.asked:
        return now
    if not _has_slots(one.rhythm):
        return None
    return due_slot(one.rhythm, one.identity, one.newest, now)


def _has_slots(rhythm: Rhythm) -> bool:
    return rhythm.every is not None or rhythm.cron is not None


def _end_of_pause(one: Wanted, rules: Rules, now: datetime) -> datetime:
    """When the pause of an image is over, and no blackout begins meanwhile; *now* when it has none.

    A pause is an interval at most (or an hour). One that ends later was noted by a clock that was wrong.
    """
    until = one.paused_until
    if until is None or until <= now:
        return now
    longest = max(interval(one.rhythm, one.identity, now) or 0, _IDLE.total_seconds())
    if (until - now).total_seconds() > longest * (1 + _JITTER):
        return now
    return blackout.free_from(rules.blackout, rules.zone, until)


def _lateness(one: Wanted, now: datetime) -> float:
    """How many intervals ago the first slot was that an image has no point for."""
    between = interval(one.rhythm, one.identity, now)
    if one.newest is None or between is None:
        return _UNSEEN
    missed = next_slot(one.rhythm, one.identity, min(one.newest, now))
    return max((now - missed).total_seconds() / between, 0.0)


def _note_next(next_run: dict[str, datetime], one: Wanted, rules: Rules, now: datetime) -> None:
    """Note the next run of an image that runs, or is not due."""
    if _has_slots(one.rhythm):
        slot = next_slot(one.rhythm, one.identity, now)
        next_run[one.identity] = blackout.free_from(rules.blackout, rules.zone, slot)


def _chosen(
    able: Iterable[_Due], rules: Rules, running: Mapping[str, bool], sources: Mapping[str, str]
) -> tuple[Start, ...]:
    """Those of *able* that get a worker (rules 6 and 7)."""
    if len(running) >= rules.workers:
        return ()
    busy = Counter(sources.get(identity, "") for identity in running)
    slow_free = max(rules.workers - 1, 1) - sum(running.values())
    queues = _queues(able, slow=slow_free > 0)
    begin: list[Start] = []
    while queues and len(running) + len(begin) < rules.workers:
        source = min(queues, key=lambda name: _turn(queues[name][-1], busy[name]))
        one = queues[source].pop()
        busy[source] += 1
        slow_free -= one.slow
        begin.append(Start(one.wanted.identity, one.slot, one.slow))
        if not queues[source]:
            del queues[source]
        if one.slow and slow_free == 0:
            queues = _queues((due for queue in queues.values() for due in queue), slow=False)
    return tuple(begin)


def _queues(able: Iterable[_Due], *, slow: bool) -> dict[str, list[_Due]]:
    """Those of *able* by source, without the slow ones unless *slow*; who goes first stands last."""
    queues: dict[str, list[_Due]] = {}
    chosen = (one for one in able if slow or not one.slow)
    for one in sorted(chosen, key=lambda due: due.order, reverse=True):
        queues.setdefault(one.wanted.source, []).append(one)
    return queues


def _turn(first: _Due, busy: int) -> tuple[bool, bool, int, float, str]:
    """Whose turn it is among sources, told by the image that each would begin next."""
    asked, failed, late, identity = first.order
    return asked, failed, busy, late, identity
