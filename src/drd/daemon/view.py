"""What the loop lets others see: counts it as it goes, and freezes all of it once a tick."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from drd.config import Config
from drd.core import standing
from drd.core.standing import Known
from drd.daemon.agenda import Agenda
from drd.daemon.board import Board
from drd.daemon.running import BACKUP, Running
from drd.daemon.seen import Seen, SourceState, Total, VerifyGoal
from drd.model import Damage, Head, Outcome, Proven, RunRecord
from drd.wiring.standing import aims_of

Proofs = Callable[[], tuple[Sequence[Proven], Mapping[bytes, Damage]]]
STORE: str = "store"


@dataclass(slots=True)
class View:
    """See the module. ``show`` takes what a tick leaves, ``proofs`` reads what verifies found."""

    show: Callable[[Seen], None]
    proofs: Proofs
    tenant: Callable[[], bytes | None]
    ticks: int = 0
    config_refused: bool = False
    prune_failures: int | None = None
    sources: dict[str, SourceState] = field(default_factory=dict)
    _totals: dict[tuple[str, str, Outcome], Total] = field(default_factory=dict)
    _store: tuple[bool | None, datetime | None] = (None, None)

    def looked(
        self, source: str, at: datetime, *, images: int | None, unprotected: int | None
    ) -> None:
        """A look into *source* ended: with so many images, or (None) without seeing any."""
        before = self.sources.get(source, SourceState())
        if images is None:
            self.sources[source] = replace(before, reachable=False)
            return
        self.sources[source] = replace(
            before, reachable=True, checked_at=at, images=images, unprotected=unprotected
        )

    def counted(self, source: str, orphans: int) -> None:
        """Snapshots of drd's that nobody needs were counted."""
        before = self.sources.get(source, SourceState())
        self.sources[source] = replace(before, orphan_snapshots=orphans)

    def ended(self, record: RunRecord) -> None:
        """A run ended: it enters the totals, and says whether the store could be reached."""
        outcome, at = record.outcome, record.ended_at
        if outcome is None or at is None:
            return
        if outcome in (Outcome.DONE, Outcome.ELSEWHERE) and record.kind != "discover":
            self._store = (True, at)
        elif record.code.partition("-")[0] == STORE:
            self._store = (False, self._store[1])
        key = (record.source, record.kind, outcome)
        old = self._totals.get(key, Total(*key, runs=0))
        self._totals[key] = replace(
            old,
            runs=old.runs + 1,
            bytes_read=old.bytes_read + record.bytes_read,
            bytes_changed=old.bytes_changed + record.bytes_changed,
            bytes_uploaded=old.bytes_uploaded + record.bytes_uploaded,
            seconds=old.seconds + record.seconds,
        )

    def tick(
        self,
        board: Board,
        running: Iterable[Running],
        agenda: Agenda,
        *,
        at: datetime,
        seconds: float,
    ) -> None:
        """Freeze what is known *at* the end of a tick that took *seconds*."""
        self.ticks += 1
        under = [one.record for one in running]
        tenant, config = self.tenant(), board.config
        self.show(
            Seen(
                at=at,
                tick_at=at,
                ticks=self.ticks,
                tick_seconds=seconds,
                tick_every=config.daemon.tick,
                standings=standing.standings(self._known(board, under, agenda), at),
                running=under,
                totals=tuple(self._totals.values()),
                sources={name: self.sources.get(name, SourceState()) for name in config.source},
                goals=_goals(config),
                tenant=tenant.hex() if tenant else "",
                queue=len(agenda.waiting),
                workers=config.daemon.workers,
                store_reachable=self._store[0],
                store_reachable_at=self._store[1],
                skew_seconds=_ahead(board.heads.values(), at),
                config_refused=self.config_refused,
                prune_failures=self.prune_failures,
            )
        )

    def _known(self, board: Board, under: Iterable[RunRecord], agenda: Agenda) -> Known:
        proven, damages = self.proofs()
        return Known(
            images=list(board.images.values()),
            heads=list(board.lineages.values()),
            aims=aims_of(board.config),
            last_runs=board.last,
            pauses=board.pauses,
            running={one.subject: one.started_at for one in under if one.kind == BACKUP},
            next_run=agenda.next_run,
            proven=proven,
            damages=damages,
        )


def _goals(config: Config) -> dict[str, VerifyGoal]:
    """What each policy wants of verify."""
    return {
        name: VerifyGoal(policy.verify.level, policy.verify.every)
        for name, policy in config.policy.items()
        if policy.verify is not None
    }


def _ahead(heads: Iterable[Head], now: datetime) -> float:
    """Seconds that the newest point lies in the future; 0 when it does not."""
    newest = max((head.point_at for head in heads), default=now)
    return max((newest - now).total_seconds(), 0.0)
