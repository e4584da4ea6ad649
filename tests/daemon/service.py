"""A real ``drd`` as a process, and what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from tests.daemon.jumping import Clock
from tests.unit.stores.processes import in_own_mounts

DRD = str(Path(sys.executable).with_name("drd"))
PATIENCE_S = 60.0
"""Far more than anything here takes: what does not happen by then does not happen."""
_T = TypeVar("_T")


def until(what: Callable[[], _T | bool | None], told: str) -> _T:
    """Wait until *what* gives something, and return it."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        found = what()
        if found:
            return found  # type: ignore[return-value]
        Event().wait(0.05)
    raise AssertionError(f"it never happened: {told}")


@dataclass
class Service:
    """One daemon."""

    config: Path
    log: Path
    small: Path | None = None
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self, **environment: str) -> Service:
        """Start it; with *small* that folder is a file system of a few MiB, for it alone."""
        command = [DRD, "--config", str(self.config)]
        if self.small is not None:
            self.small.mkdir(exist_ok=True)
            command = [*in_own_mounts(f"mount -t tmpfs -o size=2m none '{self.small}'"), *command]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )
        return self

    def said(self, event: str | None = None) -> list[dict[str, Any]]:
        """Everything that it logged, or one kind of event."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        every = [json.loads(line) for line in lines]
        return [one for one in every if event in (None, one["event"])]

    def wait_for(self, event: str, count: int = 1, **fields: object) -> list[dict[str, Any]]:
        """Wait until it logged *event* (with *fields*) *count* times."""

        def there() -> list[dict[str, Any]] | None:
            assert self.process.poll() is None, self.log.read_text()
            found = [
                one
                for one in self.said(event)
                if all(one.get(name) == value for name, value in fields.items())
            ]
            return found if len(found) >= count else None

        try:
            return until(there, f"{event} {fields} x {count}")
        except AssertionError as error:
            self.signal(signal.SIGUSR2)  # where does it stand?
            Event().wait(1.0)
            raise AssertionError(f"{error}\n{self.log.read_text()}") from error

    def within(self, script: str) -> None:
        """Run a line of shell with the file systems that the daemon sees; ``$STATE`` is the small one."""
        command = ["nsenter", "--mount", "--target", str(self.process.pid), "sh", "-c", script]
        subprocess.run(command, check=True, env={**os.environ, "STATE": str(self.small)})

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and wait."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def children(self) -> list[int]:
        """Process ids of everything below it."""
        return list(_below(self.process.pid))


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield int(child)
            yield from _below(int(child))


@contextmanager
def running(
    config: Path,
    log: Path,
    *,
    small: Path | None = None,
    clock: Clock | None = None,
    **environment: str,
) -> Iterator[Service]:
    """A daemon for the time of a test, that goes by *clock*; at its end nothing of it is left."""
    told = clock.environment if clock else {}
    service = Service(config, log, small).start(**environment, **told)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.kill()
