"""One server process: started detached, found again and stopped by its pid file alone.

The pid file holds the process id and its start time in clock ticks (field 22 of /proc/PID/stat),
so that a number which the kernel has given to somebody else meanwhile is never signalled.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.failure import LabError

POLL_S = 0.02
STOP_S = 20.0  # how long a server may take over SIGTERM before it gets SIGKILL
LOG_LINES = 15
ZOMBIE = "Z"  # ended, and its parent has not asked yet (proc(5))
GONE = {"", ZOMBIE, "X"}


@dataclass(frozen=True)
class Server:
    """One process of a lab.

    Args:
        name: such as ``osd.0``; names its pid file and its log.
        folder: the lab's folder; the pid file goes to ``run/``, the output to ``log/``.
        command: program and arguments.
        install: what to run where the program is missing.
        env: added to the environment of the process.
    """

    name: str
    folder: Path
    command: tuple[str, ...]
    install: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.folder / "log" / f"{self.name}.out"

    @property
    def pid_file(self) -> Path:
        """Where the process id is kept while the server is wanted."""
        return self.folder / "run" / f"{self.name}.pid"

    def pid(self) -> int | None:
        """Return the process id when the process of the pid file still runs."""
        try:
            number, started = self.pid_file.read_text(encoding="ascii").split()
        except FileNotFoundError:
            return None
        pid = int(number)
        state, began = state_of(pid)
        if began == started and state == ZOMBIE:
            reap(pid)
        return pid if began == started and state not in GONE else None

    def start(self) -> None:
        """Start the process, detached, unless it runs.

        Raises:
            LabError: the program is not installed.
        """
        if self.pid() is not None:
            return
        program = need(self.command[0], self.install)
        for path in (self.log, self.pid_file):
            path.parent.mkdir(parents=True, exist_ok=True)
        to_log = (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        pid = os.posix_spawn(
            program,
            self.command,
            {**os.environ, **self.env},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (*to_log, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_CLOSE, number) for number in handed_down()),
            ],
            setsid=True,
        )
        self.pid_file.write_text(f"{pid} {state_of(pid)[1]}\n", encoding="ascii")

    def stop(self) -> None:
        """End the process kindly, then unkindly; return when it is gone."""
        if self.pid() is not None:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # a paused process cannot hear the first
            deadline = time.monotonic() + STOP_S
            while self.pid() is not None and time.monotonic() < deadline:
                time.sleep(POLL_S)
        self.kill()

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a power cut would; return when it is gone."""
        while self.pid() is not None:
            self._signal(signal.SIGKILL)
            time.sleep(POLL_S)
        self.pid_file.unlink(missing_ok=True)

    def pause(self) -> None:
        """Freeze the process: its connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def wait(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Poll until `ready`.

        Raises:
            LabError: the process ended, or time is up; with the end of its log.
        """
        wait_until(ready, what=self.name, timeout_s=timeout_s, servers=(self,))

    def last_words(self) -> str:
        """Return the end of the log, for a message."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES:])

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid()
        if pid is not None:
            os.kill(pid, number)


def handed_down() -> list[int]:
    """Return open files that a program started now would get, beside the first three.

    A server outlives who starts it: with the lock of a ``flock FILE command`` it would hold it for ever.
    """
    found = []
    for path in Path("/proc/self/fd").iterdir():
        number = int(path.name)
        try:
            if number > 2 and os.get_inheritable(number):  # noqa: PLR2004 - stderr
                found.append(number)
        except OSError:  # the listing itself, closed by now
            continue
    return found


def need(program: str, install: str) -> str:
    """Return the path of a program.

    Raises:
        LabError: it is missing; with the command that installs it.
    """
    path = shutil.which(program)
    if path is None:
        raise LabError(f"{program} is not installed. Run: {install}")
    return path


def wait_until(
    ready: Callable[[], bool], *, what: str, timeout_s: float, servers: tuple[Server, ...]
) -> None:
    """Poll until `ready`, watching that the servers live.

    Raises:
        LabError: a server ended, or time is up; with the end of the logs.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        for server in servers:
            if server.pid() is None:
                raise LabError(f"{server.name} ended:\n{server.last_words()}\n({server.log})")
        if time.monotonic() > deadline:
            words = "\n".join(f"{server.name}:\n{server.last_words()}" for server in servers)
            raise LabError(f"{what} not ready after {timeout_s:.0f} s; logs end with\n{words}")
        time.sleep(POLL_S)


def state_of(pid: int) -> tuple[str, str]:
    """Return a process's state letter and its start in clock ticks; two ``""`` when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return fields[0], fields[19]


def reap(pid: int) -> None:
    """Take the exit status of a process that ended, when it is a child of ours."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
