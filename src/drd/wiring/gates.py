"""Gates of sources: how fast this process reads each of them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from drd.config import Config, RbdSource, SourceConfig, as_limit
from drd.core.neighbour import Neighbour
from drd.core.pacing import NO_LIMIT, Limit, tightest
from drd.pipeline.gate import SourceGate
from drd.ports import Report
from drd.wiring.clock import elapsed


class Gates:
    """One gate for each source; all have one limit: a process works for one run at a time.

    Args:
        stopping: whether reads that wait should give up.
        report: hears of waiting.
    """

    def __init__(self, stopping: Callable[[], bool], report: Report) -> None:
        self._stopping = stopping
        self._report = report
        self._limit = NO_LIMIT
        self._gates: dict[str, SourceGate] = {}
        self._lock = Lock()

    def gate(self, name: str, section: SourceConfig) -> SourceGate:
        """The gate of the source *name*."""
        with self._lock:
            if name not in self._gates:
                self._gates[name] = self._make(section)
            return self._gates[name]

    def _make(self, section: SourceConfig) -> SourceGate:
        neighbour = None
        if isinstance(section, RbdSource) and section.neighbour:
            neighbour = Neighbour(section.reads_in_flight, elapsed())
        gate = SourceGate(
            elapsed, stopping=self._stopping, report=self._report, neighbour=neighbour
        )
        gate.limit(self._limit)
        return gate

    def limit(self, limit: Limit) -> None:
        """From now on nothing is read faster; from any thread."""
        with self._lock:
            self._limit = limit
            for gate in self._gates.values():
                gate.limit(limit)


def limit_by_hand(config: Config, source: str, policy: str) -> Limit:
    """What somebody at a terminal may read of *source* for an image of *policy*: nobody divides there."""
    named = config.policy.get(policy)
    return tightest(
        as_limit(config.source[source].limits),
        as_limit(config.daemon.limits),
        as_limit(named.limits if named else None),
    )
