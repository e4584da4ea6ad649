"""Which images must be looked at now: those whose moment has come, that wait, run, or have changed.

The plan of one image does not depend on what others do, but for the order in which they get
workers. So of 10,000 images a tick plans the few that can be other than before: its cost follows
what happens. Now and then, and when the clock or the configuration is another one, all of them are
planned anew.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from drd.core import schedule
from drd.core.schedule import Rules, Start
from drd.daemon.board import Board

ANEW: Final = timedelta(hours=1)
"""How often all are planned anew, whatever happens: a mistake here must not last."""


class Agenda:
    """Plans the images of a *board*. ``next_run`` has the next moment of each that has one; ``waiting`` are
    those that could run and have no worker.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._times: list[tuple[datetime, str]] = []
        self._anew_at: datetime | None = None
        self.next_run: dict[str, datetime] = {}
        self.waiting: set[str] = set()

    def forget(self) -> None:
        """Plan all anew with the next tick."""
        self._anew_at = None

    def begin(self, rules: Rules, running: Mapping[str, bool], now: datetime) -> tuple[Start, ...]:
        """What is to begin now; *running* are the runs under way, by identity, and whether each is slow."""
        looked_at = self._due(now) | self.waiting | running.keys() | self._board.take_stale()
        plan = schedule.plan(self._board.wanted(looked_at, now), rules, running, now)
        self.waiting.clear()
        for identity in looked_at:
            at = plan.next_run.get(identity)
            if at is None:
                self.next_run.pop(identity, None)
            elif self.next_run.get(identity) != at or at <= now:
                self.next_run[identity] = at
                self._note(identity, at, now)
        self.waiting |= {one.identity for one in plan.begin}  # until who asked says that it began
        return plan.begin

    def took(self, identity: str) -> None:
        """A worker began with it."""
        self.waiting.discard(identity)

    def next_at(self) -> tuple[datetime, str] | None:
        """The next moment, and whose it is; None when there is none."""
        while self._times and self.next_run.get(self._times[0][1]) != self._times[0][0]:
            heapq.heappop(self._times)  # it has another moment by now, or none
        return self._times[0] if self._times else None

    def _due(self, now: datetime) -> set[str]:
        if self._anew_at is None or now >= self._anew_at or now < self._anew_at - ANEW:
            self._anew_at = now + ANEW
            self._times.clear()
            self.next_run.clear()
            return set(self._board.images)
        due = set()
        while (first := self.next_at()) is not None and first[0] <= now:
            heapq.heappop(self._times)
            due.add(first[1])
        return due

    def _note(self, identity: str, at: datetime, now: datetime) -> None:
        if at > now:
            heapq.heappush(self._times, (at, identity))
        else:
            self.waiting.add(identity)
