"""Peak memory of a backup and of a restore of a 4 TiB map with 10 % scattered data."""

from __future__ import annotations

from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import MIB, Place


def run(place: Place) -> Result:
    """A first full and one hourly point in one process, a restore in another."""
    size = place.sized(4096, 16)
    folder, found = place.folder("huge"), Result()
    for verb in ("backup", "restore"):
        place.say(f"{verb} of {size} GiB (4096 GiB take half an hour)")
        row, ran = place.child("huge_child", verb, str(folder), str(size))
        found.measure(f"{verb} peak MiB", max(row["peak_mib"], ran.peak_bytes / MIB))
        found.measure(f"{verb} s", row["seconds"])
        if verb == "backup":
            found.notes.append(
                f"first full: {row['full']['bytes_changed'] / 1024**3:,.1f} GiB in "
                f"{row['full']['seconds']:,.0f} s, {row['full']['seq']} manifests with its partial points; "
                f"then an hour's change, {row['hourly']['bytes_changed'] / MIB:,.0f} MiB in scattered "
                f"blocks of 4 KiB, in {row['hourly']['seconds']:,.0f} s: "
                f"{row['hourly_tables'] / MIB:.2f} MiB of tables and manifest, "
                f"{row['hourly_footers'] / MIB:.2f} MiB of pack footers"
            )
        found.add(
            Figure(
                f"{verb} of a 4 TiB map with 10 % scattered data: peak memory",
                found.worst(f"{verb} peak MiB"),
                "MiB",
                Goal(512, at_most=True),
                "one process; simulated source, store and target hold no data (a folder, not S3)",
            )
        )
    return found
