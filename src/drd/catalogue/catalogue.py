"""The catalogue in SQLite; its statements are in ``schema.sql`` and ``queries.sql``."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

from drd.errors import ConfigError
from drd.model import Damage, Head, PointInfo, PointKind

SCHEMA_VERSION: Final = 3
HEADER_BYTES: Final = 100
"""Every database has as many (SQLite database file format, 1.3)."""
UNPROVEN: Final = "what this host knew of newest points is lost: freshness is unproven"
"""What it means when a catalogue is lost: a bucket that hides points is not found out by it any more."""
_T = TypeVar("_T")
_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class DamagedCatalogueError(ConfigError):
    """The file is no catalogue any more: it can only be begun anew."""


def _statements(name: str) -> dict[str, str]:
    """The named statements of a file of this package."""
    parts = _NAME.split((files(__package__) / name).read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class SqliteCatalogue:
    """A :class:`drd.ports.Catalogue` in one file, named after the repository it speaks of.

    A file that is damaged when it is opened is set aside and begun anew: it is a cache. What an older
    drd wrote is carried over. ``lost`` says so, for operators, where something that was known is not
    known any more; ``""`` where nothing is lost.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sql = _statements("queries.sql")
        self._db: sqlite3.Connection | None = None
        self.lost = ""
        try:
            # SQLite takes a file of one byte, or none, for a new one. A first run has no file.
            if path.is_file() and path.stat().st_size < HEADER_BYTES:
                self.lost = f"the catalogue was emptied; {UNPROVEN} [{path}]"
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._connect()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._set_aside()
                self._connect()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"the state folder cannot be used: {error}",
                about=str(path.parent),
                hint="set state_dir to a folder that this user may write",
            ) from error

    def begin_anew(self) -> None:
        """Set the file aside and begin an empty one.

        Raises:
            ConfigError: that cannot be done.
        """
        with self._asking():
            self._set_aside()
            self._connect()

    def _set_aside(self) -> None:
        self.close()
        # A log that stays beside it does no harm: SQLite removes the log of an empty database.
        aside = self._path.with_suffix(".damaged")
        self._path.replace(aside)
        self.lost = f"the catalogue was damaged and set aside as {aside}; {UNPROVEN}"

    def _connect(self) -> None:
        self._db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        self._db.text_factory = (
            bytes.decode
        )  # SQLite's own calls text that is none a passing failure
        self._path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode = WAL")
        if self._version() != SCHEMA_VERSION:  # else nothing is written: the disk may be full
            with self._transaction():
                self._migrate(self._version())

    def _version(self) -> int:
        return int(self._open.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self, version: int) -> None:
        """From *version*, read under the lock: another process may have been here first."""
        if version == SCHEMA_VERSION:
            return
        if version == 1:
            self._open.execute(self._sql["from_1"])
        elif version == 2:  # noqa: PLR2004 - schema 3 has one table more, and no other change
            pass
        elif self._any_table():
            self._open.execute(self._sql["drop"])
            self._open.execute(self._sql["drop_damage"])
            self.lost = (
                f"the catalogue was written by another version of drd; {UNPROVEN} [{self._path}]"
            )
        for statement in _statements("schema.sql").values():
            self._open.execute(statement)
        self._open.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _any_table(self) -> bool:
        return self._open.execute(self._sql["any_table"]).fetchone() is not None

    @property
    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("the file is closed")
        return self._db

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

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

    def heads(self, tenant: bytes) -> Sequence[Head]:
        """See :class:`drd.ports.Catalogue`."""
        return self._rows("heads", {"tenant": tenant}, lambda rows: [_head(row) for row in rows])

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
        with self._asking(), self._transaction():
            self._open.executemany(self._sql["learn"], [_row(point) for point in points])

    def damage_of(self, tenant: bytes, lineage: bytes) -> Damage | None:
        """See :class:`drd.ports.Catalogue`."""
        asked = {"tenant": tenant, "lineage": lineage}
        return self._rows("damage_of", asked, lambda rows: _damage(rows[0]) if rows else None)

    def note_damage(self, tenant: bytes, lineage: bytes, damage: Damage | None) -> None:
        """See :class:`drd.ports.Catalogue`."""
        row: dict[str, object] = {"tenant": tenant, "lineage": lineage}
        with self._asking(), self._transaction():
            self._open.execute(self._sql["take_back_damage"], row)
            if damage is not None:
                row |= {"seq": damage.seq, "level": damage.level, "what": damage.what}
                row["found_at"] = damage.found_at.isoformat()
                self._open.execute(self._sql["note_damage"], row)

    def forget(self, manifest_keys: Iterable[str]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        with self._asking(), self._transaction():
            rows = [{"manifest_key": key} for key in manifest_keys]
            self._open.executemany(self._sql["forget"], rows)

    def clear(self) -> None:
        """See :class:`drd.ports.Catalogue`. A file that is too damaged for it is begun anew."""
        try:
            with self._asking(), self._transaction():
                self._open.execute(self._sql["clear"])
                self._open.execute(self._sql["clear_damage"])
        except DamagedCatalogueError:
            self.begin_anew()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._open.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._open.execute("COMMIT")
        except BaseException:
            if self._open.in_transaction:  # SQLite itself rolls back when its disk is full
                self._open.execute("ROLLBACK")
            raise

    def _rows(
        self, name: str, asked: Mapping[str, object], make: Callable[[list[tuple[Any, ...]]], _T]
    ) -> _T:
        """What *make* makes of the rows of a statement; what does not decode is damage of the file."""
        with self._asking():
            found = self._open.execute(self._sql[name], asked)
            try:
                return make(found.fetchall())
            except (TypeError, ValueError) as error:
                raise sqlite3.DatabaseError(str(error)) from error

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What SQLite raises becomes an error that says what to do.

        What it cannot be asked (a number of more than 64 bits, text that is no UTF-8) is a mistake of
        who asks, and passes as it is: for that no healthy file may be set aside.
        """
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            passing = isinstance(error, OSError | sqlite3.OperationalError)
            kind = ConfigError if passing else DamagedCatalogueError
            raise kind(
                f"the catalogue cannot be used: {error}",
                about=str(self._path),
                hint="it is a cache: free disk space, or delete the file and run "
                "'drctl catalogue rebuild'",
            ) from error


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
    seq, level, found_at, what = row
    return Damage(int(seq), int(level), datetime.fromisoformat(found_at), str(what))


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
