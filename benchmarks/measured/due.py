"""How long after an image is due its worker begins: many images, each due at another second.

Two moments are looked at: when the daemon starts the run (its log), and when the worker has its snapshot
(the point's own time). The second is later than what is asked, "the worker is ready", by all that
opening the repository, taking the lease and reading the newest manifest takes.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

from benchmarks import disks, service
from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import Place
from benchmarks.process import BenchmarkError
from benchmarks.service import Service
from drd.wiring import open_house

IMAGES = 20
EVERY_S = 20
ROUNDS = 4
WORKERS = 4


def run(place: Place) -> Result:
    """Let a daemon work for some intervals; look up each run's moments."""
    found, folder = Result(), place.folder("due")
    rounds = place.sized(ROUNDS, 1)
    policy = f'every = "{EVERY_S}s"'
    config = disks.make(
        place, folder, count=IMAGES, policy=policy, daemon=f"workers = {WORKERS}\ntick = 30"
    )
    with service.daemon(config, place.env) as drd:
        drd.wait_for("image_found", IMAGES)
        place.say(f"{IMAGES} images, each due every {EVERY_S} s, for {(rounds + 1) * EVERY_S} s")
        drd.wait_for("run_done", rounds * IMAGES + IMAGES, kind="backup")
        Event().wait(0.5)
        _look(drd, config, found)
        found.notes += sorted(set(drd.troubles()))
    _tell(found)
    return found


def _look(drd: Service, config: Path, found: Result) -> None:
    """Each run for a slot that came while the daemon was there."""
    starts = [row for row in drd.said("run_started", kind="backup") if row.get("slot")]
    ready_at = service.moment(drd.said("daemon_started")[0]) + timedelta(seconds=EVERY_S / 2)
    points = _points(config)
    for row in starts:
        due, begun = datetime.fromisoformat(row["slot"]), service.moment(row)
        if due < ready_at:  # it was due before there was a daemon
            continue
        taken = _first_after(points[row["image"]], begun)
        if taken is None:  # under way
            continue
        found.measure("due to begin s", (begun - due).total_seconds())
        found.measure("due to snapshot s", (taken - due).total_seconds())
    if not found.series:
        raise BenchmarkError(f"no run of {len(starts)} began for a slot of its own")


def _first_after(times: list[datetime], begun: datetime) -> datetime | None:
    return min((at for at in times if at >= begun), default=None)


def _points(config: Path) -> dict[str, list[datetime]]:
    """Times of the points of each image, as the catalogue has them from the manifests."""
    times: dict[str, list[datetime]] = {}
    with closing(open_house(str(config))) as house:
        tenant = house.tenant()
        if tenant is None:
            raise BenchmarkError("there is no repository")
        for point in house.catalogue().points(tenant):
            times.setdefault(point.name, []).append(point.point_at)
    return times


def _tell(found: Result) -> None:
    runs = len(found.series["due to begin s"])
    for name, series in (
        ("the daemon begins the run", "due to begin s"),
        ("the worker has its snapshot", "due to snapshot s"),
    ):
        worst, median = found.worst(series), found.median(series)
        beside = f"the worst of {runs} runs; median {median:.3f} s; two or more may be due at once"
        found.add(Figure(f"from due until {name}", worst, "s", Goal(0.5, at_most=True), beside))
