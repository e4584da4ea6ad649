"""Orphans: packs and tables that no manifest and no open doomed list names, left by runs that died.

They are found by listing everything, so rarely. An orphan must be older than the configuration says, by
the store's clock, and older than the newest manifest: what is newer may belong to points that a store
hides, and of those the journal knows nothing. Under the lease no run of the lineage is under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from drd.core import names
from drd.errors import IntegrityError
from drd.work.repository import Repository
from drd.work.survey import Survey


@dataclass(frozen=True, slots=True)
class Orphan:
    """An object that nothing names; *size* in bytes, of its newest version."""

    key: str
    size: int


def orphans(repository: Repository, survey: Survey, *, before: datetime) -> list[Orphan]:
    """The orphans of a lineage that were put before *before* (by the store's clock).

    Raises:
        IntegrityError: the clear part of a table, or the newest manifest, is gone or damaged.
        StoreError: the store failed.
    """
    store, tenant, lineage = repository.store, repository.tenant, survey.lineage
    newest = store.versions(names.manifest_key(tenant, lineage, survey.newest.seq))
    if not newest:
        raise IntegrityError("the newest manifest was listed and is gone", about=lineage.hex())
    bound = min(before, *(one.modified_at for one in newest))
    known = _named(survey, tenant)
    return [
        Orphan(one.key, one.size)
        for folder in (names.pack_folder(tenant, lineage), names.table_folder(tenant, lineage))
        for one in store.list(folder)
        if one.key not in known and one.modified_at < bound
    ]


def _named(survey: Survey, tenant: bytes) -> frozenset[str]:
    """Keys of all that some manifest, or some open doomed list, names."""
    clears = survey.clears.of(survey.spans.values())
    tables = set(survey.spans)
    packs = {pack for one in clears.values() for pack in one.rows.values()}
    for doomed in survey.journal.open:
        tables |= doomed.tables.keys()
        packs |= doomed.packs.keys()
    keys = {names.table_key(tenant, survey.lineage, one) for one in tables}
    return frozenset(keys | {names.pack_key(tenant, survey.lineage, one) for one in packs})


def keys_without_points(repository: Repository) -> list[str]:
    """Folders of keys of lineages that never got a point: they are left, and told of."""
    tenant = repository.tenant.hex()
    with_keys = set(repository.store.folders(f"k/{tenant}/"))
    with_points = set(repository.store.folders(f"m/{tenant}/"))
    return [f"k/{tenant}/{one}/" for one in sorted(with_keys - with_points)]
