"""AES-256-GCM: drd's stage beside the raw primitive, by frame size, with one thread and with two."""

from __future__ import annotations

from benchmarks.figures import Figure, Goal, Result
from benchmarks.kernels import FRAMES, KIB
from benchmarks.measured import kernels
from benchmarks.place import Place

DEFAULT = 256


def run(place: Place) -> Result:
    """Rounds of all kernels in turn; a ratio is made of two values of one round."""
    found = Result()
    for frame in [size // KIB for size in FRAMES if size == DEFAULT * KIB or not place.quick]:
        size, rounds = place.sized(512, 64), place.sized(5, 1)
        kernels.measure(place, found, f"crypto/{frame}", size, rounds=rounds)
        for threads in (1, 2):
            seal, raw = (f"{name}/{frame}/{threads} MiB/s" for name in ("seal", "raw"))
            found.add(
                Figure(
                    f"AES-256-GCM stage, frames of {frame} KiB, {_threads(threads)}",
                    100 * found.ratio(seal, raw),
                    "%",
                    Goal(90) if frame == DEFAULT else None,
                    f"of the raw primitive; {found.median(seal):,.0f} of {found.median(raw):,.0f} MiB/s",
                )
            )
    return found


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"
