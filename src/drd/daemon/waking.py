"""What wakes the loop at a time: APScheduler, in memory, with one job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from drd.daemon.happenings import Tick

Put = Callable[[Tick], None]

NEVER: Final = timedelta(days=36500)
"""So long after a wake-up the next one would come if nobody asked for one: a century."""


class Waker:
    """Wakes the loop at a time; APScheduler keeps it in memory, and knows no other job."""

    def __init__(self) -> None:
        # A wake-up that is late is late, and never dropped: its default is to drop it after 1 s, and while
        # the one before it is still counted as running, which it is for a moment after its end.
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1 << 16}
        self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults)

    @contextmanager
    def running(self, put: Put) -> Iterator[None]:
        """Wake with *put* while the context lasts."""
        self._put = put
        # One job that stays, and is moved: a job that is over is removed after it ran, which fails in
        # APScheduler's own thread when the shutdown comes between the two.
        self._scheduler.add_job(
            self._tick, IntervalTrigger(days=NEVER.days), id="tick", next_run_time=None
        )
        self._scheduler.start()
        try:
            yield
        finally:
            self._scheduler.shutdown(wait=False)

    def wake(self, at: datetime) -> None:
        """Put a tick at *at*, in place of what was asked for before."""
        self._scheduler.modify_job("tick", next_run_time=at)

    def _tick(self) -> None:
        self._put(Tick())
