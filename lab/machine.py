"""A booted Debian: the root of `debian` under an overlay in memory, in a container of systemd-nspawn.

It shares this machine's network, so it reaches the lab's Ceph and S3 on loopback. Nothing that happens in
it outlives it. Needs root, or sudo without a password.
"""

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.debian import TOOLS, as_root, make_root
from lab.failure import LabError

BOOT_S = 60.0
COMMAND_S = 120.0
POLL_S = 0.1
UP = {"running", "degraded"}


class Machine:
    """One container; `start` boots it, `stop` ends it.

    Args:
        folder: for its console, and for what it shows.
        shared: paths here, and where they are in it, read-only.
    """

    def __init__(self, folder: Path, shared: Mapping[Path, str]) -> None:
        self.console = folder / "console"
        binds = [f"--bind-ro={here}:{there}" for here, there in shared.items()]
        self._command = as_root(
            "systemd-nspawn",
            "--quiet",
            f"--directory={make_root()}",
            "--volatile=overlay",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            *binds,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def start(self) -> None:
        """Boot, and return when everything that starts by itself has started.

        Raises:
            LabError: it does not.
        """
        with self.console.open("wb") as console:
            try:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                install = f"apt-get install {' '.join(TOOLS)}"
                raise LabError(f"{error.filename} is not installed. Run: {install}") from error
        self.until(self._booted, "the machine to boot", timeout_s=BOOT_S)

    def stop(self) -> None:
        """End it at once: nothing in it is wanted any more."""
        if self._process is None:
            return
        if self._leader:  # its init takes the rest along
            subprocess.run(as_root("kill", "-KILL", str(self._leader)), check=False)
        else:
            subprocess.run(as_root("kill", "-TERM", str(self._process.pid)), check=False)
        self._process.wait(timeout=COMMAND_S)

    def run(self, *command: str, stdin: str = "", ok: bool = True) -> str:
        """Run a command in it as root; return what it prints (both streams).

        Raises:
            LabError: it failed, and *ok* said that it must not.
        """
        done = subprocess.run(
            as_root("nsenter", "--all", f"--target={self._leader}", "--", *command),
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_S,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        if ok and done.returncode:
            raise LabError(f"{' '.join(command)}: exit {done.returncode}\n{said}")
        return said

    def write(self, path: str, text: str, *, mode: str = "644") -> None:
        """Write a file in it."""
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, stdin=text)

    def until(self, ready: Callable[[], bool], what: str, *, timeout_s: float = 60.0) -> None:
        """Poll until *ready*.

        Raises:
            LabError: time is up, or the machine ended; with the end of its console.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                words = self.console.read_text("utf-8", "replace")[-3000:]
                told = "the machine ended" if ended else f"no {timeout_s:.0f} s were enough"
                raise LabError(f"waiting for {what}: {told}; its console ends with\n{words}")
            time.sleep(POLL_S)

    def _booted(self) -> bool:
        self._leader = self._leader or self._find_leader()
        if not self._leader:
            return False
        return self.run("systemctl", "is-system-running", ok=False).strip() in UP

    def _find_leader(self) -> int:
        """Its first process, as this machine numbers it: the child of nspawn that is an init."""
        if self._process is None:
            return 0
        found = descendants(self._process.pid)
        inits = [pid for pid, inner in found if inner == 1]
        return inits[0] if inits else 0


def descendants(pid: int) -> list[tuple[int, int]]:
    """Return all processes below *pid*: number here, and number in the innermost namespace."""
    below: list[tuple[int, int]] = []
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        for child in map(int, children):
            status = Path(f"/proc/{child}/status").read_text("utf-8", "replace")
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:"))
            below += [(child, int(numbers.split()[-1])), *descendants(child)]
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return below  # one that ended meanwhile
    return below
