"""The catalogue in SQLite: what is known here of the bucket."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from drd.catalogue.database import DamagedCatalogueError, Database
from drd.catalogue.ledger import SqliteLedger
from drd.model import Damage, Head, Hold, PointInfo, PointKind, Proven
from drd.ports import Ledger

LEDGER_NAME: Final = "liveness.sqlite"
AT_ONCE: Final = 1000
"""Points written in one transaction (some 20 ms): the daemon, too, wants to write in the meantime."""


class SqliteCatalogue:
    """A :class:`drd.ports.Catalogue` in one file, named after the repository it speaks of.

    Args:
        path: the file.
        reading: only read, and make no file.
        at_once: points written in one transaction.

    Raises:
        ConfigError: the folder cannot be written; for *reading*, the file cannot be read.
        NotFoundError: there is no file to read.
    """

    def __init__(self, path: Path, *, reading: bool = False, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._database = Database(path, reading=reading)
        self._rows = self._database.rows
        self._sql = self._database.sql
        self._ledger = SqliteLedger(path.with_name(LEDGER_NAME))

    @property
    def lost(self) -> str:
        """See :class:`drd.catalogue.database.Database`."""
        return self._database.lost

    def begin_anew(self) -> None:
        """See :class:`drd.catalogue.database.Database`."""
        self._database.begin_anew()

    @property
    def ledger(self) -> Ledger:
        """See :class:`drd.ports.Catalogue`; it has a file of its own."""
        return self._ledger

    def close(self) -> None:
        """Close the file."""
        self._ledger.close()
        self._database.close()

    def keys(self, tenant: bytes) -> Mapping[str, bytes]:
        """See :class:`drd.ports.Catalogue`."""
        return self._rows("keys", {"tenant": tenant}, dict)

    def points(self, tenant: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        return self._rows("points", {"tenant": tenant}, lambda rows: [_point(row) for row in rows])

    def points_of(self, tenant: bytes, lineage: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        asked = {"tenant": tenant, "lineage": lineage}
        return self._rows("points_of", asked, lambda rows: [_point(row) for row in rows])

    def tails(self, tenant: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        return self._rows("tails", {"tenant": tenant}, lambda rows: [_point(row) for row in rows])

    def heads(self, tenant: bytes) -> Sequence[Head]:
        """See :class:`drd.ports.Catalogue`."""
        return self._rows("heads", {"tenant": tenant}, lambda rows: [_head(row) for row in rows])

    def lineages(self, tenant: bytes) -> frozenset[bytes]:
        """See :class:`drd.ports.Catalogue`."""
        asked = {"tenant": tenant}
        return self._rows("lineages", asked, lambda rows: frozenset(bytes(row[0]) for row in rows))

    def knows_others(self, tenant: bytes) -> bool:
        """Whether points are known here, and all of them are of other tenants than *tenant*."""
        asked = {"tenant": tenant}
        return self._rows("tenants", asked, lambda rows: rows[0] == (1, 0))

    def lineage_of(self, tenant: bytes, identity: str) -> bytes | None:
        """See :class:`drd.ports.Catalogue`."""
        asked = {"tenant": tenant, "identity": identity}
        return self._rows("lineage_of", asked, lambda rows: bytes(rows[0][0]) if rows else None)

    def highest(self, tenant: bytes, lineage: bytes) -> int:
        """See :class:`drd.ports.Catalogue`."""
        asked = {"tenant": tenant, "lineage": lineage}
        return self._rows("highest", asked, lambda rows: int(rows[0][0]))

    def learn(self, points: Iterable[PointInfo]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        coming = iter(points)
        while some := list(islice(coming, self._at_once)):
            rows = [_row(point) for point in some]
            with self._database.writing() as db:
                touched = self._lineages(db, (point.manifest_key for point in some))
                db.executemany(self._sql["learn"], rows)
                self._head(db, touched | {(point.tenant, point.lineage) for point in some})

    def damage_of(self, tenant: bytes, lineage: bytes) -> Damage | None:
        """See :class:`drd.ports.Catalogue`."""
        asked = {"tenant": tenant, "lineage": lineage}
        return self._rows("damage_of", asked, lambda rows: _damage(rows[0]) if rows else None)

    def note_damage(self, tenant: bytes, lineage: bytes, damage: Damage | None) -> None:
        """See :class:`drd.ports.Catalogue`."""
        row: dict[str, object] = {"tenant": tenant, "lineage": lineage}
        with self._database.writing() as db:
            db.execute(self._sql["take_back_damage"], row)
            db.execute(self._sql["take_back_lost"], row)
            if damage is not None:
                lost = [{**row, "pack": pack} for pack in damage.packs]
                db.executemany(self._sql["note_lost"], lost)
                row |= {"seq": damage.seq, "level": damage.level, "what": damage.what}
                row["found_at"] = damage.found_at.isoformat()
                db.execute(self._sql["note_damage"], row)

    def damages(self, tenant: bytes) -> Mapping[bytes, Damage]:
        """See :class:`drd.ports.Catalogue`."""
        asked = {"tenant": tenant}
        return self._rows(
            "damages", asked, lambda rows: {bytes(row[0]): _damage(row[1:]) for row in rows}
        )

    def note_proven(self, tenant: bytes, results: Iterable[Proven], *, whole: bool = False) -> None:
        """See :class:`drd.ports.Catalogue`."""
        rows = [_result_row(tenant, one) for one in results]
        with self._database.writing() as db:
            db.executemany(self._sql["note_proven"], rows)
            if whole:
                db.execute(self._sql["note_learnt"], {"tenant": tenant})

    def proven(self, tenant: bytes) -> Sequence[Proven]:
        """See :class:`drd.ports.Catalogue`."""
        asked = {"tenant": tenant}
        return self._rows("proven", asked, lambda rows: [_proven(row) for row in rows])

    def knows_proven(self, tenant: bytes) -> bool:
        """See :class:`drd.ports.Catalogue`."""
        return self._rows("is_learnt", {"tenant": tenant}, lambda rows: bool(rows[0][0]))

    def note_holds(self, tenant: bytes, lineage: bytes, holds: Iterable[Hold]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        rows = [_hold_row(tenant, one) for one in holds]
        with self._database.writing() as db:
            db.execute(self._sql["release"], {"tenant": tenant, "lineage": lineage})
            db.executemany(self._sql["note_hold"], rows)

    def holds(self, tenant: bytes) -> Sequence[Hold]:
        """See :class:`drd.ports.Catalogue`."""
        asked = {"tenant": tenant}
        return self._rows("holds", asked, lambda rows: [_hold(row) for row in rows])

    def forget(self, manifest_keys: Iterable[str]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        going = iter(manifest_keys)
        while some := list(islice(going, self._at_once)):
            with self._database.writing() as db:
                touched = self._lineages(db, some)
                db.executemany(self._sql["forget"], [{"manifest_key": key} for key in some])
                self._head(db, touched)

    def clear(self) -> None:
        """See :class:`drd.ports.Catalogue`. A file that is too damaged for it is begun anew."""
        self._ledger.clear()
        try:
            with self._database.writing() as db:
                for table in ("points", "heads", "damage", "lost", "results", "learnt", "holds"):
                    db.execute(self._sql[f"clear_{table}"])
        except DamagedCatalogueError:
            self.begin_anew()

    def _lineages(
        self, db: sqlite3.Connection, manifest_keys: Iterable[str]
    ) -> set[tuple[bytes, bytes]]:
        """Tenants and lineages of the points that are known under these keys now."""
        find = self._sql["place_of"]
        return {
            place
            for key in manifest_keys
            for place in db.execute(find, {"manifest_key": key}).fetchall()
        }

    def _head(self, db: sqlite3.Connection, lineages: Iterable[tuple[bytes, bytes]]) -> None:
        """Make the heads of these lineages anew from their points."""
        asked = [{"tenant": tenant, "lineage": lineage} for tenant, lineage in lineages]
        db.executemany(self._sql["drop_head"], asked)
        db.executemany(self._sql["make_head"], asked)


def _row(point: PointInfo) -> dict[str, object]:
    return {
        "manifest_key": point.manifest_key,
        "tenant": point.tenant,
        "lineage": point.lineage,
        "seq": point.seq,
        "name": point.name,
        "identity": point.identity,
        "kind": int(point.kind),
        "point_at": point.point_at.isoformat(),
        "committed_at": point.committed_at.isoformat(),
        "size": point.size,
        "manifest_sha256": point.manifest_sha256,
        "predecessor_seq": point.predecessor_seq,
        "facts": json.dumps(dict(point.facts)),
        "committed_here": int(point.committed_here),
    }


def _damage(row: tuple[Any, ...]) -> Damage:
    seq, level, found_at, what, lost = row
    packs = tuple(sorted(bytes.fromhex(one) for one in (lost or "").split(",")))
    found = datetime.fromisoformat(found_at)
    return Damage(int(seq), int(level), found, str(what), packs if lost else ())


def _head(row: tuple[Any, ...]) -> Head:
    lineage, name, identity, seq, point_at, committed_at, size, points, oldest_at = row
    return Head(
        lineage=lineage,
        name=name,
        identity=identity,
        seq=seq,
        point_at=datetime.fromisoformat(point_at),
        committed_at=datetime.fromisoformat(committed_at),
        size=size,
        points=points,
        oldest_at=datetime.fromisoformat(oldest_at),
    )


def _point(row: tuple[Any, ...]) -> PointInfo:
    (key, tenant, lineage, seq, name, identity, kind, point_at, committed_at, size, sha, before,
     facts, here) = row  # fmt: skip
    return PointInfo(
        tenant=tenant,
        lineage=lineage,
        seq=seq,
        name=name,
        identity=identity,
        kind=PointKind(kind),
        point_at=datetime.fromisoformat(point_at),
        committed_at=datetime.fromisoformat(committed_at),
        size=size,
        manifest_sha256=sha,
        manifest_key=key,
        predecessor_seq=before,
        facts=json.loads(facts),
        committed_here=bool(here),
    )


def _result_row(tenant: bytes, one: Proven) -> dict[str, object]:
    return {
        "tenant": tenant,
        "lineage": one.lineage,
        "level": one.level,
        "seq": one.seq,
        "at": one.at.isoformat(),
        "ok": int(one.ok),
        "findings": one.findings,
        "covered": one.covered,
    }


def _proven(row: tuple[Any, ...]) -> Proven:
    lineage, level, seq, at, ok, findings, covered = row
    return Proven(
        lineage=lineage,
        level=level,
        seq=seq,
        at=datetime.fromisoformat(at),
        ok=bool(ok),
        findings=findings,
        covered=float(covered),
    )


def _hold_row(tenant: bytes, one: Hold) -> dict[str, object]:
    return {
        "tenant": tenant,
        "lineage": one.lineage,
        "seq": one.seq,
        "at": one.at.isoformat(),
        "why": one.why,
        "by": one.by,
    }


def _hold(row: tuple[Any, ...]) -> Hold:
    lineage, seq, at, why, by = row
    return Hold(lineage=lineage, seq=seq, at=datetime.fromisoformat(at), why=why, by=by)
