"""Worker processes: one mother that imported everything and opened nothing, one child for each run.

The mother is ``drd worker`` with a socket as its stdin; over it come the two ends of pipes for each
child (SCM_RIGHTS), and back go process ids and how each child ended. A fork costs milliseconds
where a fresh process imports for half a second, and memory that was imported is shared. A child
that dies, of whatever, is a failed run and nothing else; when the mother dies the kernel takes its
children along, and another is started.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from signal import SIGKILL
from typing import Final, Protocol

from drd.core.lines import decode, encode, number, text
from drd.daemon.happenings import Ended, Line, NurseryGone
from drd.errors import DrdError
from drd.model import Json

COMMAND: Final = (sys.executable, "-m", "drd.daemon", "worker")
MESSAGE: Final = 4096
"""Bytes of a message between nursery and mother: a run's id, a process id, a status."""
UNBORN: Final = os.EX_OSERR
"""What a child ends with that could not be born (sysexits.h: "can't fork")."""

Put = Callable[[Line | Ended | NurseryGone], None]


class Workers(Protocol):
    """What the loop needs of worker processes."""

    def start(self, run: str, first: tuple[Mapping[str, Json], ...]) -> None:
        """Begin a worker that is told *first*."""
        ...

    def tell(self, run: str, said: Mapping[str, Json]) -> None:
        """Tell a worker that runs; one that ended hears nothing."""
        ...

    def kill(self, run: str) -> None:
        """End a worker at once; asked again, by whatever means it takes."""
        ...


@dataclass(slots=True)
class _Child:
    """A worker: the pipe to it, and what is known of its end."""

    to: int
    mother: subprocess.Popen[bytes]
    lines: SimpleQueue[bytes | None] = field(default_factory=SimpleQueue)
    pid: int | None = None
    killed: bool = False
    status: int | None = None
    silent: bool = False


class Nursery:
    """Starts workers, and puts what they say and how they end with *put*; see :class:`Workers`.

    Args:
        put: takes happenings, from any thread.
        environment: of the workers.
    """

    def __init__(self, put: Put, environment: Mapping[str, str]) -> None:
        self._put = put
        self._environment = dict(environment)
        self._children: dict[str, _Child] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._open()

    def _open(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._mother = subprocess.Popen(  # noqa: S603 - a fixed command
                COMMAND, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=self._environment
            )
        listener = threading.Thread(target=self._listen, args=(ours, self._mother), daemon=True)
        try:
            listener.start()
        except RuntimeError:
            self._mother.kill()
            self._mother.wait()
            ours.close()
            raise
        self._socket = ours

    @property
    def pid(self) -> int:
        """The mother's process id."""
        return self._mother.pid

    def start(self, run: str, first: tuple[Mapping[str, Json], ...]) -> None:
        """See :class:`Workers`. A mother that died meanwhile is replaced before. Where there is no room for
        another process or thread, or no more files can be opened, this run has failed, and nothing else.
        """
        try:
            child, out_read = self._bear(run)
        except (OSError, RuntimeError):  # RuntimeError: threading, where none can be started
            self._lose(run)
            return
        try:
            threading.Thread(target=self._read, args=(run, child, out_read), daemon=True).start()
        except RuntimeError:
            os.close(out_read)
            os.close(child.to)  # a worker that hears of no job ends
            self._lose(run)
            return
        for one in first:
            child.lines.put(encode(one))
        # A thread of its own: a pipe holds little, a worker that hangs takes nothing, the loop never waits.
        try:
            threading.Thread(target=_speak, args=(child,), daemon=True).start()
        except RuntimeError:
            os.close(child.to)

    def _lose(self, run: str) -> None:
        with self._lock:
            self._children.pop(run, None)
        self._put(Ended(run, UNBORN))

    def _bear(self, run: str) -> tuple[_Child, int]:
        """A child, and the end of the pipe on which it speaks; where that fails nothing stays open."""
        with ExitStack() as ours, ExitStack() as theirs:
            in_read, in_write = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, in_read)
            ours.callback(os.close, in_write)
            out_read, out_write = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, out_write)
            ours.callback(os.close, out_read)
            child = _Child(in_write, self._mother)
            with self._lock:
                self._children[run] = child
            self._send(run, child, [in_read, out_write])
            ours.pop_all()
        return child, out_read

    def _send(self, run: str, child: _Child, ends: list[int]) -> None:
        try:
            socket.send_fds(self._socket, [encode({"run": run})], ends)
        except ConnectionError:
            self._mother.wait()
            self._open()
            with self._lock:  # who listened to the old mother may have taken it for one of hers
                child.mother, child.status = self._mother, None
            socket.send_fds(self._socket, [encode({"run": run})], ends)

    def tell(self, run: str, said: Mapping[str, Json]) -> None:
        """See :class:`Workers`."""
        child = self._children.get(run)
        if child is not None:
            child.lines.put(encode(said))

    def kill(self, run: str) -> None:
        """See :class:`Workers`. A mother that did not tell of its end until it is asked again dies, too."""
        child = self._children.get(run)
        if child is not None:
            if child.killed and child.status is None:
                child.mother.kill()
            child.killed = True
            if child.pid is not None and child.status is None:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, SIGKILL)

    def close(self) -> None:
        """End the mother, and with it every worker that still runs."""
        self._closing = True
        self._socket.close()
        self._mother.kill()
        self._mother.wait()

    # ── threads that listen ───────────────────────────────────────────────────────────────────
    def _read(self, run: str, child: _Child, fd: int) -> None:
        """All lines of one worker, until it closes its end."""
        with os.fdopen(fd, "rb") as lines:
            for line in lines:
                try:
                    self._put(Line(run, decode(line)))
                except DrdError:
                    continue  # a library that writes to stdout: no line of drd's
        self._end(run, child, silent=True)

    def _listen(self, ours: socket.socket, mother: subprocess.Popen[bytes]) -> None:
        """All messages of one mother, until it ends."""
        with suppress(OSError):
            while message := ours.recv(MESSAGE):
                said = decode(message)
                child = self._children.get(text(said, "run"))
                if child is None:
                    continue
                if "status" in said:
                    self._end(text(said, "run"), child, status=number(said, "status"))
                else:
                    child.pid = number(said, "pid")
                    if child.killed:
                        with suppress(ProcessLookupError):
                            os.kill(child.pid, SIGKILL)
        status = mother.wait()
        if self._closing:
            return
        self._put(NurseryGone(status))
        with self._lock:
            left = [(run, one) for run, one in self._children.items() if one.mother is mother]
            for _, one in left:
                one.status = -SIGKILL if one.status is None else one.status
        for run, child in left:
            self._end(run, child)

    def _end(
        self, run: str, child: _Child, *, status: int | None = None, silent: bool = False
    ) -> None:
        """A worker has ended when its process has, and all that it said was heard."""
        with self._lock:
            child.silent = child.silent or silent
            child.status = status if child.status is None else child.status
            if child.status is None or not child.silent or run not in self._children:
                return
            del self._children[run]
        child.lines.put(None)
        self._put(Ended(run, child.status))


def _speak(child: _Child) -> None:
    """Say to a worker what it is told, until it has ended; one that ended hears nothing."""
    with os.fdopen(child.to, "wb", buffering=0) as pipe, suppress(BrokenPipeError):
        while (line := child.lines.get()) is not None:
            view = memoryview(line)
            while view:
                view = view[pipe.write(view) :]
