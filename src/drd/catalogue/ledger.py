"""The ledger in SQLite: what deletion knows of the bucket (``ledger.sql``, ``ledger_queries.sql``).

Deletion stands on what is written here, so it is proven when it is read: a SHA-256 over all rows of a
lineage is written with each change, in the same transaction. Rows that are missing, changed or rotten
give another one; then the lineage is forgotten and learnt again from the bucket.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from drd.catalogue.database import statements, transaction
from drd.model import KnownPoint, PointKind, TableSpan

LEDGER_VERSION: Final = 2
OLDER: Final = (0, 1)
"""A new file, and that of version 1, which has the same tables but for the needs."""
_T = TypeVar("_T")
_Row = tuple[Any, ...]


class MemoryLedger:
    """A :class:`drd.ports.Ledger` that goes with its process."""

    def __init__(self) -> None:
        self._points: dict[tuple[bytes, bytes], dict[int, KnownPoint]] = {}
        self._spans: dict[tuple[bytes, bytes], dict[bytes, TableSpan]] = {}
        self._clears: dict[tuple[bytes, bytes], dict[bytes, bytes]] = {}
        self._needs: dict[tuple[bytes, bytes], bytes] = {}
        self._objects: dict[str, bytes] = {}

    def known(
        self, tenant: bytes, lineage: bytes
    ) -> tuple[Mapping[int, KnownPoint], Mapping[bytes, TableSpan]]:
        """See :class:`drd.ports.Ledger`."""
        at = (tenant, lineage)
        return dict(self._points.get(at, {})), dict(self._spans.get(at, {}))

    def clears(self, tenant: bytes, lineage: bytes) -> Mapping[bytes, bytes]:
        """See :class:`drd.ports.Ledger`."""
        return dict(self._clears.get((tenant, lineage), {}))

    def note(
        self,
        tenant: bytes,
        lineage: bytes,
        *,
        points: Iterable[KnownPoint] = (),
        spans: Iterable[TableSpan] = (),
        clears: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """See :class:`drd.ports.Ledger`."""
        at = (tenant, lineage)
        self._points.setdefault(at, {}).update({one.seq: one for one in points})
        known = self._spans.setdefault(at, {})
        for one in spans:
            old = known.get(one.table_id, one)
            first, last = min(old.first, one.first), max(old.last, one.last)
            known[one.table_id] = replace(one, first=first, last=last)
        self._clears.setdefault(at, {}).update(clears or {})

    def drop(
        self, tenant: bytes, lineage: bytes, *, seqs: Iterable[int], tables: Iterable[bytes]
    ) -> None:
        """See :class:`drd.ports.Ledger`."""
        at = (tenant, lineage)
        for seq in seqs:
            self._points.get(at, {}).pop(seq, None)
        for table in tables:
            self._spans.get(at, {}).pop(table, None)
            self._clears.get(at, {}).pop(table, None)

    def needs(self, tenant: bytes, lineage: bytes) -> bytes:
        """See :class:`drd.ports.Ledger`."""
        return self._needs.get((tenant, lineage), b"")

    def note_needs(self, tenant: bytes, lineage: bytes, data: bytes) -> None:
        """See :class:`drd.ports.Ledger`."""
        self._needs[tenant, lineage] = data

    def forget(self, tenant: bytes, lineage: bytes) -> None:
        """See :class:`drd.ports.Ledger`."""
        for known in (self._points, self._spans, self._clears, self._needs):
            known.pop((tenant, lineage), None)

    def statements(self, prefix: str) -> Mapping[str, bytes]:
        """See :class:`drd.ports.Ledger`."""
        return {key: data for key, data in self._objects.items() if key.startswith(prefix)}

    def note_statements(self, objects: Mapping[str, bytes]) -> None:
        """See :class:`drd.ports.Ledger`."""
        self._objects.update(objects)

    def clear(self) -> None:
        """See :class:`drd.ports.Ledger`."""
        for known in (self._points, self._spans, self._clears, self._needs):
            known.clear()
        self._objects.clear()


class SqliteLedger:
    """A :class:`drd.ports.Ledger` in a file of its own; in memory where there can be none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sql = statements("ledger_queries.sql")
        self._db: sqlite3.Connection | None = None
        self._spare: MemoryLedger | None = None

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def known(
        self, tenant: bytes, lineage: bytes
    ) -> tuple[Mapping[int, KnownPoint], Mapping[bytes, TableSpan]]:
        """See :class:`drd.ports.Ledger`."""

        def read() -> tuple[Mapping[int, KnownPoint], Mapping[bytes, TableSpan]]:
            points, spans = self._proven(tenant, lineage)
            return (
                {one.seq: one for one in map(_point, points)},
                {one.table_id: one for one in map(_span, spans)},
            )

        return self._either(read, lambda spare: spare.known(tenant, lineage))

    def clears(self, tenant: bytes, lineage: bytes) -> Mapping[bytes, bytes]:
        """See :class:`drd.ports.Ledger`. One that is rotten is left out."""

        def read() -> dict[bytes, bytes]:
            rows = self._rows("clears", tenant, lineage)
            return {one: clear for one, clear, sha in rows if _sha256(one + clear) == sha}

        return self._either(read, lambda spare: dict(spare.clears(tenant, lineage)))

    def note(
        self,
        tenant: bytes,
        lineage: bytes,
        *,
        points: Iterable[KnownPoint] = (),
        spans: Iterable[TableSpan] = (),
        clears: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """See :class:`drd.ports.Ledger`."""
        at = {"tenant": tenant, "lineage": lineage}
        new_points, new_spans, new_clears = list(points), list(spans), dict(clears or {})

        def write() -> None:
            with self._changing(tenant, lineage) as db:
                db.executemany(self._sql["note_point"], [at | _of_point(one) for one in new_points])
                db.executemany(self._sql["note_span"], [at | _of_span(one) for one in new_spans])
                rows = [
                    at | {"table_id": one, "clear": clear, "sha256": _sha256(one + clear)}
                    for one, clear in new_clears.items()
                ]
                db.executemany(self._sql["note_clear"], rows)

        self._either(
            write,
            lambda spare: spare.note(
                tenant, lineage, points=new_points, spans=new_spans, clears=new_clears
            ),
        )

    def drop(
        self, tenant: bytes, lineage: bytes, *, seqs: Iterable[int], tables: Iterable[bytes]
    ) -> None:
        """See :class:`drd.ports.Ledger`."""
        at = {"tenant": tenant, "lineage": lineage}
        gone, dead = list(seqs), list(tables)

        def write() -> None:
            with self._changing(tenant, lineage) as db:
                db.executemany(self._sql["drop_point"], [at | {"seq": one} for one in gone])
                for name in ("drop_span", "drop_clear"):
                    db.executemany(self._sql[name], [at | {"table_id": one} for one in dead])

        self._either(write, lambda spare: spare.drop(tenant, lineage, seqs=gone, tables=dead))

    def needs(self, tenant: bytes, lineage: bytes) -> bytes:
        """See :class:`drd.ports.Ledger`. What is rotten is left out."""

        def read() -> bytes:
            rows = self._rows("needs", tenant, lineage)
            return next((data for data, sha in rows if _sha256(data) == sha), b"")

        return self._either(read, lambda spare: spare.needs(tenant, lineage))

    def note_needs(self, tenant: bytes, lineage: bytes, data: bytes) -> None:
        """See :class:`drd.ports.Ledger`."""
        row = {"tenant": tenant, "lineage": lineage, "needs": data, "sha256": _sha256(data)}

        def write() -> None:
            with self._transaction() as db:
                db.execute(self._sql["note_needs"], row)

        self._either(write, lambda spare: spare.note_needs(tenant, lineage, data))

    def forget(self, tenant: bytes, lineage: bytes) -> None:
        """See :class:`drd.ports.Ledger`."""

        def write() -> None:
            with self._transaction() as db:
                for name in ("points", "spans", "clears", "proof", "needs"):
                    db.execute(self._sql[f"forget_{name}"], {"tenant": tenant, "lineage": lineage})

        self._either(write, lambda spare: spare.forget(tenant, lineage))

    def statements(self, prefix: str) -> Mapping[str, bytes]:
        """See :class:`drd.ports.Ledger`."""
        return self._either(
            lambda: dict(self._open().execute(self._sql["statements"], {"prefix": prefix})),
            lambda spare: dict(spare.statements(prefix)),
        )

    def note_statements(self, objects: Mapping[str, bytes]) -> None:
        """See :class:`drd.ports.Ledger`."""

        def write() -> None:
            with self._transaction() as db:
                rows = [{"key": key, "object": data} for key, data in objects.items()]
                db.executemany(self._sql["note_statement"], rows)

        self._either(write, lambda spare: spare.note_statements(objects))

    def clear(self) -> None:
        """See :class:`drd.ports.Ledger`."""
        self._either(self._begin_anew, lambda spare: spare.clear())

    # ── the file ────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> sqlite3.Connection:
        if self._db is not None:
            return self._db
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            self._path.chmod(0o600)
            db.execute("PRAGMA journal_mode = WAL")
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            _check_version(version)
            if version in OLDER:
                for statement in statements("ledger.sql").values():
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {LEDGER_VERSION}")
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _begin_anew(self) -> None:
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._open()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._open()
        with transaction(db):
            yield db

    @contextmanager
    def _changing(self, tenant: bytes, lineage: bytes) -> Iterator[sqlite3.Connection]:
        """A transaction that begins with proven rows, and ends with the proof of the new ones."""
        with self._transaction() as db:
            self._proven(tenant, lineage)
            yield db
            proof = self._proof(tenant, lineage)[2]
            row = {"tenant": tenant, "lineage": lineage, "sha256": proof}
            db.execute(self._sql["note_proof"], row)

    def _rows(self, name: str, tenant: bytes, lineage: bytes) -> list[_Row]:
        asked = {"tenant": tenant, "lineage": lineage}
        return self._open().execute(self._sql[name], asked).fetchall()

    def _proof(self, tenant: bytes, lineage: bytes) -> tuple[list[_Row], list[_Row], bytes]:
        points = self._rows("points", tenant, lineage)
        spans = self._rows("spans", tenant, lineage)
        return points, spans, _sha256(repr((points, spans)).encode())

    def _proven(self, tenant: bytes, lineage: bytes) -> tuple[list[_Row], list[_Row]]:
        """The rows of a lineage; ``DatabaseError`` when they are not those that were written."""
        points, spans, proof = self._proof(tenant, lineage)
        noted = self._rows("proof", tenant, lineage)
        if (points or spans or noted) and [(proof,)] != noted:
            raise sqlite3.DatabaseError("rows are not those that were written")
        return points, spans

    def _either(self, act: Callable[[], _T], instead: Callable[[MemoryLedger], _T]) -> _T:
        """Ask the file; one that is damaged is begun anew, one that cannot be used is done without."""
        for _ in range(2):
            if self._spare is not None:
                break
            try:
                return act()
            except (sqlite3.OperationalError, OSError):  # no room, no right to write, locked
                self._spare = MemoryLedger()
            except (sqlite3.Error, TypeError, ValueError):
                self._mend()
        self._spare = self._spare or MemoryLedger()
        return instead(self._spare)

    def _mend(self) -> None:
        try:
            self._begin_anew()
        except (sqlite3.Error, OSError):
            self._spare = MemoryLedger()


def _check_version(version: int) -> None:
    if version not in (*OLDER, LEDGER_VERSION):
        raise sqlite3.DatabaseError("written by another version of drd")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _point(row: _Row) -> KnownPoint:
    seq, sha256, kind, point_at, committed_at, trust = row
    return KnownPoint(
        seq=seq,
        sha256=sha256,
        kind=PointKind(kind),
        point_at=datetime.fromisoformat(point_at),
        committed_at=datetime.fromisoformat(committed_at),
        trust=trust,
    )


def _of_point(one: KnownPoint) -> dict[str, object]:
    return {
        "seq": one.seq,
        "sha256": one.sha256,
        "kind": int(one.kind),
        "point_at": one.point_at.isoformat(),
        "committed_at": one.committed_at.isoformat(),
        "trust": one.trust,
    }


def _span(row: _Row) -> TableSpan:
    return TableSpan(*row)


def _of_span(one: TableSpan) -> dict[str, object]:
    return {
        "table_id": one.table_id,
        "kind": one.kind,
        "size": one.size,
        "sha256": one.sha256,
        "version": one.version,
        "first": one.first,
        "last": one.last,
    }
