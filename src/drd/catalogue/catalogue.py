"""The catalogue in SQLite; its statements are in ``schema.sql`` and ``queries.sql``."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from drd.errors import ConfigError
from drd.model import PointInfo, PointKind

SCHEMA_VERSION: Final = 1
_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def _queries() -> dict[str, str]:
    """The named statements of ``queries.sql``."""
    parts = _NAME.split((files(__package__) / "queries.sql").read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class SqliteCatalogue:
    """A :class:`drd.ports.Catalogue` in one file, named after the repository it speaks of.

    A file that is damaged, or of another schema, is set aside and begun anew: it is a cache.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sql = _queries()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = self._open()
        except (OSError, sqlite3.OperationalError) as error:
            raise ConfigError(
                f"the state folder cannot be used: {error}",
                about=str(path.parent),
                hint="set state_dir to a folder that this user may write",
            ) from error

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._path.replace(self._path.with_suffix(".damaged"))
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        self._path.chmod(0o600)
        db.execute("PRAGMA journal_mode = WAL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            db.execute("DROP TABLE IF EXISTS point")
        db.executescript((files(__package__) / "schema.sql").read_text())
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        return db

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def keys(self, tenant: bytes) -> Mapping[str, bytes]:
        """See :class:`drd.ports.Catalogue`."""
        with self._asking():
            return dict(self._db.execute(self._sql["keys"], {"tenant": tenant}).fetchall())

    def points(self, tenant: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        with self._asking():
            rows = self._db.execute(self._sql["points"], {"tenant": tenant}).fetchall()
        return [_point(row) for row in rows]

    def learn(self, points: Iterable[PointInfo]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        with self._asking(), self._transaction():
            self._db.executemany(self._sql["learn"], [_row(point) for point in points])

    def forget(self, manifest_keys: Iterable[str]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        with self._asking(), self._transaction():
            rows = [{"manifest_key": key} for key in manifest_keys]
            self._db.executemany(self._sql["forget"], rows)

    def clear(self) -> None:
        """See :class:`drd.ports.Catalogue`."""
        with self._asking(), self._transaction():
            self._db.execute(self._sql["clear"])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What SQLite raises becomes an error that says what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise ConfigError(
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
    }


def _point(row: tuple[Any, ...]) -> PointInfo:
    (key, tenant, lineage, seq, name, identity, kind, point_at, committed_at, size, sha, before,
     facts) = row  # fmt: skip
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
    )
