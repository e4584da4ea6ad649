"""The roll: which manifests are retained. A gap that no journal explains is an attack, or a loss.

The journal explains a manifest by its number and SHA-256 (:mod:`drd.core.journal`).
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Final

from drd.core import manifest as manifests
from drd.core import names, seal
from drd.core.manifest import Clear, RollEntry
from drd.core.sections import What
from drd.core.tables import TableKind
from drd.errors import IntegrityError, ObjectMissingError
from drd.pipeline.ordered import ordered
from drd.work.journals import covered_by
from drd.work.repository import Repository
from drd.work.shelf import Shelf

GONE: Final = "is on the roll and gone from the bucket"


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


class RollCheck:
    """Whether the bucket has the manifests that rolls name; safe for several threads.

    The rolls of a lineage name the same manifests again and again: each is looked at once, and what
    was found holds for every roll that this check is asked about.

    Args:
        repository: the open repository.
        pool: for the requests.
        hashes: compare the SHA-256 of each manifest, too; else that it is there must do.
        ahead: manifests under way at a time.
    """

    def __init__(
        self, repository: Repository, pool: Executor, *, hashes: bool = True, ahead: int = 8
    ) -> None:
        self._repository = repository
        self._pool = pool
        self._hashes = hashes
        self._ahead = ahead
        self._there: dict[str, frozenset[str]] = {}
        self._covered: dict[bytes, frozenset[tuple[int, bytes]]] = {}
        self._wrong: dict[tuple[str, bytes], str] = {}

    def missing(self, clear: Clear, shelf: Shelf) -> list[tuple[RollEntry, str]]:
        """Manifests on the roll of *clear* that the bucket does not have as they were: (entry, why).

        One that is gone is none of them where the journal of deletions says so.
        """
        scope = clear.scope
        entries = full_roll(clear, shelf)
        keys = [names.manifest_key(scope.tenant, scope.lineage, one.seq) for one in entries]
        there = self._listed(names.manifest_folder(scope.tenant, scope.lineage))
        wanted = [(key, one.sha256) for key, one in zip(keys, entries, strict=True)]
        unknown = [one for one in dict.fromkeys(wanted) if one not in self._wrong]

        def look(one: tuple[str, bytes]) -> str:
            key, sha256 = one
            if key not in there:
                return GONE
            return _wrong(self._repository, key, sha256) if self._hashes else ""

        found = ordered(self._pool, look, unknown, ahead=self._ahead)
        self._wrong.update(zip(unknown, found, strict=True))
        wrong = [
            (entry, self._wrong[one])
            for entry, one in zip(entries, wanted, strict=True)
            if self._wrong[one]
        ]
        gone = {(entry.seq, entry.sha256) for entry, why in wrong if why == GONE}
        covered = self._covering(scope.lineage, gone)
        return [
            (entry, why)
            for entry, why in wrong
            if why != GONE or (entry.seq, entry.sha256) not in covered
        ]

    def _covering(
        self, lineage: bytes, gone: set[tuple[int, bytes]]
    ) -> frozenset[tuple[int, bytes]]:
        """What the journal explains. It is read again for what it did not know: a prune goes on while a
        long verify looks.
        """
        known = self._covered.get(lineage, frozenset())
        if gone - known:
            known = self._covered[lineage] = covered_by(self._repository, lineage)
        return known

    def _listed(self, folder: str) -> frozenset[str]:
        if folder not in self._there:
            self._there[folder] = frozenset(one.key for one in self._repository.store.list(folder))
        return self._there[folder]


def _wrong(repository: Repository, key: str, sha256: bytes) -> str:
    """What is wrong with *key*, where the roll names a manifest of *sha256*; ``""`` when that is there."""
    try:
        if seal.sha256(repository.store.get(key)) == sha256:
            return ""
        for version in repository.store.versions(key):
            if seal.sha256(repository.store.get(key, version=version.version)) == sha256:
                return ""
    except ObjectMissingError:  # deleted since it was listed
        return GONE
    return "is not the manifest that the roll names"
