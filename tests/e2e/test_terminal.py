"""What drctl shows on a terminal and what it keeps to itself in a pipe; interrupts of any verb."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from tests.e2e import drctl
from tests.e2e.site import MIB, Site

ESCAPE = re.compile(rb"\x1b")
ENDS_S = 60


def on_a_terminal(*arguments: str) -> tuple[int, bytes, bytes]:
    """Run drctl with a terminal as standard error; exit code, standard output, what was shown."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    with subprocess.Popen(
        [drctl.PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color"},
    ) as running:
        os.close(theirs)
        shown, out = bytearray(), bytearray()
        assert running.stdout
        readable = {ours, running.stdout.fileno()}
        while readable:
            ready, _, _ = select.select(list(readable), [], [], ENDS_S)
            assert ready, "it hangs"
            for descriptor in ready:
                try:
                    data = os.read(descriptor, 65536)
                except OSError:  # EIO: the other end of a terminal was closed
                    data = b""
                if not data:
                    readable.discard(descriptor)
                (shown if descriptor == ours else out).extend(data)
        code = running.wait(timeout=ENDS_S)
    os.close(ours)
    return code, bytes(out), bytes(shown)


@pytest.fixture
def large(site: Site) -> Site:
    site.image(size=64 * MIB)
    site.backup()
    return site


@pytest.mark.parametrize(
    "command",
    [("backup",), ("verify", "--level", "2"), ("restore", "disks/a.img", "--to", "file:OUT")],
    ids=lambda command: command[0],
)
def test_a_terminal_gets_a_bar_with_rate_and_time_left(
    large: Site, tmp_path: Path, command: tuple[str, ...]
) -> None:
    given = [part.replace("OUT", f"{tmp_path}/out") for part in command]
    config = ("--config", str(large.config))
    code, out, shown = on_a_terminal(*given, *config)
    assert code == 0
    assert command[0].encode() in shown
    assert re.search(rb"[0-9.]+/[0-9.]+ MiB", shown), "how much of how much"
    assert b"B/s" in shown
    assert re.search(rb"\d:\d\d:\d\d", shown), "time left"
    assert not ESCAPE.search(out), "nothing of it in what is piped on"


def test_a_program_gets_no_bar(large: Site, tmp_path: Path) -> None:
    config = ("--config", str(large.config))
    code, out, shown = on_a_terminal("backup", "--json", *config)
    assert code == 0
    assert shown == b""
    assert drctl.as_reply(out.decode(), code)["points"]
    piped = drctl.process("restore", "disks/a.img", "--to", f"file:{tmp_path}/out", *config)
    assert piped.code == 0
    assert piped.err == ""
    assert "\x1b" not in piped.text


def test_data_in_a_pipe_and_a_bar_on_the_terminal(large: Site) -> None:
    config = ("--config", str(large.config))
    code, out, shown = on_a_terminal("restore", "disks/a.img", "--to", "-", *config)
    assert code == 0
    assert out == (large.images / "a.img").read_bytes()
    assert b"restore" in shown
    assert b"proven" in shown


def test_no_image_is_written_to_a_terminal(large: Site) -> None:
    ours, theirs = pty.openpty()
    tried = subprocess.run(
        [drctl.PROGRAM, "restore", "disks/a.img", "--to", "-", "--config", str(large.config)],
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=ENDS_S,
        check=False,
    )
    os.set_blocking(ours, False)
    with pytest.raises(BlockingIOError):
        os.read(ours, 1)
    os.close(theirs)
    os.close(ours)
    assert tried.returncode == 2
    assert b"is a terminal" in tried.stderr


SHOWN, HIDDEN = b"\x1b[?25h", b"\x1b[?25l"
"""What shows and hides the cursor (DECTCEM, xterm's control sequences)."""


def test_a_failure_gives_the_terminal_its_cursor_back(large: Site) -> None:
    pack = max((large.repository / "p").rglob("*"), key=lambda path: path.stat().st_size)
    damaged = bytearray(pack.read_bytes())
    damaged[len(damaged) * 4 // 5] ^= 1
    pack.write_bytes(damaged)
    config = ("--config", str(large.config))
    code, _, shown = on_a_terminal("restore", "disks/a.img", "--to", "-", *config)
    assert code == 11
    assert HIDDEN in shown, "a bar was begun"
    assert shown.rfind(SHOWN) > shown.rfind(HIDDEN)


def test_a_reader_of_tables_that_goes_away_is_no_disaster(site: Site) -> None:
    with drctl.started(["ls", "--config", str(site.config)]) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.close()
        words = running.stderr.read()
        running.wait(timeout=ENDS_S)
    assert b"Traceback" not in words
    assert b"Exception ignored" not in words
