"""How long drctl takes to start, and to list 100 lineages: each a fresh process, timed by pyperf."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pyperf

from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import DRCTL, Place

KEEP = "PYTHONPYCACHEPREFIX"
CONFIG = """\
state_dir = "{folder}/state"
[repository]
url = "{url}"
{s3}
[keys]
file = "{folder}/drd.key"
[source.disks]
type = "device"
paths = ["{folder}/disks/*.img"]
"""
S3 = """\
[repository.s3]
endpoint = "{endpoint}"
access_key_file = "{lab}/s3.access"
secret_key_file = "{lab}/s3.secret"
"""


def run(place: Place) -> Result:
    """The three commands in turn, some processes of each a round."""
    lineages = place.sized(100, 5)
    minio = place.lab.minio
    s3 = S3.format(endpoint=minio.endpoint, lab=place.lab.folder)
    folder = place.folder("start")
    repository = (folder / "local" / "repository").as_uri()
    bucket_url = f"s3://{minio.fresh_bucket()}/site"
    local = _made(place, folder / "local", repository, lineages=lineages)
    bucket = _made(place, folder / "bucket", bucket_url, s3=s3, lineages=lineages)
    commands = {
        "drctl --help": [str(DRCTL), "--help"],
        "drctl ls, folder": [str(DRCTL), "--config", str(local), "ls"],
        "drctl ls, MinIO": [str(DRCTL), "--config", str(bucket), "ls"],
    }
    found = Result()
    for number in range(place.sized(5, 1)):
        for name, command in commands.items():
            output = folder / f"{number}-{len(found.series)}-{name.replace(' ', '')}.json"
            for value in _timed(place, command, output):
                found.measure(f"{name} s", value)
    return _tell(found, lineages)


def _made(place: Place, folder: Path, url: str, *, lineages: int, s3: str = "") -> Path:
    """A repository with one point of each of so many disks; returns the configuration."""
    (folder / "disks").mkdir(parents=True)
    for number in range(lineages):
        (folder / "disks" / f"disk-{number:03}.img").write_bytes(os.urandom(64 * 1024))
    config = folder / "drd.toml"
    config.write_text(CONFIG.format(folder=folder, url=url, s3=s3))
    for verb in ("init", "backup"):
        place.run([str(DRCTL), "--config", str(config), verb, "--json"])
    return config


def _timed(place: Place, command: list[str], output: Path) -> list[float]:
    """Seconds of each process."""
    options = ["--processes", str(place.sized(4, 2)), "--values", "1", "--warmups", "1"]
    options += ["--loops", "1", "--quiet", "--inherit-environ", KEEP, "--output", str(output)]
    place.run([sys.executable, "-m", "pyperf", "command", *options, "--", *command])
    return list(pyperf.Benchmark.load(str(output)).get_values())


def _tell(found: Result, lineages: int) -> Result:
    help_s, local_s, minio_s = (found.median(name) for name in found.series)
    runs = len(next(iter(found.series.values())))
    beside = f"median of {runs} fresh processes"
    found.add(Figure("start of drctl --help", help_s, "s", Goal(0.3, at_most=True), beside))
    listed = f"drctl ls on {lineages} lineages"
    for where, value in (("a folder", local_s), ("MinIO", minio_s)):
        found.add(Figure(f"{listed}, {where}", value, "s", Goal(0.6, at_most=True), beside))
    return found
