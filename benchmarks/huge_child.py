"""A backup or a restore of a simulated image of many TiB, in a process of its own, for its memory.

    python -m benchmarks.huge_child backup|restore FOLDER SIZE_GIB

Everything is what ``drctl`` uses (threads, knobs, tables, sealing), but for the ends: the source
calculates its contents, the store keeps no frames (see :mod:`benchmarks.huge`), the target throws away.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Row
from benchmarks.huge import SlimStore, opened
from drd.catalogue.catalogue import SqliteCatalogue
from drd.leases.local import LocalLease
from drd.model import BackupResult, Buffer, Json, Progress
from drd.stores.metered import MeteredStore
from drd.testing.huge_source import HugeSource
from drd.wiring import clock
from drd.work.backup import backup
from drd.work.bench import Bench, Knobs
from drd.work.lineagekeys import load_keys
from drd.work.listing import known_points, open_full
from drd.work.repository import Repository
from drd.work.restore import Hands, OpenedPoint, plan, restore

GIB = 1024**3
CORES = os.cpu_count() or 1
PACKS = 4
GETS = 16
"""As :mod:`drd.wiring` has them where the configuration says nothing."""
WRITES_HELD = 10
"""Writes that an RBD target has under way (``drd.sources.rbd_target``)."""
HOUR_BYTES_PER_TIB = 3 * GIB // 4


def main() -> None:
    """Print one line of JSON."""
    verb, folder, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) * GIB
    source = HugeSource("huge", clock.now, size=size)
    store = SlimStore(folder / "repository")
    begin = time.perf_counter()
    row = {"backup": _backup, "restore": _restore}[verb](source, store, folder)
    row["seconds"] = time.perf_counter() - begin
    row["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(row))


def _report(progress: Progress) -> None:
    """Progress goes nowhere."""
    del progress


@contextmanager
def _bench(store: SlimStore, folder: Path) -> Iterator[Bench]:
    metered = MeteredStore(store)
    whole = opened(store)
    repository = Repository(metered, whole.ring, whole.format, whole.trust, whole.tenant)
    with ThreadPoolExecutor(CORES) as cpu, ThreadPoolExecutor(PACKS) as transfers:
        yield Bench(
            repository=repository,
            catalogue=SqliteCatalogue(folder / "catalogue.sqlite"),
            lease=LocalLease(folder / "leases"),
            cpu=cpu,
            transfers=transfers,
            now=clock.now,
            random=os.urandom,
            report=_report,
            timer=time.monotonic,
            uploads=lambda: (metered.puts, metered.bytes_put),
            knobs=Knobs(workers=CORES, in_flight=PACKS),
        )


def _backup(source: HugeSource, store: SlimStore, folder: Path) -> Row:
    """A first full, then one point of an hour's scattered changes."""
    found = source.discover()[0]
    with _bench(store, folder) as bench:
        full = backup(bench, source, found)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        tables, footers, packs = store.table_bytes, store.footer_bytes, store.pack_bytes
        source.scatter(HOUR_BYTES_PER_TIB * (source.size // GIB) // 1024 // 4096)
        hourly = backup(bench, source, found)
    return {
        "full": _told(full),
        "hourly": _told(hourly),
        "full_peak_mib": peak,
        "hourly_tables": store.table_bytes - tables,
        "hourly_footers": store.footer_bytes - footers,
        "hourly_packs": store.pack_bytes - packs,
        "full_tables": tables,
        "full_footers": footers,
    }


def _told(result: BackupResult) -> Row:
    return {
        "seconds": result.seconds,
        "bytes_changed": result.bytes_changed,
        "bytes_read": result.bytes_read,
        "seq": result.seq,
    }


class NullTarget:
    """Throws away, but holds what an RBD target would hold."""

    name = "null:"
    warnings: tuple[str, ...] = ()
    ordered = False

    def __init__(self) -> None:
        self._held: deque[bytes] = deque(maxlen=WRITES_HELD)

    def prepare(self, size: int, facts: Mapping[str, Json]) -> None:
        """Nothing to prepare."""

    def write(self, offset: int, data: Buffer) -> None:
        """Hold a copy for a while."""
        del offset
        self._held.append(bytes(data))

    def skip(self, offset: int, length: int) -> None:
        """Nothing to skip."""

    def finish(self) -> None:
        """Nothing to finish."""

    def abandon(self) -> str:
        """Nothing is left."""
        return ""


def _restore(source: HugeSource, store: SlimStore, folder: Path) -> Row:
    """The first point of the repository, which is the full one without later changes."""
    with _bench(store, folder) as bench:
        points = known_points(bench.repository, bench.catalogue)
        full = [point for point in points if point.kind.name == "FULL"]
        keys, point = open_full(bench.repository, full[0])
        store.keys = load_keys(bench.repository, full[0].lineage)
        store.content = lambda offset, length: source.content(offset, length, 0)
        whole = OpenedPoint(bench.repository, keys, point)
        with ThreadPoolExecutor(GETS) as transfers, ThreadPoolExecutor(1) as checks:
            whole.warm(transfers)
            planned = plan(whole)
            hands = Hands(bench.cpu, transfers, checks, _report)
            outcome = restore(whole, NullTarget(), hands, best_effort=False)
    if outcome.damage or not outcome.proven:
        raise SystemExit(f"the restore is not proven: {outcome.damage[:3]}")
    return {"bytes_written": outcome.bytes_written, "requests": planned.requests}


if __name__ == "__main__":
    main()
