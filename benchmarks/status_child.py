"""What a tick and a worker ask of the catalogue of so many lineages, each once; prints JSON.

    python -m benchmarks.status_child CONFIG LINEAGES

``tick_s`` is what a tick asks and computes, from the file to the last standing; ``worker_s`` what a backup
of one image asks and notes, over a hundred images; memory is looked at after each of the two.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import closing

from benchmarks import fleet
from drd.wiring import House, open_house
from drd.wiring.clock import now
from drd.wiring.standing import survey

IMAGES = 100


def main() -> None:
    """Print one line of JSON."""
    config, lineages = sys.argv[1], int(sys.argv[2])
    with closing(open_house(config)) as house:
        catalogue = house.catalogue()
        begin = time.perf_counter()
        heads = catalogue.heads(fleet.TENANT)
        heads_s = time.perf_counter() - begin
        if len(heads) != lineages:
            raise SystemExit(f"{len(heads)} heads of {lineages} lineages")
    with closing(open_house(config)) as house:
        begin = time.perf_counter()
        seen = survey(house)
        tick_s = time.perf_counter() - begin
        if len(seen.standings) != lineages:
            raise SystemExit(f"{len(seen.standings)} lines of {lineages} lineages")
    tick_mib = _peak()
    with closing(open_house(config)) as house:
        worker_s = _workers(house, range(0, lineages, max(lineages // IMAGES, 1)))
    row = {"heads_s": heads_s, "tick_s": tick_s, "worker_s": worker_s}
    print(json.dumps(row | {"tick_mib": tick_mib, "worker_mib": _peak()}))


def _workers(house: House, numbers: range) -> float:
    """What backups of these images ask, and note at their end; seconds for each."""
    catalogue = house.spare_catalogue()
    if catalogue is None:
        raise SystemExit("there is no catalogue")
    begin = time.perf_counter()
    for number in numbers:
        lineage = catalogue.lineage_of(fleet.TENANT, fleet.identity_of(number))
        if lineage != fleet.lineage_of(number):
            raise SystemExit(f"image {number} has no lineage")
        catalogue.damage_of(fleet.TENANT, lineage)
        highest = catalogue.highest(fleet.TENANT, lineage)
        catalogue.learn([fleet.point(number, highest + 1, now())])
    return (time.perf_counter() - begin) / len(numbers)


def _peak() -> float:
    """The most memory that this process ever took, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
