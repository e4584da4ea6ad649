"""All benchmarks by name, in the order in which they run: quick ones first."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final

from benchmarks.figures import Result
from benchmarks.place import Place

ALL: Final = {
    "crypto": "AES-256-GCM by frame size, 1 and 2 threads, beside the raw primitive",
    "compression": "zstd by level, and beside it the digests",
    "start": "drctl --help, and drctl ls on 100 lineages in a folder and in MinIO",
    "metrics": "a scrape of /metrics with 10,000 lineages, and what memory that takes",
    "status": "drctl status, a tick's questions and a worker's, on 10,000 lineages of 100 points",
    "due": "from due to a worker's begin",
    "idle": "processor time of a daemon with 1,000 lineages, nothing due",
    "fleet-points": "200 small incremental RBD images to MinIO, all due at once, on two workers",
    "pipeline": "read, digest, zstd-1, seal without a store, beside zstd-1 alone",
    "metadata": "metadata of each hourly point of a 4 TiB image, 3 GiB/h of scattered change",
    "tebibyte": "one 4 KiB write on a 1 TiB RBD image",
    "scattered": "500 scattered 4 KiB writes on an 8 GiB RBD image, 64 points with merges",
    "transfer": "a full RBD image to MinIO and back, beside the shell pipe and restic",
    "memory": "peak memory of a backup and a restore of a 4 TiB map with 10 % scattered data",
}
"""Name and what it measures; each is a module of that name (``_`` for ``-``) in ``benchmarks.measured``."""


def runner(name: str) -> Callable[[Place], Result]:
    """The function that runs a benchmark; only then is its module loaded."""
    run: Callable[[Place], Result] = import_module(
        f"benchmarks.measured.{name.replace('-', '_')}"
    ).run
    return run
