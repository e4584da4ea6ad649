"""Where lines of the log wait to be written: a pipe that nobody empties, a full disk, a reader that went
away must neither stop nor end the daemon. Lines that find no room are counted, and told of later.
"""

from __future__ import annotations

import os
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Final

LOST: Final = "log_lost"
"""The event that tells how many."""
MOST_LINES: Final = 10_000
"""Lines that wait at most: some 3 MB."""
END_S: Final = 3.0
"""Seconds that the last lines get when the daemon ends."""
AGAIN_S: Final = 1.0
"""Seconds until it is tried again to write what could not be written."""


class Spool:
    """Takes lines for the open file *fd* and never waits; a thread of its own writes them."""

    def __init__(self, fd: int, *, most: int = MOST_LINES) -> None:
        self._fd = fd
        self.most = most
        self._line = ""
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._lock = Lock()
        self._lost = 0
        self._failing = False
        self._ending = Event()
        self._thread = Thread(target=self._serve, name="drd-log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """As a text file has it: a line begins, or goes on."""
        self._line += text
        return len(text)

    def flush(self) -> None:
        """The line is whole."""
        line, self._line = self._line, ""
        if self.has_room():
            self._lines.put(line.encode("utf-8", "backslashreplace"))
        else:
            self._lose()

    def has_room(self) -> bool:
        """Whether a line of now is taken."""
        return self._lines.qsize() < self.most

    def isatty(self) -> bool:
        """Whether people see it on a terminal."""
        return os.isatty(self._fd)

    def take_lost(self) -> int:
        """How many lines were lost since this was asked last."""
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost

    def close(self) -> None:
        """Write what waits, for a moment at most."""
        self._ending.set()
        self._lines.put(None)
        self._thread.join(END_S)

    def _lose(self) -> None:
        with self._lock:
            self._lost += 1

    def _serve(self) -> None:
        while (line := self._lines.get()) is not None:
            while line:
                try:
                    line = line[os.write(self._fd, line) :]
                    self._failing = False
                except BlockingIOError:  # who started drd made the pipe so
                    self._ending.wait(AGAIN_S / 10)
                except OSError as error:
                    self._complain(error)
                    self._lose()
                    self._ending.wait(AGAIN_S)
                    break

    def _complain(self, error: OSError) -> None:
        """Say once that the log cannot be written, where errors go."""
        if not self._failing:
            told = f"error: the log cannot be written: {error.strerror}; drd goes on without it\n"
            with suppress(OSError):
                os.write(2, told.encode())
        self._failing = True
