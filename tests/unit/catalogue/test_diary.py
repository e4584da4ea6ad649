"""What this host alone knows: one contract for the file and for memory, and what becomes of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from drd.catalogue import diary as diaries
from drd.catalogue.catalogue import SqliteCatalogue
from drd.catalogue.database import UNPROVEN, DamagedCatalogueError
from drd.catalogue.diary import SqliteDiary
from drd.errors import ConfigError, NotFoundError
from drd.model import Deed, Image, Json, Outcome, Pause, PointInfo, RunRecord
from drd.ports import Diary
from drd.testing.diary import MemoryDiary
from drd.testing.fakes import START
from tests.unit.work.points import info

HOUR = timedelta(hours=1)
ODD = "device:/dev/\udcff\x00'"
"""A name that is no UTF-8 (PEP 383), with what SQL might trip over."""


def on_file(path: Path, told: list[str] | None = None, *, reading: bool = False) -> SqliteDiary:
    return SqliteDiary(path, ([] if told is None else told).append, reading=reading)


MAKERS: dict[str, Callable[[Path], Diary]] = {"file": on_file, "memory": lambda _: MemoryDiary()}


@pytest.fixture(params=MAKERS)
def diary(request: pytest.FixtureRequest, path: Path) -> Iterator[Diary]:
    made = MAKERS[request.param](path)
    yield made
    if isinstance(made, SqliteDiary):
        made.close()


def image(name: str, **more: object) -> Image:
    base = Image(f"id {name}", "vms", f"vms/{name}", "gold", START, START)
    return replace(base, **more)  # type: ignore[arg-type] # a test's shorthand


def run(number: int, subject: str = "id a", **more: object) -> RunRecord:
    """A backup that begins in hour *number*."""
    at = START + number * HOUR
    base = RunRecord(f"{number:016x}", "backup", subject, "vms/a", "vms", "gold", at, slot=at)
    return replace(base, **more)  # type: ignore[arg-type] # a test's shorthand


def ended(begun: RunRecord, outcome: Outcome = Outcome.DONE, **more: object) -> RunRecord:
    at = begun.started_at + timedelta(minutes=3)
    return replace(begun, ended_at=at, outcome=outcome, **more)  # type: ignore[arg-type] # as above


def deed(number: int, lineage: str = "0a" * 16, **more: Any) -> Deed:
    """What the verify of hour *number* did in a lineage."""
    begun = RunRecord(
        f"{number:016x}", "verify", lineage, "", "", "gold", START + number * HOUR, lineage=lineage
    )
    facts: dict[str, Json] = {"level": 2, "findings": 1, "covered": 0.5}
    return Deed(ended(begun, **more), facts)


# ── the contract ────────────────────────────────────────────────────────────────────────────────


def test_images_are_known_by_what_never_changes(diary: Diary) -> None:
    assert diary.images() == []
    first = [image("b", gone_at=START), image("a"), image(ODD, policy="")]
    diary.note_images(first)
    assert diary.images() == sorted(first, key=lambda one: one.label)
    later = START + HOUR
    moved = image("a", label="vms/z", last_seen=later, first_seen=later, renamed_from="vms/a")
    diary.note_images([moved])
    assert diary.images()[-1] == replace(moved, first_seen=START), "first seen stays"
    diary.drop_images(["id b", f"id {ODD}", "id never"])
    assert [one.label for one in diary.images()] == ["vms/z"]


def test_a_run_is_told_while_it_runs_and_after(diary: Diary) -> None:
    begun = run(1)
    diary.begin_run(begun)
    assert diary.runs() == diary.running() == [begun]
    assert diary.last_runs("backup") == {}
    done = ended(begun, seq=7, lineage="ab", bytes_read=1, bytes_changed=2, bytes_uploaded=3)
    done = replace(done, seconds=1.5, exit_code=3, code="several", message=f"it is {ODD}")
    diary.end_run(done, None)
    assert diary.running() == []
    assert diary.runs() == [done]
    assert diary.last_runs("backup") == {"id a": done}
    assert diary.last_runs("verify") == {}


def test_a_run_whose_beginning_was_lost_has_an_end(diary: Diary) -> None:
    done = ended(run(1), slot=None)
    diary.end_run(done, None)
    assert diary.runs() == [done]


def test_the_newest_runs_come_first_though_the_clock_goes_back(diary: Diary) -> None:
    runs = [run(5), run(6, "id b"), run(2), run(3, "id a", kind="verify"), run(1, ODD)]
    for one in runs:
        diary.begin_run(one)
        diary.end_run(ended(one), None)
    told = [ended(one) for one in reversed(runs)]
    assert diary.runs() == told
    assert diary.runs(limit=2) == told[:2]
    assert diary.runs(kind="verify") == [ended(runs[3])]
    assert diary.runs(subject="id a") == [ended(one) for one in (runs[3], runs[2], runs[0])]
    assert diary.runs(subject="id a", kind="backup") == [ended(runs[2]), ended(runs[0])]
    assert diary.runs(subject=ODD) == [ended(runs[4])]
    last = {"id a": ended(runs[2]), "id b": ended(runs[1]), ODD: ended(runs[4])}
    assert diary.last_runs("backup") == last


def test_a_pause_lasts_until_a_run_ends_without_one(diary: Diary) -> None:
    first = Pause("id a", 1, START + HOUR, "store", "away")
    other = Pause(ODD, 3, START + HOUR)
    for pause in (first, other):
        failed = ended(run(pause.failures, pause.subject), Outcome.FAILED)
        diary.end_run(failed, pause)
    assert diary.pauses() == {"id a": first, ODD: other}
    longer = replace(first, failures=2, until=START + 2 * HOUR)
    diary.end_run(ended(run(2), Outcome.STALLED), longer)
    assert diary.pauses()["id a"] == longer
    diary.end_run(ended(run(4)), None)
    assert diary.pauses() == {ODD: other}
    diary.end_pause(ODD)
    diary.end_pause("id never")
    assert diary.pauses() == {}


def test_the_last_tick(diary: Diary) -> None:
    assert diary.last_tick() is None
    for hours in (5, 3):
        diary.note_tick(START + hours * HOUR)
        assert diary.last_tick() == START + hours * HOUR


# ── the file ────────────────────────────────────────────────────────────────────────────────────


def test_it_is_found_again_beside_the_catalogue_and_survives_its_rebuild(path: Path) -> None:
    pause = Pause("id a", 1, START)
    with closing(on_file(path)) as diary, closing(SqliteCatalogue(path)) as catalogue:
        catalogue.learn([info(1)])
        diary.note_images([image("a")])
        diary.end_run(ended(run(1), Outcome.FAILED), pause)
        diary.begin_run(run(2))
        diary.note_tick(START)
        catalogue.clear()
    with closing(on_file(path)) as diary:
        assert diary.images() == [image("a")]
        assert diary.runs() == [run(2), ended(run(1), Outcome.FAILED)]
        assert diary.pauses() == {"id a": pause}
        assert diary.last_tick() == START


def test_runs_are_bounded_and_the_last_of_each_stays(path: Path) -> None:
    of_one = diaries.RUNS_OF_ONE
    with closing(on_file(path)) as diary:
        old, running = run(1, "id old"), run(2)
        diary.end_run(ended(old), None)
        diary.begin_run(running)
        for number in range(3, 3 + of_one + 20):
            diary.begin_run(run(number))
            diary.end_run(ended(run(number)), None)
        kept = diary.runs(subject="id a", limit=1000)
        assert [one.started_at for one in kept[:of_one]] == [
            run(number).started_at for number in reversed(range(23, 23 + of_one))
        ]
        assert kept[of_one:] == [running], "what runs is not dropped"
        db = diary._database.open
        db.execute("UPDATE run SET number = number + 200000 WHERE number > 50")
        step = diaries.TRIM_EVERY
        for number in range(2000, 2000 + step):
            diary.end_run(ended(run(number, f"id {number}")), None)
        (left,) = db.execute("SELECT count(*) FROM run WHERE number < 50").fetchone()
        assert left == 2
        assert diary.last_runs("backup")["id old"] == ended(old)
        assert running in diary.running()


def test_what_a_run_did_in_a_lineage_is_found_by_lineage_and_by_run(diary: Diary) -> None:
    assert diary.deeds(lineage="0a" * 16) == diary.deeds(run="0" * 16) == []
    odd = f"found at {ODD}"
    first = deed(
        1, outcome=Outcome.FAILED, exit_code=11, code=odd, policy=odd, message=odd, hint=odd
    )
    other, second = deed(1, "0b" * 16, seq=7, seconds=2.5), deed(2)
    for one in (first, other, second):
        diary.note_deed(one)
    assert diary.deeds(lineage="0a" * 16) == [second, first]
    assert diary.deeds(lineage="0a" * 16, limit=1) == [second]
    assert diary.deeds(run=first.record.run) == [other, first]
    assert diary.runs() == [], "they are no runs of their own"
    assert diary.last_runs("verify") == {}
    assert diary.deeds(lineage=ODD) == []


def test_deeds_are_kept_so_many_of_each_lineage_and_so_many_in_all(path: Path) -> None:
    with closing(on_file(path)) as diary:
        prune = replace(deed(1).record, kind="prune")
        diary.note_deed(Deed(prune, {}))
        for number in range(diaries.DEEDS_OF_ONE + 5):
            diary.note_deed(deed(number))
            diary.note_deed(deed(number, "0b" * 16))
        kept = diary.deeds(lineage="0a" * 16, limit=1000)
        assert len(kept) == diaries.DEEDS_OF_ONE + 1, "those of another kind are not counted"
        assert kept[0] == deed(diaries.DEEDS_OF_ONE + 4)
        assert kept[-1].record == prune
        db = diary._database.open
        db.execute(
            "UPDATE deed SET number = number + ? WHERE subject = ?",
            (diaries.DEEDS_IN_ALL, "0b" * 16),
        )
        for number in range(diaries.TRIM_EVERY):
            diary.note_deed(deed(number, f"{number:032x}"))
        assert diary.deeds(lineage="0a" * 16) == []
        assert len(diary.deeds(lineage="0b" * 16)) == diaries.DEEDS_OF_ONE


PLANNED = (
    "runs_of",
    "last_runs",
    "running",
    "trim_subject",
    "deeds_of",
    "deeds_of_run",
    "trim_deeds",
)


@pytest.mark.parametrize("name", PLANNED)
def test_what_a_tick_asks_is_found_by_an_index(path: Path, name: str) -> None:
    with closing(on_file(path)) as diary:
        asked = {"subject": "s", "kind": "k", "limit": 1, "keep": 1, "lineage": "l", "run": "r"}
        query = f"EXPLAIN QUERY PLAN {diary._sql[name]}"
        plan = [row[3] for row in diary._database.open.execute(query, asked)]
    assert plan
    assert all(
        "INDEX" in step or "PRIMARY KEY" in step
        for step in plan
        if step.startswith(("SCAN", "SEARCH"))
    )


def test_a_damaged_file_is_begun_anew_and_told(path: Path) -> None:
    told: list[str] = []
    with closing(on_file(path, told)) as diary:
        diary.note_images([image(str(number)) for number in range(2000)])
        diary._database.open.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))
        diary._database.open.execute("PRAGMA shrink_memory")
        assert diary.images() == []
        diary.note_images([image("a")])
        assert diary.images() == [image("a")]
    assert len(told) == 1
    assert UNPROVEN in told[0]
    assert path.with_suffix(".damaged").exists()


@pytest.mark.parametrize("what", ["removed", "set aside by another process"])
def test_nobody_writes_into_a_file_that_is_gone(path: Path, what: str) -> None:
    """What a daemon wrote there for years nobody would read."""
    with closing(on_file(path)) as diary, closing(SqliteCatalogue(path)) as other:
        diary.note_images([image("a")])
        if what == "removed":
            path.unlink()
        else:
            other.begin_anew()
        diary.note_images([image("b")])
        with closing(on_file(path)) as again:
            assert again.images() == [image("b")] == diary.images()
        other.learn([info(1)])
    assert path.with_suffix(".damaged").exists() == (what != "removed")


def test_two_that_meet_one_damaged_file_begin_one_new_one(path: Path) -> None:
    with closing(SqliteCatalogue(path)) as one, closing(SqliteCatalogue(path)) as other:
        one.begin_anew()
        one.learn([info(1)])
        other.begin_anew()
        assert len(other.points(b"t" * 16)) == 1, "what the first one learnt is not set aside"


def test_who_only_reads_changes_nothing(path: Path) -> None:
    with pytest.raises(NotFoundError, match="knows nothing"):
        on_file(path, reading=True)
    assert not path.parent.exists()
    with closing(on_file(path)) as diary:
        diary.note_images([image("a")])
        with closing(on_file(path, reading=True)) as reader:
            assert reader.images() == [image("a")]
            diary.note_images([image("b")])
            assert len(reader.images()) == 2
            with pytest.raises(ConfigError, match="readonly"):
                reader.note_images([image("c")])
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(DamagedCatalogueError):
        on_file(path, reading=True)
    assert path.read_bytes() == b"no database" * 1000


def test_who_only_reads_asks_for_the_version_that_it_knows(path: Path) -> None:
    with closing(SqliteCatalogue(path)) as old:
        old._database.open.execute("PRAGMA user_version = 3")
    with pytest.raises(ConfigError, match="another version"):
        on_file(path, reading=True)
    with closing(on_file(path)), closing(on_file(path, reading=True)) as reader:
        assert reader.images() == []


def test_runs_of_a_file_that_kept_no_hints_are_carried_over(path: Path) -> None:
    with closing(on_file(path)) as old:
        old.end_run(ended(run(1), Outcome.FAILED, message="m", hint="h"), None)
        old.begin_run(run(2))
        old._database.open.execute("ALTER TABLE run DROP COLUMN hint")
        old._database.open.execute("DROP TABLE deed")
        old._database.open.execute("PRAGMA user_version = 5")
    told: list[str] = []
    for _ in range(2):
        with closing(on_file(path, told)) as diary:
            kept, begun = ended(run(1), Outcome.FAILED, message="m"), run(2)
            assert diary.runs() == [begun, kept]
            assert diary.last_runs("backup") == {"id a": kept}
    with closing(on_file(path)) as diary:
        diary.note_deed(deed(1))
        odd = ended(run(2), Outcome.FAILED, hint=f"look at {ODD}")
        diary.end_run(odd, None)
        assert diary.runs(limit=1) == [odd]
    assert told == []


def test_a_closed_file_stays_closed(path: Path) -> None:
    diary = on_file(path)
    diary.close()
    with pytest.raises(ConfigError, match="closed"):
        diary.images()


def test_the_diary_is_written_while_a_catalogue_learns_a_million_points(path: Path) -> None:
    """A rebuild takes minutes; the daemon's loop waits for each thing that it writes down."""
    with (
        closing(SqliteCatalogue(path, at_once=10)) as catalogue,
        closing(SqliteCatalogue(path)) as other,
        closing(on_file(path)) as diary,
    ):

        def many() -> Iterator[PointInfo]:
            for seq in range(1, 101):
                diary.note_tick(START + seq * HOUR)
                assert other.highest(b"t" * 16, b"l" * 16) == (seq - 1) // 10 * 10, "some at a time"
                yield info(seq)

        catalogue.learn(many())
        assert diary.last_tick() == START + 100 * HOUR
        assert len(catalogue.points(b"t" * 16)) == 100


def test_who_reads_for_long_holds_up_nobody_who_writes(path: Path) -> None:
    with closing(on_file(path)) as diary, closing(on_file(path, reading=True)) as reader:
        diary.note_images([image("a")])
        db = reader._database.open
        db.execute("BEGIN")
        assert len(reader.images()) == 1
        diary.note_images([image("b")])
        assert len(diary.images()) == 2
        assert len(reader.images()) == 1, "its own moment"
        db.execute("COMMIT")
        assert len(reader.images()) == 2
