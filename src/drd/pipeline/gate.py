"""The gate that reads of a source pass: not faster than the limit, not more at a time than is polite.

:mod:`drd.core.pacing` and :mod:`drd.core.neighbour` decide; here is the waiting. A run that waits here
says so (:class:`~drd.model.Progress` of stage ``limited``), because who watches it must be able to tell
waiting from hanging, and wakes for an order to stop and for another limit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Condition
from typing import Final

from drd.core.neighbour import Neighbour, Ticket
from drd.core.pacing import NO_LIMIT, Limit, Pacer
from drd.errors import StoppedError
from drd.model import Progress
from drd.ports import Report

LOOK_S: Final = 0.25
"""How long a wait goes on without looking whether it should end."""
TELL_S: Final = 1.0
"""Least time between two reports: a wait is no news, that it goes on is."""
STAGE: Final = "limited"


class SourceGate:
    """A :class:`drd.ports.Gate`.

    Args:
        timer: seconds that never go back.
        stopping: whether somebody wants the run to end.
        report: hears of waiting.
        neighbour: gives way when the source is busy; None for a gate that never does.
    """

    def __init__(
        self,
        timer: Callable[[], float],
        *,
        stopping: Callable[[], bool],
        report: Report,
        neighbour: Neighbour | None = None,
    ) -> None:
        self._timer = timer
        self._stopping = stopping
        self._report = report
        self._neighbour = neighbour
        self._pacer = Pacer(NO_LIMIT, timer())
        self._changed = Condition()
        self._let_through = 0
        self._told_at = timer()

    def limit(self, limit: Limit) -> None:
        """From now on it is *limit*, also for who waits already; from any thread."""
        with self._changed:
            self._pacer.change(limit, self._timer())
            self._changed.notify_all()

    def reads(self, most: int) -> int:
        """See :class:`drd.ports.Gate`."""
        return most if self._neighbour is None else min(most, self._neighbour.reads)

    def is_open(self, length: int) -> bool:
        """See :class:`drd.ports.Gate`."""
        with self._changed:
            return not self._pacer.wait(length, self._timer())

    def enter(self, length: int) -> None:
        """See :class:`drd.ports.Gate`."""
        with self._changed:
            begun = self._timer()
            while left := self._pacer.wait(length, self._timer()):
                if self._stopping():
                    raise StoppedError("stopped while it waited for its turn to read")
                self._tell(begun, left, length)
                self._changed.wait(min(left, LOOK_S))
            self._pacer.take(length, self._timer())
            self._let_through += length

    def _tell(self, begun: float, left: float, length: int) -> None:
        """What was let through, and of the next read the part that is waited for already."""
        at = self._timer()
        if at - self._told_at < TELL_S:
            return
        self._told_at = at
        waited = at - begun
        part = int(length * waited / (waited + left))
        self._report(Progress(STAGE, self._let_through + part, 0))

    def began(self, length: int) -> Callable[[object], None]:
        """See :class:`drd.ports.Gate`."""
        if self._neighbour is None:
            return _nothing
        with self._changed:
            return partial(
                self._ended, self._neighbour, self._neighbour.began(length, self._timer())
            )

    def _ended(self, neighbour: Neighbour, ticket: Ticket, _answer: object) -> None:
        with self._changed:
            neighbour.ended(ticket, self._timer())


def _nothing(_answer: object) -> None:
    """Nobody measures."""
