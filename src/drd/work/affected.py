"""Which points need an object that is damaged: by what their tables list in clear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drd.core.names import pack_key
from drd.errors import DrdError
from drd.model import PointInfo
from drd.work.history import read_manifest
from drd.work.lineagekeys import load_keys
from drd.work.listing import full_points
from drd.work.repository import Repository
from drd.work.shelf import Shelf


def points_that_need(
    repository: Repository, points: Sequence[PointInfo], packs: Iterable[str]
) -> dict[str, list[str]]:
    """For each pack (its key) the points of this lineage that reach it, as ``NAME@SEQ``.

    A point that cannot be read is left out, with a warning: it has troubles of its own.
    """
    found: dict[str, list[str]] = {pack: [] for pack in packs}
    for point in full_points(points):
        try:
            reached = _reached(repository, point)
        except DrdError as error:
            repository.warnings.append(f"{point.name}@{point.seq}: {error}")
            continue
        for pack, needing in found.items():
            if pack in reached:
                needing.append(f"{point.name}@{point.seq}")
    return found


def _reached(repository: Repository, point: PointInfo) -> set[str]:
    keys = load_keys(repository, point.lineage)
    clear = read_manifest(repository, point.lineage, point.seq).clear
    shelf = Shelf(repository.store, keys)
    ordinals: set[int] = set()
    names: dict[int, str] = {}
    for reference in clear.references:
        head = shelf.open(reference).head
        ordinals.update(head.reached)
        for row in head.rows:
            names[row.ordinal] = pack_key(repository.tenant, point.lineage, row.pack_id)
    return {names[ordinal] for ordinal in ordinals if ordinal in names}
