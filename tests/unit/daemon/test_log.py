"""The log's own list, and the page that shows it, are one."""

from __future__ import annotations

import io
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest

from drd.daemon.log import EVENTS, Log

PAGE = Path(__file__).parents[3] / "docs" / "events.md"
SOURCES = Path(__file__).parents[3] / "src" / "drd"


def test_the_page_lists_every_event_with_meaning_and_what_to_do() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    assert {name: rest for name, *rest in rows} == {
        name: [one.level, one.means, one.do] for name, one in EVENTS.items()
    }


def test_every_event_is_said_somewhere() -> None:
    code = "".join(path.read_text() for path in (SOURCES / "daemon").glob("*.py"))
    spoken = code.replace((SOURCES / "daemon" / "log.py").read_text(), "")
    outcomes = {name for name in EVENTS if name.startswith("run_")}
    missing = [name for name in EVENTS if f'"{name}"' not in spoken and name not in outcomes]
    assert not missing


def test_names_are_left_out_where_the_log_must_not_have_them() -> None:
    out = io.StringIO()
    Log(out, as_json=True, names=False).say("run_started", run="00ff", image="vms/secret", seq=None)
    assert "secret" not in out.getvalue()
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"], line["run"]) == ("run_started", "info", "00ff")
    assert "seq" not in line


@pytest.mark.parametrize("event", ["run_failed", "run_warning", "source_unreachable"])
def test_what_a_worker_said_is_left_out_with_them_for_it_names_images(event: str) -> None:
    out = io.StringIO()
    log = Log(out, as_json=True, names=False)
    log.say(event, code="source", message="no such image [vms/secret]", hint="look at vms/secret")
    assert "secret" not in out.getvalue()
    assert json.loads(out.getvalue())["code"] == "source"
    log.say("run_crashed", message="died of signal 11")
    assert "signal 11" in out.getvalue()


def test_a_line_that_cannot_be_written_ends_nothing() -> None:
    with Path("/dev/full").open("w", buffering=1, encoding="utf-8") as full:
        Log(full, as_json=True).say("daemon_stopped")
        with suppress(OSError):
            full.flush()
        with suppress(OSError):
            full.close()


def test_an_event_that_nobody_explains_cannot_be_said() -> None:
    with pytest.raises(KeyError):
        Log(io.StringIO(), as_json=True).say("something_else")
