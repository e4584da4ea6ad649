"""``drctl policy preview``: which times would be kept, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e import drctl
from tests.e2e.drctl import Answer

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


def preview(tmp_path: Path, keep: str, times: list[str], *more: str) -> Answer:
    path = tmp_path / "times"
    path.write_text("\n".join(times))
    arguments = ("policy", "preview", "--keep", keep, "--times", str(path), "--json")
    return drctl.here(*arguments, *(more or ("--now", NOW.isoformat())))


def test_a_decision_has_time_keep_and_reasons(tmp_path: Path) -> None:
    hours = [NOW - timedelta(hours=number) for number in range(100)]
    answer = preview(tmp_path, "hourly=24,daily=7", [one.isoformat() for one in hours])
    assert answer.code == 0
    decisions = answer.reply["decisions"]
    assert len(decisions) == 100
    for one in decisions:
        assert set(one) == {"time", "keep", "reasons"}
        assert one["time"].endswith("Z")
        assert isinstance(one["keep"], bool)
        assert one["reasons"]
        assert all(isinstance(reason, str) for reason in one["reasons"])
    kept = {datetime.fromisoformat(one["time"]) for one in decisions if one["keep"]}
    assert set(hours[:24]) <= kept
    days = {one.date() for one in kept}
    assert len(days) == 5
    assert len(kept) == 24 + 3


def test_it_needs_no_configuration_and_the_clock_is_the_default(tmp_path: Path) -> None:
    past = preview(tmp_path, "last=1", ["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"], "--json")
    assert [one["keep"] for one in past.reply["decisions"]] == [False, True]


def test_times_with_any_offset(tmp_path: Path) -> None:
    answer = preview(tmp_path, "daily=1", ["2026-11-20T23:30:00-02:00", "2026-11-21T00:30:00Z", ""])
    assert [one["time"] for one in answer.reply["decisions"]] == [
        "2026-11-21T00:30:00Z",
        "2026-11-21T01:30:00Z",
    ]


@pytest.mark.parametrize(
    "keep, times, now",
    [
        ("hourly=x", ["2026-11-21T00:30:00Z"], "2026-11-21T10:00:00Z"),
        ("hourlie=3", ["2026-11-21T00:30:00Z"], "2026-11-21T10:00:00Z"),
        ("hourly=3", ["2026-11-21T00:30:00"], "2026-11-21T10:00:00Z"),
        ("hourly=3", ["yesterday"], "2026-11-21T10:00:00Z"),
        ("hourly=3", ["2026-11-21T00:30:00Z"], "2026-11-21T10:00:00"),
    ],
)
def test_wrong_input_is_usage(tmp_path: Path, keep: str, times: list[str], now: str) -> None:
    answer = preview(tmp_path, keep, times, "--now", now)
    assert answer.code == 2
    assert answer.error["hint"]
    assert answer.reply["decisions"] == []


def test_an_unknown_rule_names_the_nearest(tmp_path: Path) -> None:
    error = preview(tmp_path, "hourlie=3", []).error
    assert "hourly" in error["message"] + error["hint"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    answer = drctl.here("policy", "preview", "--keep", "last=1", "--times", path, "--json")
    assert answer.code == 2
    assert answer.error["object"] == path


def test_for_people(tmp_path: Path) -> None:
    path = tmp_path / "times"
    path.write_text("2026-11-21T00:30:00Z\n")
    answer = drctl.here("policy", "preview", "--keep", "daily=7", "--times", str(path))
    assert answer.code == 0
    assert "2026-11-21T00:30:00Z" in answer.text
    assert "newest" in answer.text
