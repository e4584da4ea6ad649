"""A real clock that jumps under a real daemon and its workers: by a day, by an hour back, and right again.

Two images: *often* is due every second, *half* at half an hour from now, and once an hour. What must hold:
nothing is made twice, nothing is left out, prune deletes nothing while the clocks differ, the check is
no OK, and all is well by itself when the clock is right again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from drd.wiring.clock import now
from lab.minio import Minio
from tests.daemon.jumping import Clock
from tests.daemon.service import Service, running, until
from tests.e2e import drctl
from tests.e2e.drctl import Answer
from tests.e2e.site import MIB, Bucket, Site, scatter

HOUR, DAY = 3600, 86400
CONFIG = """
[source.slow]
type = "device"
paths = ["{images}/*.half"]
policy = "half"
[policy.often]
every = "1s"
rpo = "1h"
keep = {{ last = 2 }}
[policy.half]
cron = "{minute} * * * *"
rpo = "3h"
[prune]
grace = "1s"
[daemon]
metrics = ""
tick = "1s"
discover_every = "1s"
backoff = "1s"
backoff_max = "2s"
drain = "10s"
"""


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that is right."""
    made = Clock(tmp_path / "clock")
    made.jump(0)
    return made


def configured(site: Site) -> Path:
    """Two images and their policies; the path of the one that is due often."""
    site.sources += 'policy = "often"\n'
    site.image("half.half", seed=2)
    minute = (now().minute + 30) % 60  # far from now, in whichever direction
    site.configure(extra=CONFIG.format(images=site.images, minute=minute))
    answer = site.run("init")
    assert answer.code == 0, answer.text
    return site.image("often.img", MIB)


def by_clock(site: Site, clock: Clock, *arguments: str) -> Answer:
    """``drctl`` by the daemon's clock."""
    told = ("--config", str(site.config), *arguments, "--json")
    return drctl.process(*told, env=clock.environment)


def check(site: Site, clock: Clock) -> int:
    """Exit code of ``drctl status --check``."""
    return by_clock(site, clock, "status", "--check").code


def made(drd: Service, image: str) -> int:
    """How many points the daemon made of an image."""
    return len([one for one in drd.said("run_done") if one.get("image") == image])


def fails(drd: Service, since: int, kind: str) -> dict[str, Any]:
    """The second run of a kind that fails after line *since* of the log: one may be under way."""

    def failed() -> dict[str, Any] | None:
        later = drd.said()[since:]
        found = [one for one in later if one["event"] == "run_failed" and one["kind"] == kind]
        return found[1] if len(found) > 1 else None

    return until(failed, f"{kind} fails twice")


def oldest(site: Site) -> int:
    """Number of the oldest point that is left: it grows with each prune that deletes."""
    points = site.run("ls", "disks/often.img").reply["points"]
    return min(int(one["seq"]) for one in points)


def hindered(site: Site, clock: Clock) -> list[dict[str, Any]]:
    """What stops a prune by hand, other than a run that works on the lineage just then."""
    answer = by_clock(site, clock, "prune")
    return [one for one in answer.reply.get("errors", []) if one["code"] != "busy"]


def deletes(site: Site, clock: Clock) -> bool:
    """Whether a prune deletes a point."""
    first = oldest(site)
    assert not hindered(site, clock)
    return oldest(site) > first


def goes_well(site: Site, drd: Service, clock: Clock) -> None:
    """Points are made, and what is dead is deleted."""
    points = made(drd, "disks/often.img")
    until(lambda: made(drd, "disks/often.img") >= points + 2, "two points more")
    until(lambda: deletes(site, clock), "a prune that deletes")


def stays_away(
    site: Site, drd: Service, clock: Clock, since: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Prune and backup fail since that line of the log, nothing is deleted, and the check is no OK; the
    failures, in that order.
    """
    prune = fails(drd, since, "prune")
    first = oldest(site)
    backup = fails(drd, since, "backup")
    fails(drd, len(drd.said()), "prune")
    assert oldest(site) == first
    assert check(site, clock) != 0
    return prune, backup


def ends_well(site: Site, drd: Service, path: Path, clock: Clock) -> None:
    """All is well by itself; the newest point is what the image is, and each point holds."""
    goes_well(site, drd, clock)
    until(lambda: check(site, clock) == 0, "OK again")
    scatter(path, 2)
    points = made(drd, "disks/often.img")
    until(lambda: made(drd, "disks/often.img") >= points + 2, "a point of what was written")
    assert drd.stop() == 0
    out = site.folder / "restored"
    assert site.run("restore", "disks/often.img", "--to", f"file:{out}").code == 0
    assert out.read_bytes() == path.read_bytes()
    assert site.run("verify", "--all", "--level", "2").code == 0


def test_an_s3_store_refuses_whose_clock_is_wrong_and_that_is_what_is_said(
    minio: Minio, tmp_path: Path, clock: Clock
) -> None:
    site = Site(tmp_path / "site", Bucket.fresh(minio))
    path = configured(site)
    with running(site.config, tmp_path / "log", clock=clock) as drd:
        goes_well(site, drd, clock)
        for times, jump_s in enumerate((-HOUR, DAY), 1):
            clock.jump(jump_s)
            drd.wait_for("clock_jumped", 2 * times - 1)
            for one in stays_away(site, drd, clock, len(drd.said())):
                assert one["code"] == "store"
                assert "the store's clock and this machine's differ" in one["message"]
                assert "NTP" in one["hint"]
            clock.jump(0)
            drd.wait_for("clock_jumped", 2 * times)
            drd.wait_for("run_done", made(drd, "disks/often.img") + 1, image="disks/often.img")
        ends_well(site, drd, path, clock)
        # One that began just before the clock was right again may have made its point all the same.
        said = drd.said()
        right = max(place for place, one in enumerate(said) if one["event"] == "clock_jumped")
        begun = [one.get("image") for one in said[right:] if one["event"] == "run_started"]
        assert "disks/often.img" in begun
        assert "slow/half.half" not in begun, "none was due by the clock that is right"


def test_a_clock_that_is_put_back_makes_no_point_and_deletes_none_until_it_is_right(
    tmp_path: Path, clock: Clock
) -> None:
    site = Site(tmp_path / "site")
    path = configured(site)
    with running(site.config, tmp_path / "log", clock=clock) as drd:
        goes_well(site, drd, clock)
        clock.jump(-HOUR)
        drd.wait_for("clock_jumped")
        since = len(drd.said())
        prune, backup = stays_away(site, drd, clock, since)
        assert "clock says" in prune["message"]
        # A run that froze before the jump and committed after it: its snapshot alone is dated by the
        # clock that was right, and that is what the next one is behind of.
        assert re.search("the clock says|its new snapshot is of", backup["message"])
        for one in (prune, backup):
            assert "set the" in one["hint"]
        clock.jump(0)
        ends_well(site, drd, path, clock)
        assert made(drd, "slow/half.half") == 1


def test_a_clock_that_is_a_day_ahead_deletes_nothing_and_what_it_dated_holds_nothing_back(
    tmp_path: Path, clock: Clock
) -> None:
    """A folder asks nobody for the time: points are made, one for all slots of a day, and dated wrong."""
    site = Site(tmp_path / "site")
    path = configured(site)
    with running(site.config, tmp_path / "log", clock=clock) as drd:
        goes_well(site, drd, clock)
        clock.jump(DAY)
        drd.wait_for("clock_jumped")
        until(lambda: made(drd, "slow/half.half") == 2, "it is due once by that clock")
        refused = until(lambda: hindered(site, clock), "a prune that has something to delete")
        assert "this host's clock says" in refused[0]["message"]
        first = oldest(site)
        until(lambda: hindered(site, clock), "it refuses again")
        assert oldest(site) == first
        clock.jump(0)
        drd.wait_for("clock_jumped", 2)
        until(lambda: made(drd, "slow/half.half") == 3, "that one serves no slot of now")
        ends_well(site, drd, path, clock)
        assert made(drd, "slow/half.half") == 3, "and no more of them"
