"""Leases held by processes that can be killed and suspended.

Run as a program it is such a process: it takes the lease, says so, and does what its standard input
asks, a word a line, until that ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from drd.ceph.cluster import CephAccess
from drd.errors import DrdError
from drd.leases.local import LocalLease
from drd.leases.rados import RadosLease, Terms
from drd.ports import Lease

ROOT = Path(__file__).parents[2]
ENDS_S = 60.0


def make(how: Mapping[str, str]) -> Lease:
    """The lease that *how* describes: a folder, or a cluster, a pool and a time to live in seconds."""
    if "folder" in how:
        return LocalLease(Path(how["folder"]))
    access = CephAccess(conf=how["conf"], client=how.get("client", "client.admin"))
    terms = Terms(how["pool"], float(how["ttl"]), f"node-{os.getpid()}")
    return RadosLease(access, terms, random=os.urandom, timer=time.monotonic)


class OtherProcess:
    """A process that holds a lease."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def began(self) -> str:
        """``held``, or why it was refused."""
        return self._line()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(ENDS_S)

    def suspend(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def asks(self, what: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self._line()

    def leave(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(ENDS_S)


@contextmanager
def holder(how: Mapping[str, str], name: str) -> Iterator[OtherProcess]:
    """Another process that holds *name*."""
    command = [sys.executable, "-m", "tests.lab.holders", json.dumps(how), name]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        other = OtherProcess(process)
        try:
            assert other.began() == "held"
            yield other
        finally:
            process.kill()


def main() -> None:
    """Be the other process."""
    how, name = json.loads(sys.argv[1]), sys.argv[2]
    with make(how).hold(name) as held:
        print("held", flush=True)  # noqa: T201
        for line in sys.stdin:
            try:
                getattr(held, line.strip())()
                print("ok", flush=True)  # noqa: T201
            except DrdError as error:
                print(error.code, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
