"""500 scattered 4 KiB writes on an 8 GiB RBD image, 64 points and more, so that runs are merged."""

from __future__ import annotations

from contextlib import closing

from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import GIB, MIB, Place
from benchmarks.site import Images, Scattering, Shell, Site
from drd.core.merge import FANOUT

IMAGE = "scattered"
WRITES = 500
POINTS = 64
ORDINARY_OBJECTS = 3
ORDINARY = f"{WRITES} scattered 4 KiB writes"


def run(place: Place) -> Result:
    """A first full, then points of 500 writes each; the shell's export-diff and restic for some."""
    images = Images(place)
    path = place.image(place.sized(8 * GIB, 256 * MIB), place.sized(6 * GIB, 160 * MIB))
    images.imported(IMAGE, path)
    site, found = Site(place, IMAGE), Result()
    place.say("first full")
    site.backup()
    with closing(images.open(IMAGE)) as writing:
        _points(place, site, writing, found)
        site.forget()
        _others(place, images, writing, found)
    _tell(place, found)
    return found


def _points(place: Place, site: Site, writing: Scattering, found: Result) -> None:
    points = place.sized(POINTS, 3)
    for number in range(points):
        writing.scatter(WRITES)
        diff = writing.diff_bytes()
        point = site.backup()
        told = point.told
        found.measure("backup s", point.ran.seconds)
        found.measure("snapshot calls s", told["snapshot_seconds"])
        found.measure("bytes put", told["bytes_uploaded"])
        found.measure("objects put", told["objects_put"])
        found.measure("precise diff bytes", diff)
        found.measure("peak MiB", point.ran.peak_bytes / MIB)
        if number % 8 == 0:
            place.say(f"point {number + 1} of {points}: {point.ran.seconds:.2f} s")


def _others(place: Place, images: Images, writing: Scattering, found: Result) -> None:
    """What a user would type instead, from a snapshot that is there already."""
    shell, name = Shell(place), f"rbd/{IMAGE}"
    images.without_snapshots(IMAGE)
    place.say("restic's first full")
    export = images.rbd("export", "--no-progress", name, "-")
    shell.restic_put(export)
    place.run(images.rbd("snap", "create", "--no-progress", f"{name}@0"))
    for number in range(1, 1 + place.sized(3, 1)):
        writing.scatter(WRITES)
        before, now = f"{number - 1}", f"{number}"
        snapshot = place.run(images.rbd("snap", "create", "--no-progress", f"{name}@{now}"))
        diff = ["export-diff", "--no-progress", "--from-snap", before, f"{name}@{now}", "-"]
        ran = shell.put(images.rbd(*diff), f"diff-{now}")
        removed = place.run(images.rbd("snap", "rm", "--no-progress", f"{name}@{before}"))
        found.measure("shell snapshot calls s", snapshot.seconds + removed.seconds)
        found.measure("shell export-diff s", ran.seconds)
        found.measure("shell bytes put", shell.stored(f"diff-{now}"))
    place.say("restic")
    found.measure("restic s", shell.restic_put(export).seconds)
    images.without_snapshots(IMAGE)
    shell.forget()


def _tell(place: Place, found: Result) -> None:
    put, diff = found.series["bytes put"], found.series["precise diff bytes"]
    # A pack, a run, a manifest: more is put by a point that merges, or begins a roll anew.
    objects = found.series["objects put"]
    told = zip(put, diff, objects, strict=True)
    ratios = sorted(one / two for one, two, count in told if count <= ORDINARY_OBJECTS)
    seconds, snapshots = found.median("backup s"), found.median("snapshot calls s")
    shell = found.median("shell export-diff s") + found.median("shell snapshot calls s")
    found.add(
        Figure(
            f"{ORDINARY}, 8 GiB image: the whole drctl backup",
            seconds,
            "s",
            Goal(1.0, at_most=True),
            f"of it {snapshots:.2f} s snapshot calls; export-diff through the shell pipe {shell:.2f} s "
            f"with its snapshot calls, restic {found.median('restic s'):.1f} s",
        )
    )
    found.add(
        Figure(
            f"{ORDINARY}: bytes put, ordinary point",
            ratios[-1] if ratios else 0.0,
            "x",
            Goal(1.15, at_most=True),
            f"the precise diff ({diff[0] / MIB:.2f} MiB), the worst of {len(ratios)} points; shell pipe "
            f"{found.median('shell bytes put') / diff[0]:.2f} ×",
        )
    )
    if not place.quick:
        found.add(
            Figure(
                f"{ORDINARY}: bytes put with merges, over {len(put)} points",
                sum(put) / sum(diff),
                "x",
                Goal(2.5, at_most=True),
                f"the precise diffs; {len(put) - len(ratios)} merged ({FANOUT} runs) or began a roll",
            )
        )
    found.add(Figure(f"{ORDINARY}: peak memory of drctl", found.worst("peak MiB"), "MiB", None, ""))
