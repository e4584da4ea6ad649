"""Find points by what people call them, and list them."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from drd.core import names
from drd.core.selectors import Selector
from drd.errors import NotFoundError
from drd.model import Head, PointInfo, PointKind
from drd.ports import Catalogue
from drd.work.history import (
    Point,
    Reading,
    learn,
    learn_lineage,
    learn_unknown,
    mark_suspects,
    open_point,
    read_manifest,
)
from drd.work.journals import mark_doomed
from drd.work.lineagekeys import LineageKeys, load_keys
from drd.work.repository import Repository

NEAREST = 3
"""So many names like the one that was asked for are told."""


def by_lineage(points: Iterable[PointInfo]) -> dict[bytes, list[PointInfo]]:
    """Points by lineage, each list by sequence number."""
    found: dict[bytes, list[PointInfo]] = {}
    for point in points:
        found.setdefault(point.lineage, []).append(point)
    for lineage in found.values():
        lineage.sort(key=lambda point: point.seq)
    return found


def owners(lineages: Mapping[bytes, Sequence[PointInfo]]) -> dict[str, bytes]:
    """Which lineage has which name: of several the one committed last (a re-created image takes the
    name over; the old lineage stays reachable by its id). An unfinished first backup takes no name
    from a lineage that can be restored.
    """
    owner: dict[str, PointInfo] = {}
    for points in lineages.values():
        last = (full_points(points) or points)[-1]
        rival = owner.get(last.name)
        if rival is None or _rank(last) > _rank(rival):
            owner[last.name] = last
    return {name: point.lineage for name, point in owner.items()}


def _rank(point: PointInfo) -> tuple[bool, datetime]:
    return point.kind is PointKind.FULL, point.committed_at


def find_lineage(points: Iterable[PointInfo], selector: Selector) -> list[PointInfo]:
    """The points of the lineage that *selector* names.

    Raises:
        NotFoundError: no lineage has that name or id.
    """
    lineages = by_lineage(points)
    owner = owners(lineages)
    if selector.name in owner:
        return lineages[owner[selector.name]]
    if selector.lineage is not None and selector.lineage in lineages:
        return lineages[selector.lineage]
    raise _unknown(selector.name, owner)


def _unknown(name: str, known: Iterable[str]) -> NotFoundError:
    near = difflib.get_close_matches(name, list(known), NEAREST, cutoff=0.0)
    told = f"nearest: {', '.join(near)}; " if near else ""
    return NotFoundError(
        "there is no backup of this name",
        about=name,
        hint=f"{told}'drctl ls' shows what there is",
    )


def matching(points: Iterable[PointInfo], patterns: Sequence[str]) -> list[list[PointInfo]]:
    """Lineages whose name (or id) matches any of *patterns*; all owners of a name for none.

    Raises:
        NotFoundError: a pattern matches nothing.
    """
    lineages = by_lineage(points)
    owner = owners(lineages)
    if not patterns:
        return [lineages[lineage] for _, lineage in sorted(owner.items())]
    chosen: dict[bytes, list[PointInfo]] = {}
    for pattern in patterns:
        hits = [one for name, one in sorted(owner.items()) if _matches(name, pattern)]
        hits += [one for one in lineages if one.hex() == pattern]
        if not hits:
            raise _unknown(pattern, owner)
        chosen.update((one, lineages[one]) for one in hits)
    return list(chosen.values())


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


@dataclass(frozen=True, slots=True)
class Looked:
    """``points`` are in the bucket; ``before`` is what was known here of their lineages (of all, where all
    were looked at) before it was asked. ``lineages`` are all that are known now.
    """

    points: list[PointInfo]
    before: Sequence[PointInfo]
    lineages: frozenset[bytes]


def known_points(
    repository: Repository,
    catalogue: Catalogue | None,
    *,
    of: Sequence[Selector] = (),
    pool: Executor | None = None,
) -> list[PointInfo]:
    """All points, through the catalogue; or, where there is none, straight from the bucket.

    Args:
        repository: the open repository.
        catalogue: what is known here; None where nothing is.
        of: only the points of the lineage that the first of these names (that names any) are needed. What
            is asked for then grows with that lineage (see :func:`look`). Without a catalogue the
            newest ones alone of the others are read, for their names.
        pool: reads many manifests at a time.
    """
    if catalogue is None and of:
        found = _points_of(repository, of, Reading(repository, pool))
        return mark_doomed(repository, found, None)
    if catalogue is not None and of:
        narrow = _narrow(repository, catalogue, [of], pool)
        if narrow is not None:
            return narrow.points
    ledger = catalogue.ledger if catalogue is not None else None
    return mark_doomed(repository, learn(repository, catalogue, pool=pool), ledger)


def look(
    repository: Repository,
    catalogue: Catalogue,
    *,
    each: Sequence[Sequence[Selector]] = (),
    pool: Executor | None = None,
) -> Looked:
    """The points of the lineages that *each* names (the first selector of each that names any); all
    points where *each* is empty.

    A name is looked up among the newest points that are known here, and those of lineages that are new in
    the bucket; then the manifests of that lineage are listed. All are looked at when it leads nowhere:
    nothing is known here yet, nothing has the name, or another name by now, or nothing is left of it.
    """
    narrow = _narrow(repository, catalogue, each, pool) if each else None
    if narrow is not None:
        return narrow
    before = catalogue.points(repository.tenant)
    found = mark_doomed(repository, learn(repository, catalogue, pool=pool), catalogue.ledger)
    return Looked(found, before, frozenset(one.lineage for one in found))


def _narrow(
    repository: Repository,
    catalogue: Catalogue,
    each: Sequence[Sequence[Selector]],
    pool: Executor | None,
) -> Looked | None:
    """As :func:`look`; None when all must be looked at."""
    tenant = repository.tenant
    if not catalogue.heads(tenant):
        return None
    learn_unknown(repository, catalogue, pool=pool)
    known, heads = catalogue.lineages(tenant), catalogue.heads(tenant)
    owner: dict[str, Head] = {}
    for head in heads:
        rival = owner.get(head.name)
        if rival is None or head.committed_at > rival.committed_at:
            owner[head.name] = head
    before: list[PointInfo] = []
    points: list[PointInfo] = []
    meant = [_owned(owner, known, some) for some in each]
    for lineage in dict.fromkeys(meant):
        if lineage is None:
            return None
        before += catalogue.points_of(tenant, lineage)
        points += learn_lineage(repository, catalogue, lineage, pool=pool)
    if [_first_named(points, some) for some in each] != meant:
        return None
    return Looked(mark_doomed(repository, points, catalogue.ledger), before, known)


def _owned(
    owner: Mapping[str, Head], known: Container[bytes], selectors: Sequence[Selector]
) -> bytes | None:
    """As :func:`find_lineage`, of the first of *selectors* that names any."""
    for selector in selectors:
        if selector.name in owner:
            return owner[selector.name].lineage
        if selector.lineage is not None and selector.lineage in known:
            return selector.lineage
    return None


def _points_of(
    repository: Repository, selectors: Sequence[Selector], reading: Reading
) -> list[PointInfo]:
    folders = repository.store.folders(f"m/{repository.tenant.hex()}/")
    heads = reading.newest(bytes.fromhex(one) for one in folders if names.is_id(one))
    reading.check(any_read=bool(heads))
    lineage = _first_named(heads, selectors)
    if lineage is None:
        return sorted(heads, key=_place)
    there = repository.store.list(names.manifest_folder(repository.tenant, lineage))
    have = {one.manifest_key for one in heads}
    more = reading.read(one.key for one in there if one.key not in have)
    return mark_suspects(sorted([*heads, *more], key=_place))


def _first_named(heads: Sequence[PointInfo], selectors: Sequence[Selector]) -> bytes | None:
    for selector in selectors:
        with suppress(NotFoundError):  # told by who looks for it among all points
            return find_lineage(heads, selector)[0].lineage
    return None


def _place(point: PointInfo) -> tuple[bytes, int]:
    return point.lineage, point.seq


def open_full(repository: Repository, info: PointInfo) -> tuple[LineageKeys, Point]:
    """The point behind a listing's line, read and verified again."""
    keys = load_keys(repository, info.lineage)
    point = open_point(read_manifest(repository, info.lineage, info.seq), keys)
    return keys, point


def full_points(points: Iterable[PointInfo]) -> list[PointInfo]:
    """Recovery points: partial ones are none."""
    return [point for point in points if point.kind is PointKind.FULL]
