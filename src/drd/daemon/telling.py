"""What is told of runs that ended, and of what sources show: lines of the log."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from drd.daemon.board import Change
from drd.daemon.log import Log
from drd.daemon.running import Running
from drd.model import Outcome, Pause, RunRecord

QUIET: Final = ("discover", "learn", "snapshots")
"""What is done so often, and so quietly, that only its failures are news."""
TOLD: Final = (Outcome.DONE.value, Outcome.STOPPED.value)
"""Ends of runs that tell what was put."""


def say_begin(log: Log, record: RunRecord) -> None:
    """A run begins."""
    log.say(
        "run_started",
        run=record.run,
        kind=record.kind,
        image=record.label,
        source=record.source,
        policy=record.subject if record.kind == "verify" else record.policy,
        slot=f"{record.slot:%Y-%m-%dT%H:%M:%SZ}" if record.slot else "",
    )


def say_unseen(log: Log, record: RunRecord) -> None:
    """A source could not be looked into."""
    log.say(
        "source_unreachable",
        run=record.run,
        source=record.source,
        code=record.code,
        message=record.message,
    )


def say_end(
    log: Log, one: Running, record: RunRecord, pause: Pause | None, *, now: datetime
) -> None:
    """How a run ended, and what it warned of."""
    outcome = record.outcome.value if record.outcome else ""
    if record.kind in QUIET and record.outcome in (Outcome.DONE, Outcome.STOPPED):
        return
    log.say(
        f"run_{outcome}",
        run=record.run,
        kind=record.kind,
        image=record.label,
        lineage=record.lineage,
        seq=record.seq or None,
        seconds=round(record.seconds, 3),
        bytes_uploaded=record.bytes_uploaded if one.result and outcome in TOLD else None,
        code=record.code,
        message=record.message,
        hint=record.hint,
        pause_s=round((pause.until - now).total_seconds()) if pause else None,
        failures=pause.failures if pause else None,
    )
    warnings = one.result.get("warnings")
    for warning in warnings if isinstance(warnings, list) else []:
        log.say("run_warning", run=record.run, image=record.label, message=str(warning))


def say_change(log: Log, change: Change) -> None:
    """What a look into a source found to be other than before."""
    image = change.image
    log.say(
        change.event,
        source=image.source,
        image=image.label,
        renamed_from=change.told if change.event == "image_renamed" else "",
        policy=change.told if change.event == "image_policy_unknown" else image.policy,
    )
