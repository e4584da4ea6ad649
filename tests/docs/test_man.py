"""Man pages are made of the help, and hold all of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from drd.cli.main import drctl

TOOL = Path(__file__).parents[2] / "tools" / "man.py"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name and text of each page."""
    folder = tmp_path_factory.mktemp("man")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "86400"}
    subprocess.run([sys.executable, TOOL, folder], check=True, env=environment)
    return {path.name: path.read_text() for path in folder.rglob("*.[18]")}


def commands(group: click.Group, path: str) -> dict[str, click.Command]:
    found: dict[str, click.Command] = {path: group}
    for name, command in group.commands.items():
        inner = f"{path}-{name}"
        found |= commands(command, inner) if isinstance(command, click.Group) else {inner: command}
    return found


def test_each_command_has_a_page_with_every_option(pages: dict[str, str]) -> None:
    for name, command in commands(drctl, "drctl").items():
        text = pages[f"{name}.1"].replace("\\-", "-")
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(one in text for one in parameter.opts), f"{name}: {parameter.opts}"
    assert {"drd.8", "drd-check-config.8"} < set(pages)
    assert "drd-worker.8" not in pages, "it is the daemon's own"


def test_exit_codes_and_the_given_date_stand_in_them(pages: dict[str, str]) -> None:
    page = pages["drctl-restore.1"]
    assert page.startswith('.TH DRCTL-RESTORE 1 "1970-01-02"')
    assert "missing pack" in page[page.index(".SH EXIT STATUS") :]


def test_no_line_is_taken_for_a_request_by_mistake(pages: dict[str, str]) -> None:
    known = re.compile(r"\.(TH|SH|B|TP|PP|nf|fi)\b|[^.']|\\&|$")
    for name, text in pages.items():
        for line in text.splitlines():
            assert known.match(line), f"{name}: {line}"
