"""The roll: which manifests are retained. A gap that no journal explains is an attack, or a loss."""

from __future__ import annotations

from drd.core import manifest as manifests
from drd.core import names, seal
from drd.core.manifest import Clear, RollEntry
from drd.core.sections import What
from drd.core.tables import TableKind
from drd.errors import IntegrityError
from drd.work.repository import Repository
from drd.work.shelf import Shelf


def full_roll(clear: Clear, shelf: Shelf) -> list[RollEntry]:
    """Every manifest that *clear* says is retained, itself excluded: the base, then the changes.

    Raises:
        IntegrityError: the base is missing or damaged.
    """
    entries: list[RollEntry] = []
    for reference in clear.references:
        if reference.kind is TableKind.ROLL:
            data = shelf.section(reference, What.ROLL, 0)
            if data is None:
                raise IntegrityError("a roll has no entries", about=shelf.key(reference))
            entries += manifests.decode_roll(data)
    return [*entries, *clear.roll]


def missing(repository: Repository, clear: Clear, shelf: Shelf) -> list[tuple[RollEntry, str]]:
    """Manifests on the roll that the bucket does not have as they were: (entry, what is wrong)."""
    scope = clear.scope
    folder = names.manifest_folder(scope.tenant, scope.lineage)
    there = {one.key for one in repository.store.list(folder)}
    found = []
    for entry in full_roll(clear, shelf):
        key = names.manifest_key(scope.tenant, scope.lineage, entry.seq)
        if key not in there:
            found.append((entry, "is on the roll and gone from the bucket"))
        elif not _is_there(repository, key, entry.sha256):
            found.append((entry, "is not the manifest that the roll names"))
    return found


def _is_there(repository: Repository, key: str, sha256: bytes) -> bool:
    """Whether any version of *key* is the manifest that the roll names."""
    if seal.sha256(repository.store.get(key)) == sha256:
        return True
    return any(
        seal.sha256(repository.store.get(key, version=version.version)) == sha256
        for version in repository.store.versions(key)
    )
