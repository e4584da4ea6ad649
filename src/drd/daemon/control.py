"""The control socket: ``drctl run`` and others ask the daemon, one JSON object a line each way.

It lies in the state folder, which only the daemon's user may enter; who can, may ask.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from drd.daemon.happenings import Asked
from drd.daemon.lines import decode, encode
from drd.errors import ConfigError, DrdError, NotFoundError
from drd.model import Json

NAME: Final = "control.sock"
MAX_QUESTION: Final = 1 << 20
ANSWER_S: Final = 10.0
"""So long the loop may take to answer; it answers in milliseconds, or hangs."""


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The socket's name as bind(2) takes it: at most 107 characters, whatever the folder's has."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)


class Control:
    """Listens in *folder*, and gives every question to *put*."""

    def __init__(self, folder: Path, put: Callable[[Asked], None]) -> None:
        self._put = put
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _address(folder) as address:
                (folder / NAME).unlink(
                    missing_ok=True
                )  # of a daemon that was killed: we hold its lock
                self._socket.bind(address)
                (folder / NAME).chmod(0o600)
            self._socket.listen(16)
        except OSError as error:
            self._socket.close()
            raise ConfigError(
                f"the control socket cannot be made: {error.strerror}", about=str(folder / NAME)
            ) from error
        threading.Thread(target=self._serve, name="drd-control", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                asking, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._hear, args=(asking,), daemon=True).start()

    def _hear(self, asking: socket.socket) -> None:
        with asking, suppress(OSError):
            asking.settimeout(ANSWER_S)
            with asking.makefile("rb") as lines:
                line = lines.readline(MAX_QUESTION)
            try:
                question = decode(line)
            except DrdError as error:
                asking.sendall(encode({"error": error.message}))
                return
            answered = threading.Event()
            answers: list[Mapping[str, Json]] = []

            def answer(said: Mapping[str, Json]) -> None:
                answers.append(said)
                answered.set()

            self._put(Asked(question, answer))
            answered.wait(ANSWER_S)
            asking.sendall(encode(answers[0] if answers else {"error": "the daemon is too busy"}))


def ask(folder: Path, question: Mapping[str, Json]) -> Mapping[str, Json]:
    """Ask the daemon whose state lies in *folder*.

    Raises:
        NotFoundError: no daemon listens there.
        DrdError: it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as out:
        out.settimeout(2 * ANSWER_S)
        try:
            with _address(folder) as address:
                out.connect(address)
        except OSError as error:
            raise NotFoundError(
                f"no daemon runs here: {error.strerror}",
                about=str(folder / NAME),
                hint="'systemctl start drd'; 'drctl backup NAME' makes a point without it",
            ) from error
        try:
            out.sendall(encode(question))
            with out.makefile("rb") as lines:
                return decode(lines.readline(MAX_QUESTION))
        except OSError as error:
            raise DrdError(
                f"the daemon does not answer: {error}", about=str(folder / NAME)
            ) from error
