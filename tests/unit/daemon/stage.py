"""A stage for the loop: a clock that is set, workers that do what the test says, a diary in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from drd.config.loading import read_config
from drd.daemon.happenings import Ended, Happening, Line, Tick
from drd.daemon.log import Log
from drd.daemon.loop import Desk, Loaded, Loop
from drd.daemon.notify import Notifier
from drd.daemon.seen import Seen
from drd.daemon.view import View
from drd.errors import ConfigError
from drd.model import Head, Json
from drd.testing.diary import MemoryDiary
from drd.testing.fakes import seeded

BEGIN = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
CONFIG = """
[repository]
url = "file:///repository"
[keys]
file = "/key"
[source.vms]
type = "rbd"
pool = "rbd"
policy = "gold"
[policy.gold]
every = "1h"
spread = "1s"
[policy.silver]
every = "1d"
spread = "1s"
[daemon]
workers = 2
"""


class Workers:
    """Worker processes that do nothing by themselves."""

    def __init__(self) -> None:
        self.jobs: dict[str, Mapping[str, Json]] = {}
        self.told: list[tuple[str, Mapping[str, Json]]] = []
        self.killed: list[str] = []

    def start(self, run: str, first: tuple[Mapping[str, Json], ...]) -> None:
        """Note the job."""
        self.jobs[run] = first[1]

    def tell(self, run: str, said: Mapping[str, Json]) -> None:
        """Note what is told."""
        self.told.append((run, said))

    def kill(self, run: str) -> None:
        """Note who is killed."""
        self.killed.append(run)


class Stage:
    """The loop, and everything around it."""

    def __init__(self, config: str = CONFIG, diary: MemoryDiary | None = None) -> None:
        self.at = BEGIN
        self.seconds = 1000.0
        self.workers = Workers()
        self.diary = diary or MemoryDiary()
        self.heads: list[Head] = []
        self.out = io.StringIO()
        self.woken: list[datetime] = []
        self.seen: list[Seen] = []
        self.text = config
        self.queue: SimpleQueue[Happening] = SimpleQueue()
        desk = Desk(
            now=lambda: self.at,
            timer=lambda: self.seconds,
            random=seeded("runs"),
            diary=self.diary,
            newest=lambda: self.heads,
            workers=self.workers,
            log=Log(self.out, as_json=True),
            notifier=Notifier({}),
            wake=self.woken.append,
            load=self.load,
            view=View(self.seen.append, lambda: ((), {}), lambda: b"t" * 16),
        )
        self.loop = Loop(desk, self.load(), self.queue)
        self.loop.start()

    def load(self) -> Loaded:
        """The configuration as it stands in ``text``."""
        path = Path("/etc/drd/drd.toml")
        return Loaded(read_config(self.text, path), self.text, str(path))

    def passes(self, seconds: float, *, timer: float | None = None) -> None:
        """Time passes, and a tick comes."""
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds if timer is None else timer
        self.happens(Tick())

    def happens(self, happening: Happening) -> None:
        """Something happens, and everything that follows at once."""
        self.loop.handle(happening)
        while not self.queue.empty():
            self.loop.handle(self.queue.get())

    def under_way(self, kind: str = "backup") -> dict[str, Mapping[str, Json]]:
        """Jobs of a kind that have not ended: by image, or by source."""
        alive = {run: one for run, one in self.workers.jobs.items() if run in self.loop.running}
        return {
            str(one.get("label") or one.get("source") or one["job"]): {**one, "run": run}
            for run, one in alive.items()
            if one["job"] == kind
        }

    def ends(self, job: Mapping[str, Json], status: int = 0, **result: Json) -> None:
        """The worker of *job* says *result* (nothing, when there is none) and its process ends."""
        run = str(job["run"])
        if result:
            self.happens(Line(run, {"is": "result", "exit": status, **result}))
        self.happens(Ended(run, status))

    def shows(self, *names: str, source: str = "vms", complete: bool = True, **policy: str) -> None:
        """The look into *source* that is under way ends, and shows images of these names."""
        rows: list[Json] = [
            {
                "identity": f"rbd:{name}",
                "label": f"{source}/{name}",
                "policy": policy.get(name.replace("-", "_"), ""),
            }
            for name in names
        ]
        job = self.under_way("discover")[source]
        self.ends(job, outcome="done", images=rows, complete=complete)

    def learns(self) -> None:
        """The look through the bucket ends."""
        self.ends(self.under_way("learn")["learn"], outcome="done")

    def makes(self, label: str) -> None:
        """The backup of an image that is under way makes a point, now."""
        job = self.under_way()[label]
        seq = 1 + sum(one.identity == job["identity"] for one in self.heads)
        self.ends(
            job,
            outcome="done",
            point_at=self.at.isoformat(),
            lineage="0a" * 16,
            seq=seq,
            size=1 << 20,
        )

    def begun(self, *names: str) -> Stage:
        """Source and bucket were looked at, and backups of *names* are under way."""
        self.happens(Tick())
        self.shows(*names)
        self.learns()
        return self

    def said(self, event: str) -> list[dict[str, Any]]:
        """Lines of the log."""
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


def fails(stage: Stage, label: str, message: str = "no luck") -> None:
    """The backup of an image that is under way fails."""
    stage.ends(
        stage.under_way()[label], 14, outcome="failed", code="source", message=message, hint="look"
    )


__all__ = ["BEGIN", "CONFIG", "ConfigError", "Stage", "fails"]
