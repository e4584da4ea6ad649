"""``[policy.NAME]``, ``[daemon]`` and ``[prune]``: what the daemon does, and when. Durations in seconds.

What one key alone can tell is refused here; what only several together can (a policy that no source has,
an RPO shorter than its interval) is refused by :mod:`drd.config.checking`, which the daemon and
``check-config`` ask: an operator who restores at night is not stopped by a wrong schedule.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from drd.config.section import Section
from drd.config.values import Cron, Duration, FilePath, Listen, Rate, Windows, Zone
from drd.core.pacing import NO_LIMIT, Limit
from drd.core.retention import Keep

DAY: Final = 86400
HOUR: Final = 3600


class KeepCounts(Section):
    """``[policy.NAME.keep]``: the counts of :mod:`drd.core.retention`; -1 keeps all of a kind."""

    last: int = Field(default=0, ge=-1)
    hourly: int = Field(default=0, ge=-1)
    daily: int = Field(default=0, ge=-1)
    weekly: int = Field(default=0, ge=-1)
    monthly: int = Field(default=0, ge=-1)
    yearly: int = Field(default=0, ge=-1)
    minimum: int = Field(default=0, ge=0)


class Limits(Section):
    """How fast sources are read: bytes and reads in a second; None for as fast as they can be."""

    bytes_per_s: Rate | None = Field(default=None, ge=65536)
    iops: int | None = Field(default=None, ge=1)


def as_limit(limits: Limits | None) -> Limit:
    """A table ``limits`` as :mod:`drd.core.pacing` takes it; None for none."""
    return NO_LIMIT if limits is None else Limit(limits.bytes_per_s, limits.iops)


class VerifyPlan(Section):
    """``verify = { level, every, coverage }``: in each *every* a share of packs, all in *coverage*."""

    level: Literal[0, 1, 2, 4] = 2
    every: Duration = DAY
    coverage: Duration = 30 * DAY


def _plan(value: object) -> object:
    """A duration alone is how often (the key's first form)."""
    return {"every": value} if isinstance(value, str | int) else value


class Policy(Section):
    """``[policy.NAME]``: when points are made, how long they stay, how they are proven."""

    every: Duration | None = None
    cron: Cron | None = None
    timezone: Zone = "UTC"
    spread: Duration | None = None
    rpo: Duration | None = None
    rto: Duration | None = None
    keep: KeepCounts | None = None
    min_points: int = Field(default=1, ge=1)
    verify: Annotated[VerifyPlan | None, BeforeValidator(_plan)] = None
    limits: Limits | None = None
    drill: Duration | None = None
    lock: Duration | None = None

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if self.every is not None and self.cron is not None:
            raise ValueError("names both every and cron: it needs one of them at most")
        return self

    @property
    def zone(self) -> tzinfo:
        """Whose hours, days, weeks, months and years the keep rules mean."""
        return ZoneInfo(self.timezone)

    @property
    def rules(self) -> Keep | None:
        """The keep rules, ``min_points`` among them; None for a policy that loses no point."""
        if self.keep is None:
            return None
        counts = self.keep.model_dump()
        return Keep(**counts | {"minimum": max(counts["minimum"], self.min_points)})


class Daemon(Section):
    """``[daemon]``: the process that runs for years."""

    metrics: Listen = "127.0.0.1:9750"
    textfile: FilePath | None = None
    workers: int = Field(default=2, ge=1, le=64)
    lease: Literal["local", "rados"] = "local"
    lease_ttl: Duration = Field(default=60, ge=5, le=HOUR)
    lease_pool: str | None = Field(default=None, min_length=1)
    blackout: Windows = ()
    timezone: Zone = "UTC"
    tick: Duration = Field(default=30, le=HOUR)
    discover_every: Duration = Field(default=60, le=DAY)
    learn_every: Duration = Field(default=HOUR, le=7 * DAY)
    stall_after: Duration = Field(default=15 * 60, le=DAY)
    backoff: Duration = Field(default=60, le=HOUR)
    backoff_max: Duration = Field(default=HOUR, le=DAY)
    slow_after: Duration = Field(default=600, le=7 * DAY)
    drain: Duration = Field(default=60, le=HOUR)
    limits: Limits | None = None
    verify: bool = True
    log: Literal["auto", "json", "console"] = "auto"
    log_names: bool = True


class Prune(Section):
    """``[prune]``: how the daemon deletes what is dead, and whether it does."""

    every: Duration | None = DAY
    grace: Duration = DAY
    orphans_after: Duration = Field(default=7 * DAY, ge=DAY)
