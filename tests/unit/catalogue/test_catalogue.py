"""What is known here of the bucket: found again, carried over, and never in anybody's way."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from drd.catalogue.catalogue import SqliteCatalogue
from drd.catalogue.database import SCHEMA_VERSION, UNPROVEN, DamagedCatalogueError, statements
from drd.catalogue.memory import MemoryCatalogue
from drd.catalogue.spare import SpareCatalogue
from drd.errors import ConfigError
from drd.model import Damage, Head, Hold, PointKind
from drd.ports import Catalogue
from drd.testing.fakes import START, seeded
from tests.unit.catalogue.files import LINEAGE, OTHER, TENANT, damage_pages, filled, proof, spare
from tests.unit.work.points import info

OF_SCHEMA_2 = """
CREATE TABLE point (
    manifest_key TEXT PRIMARY KEY, tenant BLOB NOT NULL, lineage BLOB NOT NULL, seq INTEGER NOT NULL,
    name TEXT NOT NULL, identity TEXT NOT NULL, kind INTEGER NOT NULL, point_at TEXT NOT NULL,
    committed_at TEXT NOT NULL, size INTEGER NOT NULL, manifest_sha256 BLOB NOT NULL,
    predecessor_seq INTEGER NOT NULL, facts TEXT NOT NULL, committed_here INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
PRAGMA user_version = 2;
"""
OF_SCHEMA_1 = """
CREATE TABLE point (
    manifest_key TEXT PRIMARY KEY, tenant BLOB NOT NULL, lineage BLOB NOT NULL, seq INTEGER NOT NULL,
    name TEXT NOT NULL, identity TEXT NOT NULL, kind INTEGER NOT NULL, point_at TEXT NOT NULL,
    committed_at TEXT NOT NULL, size INTEGER NOT NULL, manifest_sha256 BLOB NOT NULL,
    predecessor_seq INTEGER NOT NULL, facts TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX point_by_lineage ON point (tenant, lineage, seq);
PRAGMA user_version = 1;
"""


MAKERS: dict[str, Callable[[Path], Catalogue]] = {
    "file": SqliteCatalogue,
    "memory": lambda _: MemoryCatalogue(),
    "spare": spare,
}


@pytest.fixture(params=MAKERS)
def catalogue(request: pytest.FixtureRequest, path: Path) -> Iterator[Catalogue]:
    made = MAKERS[request.param](path)
    yield made
    if isinstance(made, SqliteCatalogue | SpareCatalogue):
        made.close()


# ── the contract ────────────────────────────────────────────────────────────────────────────────


def test_what_was_learnt_is_known_until_it_is_forgotten(catalogue: Catalogue) -> None:
    assert catalogue.keys(TENANT) == {}
    points = [info(seq, facts={"n": seq}) for seq in (2, 1, 3)]
    catalogue.learn(points)
    assert catalogue.keys(TENANT) == {f"m/{seq}": bytes(32) for seq in (1, 2, 3)}
    assert catalogue.points(TENANT) == sorted(points, key=lambda one: one.seq)
    assert catalogue.points(OTHER) == []
    catalogue.forget(["m/2", "m/9"])
    assert [one.seq for one in catalogue.points(TENANT)] == [1, 3]
    catalogue.clear()
    assert catalogue.points(TENANT) == []
    assert catalogue.keys(TENANT) == {}


def test_the_lineage_of_an_image_is_that_of_its_newest_point(catalogue: Catalogue) -> None:
    assert catalogue.lineage_of(TENANT, "i") is None
    catalogue.learn([info(5), info(9, lineage=OTHER, manifest_key="m/o9", identity="j")])
    assert catalogue.lineage_of(TENANT, "i") == LINEAGE
    assert catalogue.lineage_of(TENANT, "j") == OTHER
    assert catalogue.lineage_of(OTHER, "i") is None
    later = info(1, lineage=OTHER, manifest_key="m/o1", committed_at=info(6).committed_at)
    catalogue.learn([later])
    assert catalogue.lineage_of(TENANT, "i") == OTHER, "by time, not by number"
    a_moment_later = info(6).committed_at.replace(microsecond=1)
    catalogue.learn([info(2, manifest_key="m/2", committed_at=a_moment_later)])
    assert catalogue.lineage_of(TENANT, "i") == LINEAGE


def test_the_highest_number_of_a_lineage(catalogue: Catalogue) -> None:
    assert catalogue.highest(TENANT, LINEAGE) == 0
    catalogue.learn([info(5), info(3), info(9, lineage=OTHER, manifest_key="m/o9")])
    assert catalogue.highest(TENANT, LINEAGE) == 5
    assert catalogue.highest(TENANT, OTHER) == 9
    assert catalogue.highest(OTHER, OTHER) == 0


def test_what_the_bucket_says_does_not_unsay_who_committed(catalogue: Catalogue) -> None:
    """Only the commit itself sets the mark; another manifest under the name is not this host's."""
    catalogue.learn([info(1, committed_here=True), info(2)])
    catalogue.learn([info(1), info(2)])
    assert [one.committed_here for one in catalogue.points(TENANT)] == [True, False]
    catalogue.learn([info(1, manifest_sha256=b"x" * 32)])
    assert [one.committed_here for one in catalogue.points(TENANT)] == [False, False]


def test_damage_is_noted_until_it_is_taken_back(catalogue: Catalogue) -> None:
    first, second = Damage(3, 1, info(1).point_at, "p/1: gone"), Damage(4, 2, info(2).point_at, "x")
    assert catalogue.damage_of(TENANT, LINEAGE) is None
    for one in (first, second):
        catalogue.note_damage(TENANT, LINEAGE, one)
        catalogue.learn([info(1)])
        catalogue.forget(["m/1"])
        assert catalogue.damage_of(TENANT, LINEAGE) == one
    assert catalogue.damage_of(TENANT, OTHER) is None
    catalogue.note_damage(TENANT, OTHER, first)
    catalogue.note_damage(TENANT, LINEAGE, None)
    assert catalogue.damage_of(TENANT, LINEAGE) is None
    assert catalogue.damage_of(TENANT, OTHER) == first
    assert catalogue.damages(TENANT) == {OTHER: first}
    assert catalogue.damages(OTHER) == {}
    catalogue.clear()
    assert catalogue.damage_of(TENANT, OTHER) is None


def test_the_newest_result_of_each_lineage_and_level_is_known(catalogue: Catalogue) -> None:
    """Objects are read in any order, and by whoever finds them."""
    assert catalogue.proven(TENANT) == []
    newest = proof(LINEAGE, 2, at=5, ok=False, findings=3, covered=0.25)
    others = [proof(LINEAGE, 1, at=1), proof(OTHER, 2, at=2)]
    catalogue.note_proven(TENANT, [*others, newest, proof(LINEAGE, 2, at=4)])
    catalogue.note_proven(TENANT, [proof(LINEAGE, 2, at=3)])
    catalogue.note_proven(OTHER, [proof(LINEAGE, 2, at=9)])
    assert catalogue.proven(TENANT) == [others[0], newest, others[1]]
    catalogue.clear()
    assert catalogue.proven(TENANT) == []


def test_results_are_known_once_all_were_learnt_and_until_they_are_forgotten(
    catalogue: Catalogue,
) -> None:
    catalogue.note_proven(TENANT, [proof(LINEAGE, 2, at=1)])
    assert not catalogue.knows_proven(TENANT), "there may be more of them"
    for _ in range(2):
        catalogue.note_proven(TENANT, [], whole=True)
        catalogue.note_proven(TENANT, [proof(LINEAGE, 2, at=2)])
        assert catalogue.knows_proven(TENANT)
        assert not catalogue.knows_proven(OTHER)
    catalogue.clear()
    assert not catalogue.knows_proven(TENANT)


def test_results_that_an_older_drd_learnt_are_known(path: Path) -> None:
    for known in (False, True):
        with closing(SqliteCatalogue(path)) as old:
            old.note_proven(TENANT, [proof(LINEAGE, 2, at=1)] if known else [])
            old._database.open.execute("DROP TABLE learnt")
            old._database.open.execute("PRAGMA user_version = 7")
        with closing(SqliteCatalogue(path)) as catalogue:
            assert catalogue.knows_proven(TENANT) is known
            assert not catalogue.knows_proven(OTHER)


def test_holds_of_a_lineage_are_learnt_as_a_whole(catalogue: Catalogue) -> None:
    assert catalogue.holds(TENANT) == []
    first = [Hold(LINEAGE, seq, START, f"case {seq}", "ann") for seq in (3, 1)]
    other = Hold(OTHER, 2, START, "court", "")
    catalogue.note_holds(TENANT, LINEAGE, first)
    catalogue.note_holds(TENANT, OTHER, [other])
    assert catalogue.holds(TENANT) == [first[1], first[0], other]
    assert catalogue.holds(OTHER) == []
    second = Hold(LINEAGE, 3, START + timedelta(hours=1), "another case", "bob")
    catalogue.note_holds(TENANT, LINEAGE, [second, *first])
    assert catalogue.holds(TENANT) == [first[1], first[0], second, other], "each of one point"
    catalogue.note_holds(TENANT, LINEAGE, first[:1])
    assert catalogue.holds(TENANT) == [first[0], other]
    catalogue.note_holds(TENANT, LINEAGE, [])
    catalogue.forget(["m/2"])
    assert catalogue.holds(TENANT) == [other]
    catalogue.clear()
    assert catalogue.holds(TENANT) == []


def test_tails_are_the_newest_full_points_and_what_comes_after(catalogue: Catalogue) -> None:
    assert catalogue.tails(TENANT) == []
    partial = {seq: info(seq, kind=PointKind.PARTIAL) for seq in (2, 4, 5)}
    begun = [
        info(seq, lineage=OTHER, manifest_key=f"m/o{seq}", kind=PointKind.PARTIAL) for seq in (1, 2)
    ]
    catalogue.learn([info(1), partial[2], info(3), partial[4], partial[5], *begun])
    told = sorted((one.lineage, one.seq, one.kind) for one in catalogue.tails(TENANT))
    full, part = PointKind.FULL, PointKind.PARTIAL
    wanted = [(LINEAGE, 3, full), (LINEAGE, 4, part), (LINEAGE, 5, part), (OTHER, 2, part)]
    assert told == sorted(wanted)
    assert info(3) in catalogue.tails(TENANT), "whole, with its facts"
    assert catalogue.tails(OTHER) == []


def test_heads_and_lineages(catalogue: Catalogue) -> None:
    assert catalogue.heads(TENANT) == []
    partial = info(4, kind=PointKind.PARTIAL)
    alone = info(1, lineage=OTHER, manifest_key="m/o1", kind=PointKind.PARTIAL)
    catalogue.learn([info(2), info(3, name="a/c", size=7), partial, alone])
    (head,) = catalogue.heads(TENANT)
    at, oldest = info(3), info(2)
    assert head == Head(
        LINEAGE, "a/c", "i", 3, at.point_at, at.committed_at, 7, points=2, oldest_at=oldest.point_at
    )
    assert catalogue.lineages(TENANT) == {LINEAGE, OTHER}
    assert catalogue.lineages(OTHER) == frozenset()
    catalogue.forget(["m/2", "m/3"])
    assert catalogue.heads(TENANT) == []
    assert catalogue.lineages(TENANT) == {LINEAGE, OTHER}
    catalogue.clear()
    assert catalogue.lineages(TENANT) == frozenset()


# ── the file ────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_found_again(path: Path) -> None:
    for known in ([], [1], [1, 2]):
        with closing(SqliteCatalogue(path)) as catalogue:
            assert [one.seq for one in catalogue.points(TENANT)] == known
            catalogue.learn([info(len(known) + 1, committed_here=True)])
            assert all(one.committed_here for one in catalogue.points(TENANT))


@pytest.mark.parametrize(
    "name", ["lineage_of", "highest", "damage_of", "points_of", "heads", "tails", "lineages"]
)
def test_what_a_backup_asks_is_found_by_an_index(path: Path, name: str) -> None:
    """A backup of one image must not read what is known of all others."""
    with closing(SqliteCatalogue(path)) as catalogue:
        asked = {"tenant": TENANT, "lineage": LINEAGE, "identity": "i"}
        query = f"EXPLAIN QUERY PLAN {statements('queries.sql')[name]}"
        plan = [row[3] for row in catalogue._database.open.execute(query, asked)]
    steps = [step for step in plan if not step.startswith("CORRELATED")]
    assert all(step.startswith("SEARCH") for step in steps)
    assert len(steps) == (2 if name in ("damage_of", "tails") else 1), "of two tables"
    if name == "tails":
        assert "seq>?" in steps[1], "of each lineage its newest points alone"


def test_the_file_of_an_older_drd_is_carried_over(path: Path) -> None:
    """A hidden head is known by it. Who committed was not noted then."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as old:
        old.executescript(OF_SCHEMA_1)
        when = info(7).point_at.isoformat()
        row = ("m/7", TENANT, LINEAGE, 7, "a/b", "i", 1, when, when, 1, bytes(32), 6, "{}")
        old.execute("INSERT INTO point VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", row)
        old.commit()
    for _ in range(2):
        with closing(SqliteCatalogue(path)) as catalogue:
            assert catalogue.points(TENANT) == [info(7)]
            assert catalogue.highest(TENANT, LINEAGE) == 7
            assert [one.seq for one in catalogue.heads(TENANT)] == [7]
            assert catalogue._database._version() == SCHEMA_VERSION


def test_the_file_of_schema_2_is_carried_over_whole(path: Path) -> None:
    """Also what proves that a newest point is no lie of the bucket: that this host committed it."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as old:
        old.executescript(OF_SCHEMA_2)
        when = info(7).point_at.isoformat()
        row = ("m/7", TENANT, LINEAGE, 7, "a/b", "i", 1, when, when, 1, bytes(32), 6, "{}", 1)
        old.execute("INSERT INTO point VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", row)
        old.commit()
    told: list[str] = []
    with closing(spare(path, told)) as catalogue:
        assert catalogue.points(TENANT) == [info(7, committed_here=True)]
        assert catalogue.highest(TENANT, LINEAGE) == 7
        catalogue.note_damage(TENANT, LINEAGE, Damage(7, 1, info(7).point_at, "p"))
    assert told == []


def test_the_file_of_schema_3_is_carried_over_with_its_damage(path: Path) -> None:
    with closing(SqliteCatalogue(path)) as catalogue:
        catalogue.learn([info(6), info(7, committed_here=True), info(8, kind=PointKind.PARTIAL)])
        catalogue.note_damage(TENANT, LINEAGE, Damage(7, 1, info(7).point_at, "p"))
        heads = catalogue.heads(TENANT)
        for table in ("head", "result", "hold", "image", "run", "pause", "tick"):
            catalogue._database.open.execute(f"DROP TABLE {table}")
        catalogue._database.open.execute("PRAGMA user_version = 3")
    told: list[str] = []
    with closing(spare(path, told)) as catalogue:
        assert catalogue.heads(TENANT) == heads
        assert catalogue.highest(TENANT, LINEAGE) == 8
        assert [one.committed_here for one in catalogue.points(TENANT)] == [False, True, False]
        assert catalogue.damages(TENANT).keys() == {LINEAGE}
    assert told == []


def test_the_file_of_a_newer_drd_is_begun_anew(path: Path) -> None:
    with closing(SqliteCatalogue(path)) as catalogue:
        catalogue.learn([info(1)])
        catalogue._database.open.execute("PRAGMA user_version = 99")
    with closing(SqliteCatalogue(path)) as catalogue:
        assert catalogue.points(TENANT) == []
        catalogue.learn([info(1)])


def test_what_is_no_catalogue_is_begun_anew(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with closing(SqliteCatalogue(path)) as catalogue:
        assert catalogue.points(TENANT) == []
        catalogue.learn([info(1)])
        assert [one.seq for one in catalogue.points(TENANT)] == [1]
    assert path.with_suffix(".damaged").read_bytes().startswith(b"no database")


def random_bytes(path: Path) -> None:
    path.write_bytes(seeded("no catalogue")(9999))


def another_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def another_repository(path: Path) -> None:
    path.unlink()
    with closing(SqliteCatalogue(path)) as catalogue:
        catalogue.learn([info(1, tenant=OTHER)])


def cut_to(size: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[:size])


LOSSES: dict[str, Callable[[Path], object]] = {
    "random": random_bytes,
    "another version": another_version,
    "another repository": another_repository,
    **{f"cut to {size}": cut_to(size) for size in (0, 1, 50, 100, 511, 4096, 5000, 40000)},
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("ask", ["keys", "points", "lineage_of", "highest"])
def test_a_lost_catalogue_is_told_by_the_run_that_meets_it(
    path: Path, loss: Callable[[Path], object], ask: str
) -> None:
    """What hid a point since would else go unseen: the host has forgotten it, and says nothing."""
    filled(path)
    loss(path)
    told: list[str] = []
    with closing(spare(path, told)) as catalogue:
        first: dict[str, Callable[[], object]] = {
            "keys": lambda: catalogue.keys(TENANT),
            "points": lambda: catalogue.points(TENANT),
            "lineage_of": lambda: catalogue.lineage_of(TENANT, "i"),
            "highest": lambda: catalogue.highest(TENANT, LINEAGE),
        }
        assert not first[ask]()
        assert catalogue.keys(TENANT) == {}
        assert catalogue.points(TENANT) == []
        catalogue.learn([info(1)])
    assert len(set(told)) == 1
    assert UNPROVEN in told[0]
    assert str(path.with_suffix("")) in told[0]
    with closing(spare(path, told)) as again:
        assert again.points(TENANT) == [info(1)]
    assert len(set(told)) == 1, "once, not for ever"


def test_a_first_run_has_lost_nothing(path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        with closing(spare(path, told)) as catalogue:
            assert catalogue.points(TENANT) == []
    assert told == []


def test_nothing_of_the_old_file_gets_into_the_new_one(path: Path) -> None:
    """Its log stays while another process has it open, and would be read as the new file's."""
    with closing(SqliteCatalogue(path)) as catalogue, closing(SqliteCatalogue(path)) as other:
        catalogue.learn([info(7)])
        assert len(other.points(TENANT)) == 1
        catalogue.begin_anew()
        assert catalogue.points(TENANT) == []


def test_damaged_pages_are_damage_and_can_be_cleared(path: Path) -> None:
    filled(path)
    damage_pages(path)
    with closing(SqliteCatalogue(path)) as catalogue:
        with pytest.raises(DamagedCatalogueError):
            catalogue.points(TENANT)
        catalogue.clear()
        catalogue.learn([info(1)])
        assert catalogue.points(TENANT) == [info(1)]


@pytest.mark.parametrize(
    "change, ask",
    [
        ("UPDATE point SET lineage = 'text'", lambda one: one.lineage_of(TENANT, "i")),
        ("UPDATE point SET seq = 'text'", lambda one: one.highest(TENANT, LINEAGE)),
        ("UPDATE point SET manifest_key = CAST(x'ff' AS TEXT)", lambda one: one.keys(TENANT)),
    ],
)
def test_a_damaged_answer_is_damage(
    path: Path, change: str, ask: Callable[[Catalogue], object]
) -> None:
    with closing(SqliteCatalogue(path)) as catalogue:
        catalogue.learn([info(1)])
        catalogue._database.open.execute(change)
        with pytest.raises(DamagedCatalogueError):
            ask(catalogue)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE point SET facts = '{'",
        "UPDATE point SET point_at = 'yesterday'",
        "UPDATE point SET kind = 77",
        "UPDATE point SET committed_at = 5",
        "UPDATE point SET name = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_damaged_row_is_damage(path: Path, change: str) -> None:
    with closing(SqliteCatalogue(path)) as catalogue:
        catalogue.learn([info(1)])
        catalogue._database.open.execute(change)
        with pytest.raises(DamagedCatalogueError):
            catalogue.points(TENANT)


UNBINDABLE: dict[str, Callable[[Catalogue], object]] = {
    "a number": lambda one: one.learn([info(2, size=1 << 63)]),
    "text": lambda one: one.learn([info(2, name="\udcff")]),
    "a question": lambda one: one.lineage_of(TENANT, "device:/\udcff"),
}


@pytest.mark.parametrize("what", UNBINDABLE)
def test_what_sqlite_cannot_be_told_is_no_damage_of_the_file(path: Path, what: str) -> None:
    """Else one strange name would have it set aside, and with it what is known of hidden points."""
    told: list[str] = []
    catalogue = spare(path, told)
    catalogue.learn([info(1)])
    with pytest.raises((OverflowError, UnicodeEncodeError)):
        UNBINDABLE[what](catalogue)
    catalogue.close()
    assert told == []
    assert not path.with_suffix(".damaged").exists()
    with closing(SqliteCatalogue(path)) as again:
        assert again.points(TENANT) == [info(1)]


def test_a_folder_that_cannot_be_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="state folder"):
        SqliteCatalogue(tmp_path / "file" / "catalogue.sqlite")
