"""The other end: a process that does one job for the daemon, and ends.

``drd worker`` with a socket as stdin is the mother of workers (see :mod:`drd.daemon.nursery`); with
anything else it is one worker, which reads its lines there. A worker whose stdin ends has no daemon
any more: it ends at once, as if it were killed, and its lease runs out by itself.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import selectors
import signal
import socket
import stat
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from drd.core.lines import MAX_LINE, decode, encode, text
from drd.core.pacing import NO_LIMIT, Limit, limit_of
from drd.daemon import jobs
from drd.daemon.nursery import MESSAGE, UNBORN
from drd.daemon.running import DEED
from drd.errors import BusyError, DrdError, StoppedError
from drd.model import Json, Outcome, Progress
from drd.wiring.warm import warm

PR_SET_PDEATHSIG: Final = 1
"""``linux/prctl.h``: the signal that a process gets when its parent dies."""
OOM_SCORE: Final = 500
"""A worker is what the kernel should end first when memory is short, not the daemon (proc(5))."""
REPORT_S: Final = 0.5
"""Least time between two lines of progress."""
ORPHANED: Final = 3
PIPES: Final = 2
"""Ends of pipes that come for a child: its stdin and its stdout."""


def main() -> NoReturn:
    """Be a mother, or a worker; see the module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon decides what ends
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # A whole group or cgroup is often told to end: runs commit what they have when the daemon says so.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warm()
    gc.freeze()  # what was imported is never collected, and shared by all children
    if stat.S_ISSOCK(os.fstat(0).st_mode):
        # A daemon that was killed before it read what we said resets the line: that is its end as well.
        with suppress(ConnectionError):
            _mother()
        sys.exit(0)
    sys.exit(_serve())


# ── the mother ──────────────────────────────────────────────────────────────────────────────────
def _mother() -> None:
    """Fork a child for each pair of pipes that comes in, until the daemon's end is closed."""
    asked = socket.socket(fileno=os.dup(0))
    children: dict[int, tuple[str, int]] = {}
    with selectors.DefaultSelector() as waiting:
        waiting.register(asked, selectors.EVENT_READ)
        while True:
            for ready, _ in waiting.select():
                if ready.fileobj is asked:
                    message, fds, _, _ = socket.recv_fds(asked, MESSAGE, PIPES)
                    if not message:
                        return
                    run = text(decode(message), "run")
                    try:
                        pid, pidfd = _bear(asked, fds)
                    except OSError:  # this run has failed, and no other
                        asked.send(encode({"run": run, "status": UNBORN}))
                        continue
                    children[pidfd] = (run, pid)
                    waiting.register(pidfd, selectors.EVENT_READ)
                    asked.send(encode({"run": run, "pid": pid}))
                else:
                    pidfd = int(str(ready.fd))
                    run, pid = children.pop(pidfd)
                    waiting.unregister(pidfd)
                    os.close(pidfd)
                    _, status = os.waitpid(pid, 0)
                    code = os.waitstatus_to_exitcode(status)
                    asked.send(encode({"run": run, "status": code}))


def _bear(asked: socket.socket, fds: list[int]) -> tuple[int, int]:
    """A child that serves *fds*: its process id, and a file that tells its end.

    Raises:
        OSError: there is no room for another process, or for another open file.
    """
    try:
        if len(fds) != PIPES:
            raise OSError(errno.EMFILE, "some of the pipes could not be opened")
        pid = _fork(asked, fds)
    finally:
        for fd in fds:
            os.close(fd)
    try:
        return pid, os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _fork(asked: socket.socket, fds: list[int]) -> int:
    """A child that serves *fds*; its process id."""
    mother = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = ORPHANED
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        asked.close()
        os.dup2(fds[0], 0)
        os.dup2(fds[1], 1)
        for fd in fds:
            os.close(fd)
        if os.getppid() == mother:  # else it died before the kernel knew that we care
            code = _serve()
    except Exception:  # noqa: BLE001 - the daemon sees that it died; why it did stands in the log
        traceback.print_exc()
    finally:
        os._exit(code)  # nothing of the mother's is to be ended here


# ── a worker ────────────────────────────────────────────────────────────────────────────────────
class Orders:
    """What the daemon said since the job began."""

    def __init__(self, limit: Limit = NO_LIMIT) -> None:
        self.stop = threading.Event()
        self._limit = limit
        self._obey: Callable[[Limit], None] = lambda _limit: None
        self._lock = threading.Lock()

    def listen(self, lines: BinaryIO) -> None:
        """Take orders until the daemon is gone; then there is nobody to work for."""
        for line in lines:
            said = decode(line)
            match text(said, "order"):
                case "stop":
                    self.stop.set()
                case "limits":
                    self.slow_to(limit_of(said))
        os._exit(ORPHANED)

    def slow_to(self, limit: Limit) -> None:
        """From now on it is *limit*."""
        with self._lock:
            self._limit = limit
            self._obey(limit)

    def limits_go_to(self, obey: Callable[[Limit], None]) -> None:
        """Tell *obey* the limit of now, and each one that follows."""
        with self._lock:
            self._obey = obey
            obey(self._limit)


class Voice:
    """Says lines to the daemon; from any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._said_at = self._moved_at = 0.0
        self._stage = ""

    def say(self, said: Mapping[str, Json]) -> None:
        """Say one line."""
        with self._lock:
            self._out.write(encode(said))
            self._out.flush()

    def deed(self, said: Mapping[str, Json]) -> None:
        """What the job did in one lineage of many."""
        self.say({**said, "is": DEED})

    def report(self, progress: Progress) -> None:
        """Progress, twice a second at most: it is what the daemon's patience hangs on."""
        now = time.monotonic()
        if now - self._said_at < REPORT_S and progress.stage == self._stage:
            return
        self._said_at, self._stage = now, progress.stage
        self.say(
            {
                "is": "progress",
                "stage": progress.stage,
                "done": progress.done,
                "total": progress.total,
            }
        )

    def moved(self) -> None:
        """Bytes go to the store or come from it, however slowly: told as often as progress is."""
        now = time.monotonic()
        if now - self._moved_at >= REPORT_S:
            self._moved_at = now
            self.say({"is": "moved"})


def _serve() -> int:
    """One job: its exit code."""
    with suppress(OSError):  # a kernel without it, or a sandbox: a hint is not worth a failure
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a C library that prints must not speak to the daemon
    voice = Voice(out)
    # Never closed: that would wait for the listener, who reads until the daemon is gone.
    lines = os.fdopen(0, "rb", closefd=False)
    config, job = lines.readline(MAX_LINE), lines.readline(MAX_LINE)
    if not job:
        return ORPHANED
    work = decode(job)
    given = work.get("limits")
    orders = Orders(limit_of(given) if isinstance(given, dict) else NO_LIMIT)
    listener = threading.Thread(target=orders.listen, args=(lines,), daemon=True)
    listener.start()
    result = _result(decode(config), work, voice, orders)
    voice.say(result)
    code = result["exit"]
    # Threads of C libraries may still run; nothing of ours is open that is not in the bucket.
    os._exit(code if isinstance(code, int) else 1)


def _result(
    config: Mapping[str, Json], job: Mapping[str, Json], voice: Voice, orders: Orders
) -> dict[str, Json]:
    """Do *job*; how it ended, with drctl's exit codes."""
    warnings: list[str] = []
    try:
        work: Callable[..., dict[str, Json]] = jobs.JOBS[text(job, "job")]
        with jobs.opened(
            config, report=voice.report, stopping=orders.stop.is_set, moved=voice.moved
        ) as house:
            warnings = house.warnings
            orders.limits_go_to(house.gates.limit)
            try:
                result = work(house, job, voice.deed)
            finally:
                warnings = house.warnings
    except DrdError as error:
        result = failure(error)
    except Exception as error:  # noqa: BLE001 - the last door: it must say how it ended
        result = failure(DrdError(f"a bug in drd: {type(error).__name__}: {error}"))
    told = result.get("warnings")
    both = [*warnings, *(str(one) for one in (told if isinstance(told, list) else ()))]
    return {"is": "result", "exit": 0, **result, "warnings": list(dict.fromkeys(both))}


def failure(error: DrdError) -> dict[str, Json]:
    """What the daemon is told of a job that ended with *error*."""
    outcome = Outcome.FAILED
    had: dict[str, Json] = {}
    if isinstance(error, StoppedError):
        outcome = Outcome.STOPPED
        lineage, uploaded = error.lineage.hex(), error.bytes_uploaded
        had = {"lineage": lineage, "seq": error.seq, "bytes_uploaded": uploaded}
    elif error.code == "busy":
        outcome = Outcome.BUSY
    until = error.until if isinstance(error, BusyError) else None
    return {
        "until": until.isoformat() if until else "",
        "outcome": outcome.value,
        "exit": error.exit_code,
        "code": error.code,
        "message": error.message,
        "about": error.about,
        "hint": error.hint or error.next_step,
        **had,
    }
