"""A full image from RBD to MinIO and back, beside the shell pipe and restic, in turn."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from typing import Final

from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import GIB, MIB, Place
from benchmarks.process import BenchmarkError, Ran
from benchmarks.site import Images, Shell, Site

IMAGE = "full"
BACK = "back"

GOALS: Final[dict[str, dict[str, Goal | None]]] = {
    "full": {"shell": Goal(1.9), "restic": Goal(3.0)},
    "restore": {"shell": Goal(1.5), "restic": None},
}
Way = Callable[[], Ran]


def run(place: Place) -> Result:
    """Rounds of backups and restores, each tool in turn; the order turns from round to round."""
    images = Images(place)
    path = place.image(place.sized(8 * GIB, 256 * MIB), place.sized(6 * GIB, 160 * MIB))
    images.imported(IMAGE, path)
    found = Result()
    found.notes.append(
        f"image of {path.stat().st_size / GIB:.2f} GiB, {path.stat().st_blocks * 512 / GIB:.2f} GiB "
        "of it used by real files; Ceph (three OSDs, one copy), MinIO and every client share the cores"
    )
    _rounds(place, images, found)
    for name in ("full", "restore"):
        _tell(found, name)
    return found


def _rounds(place: Place, images: Images, found: Result) -> None:
    expected = _digest(place, images, IMAGE)
    export = images.rbd("export", "--no-progress", f"rbd/{IMAGE}", "-")
    into = images.rbd("import", "--no-progress", "-", f"rbd/{BACK}")
    for number in range(place.sized(3, 1)):
        site, shell = Site(place, IMAGE), Shell(place)
        backups = {
            "drd": lambda site=site: _backup(site, found),
            "shell": lambda shell=shell: shell.put(export, "image"),
            "restic": lambda shell=shell: shell.restic_put(export),
        }
        restores = {
            "drd": lambda site=site: _restore(site),
            "shell": lambda shell=shell: shell.get("image", into),
            "restic": lambda shell=shell: shell.restic_get(into),
        }
        for name in _turned(list(backups), number):
            _timed(place, found, f"full {name}", backups[name])
        images.without_snapshots(IMAGE)
        for name in _turned(list(restores), number):
            _timed(place, found, f"restore {name}", restores[name])
            if number == 0 and _digest(place, images, BACK) != expected:
                raise BenchmarkError(f"{name} restored another image than was backed up")
            images.remove(BACK)
        site.forget()
        shell.forget()


def _turned(names: list[str], by: int) -> list[str]:
    return names[by % len(names) :] + names[: by % len(names)]


def _timed(place: Place, found: Result, name: str, way: Way) -> None:
    os.sync()  # what the one before left to be written is not this one's burden
    ran = way()
    place.say(f"{name}: {found.measure(f'{name} s', ran.seconds):.1f} s")
    found.measure(f"{name} peak MiB", ran.peak_bytes / MIB)


def _backup(site: Site, found: Result) -> Ran:
    point = site.backup()
    found.measure("full drd bytes put", point.told["bytes_uploaded"])
    return point.ran


def _restore(site: Site) -> Ran:
    ran = site.drctl("restore", f"vms/{IMAGE}", "--to", f"rbd:rbd/{BACK}")
    if not json.loads(ran.out)["points"][0]["proven"]:
        raise BenchmarkError(f"not proven: {ran.out}")
    return ran


def _digest(place: Place, images: Images, name: str) -> str:
    """SHA-256 of an image's bytes."""
    command = images.rbd("export", "--no-progress", f"rbd/{name}", "-")
    with subprocess.Popen(command, env=place.env, stdout=subprocess.PIPE) as export:
        out = export.stdout
        if out is None:
            raise BenchmarkError("rbd export has no output")
        digest = hashlib.sha256()
        while piece := out.read(4 * MIB):
            digest.update(piece)
    return digest.hexdigest()


def _tell(found: Result, name: str) -> None:
    """The figures of one direction."""
    title = {"full": "full RBD → MinIO", "restore": "full restore MinIO → RBD"}[name]
    seconds = {tool: found.median(f"{name} {tool} s") for tool in ("drd", "shell", "restic")}
    goals = GOALS[name]
    for tool, other in (("shell", "the shell pipe"), ("restic", "restic")):
        found.add(
            Figure(
                f"{title}, beside {other}",
                found.ratio(f"{name} {tool} s", f"{name} drd s"),
                "x",
                goals[tool],
                f"as fast: {seconds['drd']:.1f} s beside {seconds[tool]:.1f} s",
            )
        )
    peak = found.worst(f"{name} drd peak MiB")
    found.add(
        Figure(
            f"{title}: peak memory of drctl",
            peak,
            "MiB",
            Goal(512, at_most=True),
            f"the worst round; the shell pipe's {found.worst(f'{name} shell peak MiB'):.0f}, restic's "
            f"{found.worst(f'{name} restic peak MiB'):.0f} (with rbd's)",
        )
    )
