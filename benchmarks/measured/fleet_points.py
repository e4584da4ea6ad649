"""Two hundred small images: all are due at once, two workers make a point of each; RBD to MinIO."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import closing

from benchmarks import service
from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import DRCTL, GIB, Place
from benchmarks.service import Service, Spent
from benchmarks.site import BLOCK, Site
from drd.ceph.bindings import bindings

IMAGES = 200
SIZE = 8 * GIB
WRITES = 20
WORKERS = 2
ROUNDS = 2
NAME = "fleet"
# Of a policy that wants a point in a year: a signal makes all of them due, and nothing else does.
DAEMON = f"""\
policy = "yearly"
[policy.yearly]
cron = "0 0 1 1 *"
rpo = "400d"
[daemon]
metrics = ""
workers = {WORKERS}
log = "json"
"""


def run(place: Place) -> Result:
    """A first full of each, then rounds of twenty changed blocks in each image."""
    count, found = place.sized(IMAGES, 6), Result()
    with closing(_Images(place, count)) as images:
        site = Site(place, f"{NAME}-*", more=DAEMON)
        images.make()
        place.say(f"first fulls of {count} images")
        first = place.run([str(DRCTL), "--config", str(site.config), "backup", "--json"])
        found.measure("first fulls s", first.seconds)
        with service.daemon(site.config, place.env) as drd:
            drd.wait_for("image_found", count)
            for number in range(place.sized(ROUNDS, 1)):
                images.scatter()
                _round(place, drd, found, already=number * count, count=count)
            found.notes += sorted(set(drd.troubles()))
        site.forget()
    _tell(found, count)
    return found


def _round(place: Place, drd: Service, found: Result, *, already: int, count: int) -> None:
    """All are due; what it took until the last point was there, and whose processor time."""
    pids = {"daemon": drd.pid, "workers": drd.mother, **_servers(place)}
    before = {name: service.spent(pid) for name, pid in pids.items()}
    drd.now()
    ended = drd.wait_for("run_done", already + count, kind="backup")[already:]
    begun = drd.said("run_started", kind="backup")[already:]
    seconds = (service.moment(ended[-1]) - service.moment(begun[0])).total_seconds()
    found.measure("round s", seconds)
    found.measure("points per second", count / seconds)
    for row in ended:
        found.measure("run s", row["seconds"])
        found.measure("bytes put", row["bytes_uploaded"])
    taken = {name: service.spent(pid).since(before[name]) for name, pid in pids.items()}
    for name, value in _by_process(taken).items():
        found.measure(f"{name}: processor s a point", value / count)
    place.say(f"{count} points in {seconds:.1f} s: {count / seconds:.2f} a second")


def _servers(place: Place) -> dict[str, int]:
    ceph = place.lab.ceph
    servers = {"MinIO": place.lab.minio.server, "monitor": ceph.mon}
    servers |= {f"OSD {number}": osd for number, osd in enumerate(ceph.osds)}
    return {name: pid for name, server in servers.items() if (pid := server.pid()) is not None}


def _by_process(taken: Mapping[str, Spent]) -> dict[str, float]:
    """Seconds by what an operator would name: the mother and her children are the workers."""
    sums: dict[str, float] = {}
    for name, one in taken.items():
        kind = "OSDs" if name.startswith("OSD") else name
        own = one.own + one.children if kind == "workers" else one.own
        sums[kind] = sums.get(kind, 0.0) + own
    return sums


def _tell(found: Result, count: int) -> None:
    title = f"{count} incremental images (8 GiB, {WRITES} changed blocks), {WORKERS} workers"
    rate, runs = found.median("points per second"), found.median("run s")
    bytes_put = found.median("bytes put")
    found.add(
        Figure(
            f"{title}: points made",
            rate,
            "/s",
            Goal(3),
            f"from the first begin to the last point; a run takes {runs:.2f} s (median) and puts "
            f"{bytes_put / 1024:.0f} KiB",
        )
    )
    suffix = ": processor s a point"
    shares = {
        name.removesuffix(suffix): found.median(name) * 1000
        for name in found.series
        if name.endswith(suffix)
    }
    for name, value in sorted(shares.items(), key=lambda one: -one[1]):
        found.add(Figure(f"{title}: processor time a point, {name}", value, "ms", None, ""))
    cores = sum(shares.values()) / 1000 * rate
    found.notes.append(f"all of them together keep {cores:.2f} cores busy")


class _Images:
    """Thin-provisioned images of the lab, and writes to all of them."""

    def __init__(self, place: Place, count: int) -> None:
        self._place = place
        self._names = [f"{NAME}-{number:04}" for number in range(count)]
        self._rbd = bindings().rbd
        self._cluster = bindings().rados.Rados(conffile=str(place.lab.ceph.conf))
        self._cluster.connect()
        self._pool = self._cluster.open_ioctx("rbd")
        self._draw = random.Random(0)  # noqa: S311 - which blocks is no secret

    def close(self) -> None:
        """Let go of the cluster; its images go with the lab."""
        self._pool.close()
        self._cluster.shutdown()

    def make(self) -> None:
        """Make them, with a first twenty blocks."""
        self._place.say(f"making {len(self._names)} images")
        for name in self._names:
            self._rbd.RBD().create(self._pool, name, SIZE, old_format=False)
        self.scatter()

    def scatter(self) -> None:
        """Change blocks at random places of each image."""
        for name in self._names:
            with self._rbd.Image(self._pool, name) as image:
                for block in self._draw.sample(range(SIZE // BLOCK), WRITES):
                    image.write(self._draw.randbytes(BLOCK), block * BLOCK)
                image.flush()
