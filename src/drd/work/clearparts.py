"""The clear parts of tables: what they reach, learnt once for each, without reading the rest.

A clear part decides what is deleted, and anybody who may write to the bucket could write one. So it is
believed only when it is authentic: the index (section 0) is opened with the metadata key, and with it the
whole clear header, which is its associated data. Where the front of the object that is there is not
that of the one meant, the object is read whole and compared with the SHA-256 that manifests name.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import Final

from drd.core import liveness, names
from drd.core.liveness import REACHING, TableClear
from drd.core.seal import Opener, header_length
from drd.core.tables import TableKind, decode_head
from drd.errors import IntegrityError, ObjectMissingError
from drd.model import Buffer, TableSpan
from drd.pipeline.ordered import ordered
from drd.ports import Ledger
from drd.work.lineagekeys import LineageKeys
from drd.work.shelf import fetch

FRONT_BYTES: Final = 64 * 1024
"""Asked for at first: the clear part and the index of most tables are shorter."""
_PREFIX: Final = 12
_AHEAD: Final = 16


class ClearParts:
    """Clear parts of tables of one lineage, from the ledger or from the bucket."""

    def __init__(self, keys: LineageKeys, ledger: Ledger, pool: Executor) -> None:
        self._keys = keys
        self._ledger = ledger
        self._pool = pool
        self._known: dict[bytes, TableClear] | None = None

    def of(self, spans: Iterable[TableSpan]) -> dict[bytes, TableClear]:
        """The clear part of each of *spans* whose kind reaches packs, or carries their rows.

        Raises:
            IntegrityError: one is missing or damaged.
        """
        wanted = {one.table_id: one for one in spans if one.kind in REACHING}
        known = self._load()
        fresh = [one for table_id, one in sorted(wanted.items()) if table_id not in known]
        read = ordered(self._pool, self._read, fresh, ahead=_AHEAD)
        learnt = {one.table_id: clear for one, clear in zip(fresh, read, strict=True)}
        if learnt:
            scope = self._keys.scope
            encoded = {table_id: liveness.encode_clear(one) for table_id, one in learnt.items()}
            self._ledger.note(scope.tenant, scope.lineage, clears=encoded)
            known |= learnt
        return {table_id: known[table_id] for table_id in wanted}

    def _load(self) -> dict[bytes, TableClear]:
        if self._known is None:
            scope = self._keys.scope
            clears = self._ledger.clears(scope.tenant, scope.lineage)
            self._known = {one: liveness.decode_clear(clear) for one, clear in clears.items()}
        return self._known

    def _read(self, span: TableSpan) -> TableClear:
        scope = self._keys.scope
        key = names.table_key(scope.tenant, scope.lineage, span.table_id)
        try:
            return self._authentic(span, self._front(key, span))
        except IntegrityError:
            store = self._keys.repository.store
            whole = fetch(store, key, version=span.version, sha256=span.sha256)
            return self._authentic(span, whole)

    def _front(self, key: str, span: TableSpan) -> Buffer:
        """The clear header of the object, and its index."""
        front = self._range(key, span.version, FRONT_BYTES)
        needed = header_length(front[:_PREFIX])
        if needed > span.size:
            raise IntegrityError("a table is not the one meant", about=key)
        if needed > len(front):
            front = self._range(key, span.version, needed)
        head = decode_head(front, TableKind(span.kind))
        start, length = head.sealed.section_range(0)
        if start + length > len(front):
            front = self._range(key, span.version, start + length)
        return front

    def _range(self, key: str, version: str, length: int) -> bytes:
        try:
            return self._keys.repository.store.get(key, version=version, length=length)
        except ObjectMissingError as error:
            raise IntegrityError("an object is missing", about=key) from error

    def _authentic(self, span: TableSpan, front: Buffer) -> TableClear:
        head = decode_head(front, TableKind(span.kind))
        sealed = head.sealed
        mine = (sealed.object_id, sealed.scope, sealed.size)
        if mine != (span.table_id, self._keys.scope, span.size):
            raise IntegrityError("a table is not the one meant", about=span.table_id.hex())
        start, length = sealed.section_range(0)
        index = memoryview(front)[start : start + length]
        Opener(sealed, self._keys.metadata(sealed.generation)).section(0, index)
        return TableClear(
            frozenset(head.reached),
            {row.ordinal: row.pack_id for row in head.rows},
            {row.pack_id: row.size for row in head.rows},
        )
