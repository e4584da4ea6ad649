"""One 4 KiB write on a 1 TiB RBD image that holds some data all over."""

from __future__ import annotations

from contextlib import closing

from benchmarks.figures import Figure, Goal, Result
from benchmarks.place import MIB, Place
from benchmarks.site import Images, Site

IMAGE = "tebibyte"
TIB = 1024**4
PIECES = 256
KIB = 1024


def run(place: Place) -> Result:
    """A first full, then some points of one write each."""
    images = Images(place)
    size = place.sized(TIB, TIB // 64)
    place.run(images.rbd("create", "--size", f"{size // MIB}", f"rbd/{IMAGE}"))
    site, found = Site(place, IMAGE), Result()
    with closing(images.open(IMAGE)) as writing:
        writing.fill(size, place.sized(PIECES, 8))
        place.say("first full")
        found.measure("first full s", site.backup().ran.seconds)
        for _ in range(place.sized(12, 2)):
            writing.scatter(1)
            point = site.backup()
            found.measure("backup s", point.ran.seconds)
            found.measure("snapshot calls s", point.told["snapshot_seconds"])
            found.measure("bytes put", point.told["bytes_uploaded"])
            found.measure("objects put", point.told["objects_put"])
    put = found.series["bytes put"]
    title = "one 4 KiB write, 1 TiB image"
    found.add(
        Figure(
            f"{title}: put on an ordinary point",
            found.worst("bytes put") / KIB,
            "KiB",
            Goal(128, at_most=True),
            f"the worst of {len(put)} points, {found.worst('objects put'):.0f} objects",
        )
    )
    found.add(
        Figure(
            f"{title}: the whole drctl backup",
            found.median("backup s"),
            "s",
            Goal(3.0, at_most=True),
            f"of it {found.median('snapshot calls s'):.2f} s snapshot calls",
        )
    )
    found.notes.append(
        f"{size // 1024**3} GiB, of which {len(put)} times one block changed; 4 MiB of data at each of "
        f"{place.sized(PIECES, 8)} places"
    )
    return found
