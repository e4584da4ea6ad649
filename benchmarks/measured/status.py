"""Ten thousand lineages of a hundred points: what a tick asks, ``drctl status``, what a worker asks."""

from __future__ import annotations

from benchmarks import fleet, process
from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import DRCTL, MIB, Place

COMMANDS = {
    "status": ("status",),
    "json": ("status", "--json"),
    "one": ("status", "vms/volume-00001"),
}


def run(place: Place) -> Result:
    """Each command and each question some times, in turn."""
    lineages, points = place.sized(10_000, 100), place.sized(100, 3)
    place.say(f"writing {lineages:,} lineages of {points} points")
    folder = place.folder("status")
    config = fleet.make(folder, lineages=lineages, points=points)
    (file,) = folder.glob("state/*/catalogue.sqlite")
    env = process.environment(folder / "pycache")
    found = Result()
    for _ in range(place.sized(5, 1)):
        for name, arguments in COMMANDS.items():
            ran = process.run([str(DRCTL), "--config", str(config), *arguments], env=env)
            found.measure(f"{name} s", ran.seconds)
            found.measure(f"{name} MiB", ran.peak_bytes / MIB)
        row, _ = place.child("status_child", str(config), str(lineages))
        for name, value in row.items():
            found.measure(name, value)
    _tell(found, f"{lineages:,} lineages × {points} points")
    found.notes.append(f"the file has {file.stat().st_size / MIB:,.0f} MiB")
    return found


def _tell(found: Result, size: str) -> None:
    second, memory = Goal(1, at_most=True), Goal(200, at_most=True)
    whole = f"median of whole processes; the slowest {found.worst('status s'):.2f} s"
    for name, value, unit, goal, beside in (
        ("drctl status", found.median("status s"), "s", second, whole),
        (
            "drctl status: memory",
            found.worst("status MiB"),
            "MiB",
            memory,
            "the most of all rounds",
        ),
        ("drctl status --json", found.median("json s"), "s", second, "median of whole processes"),
        (
            "a tick's questions, plan and states",
            found.median("tick_s"),
            "s",
            second,
            f"all from the file; heads alone {found.median('heads_s'):.3f} s",
        ),
        ("a tick: memory", found.worst("tick_mib"), "MiB", memory, "the whole process"),
        ("drctl status of one image", found.median("one s"), "s", None, "all are looked at"),
        (
            "what a worker asks and notes",
            found.median("worker_s") * 1000,
            "ms",
            None,
            f"of its own image alone; the process has {found.worst('worker_mib'):.0f} MiB after 100",
        ),
    ):
        found.add(Figure(f"{size}: {name}", value, unit, goal, beside))
