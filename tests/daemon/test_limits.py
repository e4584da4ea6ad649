"""Limits of a daemon that runs: bounds that hold, and what wakes a run that waits."""

from __future__ import annotations

import signal
from datetime import datetime
from pathlib import Path
from threading import Event

from drd.testing.fakes import seeded
from tests.daemon.conftest import POLICY
from tests.daemon.service import running, until
from tests.e2e.site import MIB, Site

SIZE = 24 * MIB
ONE_READ = 4 * MIB
SLOW = 'limits = { bytes_per_s = "64KiB" }\n'


def fill(site: Site, *names: str) -> None:
    """Images full of data."""
    for name in names:
        (site.images / name).write_bytes(seeded(name)(SIZE))


def limit(site: Site, text: str, *, daemon: str = "") -> None:
    """Limit the one source of *site*; *daemon* are further lines of that table."""
    policy = POLICY.format(every="1h") + daemon
    site.configure(sources=site.sources + text, extra=policy)


def at(line: dict[str, object]) -> float:
    """When a line was logged."""
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()


def test_two_runs_of_a_source_share_its_limit(site: Site, tmp_path: Path) -> None:
    fill(site, "a.img", "b.img")
    limit(site, 'limits = { bytes_per_s = "8MiB" }\n', daemon="workers = 3\n")
    with running(site.config, tmp_path / "log") as drd:
        done = drd.wait_for("run_done", 2)
        begun = drd.wait_for("run_started", 2)
        assert drd.stop() == 0
    assert max(map(at, begun)) < min(map(at, done)), "they ran at the same time"
    seconds = max(map(at, done)) - min(map(at, begun))
    read = 2 * SIZE  # a first backup reads all of it
    bursts = 2 * max(ONE_READ, 8 * MIB)  # what the first one had before the second was there, too
    assert (read - bursts) / seconds <= 8 * MIB


def test_a_slow_run_is_no_hanging_one_and_stops_when_it_is_asked(
    site: Site, tmp_path: Path
) -> None:
    fill(site, "a.img")
    limit(site, SLOW, daemon='stall_after = "10s"\n')
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_started")
        Event().wait(16)
        assert not [one for one in drd.said("run_stalled") if one["kind"] == "backup"]
        assert drd.stop() == 0
        (stopped,) = drd.said("run_stopped")
        assert "seq" not in stopped, "it had read nothing yet"
    limit(site, "")
    with running(site.config, tmp_path / "log2") as drd:
        drd.wait_for("run_done")
        assert drd.stop() == 0
    out = tmp_path / "again.img"
    answer = site.run("restore", "disks/a.img", "--to", f"file:{out}")
    assert answer.code == 0, answer.text
    assert out.read_bytes() == (site.images / "a.img").read_bytes()


def test_a_run_that_is_stopped_tells_its_partial_point_and_what_it_put(
    site: Site, tmp_path: Path
) -> None:
    # Far more than is read ahead before the first pack is put.
    (site.images / "a.img").write_bytes(seeded("a.img")(4 * SIZE))
    pack = f"[pack]\npack_size = {MIB}\n"
    limit(site, 'limits = { bytes_per_s = "8MiB" }\n', daemon=pack)
    with running(site.config, tmp_path / "log") as drd:
        until(lambda: any(one.is_file() for one in (site.repository / "p").rglob("*")), "a pack")
        assert drd.stop() == 0
        (stopped,) = drd.said("run_stopped")
    assert stopped["image"] == "disks/a.img"
    assert stopped["seq"] >= 1
    assert stopped["bytes_uploaded"] > MIB
    (told,) = site.run("logs", "disks/a.img").reply["runs"]
    assert told["outcome"] == "stopped"
    for name in ("seq", "lineage", "bytes_uploaded"):
        assert told[name] == stopped[name]


def test_a_reload_frees_a_run_that_waits(site: Site, tmp_path: Path) -> None:
    fill(site, "a.img")
    limit(site, SLOW)
    with running(site.config, tmp_path / "log") as drd:
        drd.wait_for("run_started")
        Event().wait(1)
        assert not drd.said("run_done")
        limit(site, "")
        drd.signal(signal.SIGHUP)
        drd.wait_for("config_reloaded")
        drd.wait_for("run_done")  # at 64 KiB a second it were six minutes
        assert drd.stop() == 0


def test_by_hand_the_tightest_limit_holds_unless_it_is_waived(site: Site) -> None:
    fill(site, "a.img")
    limit(site, 'limits = { bytes_per_s = "4MiB" }\n')
    (point,) = site.backup()
    assert point["bytes_read"] == SIZE
    assert (point["bytes_read"] - ONE_READ) / point["seconds"] <= 4 * MIB
    limit(site, SLOW)
    answer = site.run("backup", "--no-limits")
    assert answer.code == 0, answer.text
    (point,) = answer.points
    assert point["bytes_read"] / point["seconds"] > 1 * MIB
