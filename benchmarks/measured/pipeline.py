"""The whole pipeline without a store, beside zstd-1 alone on the same data and threads."""

from __future__ import annotations

from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import GIB, MIB, Place

WAYS = ("drd", "zstd", "zstd-read")


def run(place: Place) -> Result:
    """One pass of each in turn, each in a fresh process; the order turns from round to round."""
    image = place.image(place.sized(8 * GIB, 256 * MIB), place.sized(6 * GIB, 160 * MIB))
    found = Result()
    place.child("pipeline_child", "zstd-read", str(image))  # the image lies in the page cache now
    for number in range(place.sized(5, 1)):
        for way in WAYS[number % 3 :] + WAYS[: number % 3]:
            row, ran = place.child("pipeline_child", way, str(image))
            found.measure(f"{way} MiB/s", row["bytes"] / MIB / row["seconds"])
            found.measure(f"{way} peak MiB", ran.peak_bytes / MIB)
    alone = found.median("zstd MiB/s")
    with_reading = found.ratio("drd MiB/s", "zstd-read MiB/s")
    found.add(
        Figure(
            "pipeline (read, digest, zstd-1, seal) on a real file system image",
            100 * found.ratio("drd MiB/s", "zstd MiB/s"),
            "%",
            Goal(90),
            f"of zstd-1 alone, same frames and threads, data in memory; {found.median('drd MiB/s'):,.0f} "
            f"of {alone:,.0f} MiB/s",
        )
    )
    found.add(
        Figure(
            "the same, beside zstd-1 that reads the file too",
            100 * with_reading,
            "%",
            beside=f"of {found.median('zstd-read MiB/s'):,.0f} MiB/s",
        )
    )
    return found
