"""What is printed for people cannot steer their terminal; what cannot be printed is told in one line."""

from __future__ import annotations

import io
import json
import os
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from typing_extensions import override

from drd.cli.output import Reply, printable, say
from drd.errors import RefusedError
from tests.e2e import drctl

EVIL = "a\x1b[31m\nb\tc\x7fd\x9be\u00fc\udcfff"
HARMLESS = r"a\x1b[31m\nb\tc\x7fd\x9beü\udcfff"


def said(reply: Reply, *, as_json: bool = False) -> tuple[str, str]:
    """What goes to standard output, and to standard error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        say(reply, as_json=as_json)
    return out.getvalue(), err.getvalue()


def test_control_characters_are_escaped() -> None:
    assert printable(EVIL) == HARMLESS
    kept = [char for char in map(chr, range(0x100)) if printable(char) == char]
    assert kept == [*map(chr, range(0x20, 0x7F)), *map(chr, range(0xA0, 0x100))]


def test_no_name_steers_the_terminal_of_who_reads_of_it() -> None:
    reply = Reply(
        shown=[{"name": EVIL, "also": [EVIL], "n": 1}, {"name": "b", "also": [], "n": 2}],
        text=[EVIL],
        errors=[RefusedError(EVIL, about=EVIL, hint=EVIL)],
        warnings=[EVIL],
    )
    out, err = said(reply)
    assert len(out.splitlines()) == 4
    assert len(err.splitlines()) == 3
    assert out.count(HARMLESS) == 3
    assert err.count(HARMLESS) == 4
    head, first, second, _ = out.splitlines()
    assert head.index("also") == first.index(HARMLESS, 1), "columns line up"
    assert second[: head.index("also")].strip() == "b"


def test_json_has_names_as_they_are() -> None:
    reply = Reply(lists={"points": [{"name": EVIL}]})
    out, err = said(reply, as_json=True)
    assert err == ""
    assert out.encode()
    assert json.loads(out)["points"] == [{"name": EVIL}]


class Full(io.StringIO):
    """A disk without room."""

    @override
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_errors_are_told_also_where_the_table_cannot_be_written() -> None:
    err = io.StringIO()
    reply = Reply(shown=[{"name": "a"}], errors=[RefusedError("in use", about="b")])
    with (
        redirect_stdout(Full()),
        redirect_stderr(err),
        pytest.raises(OSError, match="No space"),
    ):
        say(reply, as_json=False)
    assert "in use" in err.getvalue()


def with_streams(out: str, err: str, *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of drctl with its streams as the shell has them."""
    command = ["sh", "-c", f'exec "$0" "$@" {out} {err}', str(drctl.PROGRAM), *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=60)
    return done.returncode, done.stderr.decode()


@pytest.fixture
def preview(tmp_path: Path) -> tuple[str, ...]:
    """A command that needs no repository."""
    times = tmp_path / "times"
    times.write_text("2026-11-21T10:00:00Z\n")
    return ("policy", "preview", "--keep", "hourly=1", "--times", os.fspath(times))


@pytest.mark.parametrize("more", [(), ("--json",), ("--help",)])
def test_output_that_cannot_be_written_is_one_line_and_1(
    preview: tuple[str, ...], more: tuple[str, ...]
) -> None:
    code, err = with_streams(">/dev/full", "", *preview, *more)
    assert code == 1
    (line,) = err.splitlines()
    assert line == "error: the output cannot be written: No space left on device"
    assert with_streams(">/dev/full", "2>/dev/full", *preview, *more) == (1, "")
    assert with_streams(">/dev/null", "", *preview, *more) == (0, "")
