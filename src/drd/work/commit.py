"""The commit rule: a backup exists when its manifest does, and of two writers exactly one wins.

1. PUT with ``If-None-Match: *``; a store that ignores the condition makes a further version.
2. Whatever the answer was, list the versions of that key, in the store's own order.
3. The first version that verifies is the manifest. If its bytes are ours, we won (a lost
   acknowledgement included); else somebody else did, and our packs are orphans.
4. Nothing that verifies is there: when there is nothing at all, the winner is not visible yet, or the
   store was busy, and 1 is repeated as it was. Without the condition only bytes are put over that were
   looked at and are garbage: what was never seen may be the winner. And only where the store keeps them
   as a version: elsewhere two writers who saw the same garbage would both put over it, the second over
   the first one's point, and both would be told that they won. There garbage is refused.
5. Whoever sees that the current version is not the winner puts the winner's bytes again: a copied
   bucket keeps only the current one. The next writer looks, too: a loser may die before it can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drd.core import names, seal
from drd.errors import (
    IntegrityError,
    ObjectExistsError,
    RefusedError,
    StoreError,
    TransientStoreError,
)
from drd.work.history import Point, check
from drd.work.repository import Repository

TRIES: Final = 5
"""So often a name is tried that the store calls taken and shows nothing under."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What lies under a name: the first version that verifies, whether anything lies there, and whether
    all that does would stay a version if something were put over it.
    """

    winner: bytes | None
    anything: bool
    kept: bool


def commit(repository: Repository, lineage: bytes, seq: int, data: bytes) -> None:
    """Put manifest *seq*; return when it is durable and ours.

    Raises:
        RefusedError: another writer committed that number first (lineage busy).
        IntegrityError: garbage lies under the name, and the store would lose it, or another's point.
        StoreError: the store failed; whether the manifest is there the next run finds out.
    """
    key = names.manifest_key(repository.tenant, lineage, seq)
    winner = _put_and_look(repository, lineage, seq, data)
    if winner is None:
        raise StoreError(
            "the store says that this name is taken, and shows nothing under it",
            about=key,
            hint="run the backup again; if it stays so, the store loses or hides objects: "
            "'drctl doctor' tries what it does",
        )
    if seal.sha256(winner) != seal.sha256(data):
        raise RefusedError(
            f"another writer committed point {seq} of this lineage first",
            about=lineage.hex(),
            hint="one writer at a time; run the backup again",
        )


def keep_current(repository: Repository, point: Point) -> None:
    """Rule 5 for a point that was committed earlier."""
    if len(repository.store.versions(point.key)) > 1:
        lineage = point.manifest.clear.scope.lineage
        _look(repository, lineage, point.seq, ours=b"", our_version=None)


def _put_and_look(repository: Repository, lineage: bytes, seq: int, data: bytes) -> bytes | None:
    """Rules 1 to 4; the winner's bytes, None when none shows itself."""
    store = repository.store
    key = names.manifest_key(repository.tenant, lineage, seq)
    if_absent = True
    for _ in range(TRIES):
        version: str | None = None
        lost: TransientStoreError | None = None
        try:
            version = store.put(key, data, if_absent=if_absent)
        except ObjectExistsError:
            pass
        except TransientStoreError as error:  # the acknowledgement may be lost, not the object
            lost = error
        told = version if if_absent else None
        found = _look(repository, lineage, seq, ours=data, our_version=told)
        if found.winner is not None:
            return found.winner
        if lost is not None:
            raise lost
        if not found.kept:
            raise IntegrityError(
                "something that is no manifest lies under the name of the next point, and the store "
                "keeps no versions: what is put over it could be another writer's point",
                about=key,
                hint="move this object away, then run the backup again; who put it there could write "
                "to this repository",
            )
        if_absent = not found.anything
    return None


def _look(
    repository: Repository, lineage: bytes, seq: int, *, ours: bytes, our_version: str | None
) -> _Found:
    """Rules 2 and 3."""
    store = repository.store
    key = names.manifest_key(repository.tenant, lineage, seq)
    versions = store.versions(key)
    kept = all(version.version for version in versions)
    if our_version is not None and len(versions) == 1 and versions[0].version == our_version:
        return _Found(ours, anything=True, kept=True)
    for position, version in enumerate(versions):
        data = store.get(key, version=version.version)
        try:
            check(repository, data, lineage, seq)
        except IntegrityError:
            repository.warnings.append(f"{key} has a version that is garbage")
            continue
        if position != len(versions) - 1:
            _make_current(repository, key, data, versions[-1].version)
        return _Found(data, anything=True, kept=kept)
    return _Found(None, anything=bool(versions), kept=kept)


def _make_current(repository: Repository, key: str, data: bytes, current: str) -> None:
    """Rule 5, unless the current version has the winner's bytes already."""
    if repository.store.get(key, version=current) != data:
        repository.store.put(key, data)
