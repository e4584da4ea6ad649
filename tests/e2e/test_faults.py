"""Real processes, real servers, real faults: killed, stopped, cut off, at moments drawn by a seed.

After each: the repository is readable, the next run completes, no snapshot stays but the base of the
next point, at most 16 packs are uploaded again, and a restore is identical.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from tests.e2e import drctl
from tests.e2e.cloud import Cloud
from tests.e2e.drctl import Answer
from tests.e2e.site import MIB, digest

SIZE = 32 * MIB
LONG = 192 * MIB
"""More than a source reads ahead: there is a middle, also for the cluster."""
ROUNDS = 6
AGAIN = 16
"""Packs that a run may upload again after a crash (issue: those in flight, or newer than the last
partial point)."""
BOUNDED_S = 60.0

Running = subprocess.Popen[bytes]


def begun(cloud: Cloud, *arguments: str) -> Running:
    """Start a verb with ``--json`` and leave it running."""
    return drctl.started(["--config", str(cloud.config), *(arguments or ("backup",)), "--json"])


def ended(running: Running) -> Answer:
    """Its answer, within bounds."""
    out, err = running.communicate(timeout=BOUNDED_S)
    assert b"Traceback" not in out + err, err.decode()
    return Answer(running.returncode, out, err.decode())


def wait_for(ready: Callable[[], bool], running: Running) -> None:
    """Poll until *ready*, while the process still runs."""
    pause = Event()
    until = time.monotonic() + BOUNDED_S
    while not ready():
        assert running.poll() is None, "it ended before the moment came"
        assert time.monotonic() < until
        pause.wait(0.005)


def in_the_middle(cloud: Cloud, packs: int = 3) -> Running:
    """A backup that has put some packs, and has more to put."""
    before = cloud.packs()
    running = begun(cloud)
    wait_for(lambda: cloud.packs() >= before + packs, running)
    return running


def orphans(cloud: Cloud) -> int:
    """Packs in the bucket that no recovery point needs: what a dead run had put in vain."""
    return cloud.packs() - cloud.reached_packs()


def completes(cloud: Cloud) -> dict[str, object]:
    """The next run completes, and everything is as if nothing had happened."""
    answer = cloud.process("backup")
    assert answer.code == 0, answer.text
    (point,) = answer.points
    assert cloud.snapshots() == [cloud.base()]
    target = cloud.folder / "restored"
    target.unlink(missing_ok=True)
    assert cloud.process("restore", cloud.label, "--to", f"file:{target}").code == 0
    assert digest(target) == cloud.digest()
    return point


# ── drctl dies ──────────────────────────────────────────────────────────────────────────────────
def test_killed_at_random_moments(cloud: Cloud) -> None:
    seed = int(os.environ.get("DRD_SEED", random.SystemRandom().randrange(10**6)))
    print(f"seed {seed}: DRD_SEED={seed} runs the same moments again")  # noqa: T201
    draw = random.Random(seed)  # noqa: S311 - moments, not keys
    cloud.make(SIZE, 12 * MIB, seed)
    began = time.monotonic()
    cloud.process("backup")
    took = time.monotonic() - began
    killed = 0
    for number in range(ROUNDS):
        cloud.scatter(128, SIZE, draw=draw)
        before = orphans(cloud)
        running = begun(cloud)
        try:
            running.wait(timeout=draw.uniform(0.2, took))
        except subprocess.TimeoutExpired:
            running.kill()
            killed += 1
        running.communicate(timeout=BOUNDED_S)
        assert orphans(cloud) - before <= AGAIN, f"seed {seed}, round {number}"
        assert cloud.run("verify", "--all", "--level", "1").code == 0, f"seed {seed}"
        if number % 3 == 2:
            completes(cloud)
    assert cloud.run("verify", "--all", "--level", "2").code == 0, f"seed {seed}"
    assert killed >= ROUNDS // 2, f"seed {seed}: it ended before it was killed"


def test_a_long_first_full_goes_on_from_its_partial_points(cloud: Cloud) -> None:
    cloud.make(LONG, LONG, "long")
    running = begun(cloud)
    wait_for(lambda: len(list(cloud.objects.glob("m/*/*/*"))) >= 1, running)
    running.kill()
    running.communicate(timeout=BOUNDED_S)
    assert list(cloud.objects.glob("m/*/*/*")), "a partial point"
    there = cloud.packs()
    assert there >= AGAIN // 2
    assert cloud.run("ls").reply["lineages"] == []
    assert cloud.run("ls", cloud.label).points == []
    for command in (("show",), ("verify",), ("restore", "--to", f"file:{cloud.folder}/none")):
        told = cloud.run(*command, cloud.label)
        assert told.code == 10 or (command == ("verify",) and told.points == []), told.text
    assert not list(cloud.folder.glob("none*"))
    for seq in (1, 2):
        to = ("restore", f"{cloud.label}@{seq}", "--to", f"file:{cloud.folder}/none")
        assert cloud.run(*to).code == 10, "a partial point is no recovery point, by number neither"
    point = completes(cloud)
    assert point["seq"] != 1
    assert point["kind"] == "full"
    assert orphans(cloud) <= AGAIN
    assert len(cloud.run("ls", cloud.label).points) == 1


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_an_interrupted_backup_ends_tidily(cloud: Cloud, number: signal.Signals, code: int) -> None:
    cloud.make(64 * MIB, 48 * MIB, "interrupted")
    running = in_the_middle(cloud)
    running.send_signal(number)
    answer = ended(running)
    assert answer.code == code
    assert answer.error["code"] == "interrupted"
    assert answer.error["object"] == cloud.label
    assert answer.points == []
    assert cloud.run("ls").reply["lineages"] == []
    completes(cloud)


def test_an_interrupted_restore_names_what_it_leaves(cloud: Cloud) -> None:
    cloud.make(64 * MIB, 60 * MIB, "interrupted")
    cloud.backup()
    target = cloud.folder / "out"
    running = begun(cloud, "restore", cloud.label, "--to", f"file:{target}")
    wait_for(lambda: bool(list(cloud.folder.glob("out*"))), running)
    running.send_signal(signal.SIGINT)
    answer = ended(running)
    assert answer.code == 130
    (left,) = cloud.folder.glob("out*")
    assert left != target
    assert str(left) in answer.error["hint"]


# ── the store goes away ─────────────────────────────────────────────────────────────────────────
def test_a_store_that_hangs_for_a_while_is_waited_for(cloud: Cloud) -> None:
    cloud.make(64 * MIB, 48 * MIB, "hangs")
    running = in_the_middle(cloud)
    cloud.lab.minio.server.pause()
    Event().wait(2.0)
    assert running.poll() is None
    cloud.lab.minio.server.resume()
    assert ended(running).code == 0
    assert orphans(cloud) == 0
    completes(cloud)


def test_a_store_that_dies_is_13_and_the_next_run_completes(cloud: Cloud) -> None:
    cloud.make(64 * MIB, 48 * MIB, "dies")
    running = in_the_middle(cloud)
    cloud.lab.minio.server.kill()
    answer = ended(running)
    assert answer.code == 13
    assert answer.error["hint"]
    assert answer.points == []
    assert cloud.process("ls").code == 13
    cloud.lab.minio.start()
    assert cloud.run("ls").reply["lineages"] == []
    completes(cloud)
    assert orphans(cloud) <= AGAIN


def test_an_interrupt_does_not_wait_for_a_store_that_is_away(cloud: Cloud) -> None:
    cloud.s3_extra = "patience_s = 600.0\n"
    cloud.configure()
    cloud.make(64 * MIB, 48 * MIB, "away")
    running = in_the_middle(cloud)
    cloud.lab.minio.server.kill()
    Event().wait(1.0)
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    assert ended(running).code == 130
    assert time.monotonic() - began < BOUNDED_S / 4


# ── the cluster goes away ───────────────────────────────────────────────────────────────────────
def test_disks_that_hang_are_14_in_bounded_time(cloud: Cloud) -> None:
    cloud.make(LONG, LONG, "disks")
    running = in_the_middle(cloud)
    for disk in cloud.ceph.osds:
        disk.pause()
    began = time.monotonic()
    answer = ended(running)
    assert time.monotonic() - began < BOUNDED_S
    assert answer.code == 14
    assert answer.error["hint"]
    assert answer.points == []
    cloud.ceph.resume()
    assert cloud.run("ls").reply["lineages"] == []
    completes(cloud)


def test_a_restore_to_disks_that_hang_is_14_too(cloud: Cloud) -> None:
    cloud.make(64 * MIB, 60 * MIB, "target")
    cloud.backup()
    running = begun(cloud, "restore", cloud.label, "--to", f"rbd:{cloud.spec}-back")
    pool = cloud.ceph.pool
    wait_for(lambda: f"{cloud.image_name}-back" in cloud.ceph.rbd("ls", pool), running)
    for disk in cloud.ceph.osds:
        disk.pause()
    answer = ended(running)
    cloud.ceph.resume()
    assert answer.code == 14
    assert answer.error["hint"]
    names = cloud.ceph.rbd("ls", pool).split()
    assert f"{cloud.image_name}-back" not in names, "it never has its name before it is whole"
    again = cloud.process("restore", cloud.label, "--to", f"rbd:{cloud.spec}-back")
    assert again.code == 0
    assert cloud.ceph.export(f"{cloud.spec}-back") == cloud.ceph.export(cloud.spec)


def test_a_cluster_that_is_not_there_is_14(cloud: Cloud, tmp_path: Path) -> None:
    conf = tmp_path / "ceph.conf"
    conf.write_text("[global]\nmon host = [v2:127.0.0.1:9]\nclient mount timeout = 3\n")
    cloud.configure(sources=cloud.sources.replace(str(cloud.ceph.conf), str(conf)))
    began = time.monotonic()
    answer = cloud.process("backup")
    assert answer.code == 14, answer.text
    assert answer.error["hint"]
    assert time.monotonic() - began < BOUNDED_S
