"""Two nodes, one cluster, one bucket: real processes of ``drctl`` that want the same image."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from tests.e2e import drctl
from tests.e2e.drctl import Answer
from tests.e2e.site import MIB
from tests.integration.leases.nodes import LONG, TTL_S, TwoNodes

BOUNDED_S = 120.0

Running = subprocess.Popen[bytes]


def begun(node: Path) -> Running:
    return drctl.started(["--config", str(node), "backup", "--json"])


def ended(running: Running) -> Answer:
    out, err = running.communicate(timeout=BOUNDED_S)
    assert b"Traceback" not in out + err, err.decode()
    return Answer(running.returncode, out, err.decode())


def backup(node: Path) -> Answer:
    return drctl.process("--config", str(node), "backup", "--json")


def wait_for(ready: Callable[[], bool], running: Running) -> None:
    until = time.monotonic() + BOUNDED_S
    while not ready():
        assert running.poll() is None, "it ended before the moment came"
        assert time.monotonic() < until
        Event().wait(0.005)


def in_the_middle(cloud: TwoNodes, node: Path) -> Running:
    """A run that has committed a partial point, and has much to do still."""
    before = cloud.manifests()
    running = begun(node)
    wait_for(lambda: cloud.manifests() > before, running)
    return running


def test_doctor_tries_where_leases_lie(cloud: TwoNodes) -> None:
    cloud.make(MIB, MIB)
    first, _ = cloud.nodes()
    answer = cloud.process("doctor")
    assert answer.code == 0, answer.text
    found = {row["check"]: row["ok"] for row in answer.reply["findings"]}
    assert found["source vms: lease"] is True
    first.write_text(first.read_text().replace("lease_ttl", 'lease_pool = "none"\nlease_ttl'))
    answer = cloud.process("doctor")
    assert (answer.code, answer.error["object"]) == (10, "none")


def test_of_two_at_once_one_is_told_who_the_other_is(cloud: TwoNodes) -> None:
    cloud.make(LONG, LONG)
    first, second = cloud.nodes(ttl_s=60)
    running = in_the_middle(cloud, first)
    running.send_signal(signal.SIGSTOP)  # for less than the lease is good for
    try:
        answer = backup(second)
    finally:
        running.send_signal(signal.SIGCONT)
    assert answer.code == 15
    assert answer.error["code"] == "busy"
    assert answer.error["object"] == cloud.label
    assert f"process {running.pid} holds the lease until " in answer.error["message"]
    assert ended(running).code == 0
    assert backup(second).code == 0, "it goes on with the point that the first one made"
    assert cloud.lineages() == 1
    assert cloud.restored() == cloud.digest()


def test_a_killed_holder_is_followed_within_the_lease_time(cloud: TwoNodes) -> None:
    cloud.make(LONG, LONG)
    first, second = cloud.nodes()
    running = in_the_middle(cloud, first)
    running.kill()
    running.communicate()
    answer = backup(second)
    assert (answer.code, answer.error["code"]) == (15, "busy")
    Event().wait(TTL_S)
    answer = backup(second)
    assert answer.code == 0, answer.text
    (point,) = answer.points
    assert point["bytes_uploaded"] < LONG, "what the partial point holds is not put again"
    assert cloud.lineages() == 1
    assert cloud.snapshots() == [cloud.base()]
    assert cloud.restored() == cloud.digest()


def test_a_suspended_holder_commits_nothing_and_removes_nothing(cloud: TwoNodes) -> None:
    cloud.make(LONG, LONG)
    first, second = cloud.nodes()
    running = in_the_middle(cloud, first)
    running.send_signal(signal.SIGSTOP)
    try:
        Event().wait(TTL_S)
        answer = backup(second)
        assert answer.code == 0, answer.text
        manifests, base = cloud.manifests(), cloud.base()
    finally:
        running.send_signal(signal.SIGCONT)
    lost = ended(running)
    assert (lost.code, lost.error["code"]) == (15, "refused")
    assert "lease" in lost.error["message"]
    assert lost.error["object"] == cloud.label
    assert cloud.manifests() == manifests
    assert base in cloud.snapshots()
    assert cloud.restored() == cloud.digest()
    (point,) = backup(first).points
    assert point["bytes_uploaded"] < MIB, "the base of the other's point is there still"


def test_a_cluster_that_is_away_for_longer_than_the_lease(cloud: TwoNodes) -> None:
    cloud.make(LONG, LONG)
    first, second = cloud.nodes()
    running = in_the_middle(cloud, first)
    cloud.ceph.pause()
    try:
        Event().wait(TTL_S + 1)
        manifests = cloud.manifests()
    finally:
        cloud.ceph.resume()
    lost = ended(running)
    assert (lost.code, lost.error["code"]) == (15, "refused")
    assert "lease" in lost.error["message"]
    assert cloud.manifests() == manifests, "nothing was committed after that"
    Event().wait(TTL_S)
    answer = backup(second)
    assert answer.code == 0, answer.text
    (point,) = answer.points
    assert point["bytes_uploaded"] < LONG, "it goes on from the partial point"
    assert cloud.restored() == cloud.digest()


def test_a_new_image_that_two_nodes_see_at_once_gets_one_lineage(cloud: TwoNodes) -> None:
    """Neither knows a lineage: the lease on the image's identity keeps them apart."""
    cloud.make(16 * MIB, 8 * MIB)
    first, second = cloud.nodes()
    running = [begun(node) for node in (first, second, first, second)]
    answers = [ended(one) for one in running]
    assert {one.code for one in answers} <= {0, 15}
    assert any(one.code == 0 for one in answers)
    assert {one.error["code"] for one in answers if one.code} <= {"busy"}
    assert cloud.lineages() == 1
    assert cloud.snapshots() == [cloud.base()]
    assert cloud.restored() == cloud.digest()
