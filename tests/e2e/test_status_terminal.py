"""``drctl status`` on a terminal: its colours, and ``--watch``."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import drctl
from tests.e2e.known import backed_up, failed, image_of, note, note_failure, watched
from tests.e2e.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return watched(tmp_path)


@contextmanager
def terminal(
    *arguments: str, columns: int = 160, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Drctl with a terminal as standard output."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    started = subprocess.Popen(
        [drctl.PROGRAM, *arguments],
        stdout=theirs,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(theirs)
    try:
        yield started, ours
    finally:
        started.kill()
        started.wait()
        os.close(ours)


def shown(ours: int, until: bytes | None = None) -> bytes:
    """What came until then, or until the other end was closed."""
    seen = bytearray()
    while until is None or until not in seen:
        ready, _, _ = select.select([ours], [], [], drctl.ENDS_S)
        assert ready, f"it hangs: {bytes(seen)!r}"
        try:
            data = os.read(ours, 65536)
        except OSError:  # EIO: the other end was closed
            return bytes(seen)
        if not data:
            return bytes(seen)
        seen += data
    return bytes(seen)


def test_states_have_colours_on_a_terminal_alone(site: Site) -> None:
    backed_up(site, "a")
    given = ("status", "--config", str(site.config))
    with terminal(*given) as (_, ours):
        assert b"\x1b[32mok" in shown(ours)
    with terminal(*given, NO_COLOR="1") as (_, ours):
        assert b"\x1b" not in shown(ours)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_follows_what_happens_until_it_is_stopped(
    site: Site, number: signal.Signals
) -> None:
    backed_up(site, "a")
    given = ("status", "--watch", "--config", str(site.config))
    with terminal(*given) as (started, ours):
        assert b"disks/a.img" in shown(ours, b"1 ok")
        note(site, image_of(site, "new one"))
        shown(ours, b"new one")
        started.send_signal(number)
        rest = shown(ours)
        assert started.wait(drctl.ENDS_S) == 0
    assert b"Traceback" not in rest
    assert b"\x1b[?1049l" in rest, "the terminal is given back"


def test_a_watch_on_a_narrow_terminal_cuts_the_reason(site: Site) -> None:
    name = "a machine with a long name"
    backed_up(site, name)
    why = "no route to the host of the bucket"
    note_failure(site, failed(image_of(site, name), why))
    given = ("status", "--watch", "--config", str(site.config))
    with terminal(*given, columns=80) as (started, ours):
        seen = shown(ours, "…".encode())
        assert f"disks/{name}.img".encode() in seen
        assert b" / 2h" in seen
        assert b"failing" in seen
        assert b"the last run" in seen
        assert why.encode() not in seen
        started.send_signal(signal.SIGINT)
        shown(ours)


def test_a_watch_needs_a_terminal(site: Site) -> None:
    backed_up(site, "a")
    assert site.told("status", "--watch").code == 2
    assert site.run("status", "--watch").code == 2
