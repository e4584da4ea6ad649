"""Which of drd's snapshots on a source are needed, and which were left behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from drd.model import HeldSnapshot, PointInfo, PointKind
from drd.ports import Source
from drd.work.listing import by_lineage


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


def held_snapshots(
    source: Source, needed: Mapping[bytes, frozenset[str]]
) -> Sequence[HeldSnapshot]:
    """The snapshots of *source*, each with its state: kept, orphan, or unknown (of a lineage that
    this repository does not know).
    """
    marked = []
    for one in source.snapshots():
        if one.lineage is None or one.lineage not in needed:
            state = "unknown"
        else:
            state = "kept" if one.snapshot.id in needed[one.lineage] else "orphan"
        marked.append(replace(one, state=state))
    return marked
