"""The control socket: ``drctl run`` and others ask the daemon, one JSON object a line each way.

It lies in the state folder, which only the daemon's user may enter; who can, may ask.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from drd.core.lines import decode, encode
from drd.daemon.happenings import Asked
from drd.errors import ConfigError, DrdError
from drd.model import Json
from drd.wiring.asking import ANSWER_S, MAX_QUESTION, NAME, address_in

AGAIN_S: Final = 1.0
"""How long not to listen when it cannot be done."""


class Control:
    """Listens in *folder*, and gives every question to *put*."""

    def __init__(self, folder: Path, put: Callable[[Asked], None]) -> None:
        self._put = put
        self._closing = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with address_in(folder) as address:
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
        self._closing.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                asking, _ = self._socket.accept()
            except OSError:
                if self._closing.wait(AGAIN_S):
                    return
                continue  # no file is free for it, or who asked went away: others will ask again
            try:
                threading.Thread(target=self._hear, args=(asking,), daemon=True).start()
            except RuntimeError:  # no thread is free for it
                asking.close()

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
