"""Runs under way: what each is for, what it said last, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from drd.core.lines import number, text
from drd.core.names import is_id
from drd.daemon.nursery import UNBORN
from drd.model import Deed, Head, Json, Outcome, RunRecord

BACKUP: Final = "backup"
"""The kind of a run that makes a point."""
BUSY_AGAIN_S: Final = 15.0
"""How long to leave an image alone that somebody else works on, at least."""

KEPT_TEXT: Final = 2000
"""Characters of a message that are kept."""
DEED: Final = "deed"
"""What a line is that tells what a run did in one lineage of many."""
_LONGEST_S: Final = 1e9
"""More seconds no run takes."""
_OUTCOMES: Final = frozenset(one.value for one in Outcome)


@dataclass(slots=True)
class Running:
    """One run under way. ``moved_at`` is when it last made progress, on the loop's timer (seconds)."""

    record: RunRecord
    slow: bool
    moved_at: float
    stage: str = ""
    done: int = 0
    total: int = 0
    stalled: bool = False
    stopping: bool = False
    result: Mapping[str, Json] = field(default_factory=dict)

    def hear(self, said: Mapping[str, Json], at: float) -> None:
        """A line came in: of progress only what differs from the last one counts."""
        if text(said, "is") == "result":
            self.result = said
            self.moved_at = at
            return
        # A pack can take longer than the limit where the line is slow.
        if text(said, "is") in ("moved", DEED):
            self.moved_at = at
            return
        place = (text(said, "stage"), number(said, "done"))
        if place != (self.stage, self.done):
            self.stage, self.done = place
            self.moved_at = at
        self.total = number(said, "total")

    def ended(self, status: int, now: datetime) -> RunRecord:
        """The record of the run, now that its process ended with *status*."""
        said = self.result
        outcome, code, message = self._outcome(status)
        seconds = (now - self.record.started_at).total_seconds()
        return replace(
            self.record,
            ended_at=now,
            outcome=outcome,
            exit_code=number(said, "exit") if said else 1,
            code=code,
            message=message[:KEPT_TEXT],
            hint=text(said, "hint")[:KEPT_TEXT],
            seq=number(said, "seq"),
            lineage=text(said, "lineage"),
            bytes_read=number(said, "bytes_read"),
            bytes_changed=number(said, "bytes_changed"),
            bytes_uploaded=number(said, "bytes_uploaded"),
            seconds=max(seconds, 0.0),
        )

    def _outcome(self, status: int) -> tuple[Outcome, str, str]:
        """How it ended: its own word, else what was done to it, else that it died."""
        word = text(self.result, "outcome")
        nonsense = self._nonsense(word)
        if nonsense:
            return Outcome.CRASHED, "crashed", nonsense
        if self.result:
            outcome = Outcome(word or Outcome.FAILED.value)
            about, message = text(self.result, "about"), text(self.result, "message")
            return (
                outcome,
                text(self.result, "code"),
                f"{message} [{about}]" if about else message,
            )
        if self.stalled:
            where = f" at {self.stage}" if self.stage else ""
            return Outcome.STALLED, "stalled", f"killed: no progress{where}"
        if self.stopping:
            return Outcome.STOPPED, "", "killed: it did not stop in time"
        return Outcome.CRASHED, "crashed", _death(status)

    def _nonsense(self, word: str) -> str:
        """What of a result no worker of this version would say, or ``""``. After an update
        of drd a daemon that still runs can have workers of another one.
        """
        if word and word not in _OUTCOMES:
            return f"the run ended in a way that is unknown here: {word}"
        made = word in (Outcome.DONE.value, Outcome.ELSEWHERE.value) and self.record.kind == BACKUP
        if made and self.head("", self.record.started_at) is None:
            return "the run ended well, and named no point"  # so it would be due again at once
        return ""

    def free_at(self, now: datetime, ttl_s: float, longest_s: float) -> datetime:
        """When to look again at what another one holds: when its lease runs out, where that is known;
        else after a while, no longer than *longest_s*: a prune in between costs no more than a failure.

        If the holder died it is free then, and not before; if it lives, it will have renewed it. A clock
        that differs from the cluster's moves that, by no more than the time to live.
        """
        until = _moment(text(self.result, "until"))
        if until is None:
            return now + timedelta(seconds=min(max(BUSY_AGAIN_S, ttl_s / 2), longest_s))
        left_s = (until - now).total_seconds()
        return now + timedelta(seconds=min(max(left_s, 0.0), ttl_s) + 1.0)

    def head(self, identity: str, now: datetime) -> Head | None:
        """The newest point of the image, when the run made or found one (until *now*)."""
        at, lineage = _moment(text(self.result, "point_at")), text(self.result, "lineage")
        if at is None or not is_id(lineage):
            return None
        return Head(
            lineage=bytes.fromhex(lineage),
            name=self.record.label,
            identity=identity,
            seq=number(self.result, "seq"),
            point_at=at,
            committed_at=min(at, now),
            size=number(self.result, "size"),
            points=1,
            oldest_at=at,
        )


def deed_of(run: RunRecord, said: Mapping[str, Json], now: datetime) -> Deed | None:
    """What *run* tells that it did in one lineage; None where *said* is no such line."""
    lineage, outcome = text(said, "lineage"), text(said, "outcome")
    if text(said, "is") != DEED or not is_id(lineage) or outcome not in _OUTCOMES:
        return None
    facts, seconds = said.get("facts"), said.get("seconds")
    took = float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < _LONGEST_S else 0.0
    record = RunRecord(
        run=run.run,
        kind=run.kind,
        subject=lineage,
        label="",
        source="",
        policy=text(said, "policy"),
        started_at=max(run.started_at, now - timedelta(seconds=took)),
        ended_at=now,
        outcome=Outcome(outcome),
        exit_code=number(said, "exit"),
        code=text(said, "code"),
        message=text(said, "message")[:KEPT_TEXT],
        hint=text(said, "hint")[:KEPT_TEXT],
        seq=number(said, "seq"),
        lineage=lineage,
        seconds=took,
    )
    return Deed(record, facts if isinstance(facts, dict) else {})


def _death(status: int) -> str:
    """Of what a process died that did not say how its run ended."""
    if status == UNBORN:
        return "there was no room for another process, or for another open file"
    how = f"died of signal {-status}" if status < 0 else f"ended with {status}"
    return f"the process of the run {how}, and said nothing"


def _moment(said: str) -> datetime | None:
    """A time with its zone, in UTC; None where *said* is none."""
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        return None
    return None if at.tzinfo is None else at.astimezone(UTC)
