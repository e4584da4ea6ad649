"""What the two benchmarks of kernels share: rounds of pyperf, and their values by name."""

from __future__ import annotations

import sys

import pyperf

from benchmarks.figures import Result
from benchmarks.place import Place

HANDED_ON = "PYTHONPYCACHEPREFIX,DRD_BENCH_DATA"


def measure(
    place: Place, found: Result, kind: str, size_mib: int, *, rounds: int, **env: str
) -> None:
    """Run ``benchmarks.kernels`` *rounds* times; keep MiB/s of each kernel, one value a round."""
    folder = place.folder("pyperf")
    values = str(place.sized(7, 2))
    for number in range(rounds):
        output = folder / f"{number}.json"
        options = ["--processes", "1", "--values", values, "--warmups", "1", "--loops", "1"]
        place.run(
            [
                *(sys.executable, "-m", "benchmarks.kernels", kind, str(size_mib), "--quiet"),
                *(*options, "--inherit-environ", HANDED_ON, "--output", str(output)),
            ],
            **env,
        )
        for one in pyperf.BenchmarkSuite.load(str(output)).get_benchmarks():
            found.measure(f"{one.get_name()} MiB/s", size_mib / one.median())
