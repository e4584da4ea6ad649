"""What the loop tells workers of their limits, and when."""

from __future__ import annotations

import pytest

from drd.model import Json
from tests.unit.daemon.stage import CONFIG, Stage

WIDE = CONFIG.replace("workers = 2", "workers = 3")
"""First runs are slow ones, and one worker is kept free of those."""
LIMITED = WIDE.replace(
    '[policy.silver]\nevery = "1d"',
    'limits = { bytes_per_s = "64MiB" }\n[policy.silver]\nevery = "1d"',
).replace(
    'pool = "rbd"\npolicy', 'pool = "rbd"\nlimits = { bytes_per_s = "100MiB", iops = 5 }\npolicy'
)
MIB = 1 << 20


def limits(stage: Stage, label: str) -> Json:
    """What the worker of an image was told last."""
    job = stage.under_way()[label]
    told: list[Json] = [
        {name: said[name] for name in ("bytes_per_s", "iops")}
        for run, said in stage.workers.told
        if run == job["run"] and said["order"] == "limits"
    ]
    return [job["limits"], *told][-1]


def test_without_limits_nobody_is_told_any() -> None:
    stage = Stage(WIDE).begun("a", "b")
    assert limits(stage, "vms/a") == {"bytes_per_s": None, "iops": None}
    stage.makes("vms/a")
    assert stage.workers.told == []
    assert all("limits" not in job for job in stage.workers.jobs.values() if job["job"] == "learn")


def test_a_run_alone_has_all_two_have_half_and_the_one_that_is_left_has_all_again() -> None:
    stage = Stage(LIMITED).begun("a")
    alone: Json = {"bytes_per_s": 64.0 * MIB, "iops": 5.0}
    assert limits(stage, "vms/a") == alone
    stage.passes(61)
    stage.shows("a", "b")
    both: Json = {"bytes_per_s": 50.0 * MIB, "iops": 2.5}
    assert limits(stage, "vms/a") == limits(stage, "vms/b") == both
    stage.makes("vms/a")
    assert limits(stage, "vms/b") == alone


def test_a_reload_tells_those_under_way() -> None:
    stage = Stage(LIMITED).begun("a", "b")
    stage.text = LIMITED.replace("[daemon]", '[daemon]\nlimits = { bytes_per_s = "20MiB" }')
    stage.loop._reload()
    assert limits(stage, "vms/a") == {"bytes_per_s": 10.0 * MIB, "iops": 2.5}
    stage.text = WIDE
    stage.loop._reload()
    assert limits(stage, "vms/b") == {"bytes_per_s": None, "iops": None}
    told = len(stage.workers.told)
    stage.loop._reload()
    assert len(stage.workers.told) == told, "what is as it was need not be said"


@pytest.mark.parametrize("gone", ["silver", ""])
def test_a_policy_that_a_reload_took_away_limits_nothing(gone: str) -> None:
    stage = Stage(LIMITED).begun("a")
    stage.text = WIDE.replace("gold", "bronze").replace("silver", gone or "silver")
    stage.loop._reload()
    assert limits(stage, "vms/a") == {"bytes_per_s": None, "iops": None}
