"""When to give way: a run is a guest, and a source that answers slower than it did has other work.

**What is measured.** Of each read how long it took, and how many of this run's own bytes were under way
when it began, its own among them (*ahead*). Of each second of reading, or longer (a *period*), the bytes
that came while anything was under way (*speed*), and the time that its middle read took (*trip*).

**What would be normal.** The quickest tenth of the periods of the last half hour say what trip and speed
are when the source has nothing else to do. A read is then expected to take ``ahead / speed``, or
``trip`` where that is longer: so a queue that is this run's own doing is never taken for somebody else's.
Periods, not single reads, because some reads are always quicker: a hole, or what a cache holds.

**What is done.** Additive increase, multiplicative decrease (Chiu and Jain, 1989): two periods in a row in
which the middle read took over twice what was expected halve the reads in flight, down to one. A period
under one and a half times lets one more, up to where it began. Between the two nothing changes.

**What it cannot know.** A source that is slower for half an hour has become a slower source, and a part of
an image that lies on slower disks looks like a busy one. So it forgets: after at most half an hour of
giving way the run takes its full share again. Who wants a bound that holds for ever sets a limit.

No clock here: ``at`` is seconds of a timer that never goes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PERIOD_S: Final = 1.0
PERIOD_READS: Final = 32
"""A period is so long at least, and has so many reads: the middle one of fewer says little."""
KNOWN_PERIODS: Final = 3
"""Before there are so many nothing is judged."""
MEMORY_S: Final = 1800.0
BUSY: Final = 2.0
CALM: Final = 1.5
"""So many times the expected time is busy, and calm. Twice: where others have more under way than this run,
each read takes more than twice as long. Three was tried first: on three OSDs and two cores another client
with 64 reads of 4 MiB in flight took two thirds of a run's rate away, and it kept what it had."""
BUSY_PERIODS: Final = 2
TRIP_FLOOR_S: Final = 0.010
"""No source is expected to answer sooner: below 20 ms a read disturbs nobody (a seek of a disk takes 10),
and a cache that answers in one is no measure."""
TENTH: Final = 0.1


@dataclass(frozen=True, slots=True)
class Ticket:
    """A read under way: when it began, its bytes, and all bytes under way then."""

    at: float
    length: int
    ahead: int


@dataclass(frozen=True, slots=True)
class _Period:
    """What a period showed: seconds of its middle read, bytes a second."""

    at: float
    trip: float
    speed: float


class Neighbour:
    """Decides how many reads may be in flight, at most *most*; see the module."""

    def __init__(self, most: int, at: float) -> None:
        self._most = most
        self._reads = most
        self._known: deque[_Period] = deque()
        self._ahead = 0
        self._busy_since: float | None = None
        self._begin(at)
        self._busy_periods = 0

    @property
    def reads(self) -> int:
        """Reads that may be in flight now."""
        return self._reads

    def _begin(self, at: float) -> None:
        self._began = at
        self._busy_s = 0.0
        self._bytes = 0
        self._done: list[tuple[float, int]] = []

    def began(self, length: int, at: float) -> Ticket:
        """A read of *length* bytes begins."""
        if not self._ahead:
            self._busy_since = at
        self._ahead += length
        return Ticket(at, length, self._ahead)

    def ended(self, ticket: Ticket, at: float) -> None:
        """The read of *ticket* has its answer."""
        self._ahead -= ticket.length
        self._count_busy(at)
        self._bytes += ticket.length
        self._done.append((max(0.0, at - ticket.at), ticket.ahead))
        if at - self._began >= PERIOD_S and len(self._done) >= PERIOD_READS:
            self._end_period(at)

    def _count_busy(self, at: float) -> None:
        if self._busy_since is not None:
            self._busy_s += max(0.0, at - self._busy_since)
        self._busy_since = at if self._ahead else None

    def _end_period(self, at: float) -> None:
        while self._known and at - self._known[0].at > MEMORY_S:
            self._known.popleft()
        if len(self._known) >= KNOWN_PERIODS:
            self._react(self._strain())
        if self._busy_s:
            trip = _middle(seconds for seconds, _ in self._done)
            self._known.append(_Period(at, trip, self._bytes / self._busy_s))
        self._begin(at)

    def _strain(self) -> float:
        """How many times the expected time the middle read of the period took."""
        trip = max(TRIP_FLOOR_S, _low(one.trip for one in self._known))
        pace = _low(1 / one.speed for one in self._known)  # seconds a byte
        return _middle(seconds / max(trip, ahead * pace) for seconds, ahead in self._done)

    def _react(self, strain: float) -> None:
        self._busy_periods = self._busy_periods + 1 if strain > BUSY else 0
        if self._busy_periods >= BUSY_PERIODS:
            self._busy_periods = 0  # what was under way came at the old count: two more are needed
            self._reads = max(1, self._reads // 2)
        elif strain < CALM:
            self._reads = min(self._most, self._reads + 1)


def _middle(values: Iterable[float]) -> float:
    ranked = sorted(values)
    return ranked[len(ranked) // 2]


def _low(values: Iterable[float]) -> float:
    """The value that a tenth of *values* are not above."""
    ranked = sorted(values)
    return ranked[int(len(ranked) * TENTH)]
