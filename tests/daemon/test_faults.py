"""Servers that go away and come back, processes that are killed: after each the daemon is well by itself.

Each test ends with a point that was made after the fault, restores it, and finds no false OK before.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from threading import Event

import pytest

from lab.ceph import Ceph
from tests.daemon.conftest import POLICY
from tests.daemon.service import Service, running, until
from tests.e2e.cloud import Cloud
from tests.e2e.site import MIB, Site, digest, scatter

SIZE = 24 * MIB
SHORT = POLICY.format(every="2s")


def patient(cloud: Cloud) -> None:
    """Nothing goes away here, and a server that is only busy must not fail a run."""
    cloud.sources = cloud.sources.replace("op_timeout_s = 2.0", "op_timeout_s = 60.0")
    assert "op_timeout_s = 60.0" in cloud.sources
    cloud.s3_extra = "patience_s = 60.0\n"


def restored(cloud: Cloud, seq: int, folder: Path) -> str:
    """SHA-256 of a point, restored."""
    out = folder / f"restored-{seq}"
    answer = cloud.run("restore", f"{cloud.label}@{seq}", "--to", f"file:{out}")
    assert answer.code == 0, answer.text
    return digest(out)


def image_now(cloud: Cloud, folder: Path) -> str:
    """SHA-256 of the image as it is."""
    out = folder / "image-now"
    cloud.ceph.rbd("export", "--no-progress", cloud.spec, str(out))
    try:
        return digest(out)
    finally:
        out.unlink()


def is_well_again(drd: Service, cloud: Cloud, folder: Path, after: int) -> None:
    """A further point is made, is what the image is, and no snapshot is left but its own."""
    last = drd.wait_for("run_done", after + 1, kind="backup")[-1]
    assert drd.stop() == 0
    assert restored(cloud, last["seq"], folder) == image_now(cloud, folder)
    states = [row["state"] for row in cloud.run("snapshots").reply["snapshots"]]
    assert states == ["kept"]


def done(drd: Service) -> int:
    """How many backups were made."""
    return len([one for one in drd.said("run_done") if one["kind"] == "backup"])


def fill(ceph: Ceph, ratio: str) -> None:
    """Make the cluster full from that *ratio* on; an OSD takes none that is below the one before it."""
    names = ("set-nearfull-ratio", "set-backfillfull-ratio", "set-full-ratio")
    for name in names if ratio < "0.5" else reversed(names):
        ceph.command("osd", name, ratio)


def is_full_no_more(ceph: Ceph) -> None:
    """Wait until no OSD is called full: one that is killed before does not come up again."""
    until(lambda: "FULL" not in ceph.command("health", "detail"), "there is room again")


@pytest.mark.parametrize("what", ["paused", "killed", "full"])
def test_ceph_goes_away_and_comes_back(guarded: Cloud, tmp_path: Path, what: str) -> None:
    guarded.make(SIZE, 2 * MIB)
    guarded.configure(extra=SHORT)
    ceph = guarded.ceph
    with running(guarded.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", kind="backup")
        guarded.scatter(8, SIZE, draw=random.Random(1))  # noqa: S311
        if what == "paused":
            ceph.pause()
        elif what == "killed":
            ceph.kill_osds()
        else:
            fill(ceph, "0.000001")
        failed = drd.wait_for("run_failed", kind="backup")
        assert failed[-1]["code"] == "source"
        assert failed[-1]["pause_s"] <= 3, "no longer than its interval, and a fifth"
        before = done(drd)
        if what == "paused":
            ceph.resume()
        elif what == "killed":
            ceph.start_osds()
        else:
            fill(ceph, "0.95")
            is_full_no_more(ceph)
        is_well_again(drd, guarded, tmp_path, before)
        assert not drd.said("image_gone"), "what cannot be looked at is not gone"


def test_a_cluster_that_is_near_full_is_backed_up_as_ever(guarded: Cloud, tmp_path: Path) -> None:
    """Ceph says so itself; snapshots need room, and so do guests: what protects them goes on."""
    patient(guarded)
    guarded.make(SIZE, 2 * MIB)
    guarded.configure(extra=SHORT)
    ceph = guarded.ceph
    with running(guarded.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", kind="backup")
        ceph.command("osd", "set-nearfull-ratio", "0.000001")
        try:
            until(lambda: "NEARFULL" in ceph.command("health", "detail"), "Ceph says near-full")
            guarded.scatter(8, SIZE, draw=random.Random(2))  # noqa: S311
            drd.wait_for("run_done", done(drd) + 2, kind="backup")
            assert guarded.run("status", "--check").code == 0
            is_well_again(drd, guarded, tmp_path, done(drd))
        finally:
            ceph.command("osd", "set-nearfull-ratio", "0.85")
            is_full_no_more(ceph)
    assert not drd.said("run_failed")


def test_a_store_that_hangs_and_comes_back(guarded: Cloud, tmp_path: Path) -> None:
    guarded.make(SIZE, 2 * MIB)
    guarded.s3_extra += "connect_timeout_s = 1.0\nread_timeout_s = 1.0\n"
    guarded.configure(extra=SHORT)
    minio = guarded.lab.minio.server
    with running(guarded.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", kind="backup")
        minio.pause()
        failed = drd.wait_for("run_failed", 2, kind="backup")
        assert {one["code"] for one in failed} == {"store"}
        before = done(drd)
        minio.resume()
        is_well_again(drd, guarded, tmp_path, before)


def test_killed_at_any_moment_the_next_one_goes_on(guarded: Cloud, tmp_path: Path) -> None:
    guarded.make(SIZE, 12 * MIB)
    guarded.configure(extra=SHORT)
    draw = random.Random(7)  # noqa: S311
    for round_ in range(5):
        with running(guarded.config, tmp_path / f"log{round_}") as drd:
            drd.wait_for("run_started", kind="backup")
            Event().wait(draw.uniform(0.0, 0.8))
            drd.kill()
        guarded.scatter(6, SIZE, draw=draw)
    with running(guarded.config, tmp_path / "log") as drd:
        is_well_again(drd, guarded, tmp_path, 0)
    assert guarded.run("verify", "--all", "--level", "2").code == 0


def test_workers_killed_at_any_moment_are_failed_runs(guarded: Cloud, tmp_path: Path) -> None:
    guarded.make(SIZE, 12 * MIB)
    guarded.configure(extra=SHORT)
    draw = random.Random(8)  # noqa: S311
    with running(guarded.config, tmp_path / "log") as drd:
        for round_ in range(5):
            drd.wait_for("run_started", round_ + 1, kind="backup")
            Event().wait(draw.uniform(0.0, 0.3))
            for pid in drd.children()[1:]:  # the first is their mother
                os.kill(pid, signal.SIGKILL)
            guarded.scatter(6, SIZE, draw=draw)
        assert not drd.said("nursery_died")
        # A run that is under way may have taken its snapshot before the last write; the next has not.
        is_well_again(drd, guarded, tmp_path, done(drd) + 1)


def test_prunes_by_hand_while_the_daemon_makes_points(guarded: Cloud, tmp_path: Path) -> None:
    patient(guarded)
    guarded.make(SIZE, 2 * MIB)
    keep = 'keep = { last = 2 }\n[prune]\ngrace = "1s"\n[daemon]'
    guarded.configure(extra=POLICY.format(every="1s").replace("[daemon]", keep))
    draw, digests = random.Random(9), set[str]()  # noqa: S311
    with running(guarded.config, tmp_path / "log") as drd:
        for count in range(1, 9):
            drd.wait_for("run_done", count, kind="backup")
            guarded.scatter(6, SIZE, draw=draw)
            digests.add(image_now(guarded, tmp_path))
            answer = guarded.run("prune")
            assert answer.code in (0, 15), answer.text  # 15: the daemon was at it just then
        assert drd.stop() == 0
    guarded.run("prune")
    points = guarded.run("ls", guarded.label).reply["points"]
    left = [one["seq"] for one in points if not one["doomed"]]
    assert len(left) <= 4 < points[-1]["seq"]
    for seq in left[1:]:  # the first was made before the first write that is known
        assert restored(guarded, seq, tmp_path) in digests
    assert guarded.run("verify", "--all", "--level", "2").code == 0


@pytest.mark.parametrize("how", ["garbage", "emptied", "lost"])
def test_a_catalogue_that_breaks_is_begun_anew_and_nothing_is_doubled(
    site: Site, tmp_path: Path, how: str
) -> None:
    path = site.image("a.img")
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done")
        assert drd.stop() == 0
    (file,) = site.state.glob("*/catalogue.sqlite")
    if how == "garbage":
        file.write_bytes(os.urandom(65536))
    elif how == "emptied":
        file.write_bytes(b"")
    else:
        file.unlink()
    with running(site.config, tmp_path / "log2") as drd:
        drd.wait_for("image_found", image="disks/a.img")
        site.image("b.img")
        drd.wait_for("run_done", image="disks/b.img")
        assert [one["image"] for one in drd.said("run_done")] == ["disks/b.img"]
        scatter(path, 2)
        assert site.run("run", "disks/a.img", "--wait").code == 0
        assert drd.stop() == 0
    out = tmp_path / "again.img"
    assert site.run("restore", "disks/a.img", "--to", f"file:{out}").code == 0
    assert out.read_bytes() == path.read_bytes()


def test_a_state_folder_without_room_stops_no_backup_for_ever(site: Site, tmp_path: Path) -> None:
    site.image("a.img")
    site.configure(extra=SHORT)
    with running(site.config, tmp_path / "log", small=site.state) as drd:
        drd.wait_for("run_done")
        drd.within("dd if=/dev/zero of=$STATE/filler bs=64k >/dev/null 2>&1; true")
        drd.wait_for("catalogue_unusable")
        before = done(drd)
        drd.within("rm $STATE/filler")
        drd.wait_for("run_done", before + 1)
        until(lambda: len(drd.said("run_done")) > before, "it goes on")
        assert drd.stop() == 0
