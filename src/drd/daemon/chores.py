"""What the daemon does besides backups, each in its own rhythm: it looks, proves, deletes.

==========  ============================  ==========================================  ========
kind        subject                       every                                       lane
==========  ============================  ==========================================  ========
discover    source                        ``[daemon] discover_every``                 light
learn       the bucket                    ``[daemon] learn_every``                    light
snapshots   source                        an hour                                     heavy
verify      policy                        its ``verify.every``                        heavy
prune       the bucket                    ``[prune] every``                           heavy
==========  ============================  ==========================================  ========

Light chores run whenever they are due; of the heavy ones one at a time, the one first that waits
longest. What heavy ones did is in the diary, so that a restart does not do it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from drd.config import Config
from drd.core import schedule
from drd.model import Json, Pause, RunRecord
from drd.ports import Diary

DISCOVER: Final = "discover"
LEARN: Final = "learn"
SNAPSHOTS: Final = "snapshots"
VERIFY: Final = "verify"
PRUNE: Final = "prune"
BUCKET: Final = "bucket"
HEAVY: Final = (SNAPSHOTS, VERIFY, PRUNE)
RECORDED: Final = (VERIFY, PRUNE)
SNAPSHOTS_EVERY: Final = 3600


@dataclass(frozen=True, slots=True)
class Chore:
    """One thing to do: every so many seconds; *job* is what its worker is told."""

    kind: str
    subject: str
    every: int
    source: str = ""
    job: Mapping[str, Json] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Under what its pause is kept: no identity of an image begins so."""
        return f"{self.kind}:{self.subject}"


class Chores:
    """Knows when each chore was begun last, and which of them pause."""

    def __init__(self, diary: Diary) -> None:
        self._begun: dict[str, datetime] = {}
        self._pauses: dict[str, Pause] = {}
        failed: set[str] = set()
        for kind in RECORDED:
            for subject, record in diary.last_runs(kind).items():
                self._begun[f"{kind}:{subject}"] = record.started_at
                if record.outcome is not None and record.outcome.is_failure:
                    failed.add(f"{kind}:{subject}")
        # The diary keeps the pause of a chore that succeeded later: it has another subject than its runs.
        self._pauses = {
            subject: pause for subject, pause in diary.pauses().items() if subject in failed
        }

    def forget_times(self) -> None:
        """Do everything light anew: the clock fell back, or file or configuration are others."""
        heavy = tuple(f"{kind}:" for kind in HEAVY)
        self._begun = {key: at for key, at in self._begun.items() if key.startswith(heavy)}

    def fell_back(self, by: timedelta) -> None:
        """The clock fell back *by* so much (below 0): what pauses waits no longer for it."""
        self.forget_times()
        self._pauses = {
            key: replace(one, until=one.until + by) for key, one in self._pauses.items()
        }

    def begun(self, chore: Chore, at: datetime) -> None:
        """It begins."""
        self._begun[chore.key] = at

    def failures(self, key: str) -> int:
        """How often in a row it failed."""
        pause = self._pauses.get(key)
        return pause.failures if pause else 0

    def prune_failures(self, config: Config) -> int | None:
        """How often in a row prune failed, also before a restart; None where none is planned."""
        planned = (one.key for one in chores_of(config) if one.kind == PRUNE)
        return next((self.failures(key) for key in planned), None)

    def ended(self, record: RunRecord, config: Config, now: datetime) -> Pause | None:
        """It ended; the pause after a failure, None when it did not fail."""
        key = f"{record.kind}:{record.subject}"
        if record.outcome is None or not record.outcome.is_failure:
            self._pauses.pop(key, None)
            return None
        failures, daemon = self.failures(key) + 1, config.daemon
        wait = schedule.pause(key, failures, first=daemon.backoff, longest=daemon.backoff_max)
        self._pauses[key] = pause = Pause(
            key, failures, now + timedelta(seconds=wait), record.code, record.message
        )
        return pause

    def due(self, config: Config, under_way: Iterable[RunRecord], now: datetime) -> Iterator[Chore]:
        """What is to begin now."""
        busy = {f"{one.kind}:{one.subject}" for one in under_way}
        waiting = [
            (at, one)
            for one in chores_of(config)
            if one.key not in busy and (at := self._due_at(one, config, now)) <= now
        ]
        yield from (one for _, one in waiting if one.kind not in HEAVY)
        heavy = sorted(((at, one.key, one) for at, one in waiting if one.kind in HEAVY))
        if heavy and not any(key.partition(":")[0] in HEAVY for key in busy):
            yield heavy[0][2]

    def next_at(self, config: Config, now: datetime) -> datetime:
        """When the next one is due that is not due now."""
        times = (self._due_at(one, config, now) for one in chores_of(config))
        return min((at for at in times if at > now), default=now + timedelta(hours=1))

    def _due_at(self, chore: Chore, config: Config, now: datetime) -> datetime:
        """When it is due: an interval after it began last, or at the end of its pause. What began in the
        future, and too long a pause, were noted by a clock that was ahead: they hold nothing back.
        """
        pause = self._pauses.get(chore.key)
        if pause is not None:
            longest = timedelta(seconds=2 * config.daemon.backoff_max)
            return now if pause.until - now > longest else pause.until
        begun = self._begun.get(chore.key)
        if begun is None or begun > now:
            return now
        return begun + timedelta(seconds=chore.every)


def chores_of(config: Config) -> Iterator[Chore]:
    """All that a configuration wants."""
    daemon = config.daemon
    yield Chore(LEARN, BUCKET, daemon.learn_every)
    for name in sorted(config.source):
        yield Chore(DISCOVER, name, daemon.discover_every, name, {"source": name})
        yield Chore(SNAPSHOTS, name, SNAPSHOTS_EVERY, name, {"source": name})
    for name, policy in sorted(config.policy.items()):
        if daemon.verify and policy.verify is not None:
            yield Chore(VERIFY, name, policy.verify.every, job={"policy": name})
    if config.prune.every is not None and any(one.keep for one in config.policy.values()):
        yield Chore(PRUNE, BUCKET, config.prune.every)
