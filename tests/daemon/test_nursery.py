"""The nursery, with real processes."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

from drd.core.lines import encode
from drd.daemon.happenings import Ended, Line, NurseryGone
from drd.daemon.nursery import Nursery


def test_a_worker_that_takes_nothing_holds_nobody_up() -> None:
    """Its mother is stopped before it is born: no pipe is read, and pipes hold 64 KiB."""
    heard: SimpleQueue[Line | Ended | NurseryGone] = SimpleQueue()
    nursery = Nursery(heard.put, dict(os.environ))
    try:
        os.kill(nursery.pid, signal.SIGSTOP)

        def talk() -> None:
            nursery.start("00", ({"config": "x" * (1 << 20)}, {"job": "none"}))
            for number in range(10_000):
                nursery.tell("00", {"order": "limits", "bytes_per_s": number})

        talking = threading.Thread(target=talk, daemon=True)
        talking.start()
        talking.join(30)
        assert not talking.is_alive()
    finally:
        os.kill(nursery.pid, signal.SIGKILL)
        assert isinstance(heard.get(timeout=30), NurseryGone)
        ended = heard.get(timeout=30)
        assert ended == Ended("00", -signal.SIGKILL)
        nursery.close()


def _end(queue: SimpleQueue[Line | Ended | NurseryGone]) -> Ended | NurseryGone:
    """The next thing that is not said, but happens."""
    while isinstance(heard := queue.get(timeout=30), Line):
        pass
    return heard


def test_a_job_that_is_unknown_to_a_worker_ends_and_says_so() -> None:
    """As one may be that another version of drd asks for."""
    heard: SimpleQueue[Line | Ended | NurseryGone] = SimpleQueue()
    nursery = Nursery(heard.put, dict(os.environ))
    try:
        nursery.start("00", ({}, {"job": "none"}))
        said = heard.get(timeout=30)
        assert isinstance(said, Line)
        assert said.said["outcome"] == "failed"
        assert heard.get(timeout=30) == Ended("00", 1)
    finally:
        nursery.close()


def _room_for(pid: int, more: int) -> int:
    """The limit under which a process can open just so many *more* files: it counts numbers, not files."""
    number = 0
    while more or Path(f"/proc/{pid}/fd/{number}").is_symlink():
        more -= not Path(f"/proc/{pid}/fd/{number}").is_symlink()
        number += 1
    return number


def test_where_no_file_can_be_opened_a_run_fails_and_nothing_stays_open() -> None:
    """The daemon's own limit first, then its mother's of workers; both go on as soon as there is room."""
    heard: SimpleQueue[Line | Ended | NurseryGone] = SimpleQueue()
    nursery = Nursery(heard.put, dict(os.environ))
    try:
        nursery.start("first", ({}, {"job": "none"}))
        assert _end(heard) == Ended("first", 1)
        for pid in (os.getpid(), nursery.pid):
            limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            for room in (1, 2):  # for less than both pipes
                most = _room_for(pid, room - 1)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, limits[1]))
                nursery.start(f"{pid} {room}", ({}, {"job": "none"}))
                ended = _end(heard)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
                assert ended == Ended(f"{pid} {room}", os.EX_OSERR)
                nursery.start("again", ({}, {"job": "none"}))
                assert _end(heard) == Ended("again", 1)
    finally:
        nursery.close()


def test_a_group_that_is_told_to_end_leaves_the_mother_to_the_daemon() -> None:
    heard: SimpleQueue[Line | Ended | NurseryGone] = SimpleQueue()
    nursery = Nursery(heard.put, dict(os.environ))
    try:
        nursery.start("00", ())  # it waits for its job; by then its mother has imported everything
        while not (children := _children(nursery.pid)):
            assert heard.empty()
        for pid in (nursery.pid, *children):
            os.kill(pid, signal.SIGTERM)
        nursery.kill("00")
        assert heard.get(timeout=30) == Ended("00", -signal.SIGKILL)
    finally:
        nursery.close()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_mother_that_hangs_dies_when_its_child_is_to_be_killed_again() -> None:
    heard: SimpleQueue[Line | Ended | NurseryGone] = SimpleQueue()
    nursery = Nursery(heard.put, dict(os.environ))
    try:
        os.kill(nursery.pid, signal.SIGSTOP)
        nursery.start("00", ())
        nursery.kill("00")
        nursery.kill("00")
        assert heard.get(timeout=30) == NurseryGone(-signal.SIGKILL)
        assert heard.get(timeout=30) == Ended("00", -signal.SIGKILL)
    finally:
        nursery.close()


NO_THREAD = """
import os, resource
from queue import SimpleQueue
from drd.daemon.nursery import Nursery
heard = SimpleQueue()
nursery = Nursery(heard.put, dict(os.environ))
now, most = resource.getrlimit(resource.RLIMIT_AS)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 20), most))
nursery.start("00", ({}, {"job": "none"}))
first = heard.get(timeout=30)
resource.setrlimit(resource.RLIMIT_AS, (now, most))
nursery.start("01", ())
nursery.kill("01")
second = heard.get(timeout=30)
print(first.run, first.status, second.run, second.status)
nursery.close()
"""


def test_where_no_thread_can_be_started_a_run_fails_and_the_next_begins() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_THREAD], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["00", str(os.EX_OSERR), "01", str(-signal.SIGKILL)], done.stderr


def test_a_daemon_that_dies_before_it_reads_leaves_a_mother_that_ends_quietly() -> None:
    """Its end of the line is reset then, and not closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "drd.daemon", "worker"]
    mother = subprocess.Popen(command, stdin=theirs.fileno(), stderr=subprocess.PIPE)
    theirs.close()
    ours.send(encode({"run": "00"}))  # without pipes: it answers at once that it cannot
    assert select.select([ours], [], [], 60)[0], "it answered"
    ours.send(encode({"run": "01"}))
    ours.close()
    _, told = mother.communicate(timeout=60)
    assert (mother.returncode, told) == (0, b"")
