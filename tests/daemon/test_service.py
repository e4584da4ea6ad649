"""The daemon as a process, on image files: what it makes, what it says, how it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.daemon.conftest import POLICY
from tests.daemon.service import running, until
from tests.e2e.site import Site, scatter


def test_every_image_gets_a_point_and_a_restart_makes_no_second(site: Site, tmp_path: Path) -> None:
    for name in ("a.img", "b.img"):
        site.image(name)
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", 2)
        assert drd.stop() == 0
        assert drd.said()[-1]["event"] == "daemon_stopped"
    with running(site.config, tmp_path / "log2") as drd:
        site.image("c.img")
        (found,) = drd.wait_for("run_done")
        assert found["image"] == "disks/c.img"
        assert drd.stop() == 0
    answer = site.run("ls")
    assert {row["name"]: row["points"] for row in answer.reply["lineages"]} == {
        f"disks/{name}.img": 1 for name in "abc"
    }


def test_points_follow_the_interval(site: Site, tmp_path: Path) -> None:
    path = site.image("a.img")
    site.configure(extra=POLICY.format(every="2s"))
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", 2)
        scatter(path, 3)
        last = drd.wait_for("run_done", 4)[-1]
        assert drd.stop() == 0
    out = tmp_path / "again.img"
    answer = site.run("restore", f"disks/a.img@{last['seq']}", "--to", f"file:{out}")
    assert answer.code == 0, answer.text
    assert out.read_bytes() == path.read_bytes()


def test_killed_workers_and_a_killed_mother_are_failed_runs_and_nothing_else(
    site: Site, tmp_path: Path
) -> None:
    site.image("a.img")
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done")
        (mother,) = until(
            lambda: children if len(children := drd.children()) == 1 else None,
            "a mother of workers alone",
        )
        os.kill(mother, signal.SIGKILL)
        drd.wait_for("nursery_died")
        site.image("b.img")
        drd.wait_for("run_done", image="disks/b.img")
        assert drd.stop() == 0


def test_a_daemon_that_is_killed_leaves_no_process(site: Site, tmp_path: Path) -> None:
    site.image("a.img")
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done")
        below = drd.children()
        assert below
        drd.kill()
        until(lambda: not any(_lives(pid) for pid in below), "all workers are gone")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_second_daemon_on_one_state_folder_is_refused(site: Site, tmp_path: Path) -> None:
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("daemon_started")
        with running(site.config, tmp_path / "log2") as other:
            assert other.process.wait(60) == 15
        assert f"another daemon (process {drd.process.pid})" in (tmp_path / "log2").read_text()


def test_reload_takes_what_is_right_and_refuses_what_is_wrong(site: Site, tmp_path: Path) -> None:
    site.image("a.img")
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done")
        good = site.config.read_text()
        site.config.write_text(good.replace("[daemon]", "[demon]"))
        drd.signal(signal.SIGHUP)
        (refused,) = drd.wait_for("config_refused")
        assert "demon" in refused["message"]
        site.image("b.img")  # the old one is still in force, for workers, too
        drd.wait_for("run_done", image="disks/b.img")
        site.config.write_text(good.replace('every = "1h"', 'every = "1s"'))
        drd.signal(signal.SIGHUP)
        drd.wait_for("config_reloaded")
        drd.wait_for("run_done", 4)
        assert drd.stop() == 0


def test_sigusr1_makes_points_of_everything_now(site: Site, tmp_path: Path) -> None:
    site.image("a.img")
    site.image("b.img")
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", 2)
        drd.signal(signal.SIGUSR1)
        drd.wait_for("run_done", 4)
        assert drd.stop() == 0


def test_an_image_that_vanishes_is_gone_and_one_that_returns_is_back(
    site: Site, tmp_path: Path
) -> None:
    path = site.image("a.img")
    site.image("b.img")
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", 2)
        path.unlink()
        drd.wait_for("image_gone", image="disks/a.img")
        site.image("a.img")
        drd.wait_for("image_back", image="disks/a.img")
        assert not drd.said("run_failed")
        assert drd.stop() == 0


def test_a_store_that_is_away_is_failures_with_pauses_and_then_a_point(
    site: Site, tmp_path: Path
) -> None:
    site.image("a.img")
    away = site.repository.with_name("away")
    site.repository.rename(away)
    with running(site.config, tmp_path / "log") as drd:
        failed = drd.wait_for("run_failed", 3, kind="backup")
        assert all(one["pause_s"] >= 1 and one["code"] for one in failed)
        assert [one["failures"] for one in failed] == [1, 2, 3]
        away.rename(site.repository)
        drd.wait_for("run_done")
        assert drd.stop() == 0


def test_drctl_run_makes_a_point_now(site: Site, tmp_path: Path) -> None:
    site.image("a.img")
    nobody = site.run("run", "disks/a.img")
    assert nobody.code == 10
    assert "no daemon runs here" in nobody.error["message"]
    for way in ("systemctl start drd", "drctl backup NAME"):
        assert way in nobody.error["hint"]
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_done")
        answer = site.run("run", "disks/*", "--wait")
        assert answer.code == 0, answer.text
        assert [(row["name"], row["outcome"], row["seq"]) for row in answer.reply["runs"]] == [
            ("disks/a.img", "done", 2)
        ]
        wrong = site.run("run", "disks/b.img")
        assert (wrong.code, wrong.error["code"]) == (10, "not-found")
        assert "disks/a.img" in wrong.error["object"]
        assert drd.stop() == 0


def test_a_textfile_that_cannot_be_written_is_told_once_and_stops_nothing(
    site: Site, tmp_path: Path
) -> None:
    site.image("a.img")
    folder = tmp_path / "collector"
    extra = POLICY.format(every="1s").replace('metrics = ""', f'textfile = "{folder}/drd.prom"')
    site.configure(extra=extra)
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("textfile_unwritable")
        drd.wait_for("run_done", 3, kind="backup")
        assert len(drd.said("textfile_unwritable")) == 1
        assert not drd.said("catalogue_unusable")
        folder.mkdir()
        until((folder / "drd.prom").exists, "it is written when it can be")
        site.configure(extra=extra.replace("drd.prom", "other.prom"))
        drd.process.send_signal(signal.SIGHUP)
        until((folder / "other.prom").exists, "a reload takes another path")
        until(lambda: not (folder / "drd.prom").exists(), "the old file goes")
        assert not [one for one in drd.said("config_warning") if "textfile" in one["message"]]
        assert drd.stop() == 0
