"""Two daemons with one configuration on one cluster: they share the work, and follow one that dies."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.daemon.service import running, until
from tests.e2e.site import MIB
from tests.integration.leases.nodes import LONG, TwoNodes

IMAGES = 6
DAEMON = """
[policy.gold]
every = "1h"
rpo = "2h"
limits = {{ bytes_per_s = "{rate}MiB" }}
[daemon]
metrics = ""
tick = "1s"
discover_every = "1s"
workers = 1
lease = "rados"
lease_ttl = "5s"
"""


@pytest.fixture
def fleet(cloud: TwoNodes) -> TwoNodes:
    """The source has a policy, and takes every image whose name begins with this cloud's."""
    cloud.sources = cloud.sources.replace(
        f'images = ["{cloud.image_name}"]', f'images = ["{cloud.image_name}*"]\npolicy = "gold"'
    )
    assert "gold" in cloud.sources
    return cloud


def test_two_daemons_make_each_point_once(fleet: TwoNodes, tmp_path: Path) -> None:
    fleet.make(8 * MIB, 4 * MIB)
    for number in range(1, IMAGES):
        fleet.ceph.rbd("cp", fleet.spec, f"{fleet.spec}-{number}")
    first, second = fleet.nodes(extra=DAEMON.format(rate=500))
    with running(first, tmp_path / "a.log") as a, running(second, tmp_path / "b.log") as b:

        def done() -> list[str]:
            return [str(one["image"]) for drd in (a, b) for one in drd.said("run_done")]

        until(lambda: len(set(done())) == IMAGES, "a point of each image")
        for drd in (a, b):
            # Both know all of them by now, or learn it from the worker that looks.
            drd.wait_for("image_found", IMAGES)
            assert drd.stop() == 0
            assert not drd.said("run_failed"), drd.log.read_text()
            assert not drd.said("run_crashed"), drd.log.read_text()
        assert set(Counter(done()).values()) == {1}, "nothing was made twice"
    assert fleet.lineages() == IMAGES
    answer = fleet.process("ls")
    assert {row["points"] for row in answer.reply["lineages"]} == {1}


def test_a_daemon_that_is_killed_is_followed_within_the_lease_time(
    fleet: TwoNodes, tmp_path: Path
) -> None:
    """Slowed down by a limit, so that it is killed in the middle."""
    fleet.make(LONG, LONG)
    first, second = fleet.nodes(extra=DAEMON.format(rate=6))
    with running(first, tmp_path / "a.log") as a:
        a.wait_for("run_started")
        with running(second, tmp_path / "b.log") as b:
            b.wait_for("run_busy")
            a.kill()
            (made,) = b.wait_for("run_done")
            assert made["image"] == fleet.label
            assert b.stop() == 0
    assert not a.said("run_done"), "it was killed in the middle"
    assert fleet.lineages() == 1
    assert fleet.restored() == fleet.digest()
    assert fleet.snapshots() == [fleet.base()]
