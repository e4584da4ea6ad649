"""Which packs to look at in this run, so that each is looked at within a window: a cursor on a circle.

1. Each pack has a place on a circle, by a hash of its id: it keeps it for life, whatever packs are born
   and die around it, and about as many bytes lie in any piece of the circle as in any other of its length.
2. A run looks at the packs of the piece that the cursor passes. It passes (time since the last run) ÷
   (coverage - every) of the circle: the rest of the window is left for the run itself to come late by
   *every*. A first run, and one whose last is not in the past (a clock that was put back), counts as if
   the last had been *every* ago.
3. So, when runs are at most *every* apart, any pack is looked at within *coverage* of its birth, and again
   within *coverage* of each look. Proof: let a run at t pass the place p. It began its piece where the run
   before it (at s, t - s ≤ every) had stopped. From s on the cursor needs coverage - every of time for one
   turn, so the first run after s + coverage - every has passed p again; it is at s + coverage at the
   latest, and s < t. For a pack that is born at b take for s the last run before b.
4. A run that is late passes more, and keeps no promise that is broken already: after more than
   coverage - every it looks at everything.
5. Besides, a run looks at packs that were born since the last one, the newest first, up to as many bytes
   as its piece of the circle has on average: what was never looked at is what is most in doubt.

What must be remembered is the cursor alone. Its *marks* (when it stood where, over one window) tell how
much of the circle was passed in a time, and when a place was passed last. Of runs that are close together
not each is remembered: what they passed is told as a little older than it is (``STEPS``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

TURN: Final = 1 << 64
"""Places on the circle."""
STEPS: Final = 48
"""Marks of one window, about: so precisely it is remembered when something was passed."""
_PLACE_BYTES: Final = 8
_MICRO: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A pack of a lineage: id (16 bytes), ordinal (higher ones are younger), size in bytes."""

    pack_id: bytes
    ordinal: int
    size: int


@dataclass(frozen=True, slots=True)
class Mark:
    """At *at* the cursor had passed *turned* places since the first run ever: ``TURN`` in each turn."""

    at: datetime
    turned: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is remembered of earlier runs.

    ``marks`` are oldest first; packs of ordinals below ``through`` were there at the last one.
    """

    marks: tuple[Mark, ...] = ()
    through: int = 0

    @property
    def turned(self) -> int:
        """Places passed until now."""
        return self.marks[-1].turned if self.marks else 0

    def covered(self, since: datetime) -> float:
        """Share of the circle that was passed after *since*, from 0 to 1."""
        before = [one.turned for one in self.marks if one.at <= since]
        start = before[-1] if before else (self.marks[0].turned if self.marks else 0)
        return min(TURN, self.turned - start) / TURN

    def passed(self, pack_id: bytes) -> datetime | None:
        """When the place of a pack was passed last, as far as is known: not before what is told.

        None when it never was, or longer ago than the marks reach.
        """
        if not self.marks:
            return None
        behind = (self.turned - 1 - place(pack_id)) % TURN
        last = self.turned - 1 - behind
        found = [one.at for one in self.marks[1:] if one.turned > last >= self.marks[0].turned]
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a run has to do: ids of the packs to look at, and the cursor when it has done it all."""

    packs: frozenset[bytes]
    cursor: Cursor


def place(pack_id: bytes) -> int:
    """Place of a pack on the circle (rule 1)."""
    return int.from_bytes(hashlib.sha256(pack_id).digest()[:_PLACE_BYTES], "big")


def plan(
    packs: Sequence[Weighed],
    cursor: Cursor,
    now: datetime,
    *,
    every: timedelta,
    coverage: timedelta,
) -> Turn:
    """What to look at in the run of *now*.

    Args:
        packs: all packs that some point of the lineage needs.
        cursor: as the last run left it; an empty one before the first.
        now: the time of the run, aware UTC.
        every: runs are at most so far apart.
        coverage: within which each pack is to be looked at; not above *every*: all of them, each time.
    """
    before = cursor.marks[-1] if cursor.marks else Mark(now - every, 0)
    step = _step(now - before.at, every=every, coverage=coverage)
    chosen = {one.pack_id for one in packs if (place(one.pack_id) - before.turned) % TURN < step}
    chosen.update(_newest(packs, cursor.through, chosen, share=step / TURN))
    marks = _remembered(cursor.marks or (before,), Mark(now, before.turned + step), coverage)
    through = max((one.ordinal + 1 for one in packs), default=cursor.through)
    return Turn(frozenset(chosen), Cursor(marks, max(through, cursor.through)))


def _step(since: timedelta, *, every: timedelta, coverage: timedelta) -> int:
    """Rule 2; in places, rounded up."""
    left = (coverage - every) // _MICRO
    passed = (since if since > timedelta() else every) // _MICRO
    if left <= passed:
        return TURN
    return -(-passed * TURN // left)


def _newest(
    packs: Iterable[Weighed], through: int, chosen: set[bytes], *, share: float
) -> Iterable[bytes]:
    """Rule 5."""
    every = list(packs)
    room = share * sum(one.size for one in every)
    for one in sorted(every, key=lambda one: -one.ordinal):
        if one.ordinal < through or one.size > room:
            return
        if one.pack_id not in chosen:
            room -= one.size
            yield one.pack_id


def _remembered(marks: Sequence[Mark], now: Mark, coverage: timedelta) -> tuple[Mark, ...]:
    """Marks of the window, and the last one before it; then the one of *now*.

    Two that are less than a step of the window apart become one, with the time of the earlier: so what
    was passed is told as older. The first stays what everything is counted from.
    """
    old = [number for number, one in enumerate(marks) if one.at <= now.at - coverage]
    kept = list(marks[old[-1] :] if old else marks)
    if len(kept) > 2 and kept[-1].at - kept[-2].at < coverage / STEPS:  # noqa: PLR2004
        kept[-2:] = [Mark(kept[-2].at, kept[-1].turned)]
    return (*kept, now)
