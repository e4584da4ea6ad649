"""``drctl`` as its users have it: run in this process where speed matters, else as one of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from drd.cli.main import main

PROGRAM = Path(sys.executable).with_name("drctl")
ENDS_S = 120.0

Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """Exit code and what was printed."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.out.decode()

    @cached_property
    def reply(self) -> Row:
        """The one JSON object on standard output."""
        return as_reply(self.text, self.code)

    @cached_property
    def reply_on_stderr(self) -> Row:
        """The one JSON object on standard error, when standard output carries data."""
        return as_reply(self.err, self.code)

    @property
    def points(self) -> list[Row]:
        """Its points."""
        rows: list[Row] = self.reply["points"]
        return rows

    @property
    def error(self) -> Row:
        """Its only error."""
        (found,) = self.reply["errors"]
        row: Row = found
        return row


def as_reply(text: str, code: int) -> Row:
    """Parse the object of the contract, and check what holds for each."""
    reply: Row = json.loads(text)
    assert set(reply) >= {"ok", "exit", "errors"}
    assert reply["ok"] is (code == 0)
    assert reply["exit"] == code
    assert bool(reply["errors"]) is (code != 0)
    for error in reply["errors"]:
        assert set(error) == {"code", "object", "message", "hint"}
        assert all(isinstance(value, str) for value in error.values())
        assert error["message"]
        assert "Traceback" not in error["message"]
        assert "a bug in drd" not in error["message"]
    return reply


def here(*arguments: str) -> Answer:
    """Run ``drctl`` in this process."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert isinstance(code, int)
    raw_out, raw_err = out.buffer, err.buffer
    assert isinstance(raw_out, io.BytesIO)
    assert isinstance(raw_err, io.BytesIO)
    return _checked(Answer(code, raw_out.getvalue(), raw_err.getvalue().decode()))


def process(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Answer:
    """Run ``drctl`` as a process; *env* is added to the environment."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        check=False,
        timeout=ENDS_S,
    )
    return _checked(Answer(done.returncode, done.stdout, done.stderr.decode()))


def started(
    arguments: Sequence[str], *, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start ``drctl`` and leave it running."""
    return subprocess.Popen(
        [PROGRAM, *arguments],
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _checked(answer: Answer) -> Answer:
    """No traceback, whatever happened."""
    assert "Traceback" not in answer.err, answer.err
    assert b"Traceback" not in answer.out
    return answer
