"""Run what a user would type, a program or a pipe of several; say how long it took and what it ate.

Memory is the high-water mark that the kernel keeps of each process (``VmHWM`` of ``/proc/PID/status``,
proc(5)), looked up while it runs and summed over the processes alive at one moment: for one process
the true peak, for several an upper bound.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.05
FOREIGN = ("AWS_", "CEPH_", "RESTIC_", "RCLONE_", "PYTHON")


class BenchmarkError(Exception):
    """A benchmark cannot be run, or what it ran failed; says what to do."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that ended well: seconds, peak of the process tree in bytes, standard output."""

    seconds: float
    peak_bytes: int
    out: str


def environment(pycache: Path, **more: str) -> dict[str, str]:
    """The environment of every program that is timed: none of the developer's clouds or proxies.

    Python's own variables go, too: some shells forbid the .pyc files that every user has. Ours go to
    *pycache*.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN)
        and not name.lower().endswith("_proxy")
        and name != "DRD_CONFIG"
    }
    return {**kept, "PYTHONPYCACHEPREFIX": str(pycache), **more}


def run(
    *stages: Sequence[str],
    env: Mapping[str, str],
    stdin: Path | None = None,
    cwd: Path | None = None,
) -> Ran:
    """Run *stages*, the output of each going into the next; the clock stops when all have ended.

    Raises:
        BenchmarkError: one of them failed; with its own words.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        feed = stdin.open("rb") if stdin else subprocess.DEVNULL
        begin = time.perf_counter()
        processes: list[subprocess.Popen[bytes]] = []
        for number, stage in enumerate(stages):
            last = number == len(stages) - 1
            process = subprocess.Popen(
                stage,
                env=env,
                cwd=cwd,
                stdin=processes[-1].stdout if processes else feed,
                stdout=out if last else subprocess.PIPE,
                stderr=err,
            )
            if processes and processes[-1].stdout:
                processes[-1].stdout.close()
            processes.append(process)
        watch = _Watch([process.pid for process in processes])
        codes = [process.wait() for process in processes]
        seconds = time.perf_counter() - begin
        peak = watch.stop()
        out.seek(0)
        err.seek(0)
        said = out.read().decode(errors="replace")
        if any(codes):
            line = " | ".join(shlex.join(stage) for stage in stages)
            words = err.read().decode(errors="replace")[-2000:]
            raise BenchmarkError(f"exit codes {codes}: {line}\n{said[-2000:]}\n{words}")
    return Ran(seconds, peak, said)


class _Watch:
    """Looks at some processes and their children until it is stopped."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._peak = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """The peak, in bytes."""
        self._end.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._end.is_set():
            alive = {pid for top in self._pids for pid in _tree(top)}
            self._peak = max(self._peak, sum(_high_water(pid) for pid in alive))
            self._end.wait(LOOK_S)


def _tree(pid: int) -> Iterator[int]:
    """A process and what it started, as long as it is there."""
    yield pid
    try:
        children = [
            child
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:  # it has just ended
        return
    for child in children:
        yield from _tree(int(child))


def _high_water(pid: int) -> int:
    """The most memory that a process had resident, in bytes; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
