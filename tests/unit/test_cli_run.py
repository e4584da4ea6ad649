"""What ``drctl run --wait`` and ``drctl logs`` tell of a run that failed."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from drd.cli import status
from drd.cli.run import _tell, failure_of
from drd.errors import DrdError
from drd.model import Outcome, RunRecord
from drd.testing.fakes import START
from drd.wiring import asking
from tests.e2e import drctl

BASE = RunRecord("ab" * 8, "backup", "device:a", "disks/a", "disks", "gold", START)


def failed(code: str, exit_code: int, name: str = "disks/a") -> RunRecord:
    run = replace(BASE, label=name, ended_at=START, outcome=Outcome.FAILED, exit_code=exit_code)
    return replace(run, code=code, message=f"it was not to be [{name}]")


@pytest.mark.parametrize(
    "code, exit_code, told",
    [
        ("not-found", 10, "drctl ls"),
        ("damage", 11, "drctl verify"),
        ("key", 12, "key file"),
        ("store", 13, "drctl doctor"),
        ("source", 14, "each source"),
        ("refused", 15, "code 15"),
    ],
)
def test_a_failed_run_exits_as_its_cause_and_tells_its_hint(
    code: str, exit_code: int, told: str
) -> None:
    run = failed(code, exit_code)
    error = failure_of("disks/a", run)
    assert (error.exit_code, error.code) == (exit_code, code)
    assert str(error) == "it was not to be [disks/a]", "the object once"
    assert told in error.hint
    assert status.hint_of(run) == error.hint
    assert _tell({"disks/a": run}, ["disks/a"]).exit_code == exit_code


def test_the_hint_that_the_error_had_is_told_where_it_was_kept() -> None:
    run = replace(failed("store", 13), hint="free the disk of the store")
    assert failure_of("disks/a", run).hint == status.hint_of(run) == run.hint
    assert status.hint_of(replace(run, outcome=Outcome.STOPPED)) == ""


def test_several_failures_exit_with_their_common_cause_alone() -> None:
    first, same = failed("store", 13, "a"), failed("store", 13, "b")
    assert _tell({"a": first, "b": same}, ["a", "b"]).exit_code == 13
    assert _tell({"a": first, "b": failed("source", 14, "b")}, ["a", "b"]).exit_code == 1


def test_a_run_that_did_not_end_in_time_has_a_hint_of_its_own() -> None:
    error = failure_of("disks/a", None)
    assert error.exit_code == 1
    assert "drctl logs" in error.hint
    assert "report" not in error.hint


def test_a_daemon_is_gone_when_nobody_listens_at_its_socket(tmp_path: Path) -> None:
    """Also one that is frozen is there; where there never was one, nothing is known."""
    assert not asking.is_deserted(tmp_path)
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / asking.NAME))
        frozen.listen()
        assert not asking.is_deserted(tmp_path)
    assert asking.is_deserted(tmp_path)


def test_a_timeout_without_wait_is_wrong_usage(tmp_path: Path) -> None:
    config = str(tmp_path / "none.toml")
    answer = drctl.here("--config", config, "run", "disks/a", "--timeout", "3", "--json")
    assert answer.code == 2
    assert answer.error["object"] == "--timeout"


def test_a_daemon_that_goes_away_without_an_answer_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(tmp_path / asking.NAME))
        frozen.listen()
        with pytest.raises(DrdError) as caught:
            asking.ask(tmp_path, {"ask": "status"}, patience_s=0.05)
    assert "journalctl -u drd" in caught.value.hint
    assert "drctl backup NAME" in caught.value.hint
