"""The socket of what deletion needs to know, and of what a look for sparse packs remembers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from drd.model import KnownPoint, TableSpan


class Ledger(Protocol):
    """What deletion needs to know of lineages: manifests, spans and clear parts of tables, the journal.

    A cache: it never raises, and what it cannot keep, or finds damaged, it MUST forget (of a lineage:
    all of it). What it gives MUST be what was noted last: deletion stands on it.
    """

    def known(
        self, tenant: bytes, lineage: bytes
    ) -> tuple[Mapping[int, KnownPoint], Mapping[bytes, TableSpan]]:
        """Manifests that were read, by number, and every table that one of them names, by id.

        Both MUST be of one moment: a table too few among the living is what deletes data.
        """
        ...

    def clears(self, tenant: bytes, lineage: bytes) -> Mapping[bytes, bytes]:
        """Clear parts of tables, as ``core.liveness.encode_clear`` makes them."""
        ...

    def note(
        self,
        tenant: bytes,
        lineage: bytes,
        *,
        points: Iterable[KnownPoint] = (),
        spans: Iterable[TableSpan] = (),
        clears: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """Add, or replace, all of this or nothing. A span MUST NOT become narrower: others may have
        noted at the same time that a later point names the table.
        """
        ...

    def drop(
        self, tenant: bytes, lineage: bytes, *, seqs: Iterable[int], tables: Iterable[bytes]
    ) -> None:
        """Forget what was deleted."""
        ...

    def needs(self, tenant: bytes, lineage: bytes) -> bytes:
        """What the last look for sparse packs remembered (``core.needs.encode``); empty for nothing."""
        ...

    def note_needs(self, tenant: bytes, lineage: bytes, data: bytes) -> None:
        """Remember it, in place of what was remembered before."""
        ...

    def forget(self, tenant: bytes, lineage: bytes) -> None:
        """Forget a lineage; its statements stay."""
        ...

    def statements(self, prefix: str) -> Mapping[str, bytes]:
        """Objects of the journal by name, as they lie in the bucket."""
        ...

    def note_statements(self, objects: Mapping[str, bytes]) -> None:
        """Keep objects of the journal."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...
