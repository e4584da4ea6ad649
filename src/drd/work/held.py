"""Which of drd's snapshots on a source are needed, and which were left behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

from drd.model import HeldSnapshot, PointInfo, PointKind
from drd.ports import Catalogue, Source
from drd.work.history import learn, learn_lineage, learn_unknown
from drd.work.listing import by_lineage
from drd.work.repository import Repository


def needed_ids(points: Iterable[PointInfo]) -> dict[bytes, frozenset[str]]:
    """Per lineage the ids of the snapshots that the next run needs: of the newest full point, and of
    the newest partial one after it.
    """
    found = {}
    for lineage, known in by_lineage(points).items():
        full = [point.seq for point in known if point.kind is PointKind.FULL]
        newest_full = max(full, default=-1)
        needed = [point for point in known if point.seq == newest_full]
        needed += [point for point in known[-1:] if point.seq > newest_full]
        found[lineage] = frozenset(_snapshot_id(point) for point in needed)
    return found


def _snapshot_id(point: PointInfo) -> str:
    snapshot = point.facts.get("snapshot")
    return str(snapshot.get("id", "")) if isinstance(snapshot, dict) else ""


class Needs:
    """Which snapshots are needed, as far as anybody asks: what a source shows decides what is looked up."""

    def __init__(self, repository: Repository, catalogue: Catalogue, pool: Executor) -> None:
        self._repository, self._catalogue, self._pool = repository, catalogue, pool
        if not catalogue.lineages(repository.tenant):
            learn(repository, catalogue, pool=pool)
        learn_unknown(repository, catalogue, pool=pool)
        self._needed = needed_ids(catalogue.tails(repository.tenant))
        self._looked: set[bytes] = set()

    def of(self, source: Source) -> Sequence[HeldSnapshot]:
        """The snapshots of *source*, with their states. None is called an orphan before the bucket was
        asked for its lineage: another node may have made a point of it that is not known here.
        """
        shown = list(source.snapshots())
        doubtful = {
            one.lineage for one in held_snapshots(shown, self._needed) if one.state == "orphan"
        }
        for lineage in doubtful - self._looked:
            if lineage is not None:
                points = learn_lineage(self._repository, self._catalogue, lineage, pool=self._pool)
                self._needed.pop(lineage, None)
                self._needed |= needed_ids(points)
                self._looked.add(lineage)
        return held_snapshots(shown, self._needed)


def held_snapshots(
    shown: Iterable[HeldSnapshot], needed: Mapping[bytes, frozenset[str]]
) -> Sequence[HeldSnapshot]:
    """The snapshots that a source has *shown*, each with its state: kept, orphan, or unknown (of a lineage
    that this repository does not know).
    """
    marked = []
    for one in shown:
        if one.lineage is None or one.lineage not in needed:
            state = "unknown"
        else:
            state = "kept" if one.snapshot.id in needed[one.lineage] else "orphan"
        marked.append(replace(one, state=state))
    return marked
