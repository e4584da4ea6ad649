"""Which points need an object that is damaged: by what their tables list in clear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from drd.core.manifest import Reference
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
) -> Iterator[tuple[str, str]]:
    """Pairs of a pack (its key, one of *packs*) and a point that reaches it, as ``NAME@SEQ``; point
    by point, so that who stops half-way has what was found so far.

    A point that cannot be read is left out, with a warning: it has troubles of its own.
    """
    wanted = frozenset(packs)
    lineages: dict[bytes, _Tables] = {}
    for point in full_points(points):
        try:
            if point.lineage not in lineages:
                lineages[point.lineage] = _Tables(repository, point.lineage, wanted)
            reached = lineages[point.lineage].reached_by(point.seq)
        except DrdError as error:
            repository.warnings.append(f"{point.name}@{point.seq}: {error}")
            continue
        for pack in sorted(reached):
            yield pack, f"{point.name}@{point.seq}"


class _Tables:
    """What the tables of one lineage say of the packs that are wanted; each is read once."""

    def __init__(self, repository: Repository, lineage: bytes, wanted: frozenset[str]) -> None:
        self._repository, self._lineage, self._wanted = repository, lineage, wanted
        self._shelf = Shelf(repository.store, load_keys(repository, lineage))
        self._known: dict[bytes, tuple[frozenset[int], dict[int, str]]] = {}

    def reached_by(self, seq: int) -> set[str]:
        """Keys of the wanted packs that point *seq* reaches."""
        clear = read_manifest(self._repository, self._lineage, seq).clear
        ordinals: set[int] = set()
        names: dict[int, str] = {}
        for reference in clear.references:
            reached, rows = self._of(reference)
            ordinals |= reached
            names |= rows
        return {key for ordinal, key in names.items() if ordinal in ordinals}

    def _of(self, reference: Reference) -> tuple[frozenset[int], dict[int, str]]:
        """Ordinals that a table reaches, and the wanted packs among its rows."""
        if reference.table_id not in self._known:
            head = self._shelf.open(reference).head
            keys = {
                row.ordinal: pack_key(self._repository.tenant, self._lineage, row.pack_id)
                for row in head.rows
            }
            rows = {ordinal: key for ordinal, key in keys.items() if key in self._wanted}
            self._known[reference.table_id] = (frozenset(head.reached), rows)
        return self._known[reference.table_id]
