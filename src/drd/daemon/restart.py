"""What a reload cannot change: what the daemon opened when it started, it keeps until it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drd.config import Config
from drd.errors import ConfigError
from drd.model import Outcome, RunRecord
from drd.ports import Diary

KEPT: Final = 500
"""Characters of a refusal that are kept."""


def later(old: Config, new: Config) -> list[str]:
    """Sentences about keys that differ and wait for a restart: where metrics and lines of the log go.

    Raises:
        ConfigError: the state folder or the repository is another one. Workers would begin to use it while
            this daemon still believed what it knows of the old one.
    """
    for name, before, after in (
        ("state_dir", str(old.state_dir), str(new.state_dir)),
        ("repository.url", old.repository.url, new.repository.url),
    ):
        if before != after:
            raise ConfigError(
                f"{name} is {after}, and was {before}: only a restart can change it",
                hint="'systemctl restart drd', or write the old value back",
            )
    kept = {
        "metrics": (old.daemon.metrics, new.daemon.metrics),
        "log": (old.daemon.log, new.daemon.log),
        "log_names": (old.daemon.log_names, new.daemon.log_names),
    }
    return [
        f"daemon.{name} stays as it was until the daemon is restarted"
        for name, (before, after) in kept.items()
        if before != after
    ]


def note_taken(diary: Diary, record: RunRecord, refused: str = "") -> None:
    """Leave word for ``drctl status``: why a configuration was refused, or that one is in force now.

    Args:
        diary: where it is noted; of one that is taken only after one that was refused.
        record: as a run of this moment.
        refused: why; ``""`` when it was taken.
    """
    last = diary.last_runs(record.kind).get(record.subject)
    if not refused and (last is None or last.outcome is not Outcome.FAILED):
        return
    diary.end_run(
        replace(
            record,
            ended_at=record.started_at,
            outcome=Outcome.FAILED if refused else Outcome.DONE,
            exit_code=ConfigError.exit_code if refused else 0,
            code=ConfigError.code if refused else "",
            message=refused.partition("\n")[0][:KEPT],
        ),
        None,
    )
