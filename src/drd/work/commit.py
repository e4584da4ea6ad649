"""The commit rule: a backup exists when its manifest does, and of two writers exactly one wins.

1. PUT with ``If-None-Match: *``; a store that ignores the condition makes a further version.
2. Whatever the answer was, list the versions of that key, in the store's own order.
3. The first version that verifies is the manifest. If its bytes are ours, we won (a lost
   acknowledgement included); else somebody else did, and our packs are orphans.
4. Whoever sees that the current version is not the winner puts the winner's bytes again: a copied
   bucket keeps only the current one. The next writer looks, too: a loser may die before it can.
"""

from __future__ import annotations

from drd.core import names, seal
from drd.errors import IntegrityError, ObjectExistsError, RefusedError, TransientStoreError
from drd.work.history import Point, check
from drd.work.repository import Repository


def commit(repository: Repository, lineage: bytes, seq: int, data: bytes) -> None:
    """Put manifest *seq*; return when it is durable and ours.

    Raises:
        RefusedError: another writer committed that number first (lineage busy).
        StoreError: the store failed; whether the manifest is there the next run finds out.
    """
    store = repository.store
    key = names.manifest_key(repository.tenant, lineage, seq)
    lost: TransientStoreError | None = None
    try:
        version = store.put(key, data, if_absent=True)
    except ObjectExistsError:
        version = None
    except TransientStoreError as error:  # the acknowledgement may be lost, not the object
        lost, version = error, None
    winner = _winner(repository, lineage, seq, ours=data, our_version=version)
    if winner is None:
        if lost is not None:
            raise lost
        # Only garbage lies under this name: put ours beside it (or over it, unversioned).
        store.put(key, data)
        winner = _winner(repository, lineage, seq, ours=data, our_version=None)
    if winner is None or seal.sha256(winner) != seal.sha256(data):
        raise RefusedError(
            f"another writer committed point {seq} of this lineage first",
            about=lineage.hex(),
            hint="one writer at a time; run the backup again",
        )


def keep_current(repository: Repository, point: Point) -> None:
    """Rule 4 for a point that was committed earlier."""
    if len(repository.store.versions(point.key)) > 1:
        lineage = point.manifest.clear.scope.lineage
        _winner(repository, lineage, point.seq, ours=b"", our_version=None)


def _winner(
    repository: Repository, lineage: bytes, seq: int, *, ours: bytes, our_version: str | None
) -> bytes | None:
    """Bytes of the first version that verifies; None when none does."""
    store = repository.store
    key = names.manifest_key(repository.tenant, lineage, seq)
    versions = store.versions(key)
    if our_version is not None and len(versions) == 1 and versions[0].version == our_version:
        return ours
    for position, version in enumerate(versions):
        data = store.get(key, version=version.version)
        try:
            check(repository, data, lineage, seq)
        except IntegrityError:
            repository.warnings.append(f"{key} has a version that is garbage")
            continue
        if position != len(versions) - 1:
            _make_current(repository, key, data, versions[-1].version)
        return data
    return None


def _make_current(repository: Repository, key: str, data: bytes, current: str) -> None:
    """Rule 4, unless the current version has the winner's bytes already."""
    if repository.store.get(key, version=current) != data:
        repository.store.put(key, data)
