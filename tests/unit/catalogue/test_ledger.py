"""The ledger: deletion stands on it, so it gives what was noted, or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drd.catalogue.ledger import MemoryLedger, SqliteLedger
from drd.model import KnownPoint, PointKind, TableSpan
from drd.ports import Ledger
from drd.testing.fakes import seeded

TENANT, LINEAGE, OTHER = b"t" * 16, b"l" * 16, b"o" * 16
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def point(seq: int) -> KnownPoint:
    return KnownPoint(seq, seeded(seq)(32), PointKind.FULL, WHEN, WHEN, b"trust" * 6 + b"..")


def span(number: int) -> TableSpan:
    draw = seeded(("span", number))
    return TableSpan(draw(16), 1, 100 + number, draw(32), f"v{number}", first=number, last=9)


POINTS = [point(seq) for seq in (1, 2, 3)]
SPANS = [span(number) for number in (1, 2)]
CLEARS = {one.table_id: b"clear" + one.table_id for one in SPANS}


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "ledger")


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    """A file in which something of a lineage is noted."""
    made = SqliteLedger(tmp_path / "state" / "ledger")
    made.note(TENANT, LINEAGE, points=POINTS, spans=SPANS, clears=CLEARS)
    made.note(TENANT, OTHER, points=POINTS)
    made.note_statements({"g/t/l/1": b"one"})
    made.close()
    return tmp_path / "state" / "ledger"


def known(
    ledger: Ledger, lineage: bytes = LINEAGE
) -> tuple[dict[int, KnownPoint], list[TableSpan]]:
    points, spans = ledger.known(TENANT, lineage)
    return dict(points), sorted(spans.values(), key=lambda one: one.first)


def test_it_gives_what_was_noted(ledger: Ledger) -> None:
    assert known(ledger) == ({}, [])
    ledger.note(TENANT, LINEAGE, points=POINTS, spans=SPANS, clears=CLEARS)
    wider = replace(SPANS[0], last=12)
    ledger.note(TENANT, LINEAGE, spans=[wider])
    assert known(ledger) == ({one.seq: one for one in POINTS}, [wider, SPANS[1]])
    assert ledger.clears(TENANT, LINEAGE) == CLEARS
    assert known(ledger, OTHER) == ({}, [])
    ledger.drop(TENANT, LINEAGE, seqs=[1, 77], tables=[SPANS[1].table_id])
    assert known(ledger) == ({2: POINTS[1], 3: POINTS[2]}, [wider])
    assert ledger.clears(TENANT, LINEAGE).keys() == {SPANS[0].table_id}
    ledger.forget(TENANT, LINEAGE)
    assert known(ledger) == ({}, [])
    assert ledger.clears(TENANT, LINEAGE) == {}


def test_a_span_never_becomes_narrower(ledger: Ledger) -> None:
    """Of two processes that learn at a time the one that knows less may be the last to write."""
    ledger.note(TENANT, LINEAGE, spans=[replace(SPANS[0], first=3, last=12)])
    ledger.note(TENANT, LINEAGE, spans=[replace(SPANS[0], first=2, last=9)])
    assert known(ledger) == ({}, [replace(SPANS[0], first=2, last=12)])


def test_needs_take_the_place_of_those_before(ledger: Ledger) -> None:
    assert ledger.needs(TENANT, LINEAGE) == b""
    for data in (b"one", b"two"):
        ledger.note_needs(TENANT, LINEAGE, data)
    ledger.note_needs(TENANT, OTHER, b"other")
    assert (ledger.needs(TENANT, LINEAGE), ledger.needs(TENANT, OTHER)) == (b"two", b"other")
    ledger.forget(TENANT, LINEAGE)
    assert (ledger.needs(TENANT, LINEAGE), ledger.needs(TENANT, OTHER)) == (b"", b"other")
    ledger.clear()
    assert ledger.needs(TENANT, OTHER) == b""


def test_statements_are_found_by_their_folder(ledger: Ledger) -> None:
    objects = {"g/t/l/1": b"one", "g/t/l/10": b"ten", "g/t/m/1": b"other"}
    ledger.note_statements(objects)
    assert ledger.statements("g/t/l/") == {"g/t/l/1": b"one", "g/t/l/10": b"ten"}
    assert ledger.statements("g/t/") == objects
    ledger.clear()
    assert ledger.statements("g/") == {}


def test_it_outlives_the_process(noted: Path) -> None:
    again = SqliteLedger(noted)
    assert known(again) == ({one.seq: one for one in POINTS}, SPANS)
    assert again.clears(TENANT, LINEAGE) == CLEARS
    assert again.statements("g/") == {"g/t/l/1": b"one"}
    assert noted.stat().st_mode & 0o777 == 0o600
    again.close()


ROT: dict[str, str] = {
    "a span is gone": "DELETE FROM named WHERE first = 2",
    "a span is narrower": "UPDATE named SET last = 3 WHERE first = 1",
    "a point is gone": "DELETE FROM known WHERE seq = 2",
    "a point is another": "UPDATE known SET sha256 = zeroblob(32) WHERE seq = 2",
    "all points are gone": "DELETE FROM known",
    "the proof is gone": "DELETE FROM proof",
    "a time is none": "UPDATE known SET point_at = 'yesterday'",
}


@pytest.mark.parametrize("change", ROT.values(), ids=ROT)
def test_rows_that_are_not_those_that_were_written_are_not_believed(
    noted: Path, change: str
) -> None:
    db = sqlite3.connect(noted)
    db.execute(change)
    db.commit()
    db.close()
    again = SqliteLedger(noted)
    assert known(again) == ({}, [])
    again.note(TENANT, LINEAGE, points=POINTS, spans=SPANS)
    assert known(again) == ({one.seq: one for one in POINTS}, SPANS)
    again.close()


def test_nothing_is_added_to_rows_that_rotted(noted: Path) -> None:
    """Else the new proof would vouch for the old damage."""
    db = sqlite3.connect(noted)
    db.execute("DELETE FROM named WHERE first = 2")
    db.commit()
    db.close()
    again = SqliteLedger(noted)
    again.note(TENANT, LINEAGE, points=[point(4)])
    assert known(again)[0].keys() == {4}
    again.close()


def test_a_rotten_clear_part_is_left_out(noted: Path) -> None:
    db = sqlite3.connect(noted)
    gone = SPANS[0].table_id
    db.execute("UPDATE reached SET clear = x'00' WHERE table_id = ?", (gone,))
    db.commit()
    db.close()
    again = SqliteLedger(noted)
    assert again.clears(TENANT, LINEAGE).keys() == {SPANS[1].table_id}
    again.close()


def test_needs_outlive_the_process_and_rotten_ones_are_left_out(noted: Path) -> None:
    made = SqliteLedger(noted)
    made.note_needs(TENANT, LINEAGE, b"some")
    made.close()
    again = SqliteLedger(noted)
    assert again.needs(TENANT, LINEAGE) == b"some"
    again.close()
    db = sqlite3.connect(noted)
    db.execute("UPDATE needs SET needs = x'00'")
    db.commit()
    db.close()
    rotten = SqliteLedger(noted)
    assert rotten.needs(TENANT, LINEAGE) == b""
    assert known(rotten) == ({one.seq: one for one in POINTS}, SPANS)
    rotten.close()


def test_the_file_of_version_1_is_carried_over(noted: Path) -> None:
    """It has the same tables, but for the needs."""
    db = sqlite3.connect(noted)
    db.execute("DROP TABLE needs")
    db.execute("PRAGMA user_version = 1")
    db.close()
    for before in (b"", b"some"):
        again = SqliteLedger(noted)
        assert known(again) == ({one.seq: one for one in POINTS}, SPANS)
        assert again.statements("g/") == {"g/t/l/1": b"one"}
        assert again.needs(TENANT, LINEAGE) == before
        again.note_needs(TENANT, LINEAGE, b"some")
        again.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def other_version(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()


@pytest.mark.parametrize("spoil", [garbage, other_version], ids=lambda spoil: spoil.__name__)
def test_a_file_that_is_none_is_begun_anew(noted: Path, spoil: Callable[[Path], None]) -> None:
    spoil(noted)
    again = SqliteLedger(noted)
    assert known(again) == ({}, [])
    again.note(TENANT, LINEAGE, points=POINTS)
    again.close()
    after = SqliteLedger(noted)
    assert known(after)[0].keys() == {1, 2, 3}
    after.close()


def test_where_no_file_can_be_it_works_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ledger = SqliteLedger(tmp_path / "file" / "ledger")
    ledger.note(TENANT, LINEAGE, points=POINTS, spans=SPANS, clears=CLEARS)
    assert known(ledger) == ({one.seq: one for one in POINTS}, SPANS)
    ledger.note_statements({"g/1": b"x"})
    ledger.drop(TENANT, LINEAGE, seqs=[1], tables=[])
    assert known(ledger)[0].keys() == {2, 3}
    ledger.forget(TENANT, LINEAGE)
    assert (known(ledger), ledger.clears(TENANT, LINEAGE)) == (({}, []), {})
    ledger.note_needs(TENANT, LINEAGE, b"some")
    assert ledger.needs(TENANT, LINEAGE) == b"some"
    assert ledger.statements("g/") == {"g/1": b"x"}
    ledger.clear()
    assert ledger.statements("g/") == {}
