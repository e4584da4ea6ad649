"""What a daemon costs that has nothing to do: 1,000 lineages, a look into their source every minute."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from threading import Event

from benchmarks import disks, service
from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import Place
from benchmarks.service import Service
from lab.ports import free_port

IMAGES = 1000
WATCH_S = 120
SCRAPED_S = 45
SCRAPE_S = 15
"""How often Prometheus asks by the examples of its own documentation."""
QUIET_S = 10
# A point in a year: none falls into the time of the benchmark but on New Year's night.
POLICY = """\
cron = "0 0 1 1 *"
rpo = "400d"
"""


def run(place: Place) -> Result:
    """Watch it for some minutes' look-ins, then with a Prometheus that asks."""
    found, folder = Result(), place.folder("idle")
    count, port = place.sized(IMAGES, 20), free_port(set())
    config = disks.make(place, folder, count=count, policy=POLICY, metrics=f"127.0.0.1:{port}")
    with service.daemon(config, place.env) as drd:
        drd.wait_for("image_found", count)
        Event().wait(place.sized(QUIET_S, 1))
        alone, scraped = place.sized(WATCH_S, 3), place.sized(SCRAPED_S, 3)
        place.say(f"watching it for {alone} s, then for {scraped} s with scrapes")
        _watch(drd, found, "alone", seconds=alone, scrape=lambda: None)
        asked = f"http://127.0.0.1:{port}/metrics"
        _watch(drd, found, "scraped", seconds=scraped, scrape=lambda: _scrape(asked))
        made = len(drd.said("run_started", kind="backup"))
        found.notes += sorted(set(drd.troubles()))
    if made:
        found.notes.append(f"{made} backups were begun meanwhile")
    _tell(found, count)
    return found


def _watch(
    drd: Service, found: Result, name: str, *, seconds: float, scrape: Callable[[], None]
) -> None:
    """Percent of a core over *seconds*: the daemon, the mother of its workers, and these."""
    pids = {"daemon": drd.pid, "mother": drd.mother}
    before = {who: service.spent(pid) for who, pid in pids.items()}
    begin = time.monotonic()
    while (left := begin + seconds - time.monotonic()) > 0:
        scrape()
        Event().wait(min(left, SCRAPE_S))
    wall = time.monotonic() - begin
    taken = {who: service.spent(pid).since(before[who]) for who, pid in pids.items()}
    daemon, mother = taken["daemon"].own, taken["mother"].own
    found.measure(f"{name}: daemon %", daemon / wall * 100)
    found.measure(f"{name}: mother %", mother / wall * 100)
    found.measure(f"{name}: workers %", taken["mother"].children / wall * 100)


def _scrape(address: str) -> None:
    with urllib.request.urlopen(address, timeout=60) as reply:  # noqa: S310 - its own loopback address
        reply.read()


def _tell(found: Result, count: int) -> None:
    title = f"idle daemon, {count:,} lineages"

    def whole(name: str) -> float:
        return sum(found.median(f"{name}: {who} %") for who in ("daemon", "mother", "workers"))

    shares = ", ".join(
        f"{who} {found.median(f'alone: {who} %'):.2f} %" for who in ("daemon", "mother", "workers")
    )
    goal = Goal(1, at_most=True)
    found.add(
        Figure(f"{title}: processor", whole("alone"), "%", goal, f"of a core; {shares} (look-ins)")
    )
    beside = f"of a core; scraped every {SCRAPE_S} s"
    found.add(Figure(f"{title}, with Prometheus", whole("scraped"), "%", None, beside))
