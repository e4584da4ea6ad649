"""Asking a daemon that runs here: one JSON object a line each way, on a socket in its state folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from drd.core.lines import decode, encode, text
from drd.errors import ConfigError, DrdError, NotFoundError
from drd.model import Json

NAME: Final = "control.sock"
MAX_QUESTION: Final = 1 << 20
ANSWER_S: Final = 10.0
"""So long the loop may take to answer; it answers in milliseconds, or hangs."""


@contextmanager
def address_in(folder: Path) -> Iterator[str]:
    """The socket's name as bind(2) takes it: at most 107 characters, whatever the folder's has."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)


def is_deserted(folder: Path) -> bool:
    """Whether a daemon worked in *folder*, and none listens there now: its socket stays behind. False
    where that is not known. Nothing is asked, so the daemon tells nobody of it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as out:
        out.settimeout(1.0)
        try:
            with address_in(folder) as address:
                out.connect(address)
        except ConnectionRefusedError:
            return True
        except OSError:  # no socket, or no right to it: whether it ticks tells
            return False
    return False


def ask(
    folder: Path, question: Mapping[str, Json], *, patience_s: float = 2 * ANSWER_S
) -> Mapping[str, Json]:
    """Ask the daemon whose state lies in *folder*, which may take *patience_s* seconds for each step.

    Raises:
        NotFoundError: no daemon listens there.
        ConfigError: this user may not ask it.
        DrdError: it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as out:
        out.settimeout(patience_s)
        try:
            with address_in(folder) as address:
                out.connect(address)
        except PermissionError as error:
            raise ConfigError(
                "the daemon may run, but this user may not ask it: permission denied",
                about=str(folder / NAME),
                hint="ask as root, or as the user that drd runs as: sudo -u drd drctl ...",
            ) from error
        except OSError as error:
            raise NotFoundError(
                f"no daemon runs here: {error.strerror}",
                about=str(folder / NAME),
                hint="'systemctl status drd' says why, 'systemctl start drd' starts it; "
                "'drctl backup NAME' makes a point without it",
            ) from error
        try:
            out.sendall(encode(question))
            with out.makefile("rb") as lines:
                answer = decode(lines.readline(MAX_QUESTION))
        except OSError as error:
            raise DrdError(
                f"the daemon does not answer: {error}",
                about=str(folder / NAME),
                hint="'systemctl status drd' and 'journalctl -u drd' say what it does; "
                "'drctl backup NAME' makes a point without it",
            ) from error
    if text(answer, "error"):
        raise DrdError(text(answer, "error"), about="drd", hint=text(answer, "hint"))
    return answer
