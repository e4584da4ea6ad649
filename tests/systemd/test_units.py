"""The units as files: how exposed they are, and what the daemon takes for granted of them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from drd.config import Daemon
from drd.daemon.worker import OOM_SCORE

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
MOST_EXPOSED = 1.3
OVERALL = re.compile(r"Overall exposure level for \S+: ([\d.]+)")


def entries(unit: Path) -> dict[str, str]:
    """Keys and values; of a key that stands there several times the last value."""
    lines = (line for line in unit.read_text().splitlines() if not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines if "=" in line)


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def exposure(unit: Path) -> float:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    found = OVERALL.search(done.stdout)
    assert found, f"{done.stdout}\n{done.stderr}"
    return float(found[1])


def test_there_is_a_unit_for_each_role() -> None:
    assert {unit.stem for unit in SERVICES} == {"drd", "drd-check", "drd-verify"}


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_exposure(unit: Path) -> None:
    assert exposure(unit) <= MOST_EXPOSED


def test_a_unit_that_is_less_hardened_is_found_out(tmp_path: Path) -> None:
    """The number is systemd's, of this file: three lines fewer are above the limit."""
    lines = (UNITS / "drd.service").read_text().splitlines()
    weaker = [
        line for line in lines if not line.startswith(("User=", "CapabilityB", "SystemCallF"))
    ]
    (tmp_path / "drd.service").write_text("\n".join(weaker))
    assert exposure(tmp_path / "drd.service") > MOST_EXPOSED


def test_a_stop_leaves_time_to_drain() -> None:
    unit = entries(UNITS / "drd.service")
    assert seconds(unit["TimeoutStopSec"]) > Daemon().drain


def test_the_watchdog_is_longer_than_a_tick() -> None:
    unit = entries(UNITS / "drd.service")
    assert seconds(unit["WatchdogSec"]) >= 3 * Daemon().tick


def test_a_worker_that_is_killed_for_its_memory_does_not_end_the_daemon() -> None:
    unit = entries(UNITS / "drd.service")
    assert unit["OOMPolicy"] == "continue"
    assert int(unit["OOMScoreAdjust"]) < 0 < OOM_SCORE, "which a worker gives itself"


def test_roles_share_no_user_and_no_credential() -> None:
    units = [entries(unit) for unit in SERVICES]
    users = [unit["User"] for unit in units]
    assert len(set(users)) == len(units)
    assert len({unit["LoadCredential"] for unit in units}) == len(units)
    made = (UNITS / "sysusers.d" / "drd.conf").read_text()
    for user in users:
        assert re.search(rf"^u {user} ", made, re.MULTILINE)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_credentials_are_roots_alone_on_disk(unit: Path) -> None:
    _, folder = entries(unit)["LoadCredential"].split(":")
    rules = (UNITS / "tmpfiles.d" / "drd.conf").read_text()
    assert re.search(rf"^d {re.escape(folder)} +0700 root root$", rules, re.MULTILINE)
