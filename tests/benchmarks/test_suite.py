"""The benchmarks can be run: what there is, one of them in small, and what becomes of its result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import page, results, suite
from benchmarks.figures import Figure, Goal, Result

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_it_lists_what_there_is_and_each_can_be_loaded() -> None:
    listed = run("--list")
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(suite.ALL)
    for name in suite.ALL:
        assert callable(suite.runner(name))


def test_an_unknown_name_is_refused() -> None:
    refused = run("cripto")
    assert refused.returncode == 2
    assert "cripto" in refused.stderr


def test_one_runs_in_small_and_keeps_each_measurement(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    done = run("crypto", "--quick", "--json", str(file), "--scratch", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    row: dict[str, Any] = json.loads(file.read_text())["results"]["crypto"]
    assert row["quick"] is True
    assert {figure["unit"] for figure in row["figures"]} == {"%"}
    assert all(value > 0 for series in row["series"].values() for value in series)
    assert row["machine"]["packages"]["cryptography"]
    again = run("crypto", "--quick", "--resume", "--json", str(file), "--scratch", str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert "==" not in again.stdout  # it was there already


@pytest.mark.parametrize(
    "goal,value,reached",
    [(Goal(90), 90.0, True), (Goal(90), 89.9, False), (Goal(1, at_most=True), 1.01, False)],
)
def test_a_missed_target_is_told(goal: Goal, value: float, reached: bool) -> None:  # noqa: FBT001
    row = Figure("a figure", value, "%", goal).as_row()
    assert row["reached"] is reached
    told = page.table({"results": {"crypto": {"figures": [row]}}})
    assert ("**no**" in told) is not reached


def test_a_ratio_is_made_round_by_round() -> None:
    found = Result()
    for one, other in ((10.0, 5.0), (40.0, 10.0), (9.0, 3.0)):
        found.measure("shell", one)
        found.measure("drd", other)
    assert found.ratio("shell", "drd") == 3.0  # the median of 2, 4 and 3


def test_page_and_drawing_hold_what_was_measured(tmp_path: Path) -> None:
    (tmp_path / "benchmarks.md").write_text(f"# B\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    figure = Figure("a & b", 2.0, "x", Goal(1.5)).as_row()
    row = {"figures": [figure], "notes": [], "about": "x", "quick": False, "commit": "c"}
    row |= {"measured_at": "2026-01-01T00:00:00+00:00", "load_before": 0, "seconds": 1}
    row |= {"machine": {"cores": 2, "processor": "p", "python": "3"}}
    page.write({"results": {"crypto": row}}, tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert "old" not in text
    assert text.endswith(f"{page.END}\nafter\n")
    assert "| a & b | 2.00 \u00d7 | ≥ 1.50 \u00d7 | yes |" in text
    assert "a &amp; b" in (tmp_path / "benchmarks.svg").read_text()


def test_results_are_replaced_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    results.keep(file, "crypto", {"commit": "a", "quick": False})
    results.keep(file, "start", {"commit": "a", "quick": False})
    results.keep(file, "crypto", {"commit": "b", "quick": False})
    whole = results.load(file)
    assert results.has(whole, "crypto", "b", quick=False)
    assert not results.has(whole, "crypto", "a", quick=False)
    assert not results.has(whole, "start", "a", quick=True)
