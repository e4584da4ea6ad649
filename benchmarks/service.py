"""A real ``drd`` as a process: what it logs, and the processor time that it and its workers take."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

from benchmarks.place import DRCTL
from benchmarks.process import BenchmarkError

DRD = DRCTL.with_name("drd")
PATIENCE_S = 120.0
"""So long without any news is too long: nothing here is silent for more than seconds."""
LOOK_S = 0.1
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor seconds (proc(5), stat: utime and stime) of a process, and of its children that ended."""

    own: float
    children: float

    def since(self, before: Spent) -> Spent:
        """What came on top."""
        return Spent(self.own - before.own, self.children - before.children)


def spent(pid: int) -> Spent:
    """What a process has taken until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = fields[11:13], fields[13:15]
    return Spent(sum(map(int, own)) * TICK_S, sum(map(int, children)) * TICK_S)


class Service:
    """One daemon under way, that logs into *log*."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log = process, log

    @property
    def pid(self) -> int:
        """Process id of the daemon."""
        return self._process.pid

    @property
    def mother(self) -> int:
        """Process id of the mother of its workers, once there is one."""
        task = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        pid: int = self.wait(
            "a mother of workers", lambda: next(map(int, task.read_text().split()), 0)
        )
        return pid

    def said(self, event: str, **fields: str) -> list[Row]:
        """Events of this kind (with these *fields*) until now."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.startswith("{")]
        asked = {"event": event, **fields}
        return [row for row in rows if asked.items() <= row.items()]

    def wait(self, what: str, look: Callable[[], int | list[Row]]) -> Any:
        """Wait until *look* finds something.

        Raises:
            BenchmarkError: the daemon ended, or logged nothing for too long.
        """
        size, news_at = -1, time.monotonic()
        while not (found := look()):
            now_size, now = self._log.stat().st_size, time.monotonic()
            if now_size != size:
                size, news_at = now_size, now
            if self._process.poll() is not None or now - news_at > PATIENCE_S:
                words = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise BenchmarkError(f"drd ended, or has no news, before {what}\n{words}")
            Event().wait(LOOK_S)
        return found

    def wait_for(self, event: str, count: int, **fields: str) -> list[Row]:
        """Wait until *event* was logged so often."""

        def enough() -> list[Row]:
            found = self.said(event, **fields)
            return found if len(found) >= count else []

        found: list[Row] = self.wait(f"{event} × {count}", enough)
        return found

    def now(self) -> None:
        """Have it make a point of every image (SIGUSR1)."""
        self._process.send_signal(signal.SIGUSR1)

    def troubles(self) -> list[str]:
        """What it complained of, besides its configuration."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.startswith("{")]
        return [
            f"{row['event']}: {row.get('message', '')}"
            for row in rows
            if row["level"] in ("warning", "error") and row["event"] != "config_warning"
        ]


@contextmanager
def daemon(config: Path, env: Mapping[str, str]) -> Iterator[Service]:
    """A daemon for the time of the context; nothing of it is left then."""
    log = config.with_name("drd.log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(DRD), "--config", str(config)], env=env, stdout=out, stderr=out
        )
    try:
        service = Service(process, log)
        service.wait_for("daemon_started", 1)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()  # the kernel takes its workers along
            process.wait()


def moment(row: Row) -> datetime:
    """When an event was logged."""
    return datetime.fromisoformat(row["timestamp"])
