"""One SQLite file that several processes share, and that each of them may meet damaged, full or gone.

Catalogue and diary lie in it: ``schema.sql`` has their tables, ``queries.sql`` their statements by name.
It is written ahead (WAL): who reads blocks nobody who writes. What was committed is not torn by a crash.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

from drd.errors import ConfigError, NotFoundError

SCHEMA_VERSION: Final = 8
HEADER_BYTES: Final = 100
"""Every database has as many (SQLite database file format, 1.3)."""
PATIENCE_S: Final = 30
"""How long to wait for somebody else who writes."""
UNPROVEN: Final = "what this host knew of newest points is lost: freshness is unproven"
"""What it means when a catalogue is lost: a bucket that hides points is not found out by it any more."""
_T = TypeVar("_T")
_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


class DamagedCatalogueError(ConfigError):
    """The file is no catalogue any more: it can only be begun anew."""


def statements(name: str) -> dict[str, str]:
    """The named statements of a file of this package."""
    parts = _NAME.split((files(__package__) / name).read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of what happens while the context lasts, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite itself rolls back when its disk is full
            db.execute("ROLLBACK")
        raise


class Database:
    """The file, open.

    One that is damaged when it is opened is set aside and begun anew. What an older drd wrote is carried
    over. ``lost`` says so, for operators, where something that was known is not known any more; ``""``
    where nothing is lost. A file that somebody replaced or removed meanwhile is left for the one that is
    there now: what is written into a removed file nobody ever reads.

    Args:
        path: the file.
        reading: only read, and change nothing: no file is made, and a damaged one stays where it is.
        lasting: what was written survives a power cut; else the last moments may be lost, no more than
            that (PRAGMA synchronous, WAL).

    Raises:
        ConfigError: the folder cannot be written, or (reading) the file cannot be read.
        NotFoundError: there is none (reading).
    """

    def __init__(self, path: Path, *, reading: bool = False, lasting: bool = True) -> None:
        self._lasting = lasting
        self._path = path
        self._reading = reading
        self.sql = statements("queries.sql")
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._closed = False
        self.lost = ""
        if reading:
            self._begin_reading()
            return
        try:
            # SQLite takes a file of one byte, or none, for a new one. A first run has no file.
            if path.is_file() and path.stat().st_size < HEADER_BYTES:
                self.lost = f"the catalogue was emptied; {UNPROVEN} [{path}]"
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

    def _begin_reading(self) -> None:
        with self._telling():
            there = self._identity()
        if there is None:
            raise NotFoundError(
                "this host knows nothing of the repository yet",
                about=str(self._path),
                hint="start the daemon, or run 'drctl catalogue rebuild'",
            )
        with self.asking():
            version = self._version()
        if version != SCHEMA_VERSION:
            raise ConfigError(
                "the catalogue was written by another version of drd",
                about=str(self._path),
                hint="start the daemon of this version, or run 'drctl ls': they carry it over",
            )

    def begin_anew(self) -> None:
        """Set the file aside and begin an empty one; leave one that somebody else began meanwhile.

        Raises:
            ConfigError: that cannot be done.
        """
        with self._telling():
            self._set_aside()
            self._connect()

    def _set_aside(self) -> None:
        met = self._file
        self._shut()
        if self._identity() != met:  # another process did it
            return
        # A log that stays beside it does no harm: SQLite removes the log of an empty database.
        aside = self._path.with_suffix(".damaged")
        self._path.replace(aside)
        self.lost = f"the catalogue was damaged and set aside as {aside}; {UNPROVEN}"

    def _identity(self) -> tuple[int, int] | None:
        """Device and number of the file that has the name now; None when there is none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _connect(self) -> None:
        if not self._reading:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = self._identity()
        mode = "ro" if self._reading else "rwc"
        self._db = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=PATIENCE_S,
            isolation_level=None,
        )
        # SQLite's own calls text that is none a passing failure.
        self._db.text_factory = bytes.decode
        if self._reading:
            return
        self._path.chmod(0o600)
        self._file = self._identity()
        self._db.execute("PRAGMA journal_mode = WAL")
        if not self._lasting:
            self._db.execute("PRAGMA synchronous = NORMAL")
        if self._version() != SCHEMA_VERSION:  # else nothing is written: the disk may be full
            with transaction(self.open):
                self._migrate(self._version())

    def _version(self) -> int:
        return int(self.open.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self, version: int) -> None:
        """From *version*, read under the lock: another process may have been here first."""
        if version == SCHEMA_VERSION:
            return
        if version == 1:
            self.open.execute(self.sql["from_1"])
        elif 1 < version < SCHEMA_VERSION:  # since then there are more tables, and one more column
            columns = {name for (name,) in self.open.execute(self.sql["columns_of_run"])}
            if columns and "hint" not in columns:
                self.open.execute(self.sql["run_hint"])
        elif tables := [name for (name,) in self.open.execute(self.sql["tables"])]:
            for name in tables:
                self.open.execute(f'DROP TABLE IF EXISTS "{name}"')
            self.lost = (
                f"the catalogue was written by another version of drd; {UNPROVEN} [{self._path}]"
            )
        for statement in statements("schema.sql").values():
            self.open.execute(statement)
        self.open.execute(self.sql["all_heads"])
        self.open.execute(self.sql["all_learnt"])
        self.open.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @property
    def open(self) -> sqlite3.Connection:
        """The connection."""
        if self._db is None:
            raise sqlite3.OperationalError("the file is closed")
        return self._db

    def close(self) -> None:
        """Close the file for good."""
        self._closed = True
        self._shut()

    def _shut(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes: all of it, or nothing.

        Raises:
            ConfigError: as :meth:`asking`.
        """
        with self.asking(), transaction(self.open):
            yield self.open

    def rows(
        self, name: str, asked: Mapping[str, object], make: Callable[[list[tuple[Any, ...]]], _T]
    ) -> _T:
        """What *make* makes of the rows of a statement; what does not decode is damage of the file."""
        with self.asking():
            found = self.open.execute(self.sql[name], asked)
            try:
                return make(found.fetchall())
            except (TypeError, ValueError) as error:
                raise sqlite3.DatabaseError(str(error)) from error

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask the file that is there now; what SQLite raises becomes an error that says what to do.

        What it cannot be asked (a number of more than 64 bits, text that is no UTF-8) is a mistake of
        who asks, and passes as it is: for that no healthy file may be set aside.

        Raises:
            DamagedCatalogueError: the file is damaged.
            ConfigError: it cannot be used.
        """
        with self._telling():
            if not self._closed and (self._db is None or self._identity() != self._file):
                self._again()
            yield

    def _again(self) -> None:
        was_open = self._db is not None
        self._shut()
        self._connect()
        if was_open and not self._reading:
            self.lost = f"the catalogue was replaced or removed; {UNPROVEN} [{self._path}]"

    @contextmanager
    def _telling(self) -> Iterator[None]:
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
