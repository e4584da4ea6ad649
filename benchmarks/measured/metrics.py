"""One scrape of ``/metrics`` with ten thousand lineages, and the memory of the process that answers."""

from __future__ import annotations

from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import MIB, Place


def run(place: Place) -> Result:
    """The child serves, and is asked from another process."""
    lineages, found = place.sized(10_000, 200), Result()
    row, _ = place.child("metrics_child", str(lineages), str(place.sized(12, 3)))
    for value in row["seconds"]:
        found.measure("scrape s", value)
    found.measure("peak MiB", row["peak_mib"])
    beside = (
        f"{row['series']:,} series, {row['text_bytes'] / MIB:.1f} MiB of text, "
        f"{row['sent_bytes'] / MIB:.2f} MiB sent"
    )
    title = f"/metrics with {lineages:,} lineages"
    worst = found.worst("scrape s")
    found.add(Figure(f"{title}: the slowest scrape", worst, "s", Goal(1, at_most=True), beside))
    found.add(
        Figure(
            f"{title}: peak memory of the process",
            found.worst("peak MiB"),
            "MiB",
            Goal(200, at_most=True),
            "the metrics alone: no catalogue, no workers",
        )
    )
    found.notes.append(f"a second scrape of the same tick costs {row['again_s'] * 1000:.2f} ms")
    return found
