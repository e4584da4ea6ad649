"""Tables from the bucket, opened as they are wanted.

Small ones are fetched whole, compared with the SHA-256 of their reference, and kept while they fit;
of large ones, and of those that no longer fit, only the header and the sections asked for are
fetched (each section authenticates itself, and is bound to its header). Where that fails, another
version may be the one meant: it is looked for whole, by its SHA-256.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

from drd.core import names, seal
from drd.core.manifest import Reference
from drd.core.seal import header_length
from drd.core.sections import What
from drd.core.tables import MAGIC, OpenTable, PackRows, decode_head, decode_packs
from drd.errors import IntegrityError, ObjectMissingError
from drd.model import Buffer
from drd.ports import Store
from drd.work.lineagekeys import LineageKeys

WHOLE_BYTES = 4 * 1024 * 1024
_KEEP_BYTES = 64 * 1024 * 1024
_FIRST_BYTES = 256 * 1024


@dataclass(slots=True)
class _Held:
    """An open table; ``data`` is all of it, or None for a large one. ``size`` is what it takes."""

    table: OpenTable
    data: bytes | None
    size: int


def fetch(store: Store, key: str, *, version: str, sha256: bytes) -> bytes:
    """An object that is what its reference means: the pinned version, else any that verifies.

    Raises:
        IntegrityError: it is missing, or no version of it has that SHA-256.
    """
    tried = []
    for wanted in dict.fromkeys((version, "")):
        try:
            data = store.get(key, version=wanted)
        except ObjectMissingError:
            continue
        if seal.sha256(data) == sha256:
            return data
        tried.append(wanted)
    for other in store.versions(key):
        if other.version in tried:
            continue
        data = store.get(key, version=other.version)
        if seal.sha256(data) == sha256:
            return data
        tried.append(other.version)
    what = "is damaged" if tried else "is missing"
    raise IntegrityError(f"an object {what}", about=key, hint="run 'drctl verify --all --level 1'")


class Shelf:
    """Opens the tables of one lineage; safe for several threads."""

    def __init__(self, store: Store, keys: LineageKeys, *, keep_bytes: int = _KEEP_BYTES) -> None:
        self._store = store
        self._keep_bytes = keep_bytes
        self._keys = keys
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def key(self, reference: Reference) -> str:
        """Name of the object that *reference* means."""
        scope = self._keys.scope
        return names.table_key(scope.tenant, scope.lineage, reference.table_id)

    def open(self, reference: Reference) -> OpenTable:
        """The table, its clear part decoded and its index opened.

        Raises:
            IntegrityError: it is missing or damaged.
        """
        return self._hold(reference).table

    def warm(self, references: Iterable[Reference], pool: Executor) -> None:
        """Fetch many tables at once."""
        for _ in pool.map(self._hold, references):
            pass

    def section(self, reference: Reference, what: What, number: int) -> bytes | None:
        """Plain bytes of one section; None when the table has none for it."""
        held = self._hold(reference)
        if not held.table.has(what, number):
            return None
        start, length = held.table.where(what, number)
        data = held.data
        if data is None:
            try:
                return held.table.open(what, number, self._range(reference, start, length))
            except IntegrityError:
                data = self._whole(reference)
                held = self._keep(reference, data)
        return held.table.open(what, number, memoryview(data)[start : start + length])

    def rows(self, reference: Reference) -> PackRows:
        """The rows of packs that a table carries, clear and sealed."""
        table = self.open(reference)
        rows = table.head.rows
        if not rows:
            return PackRows()
        data = self.section(reference, What.PACKS, 0)
        if data is None:
            raise IntegrityError("a table has pack rows without their sealed half")
        return decode_packs(data, rows)

    def put_away(self, reference: Reference, data: bytes) -> None:
        """Keep a table that was just written, so that it need not be read again."""
        self._keep(reference, data)

    def _hold(self, reference: Reference) -> _Held:
        with self._lock:
            held = self._held.get(reference.table_id)
            if held is not None:
                self._held.move_to_end(reference.table_id)
                return held
        if reference.size > WHOLE_BYTES:
            try:
                return self._keep_large(reference)
            except IntegrityError:
                pass
        return self._keep(reference, self._whole(reference))

    def _whole(self, reference: Reference) -> bytes:
        key = self.key(reference)
        return fetch(self._store, key, version=reference.version, sha256=reference.sha256)

    def _keep(self, reference: Reference, data: bytes) -> _Held:
        head = decode_head(data, reference.kind)
        self._check(reference, head.sealed)
        start, length = head.sealed.section_range(0)
        index = memoryview(data)[start : start + length]
        table = OpenTable(head, self._keys.metadata(head.sealed.generation), index)
        return self._remember(reference, _Held(table, data, len(data)))

    def _keep_large(self, reference: Reference) -> _Held:
        first = self._range(reference, 0, _FIRST_BYTES)
        needed = header_length(first[:12])
        if needed > reference.size:
            raise IntegrityError("a table is not the one meant", about=self.key(reference))
        if needed > len(first):
            first = self._range(reference, 0, needed)
        head = decode_head(first, reference.kind)
        self._check(reference, head.sealed)
        start, length = head.sealed.section_range(0)
        index = self._range(reference, start, length)
        table = OpenTable(head, self._keys.metadata(head.sealed.generation), index)
        return self._remember(reference, _Held(table, None, len(head.sealed.raw)))

    def _remember(self, reference: Reference, held: _Held) -> _Held:
        with self._lock:
            before = self._held.pop(reference.table_id, None)
            self._held[reference.table_id] = held
            self._bytes += held.size - (before.size if before else 0)
            self._make_room()
        return held

    def _make_room(self) -> None:
        """Let go of contents first: a restore walks over all tables for each window, so a table that was
        dropped would be fetched whole again for every one. Without its contents, sections are.
        """
        *older, _newest = self._held
        for table_id in older:
            if self._bytes <= self._keep_bytes:
                return
            held = self._held[table_id]
            if held.data is not None:
                slim = _Held(held.table, None, len(held.table.head.sealed.raw))
                self._held[table_id] = slim
                self._bytes += slim.size - held.size
        while self._bytes > self._keep_bytes and len(self._held) > 1:
            _, old = self._held.popitem(last=False)
            self._bytes -= old.size

    def _check(self, reference: Reference, sealed: seal.SealedHeader) -> None:
        """A table must be the one meant: its header names itself and its place."""
        if sealed.object_id != reference.table_id or sealed.scope != self._keys.scope:
            raise IntegrityError("a table belongs elsewhere", about=self.key(reference))
        if sealed.size != reference.size or sealed.kind != MAGIC[reference.kind]:
            raise IntegrityError("a table is not the one meant", about=self.key(reference))

    def _range(self, reference: Reference, start: int, length: int) -> Buffer:
        """Part of the pinned version; of the newest where that is not there."""
        key = self.key(reference)
        try:
            return self._store.get(key, version=reference.version, start=start, length=length)
        except ObjectMissingError:
            pass
        try:
            return self._store.get(key, start=start, length=length)
        except ObjectMissingError as error:
            raise IntegrityError("an object is missing", about=key) from error
