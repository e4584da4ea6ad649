"""What a tick leaves behind for those who only look: metrics, health, the textfile.

All of it is frozen and made anew on each tick, from rows of the catalogue; so it is whole from the
first tick after a start on, and who reads it needs no lock. What is not known is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from drd.model import Outcome, RunRecord, Standing


@dataclass(frozen=True, slots=True)
class SourceState:
    """What the newest look at one source showed.

    ``reachable`` is None before the first look; the counts are those of the newest look that succeeded,
    ``orphan_snapshots`` is None where nobody counted.
    """

    reachable: bool | None = None
    checked_at: datetime | None = None
    images: int | None = None
    unprotected: int | None = None
    orphan_snapshots: int | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """What the runs of one source and kind that ended in one way came to, since the daemon started.

    Bytes and seconds; of numbers that fall back at a restart Prometheus takes care (``rate``).
    """

    source: str
    kind: str
    outcome: Outcome
    runs: int
    bytes_read: int = 0
    bytes_changed: int = 0
    bytes_uploaded: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class VerifyGoal:
    """What a policy wants of verify: the level, and how often in seconds."""

    level: int
    every: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The daemon as of ``at``. ``tenant`` is hex, ``""`` when the daemon was not told.

    ``tick_at`` is the end of the newest tick, ``tick_seconds`` how long it took, ``tick_every`` how
    often one is due (``[daemon] tick``). ``goals`` has the verify plan of each policy by name.
    ``queue`` counts runs that are due and wait, ``workers`` is how many may run at once.
    ``skew_seconds`` is how far the newest point lies ahead of the clock (it fell back, or was ahead
    then), 0 when it does not. ``config_refused`` tells that a reload was refused and the old
    configuration stays. ``prune_failures`` counts prunes that failed in a row; None without a plan.
    """

    at: datetime
    tick_at: datetime | None = None
    ticks: int = 0
    tick_seconds: float | None = None
    tick_every: int = 30
    standings: Sequence[Standing] = ()
    running: Sequence[RunRecord] = ()
    totals: Sequence[Total] = ()
    sources: Mapping[str, SourceState] = field(default_factory=dict)
    goals: Mapping[str, VerifyGoal] = field(default_factory=dict)
    tenant: str = ""
    queue: int | None = None
    workers: int | None = None
    store_reachable: bool | None = None
    store_reachable_at: datetime | None = None
    skew_seconds: float | None = None
    config_refused: bool | None = None
    prune_failures: int | None = None
