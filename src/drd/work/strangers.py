"""Objects in the bucket that are not drd's: they do no harm, and somebody should know of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from drd.core import names
from drd.ports import Store
from drd.work.repository import Repository

AT_MOST = 20
"""So many are named; of more, their number alone tells enough."""

_LAST = "z" * 200
"""Sorts after everything that a folder of drd's holds."""


def strangers_of(repository: Repository, lineages: Iterable[bytes]) -> Iterator[str]:
    """Keys at the top of the repository, and among the objects of *lineages*, that are not drd's."""
    yield from _at_top(repository.store)
    tenant = repository.tenant
    for lineage in lineages:
        for folder in (
            names.manifest_folder(tenant, lineage),
            names.pack_folder(tenant, lineage),
            names.table_folder(tenant, lineage),
            names.key_folder(tenant, lineage),
        ):
            for listed in repository.store.list(folder):
                if not names.is_known(listed.key):
                    yield listed.key


def warn_of_strangers(repository: Repository, lineages: Iterable[bytes]) -> None:
    """Put a line for each stranger among the repository's warnings, and one for those that are more."""
    found = list(dict.fromkeys(strangers_of(repository, lineages)))
    repository.warnings.extend(f"{key} is not one of drd's objects" for key in found[:AT_MOST])
    if len(found) > AT_MOST:
        repository.warnings.append(f"{len(found) - AT_MOST} more objects are not drd's")


def _at_top(store: Store) -> Iterator[str]:
    """Keys of the top level, and one key of each folder there that is not drd's.

    One object is asked for at a time; a folder is jumped over once one of its keys is known.
    """
    after = ""
    while (first := next(iter(store.list("", limit=1, after=after)), None)) is not None:
        folder, slash, _ = first.key.partition("/")
        if not slash:
            yield first.key
            after = first.key
            continue
        if not names.is_known(first.key):
            yield first.key
        after = f"{folder}/{_LAST}"
