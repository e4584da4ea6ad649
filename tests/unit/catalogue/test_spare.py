"""A catalogue whose file fails is in nobody's way, and answers nothing by halves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from drd.catalogue.catalogue import SqliteCatalogue
from drd.catalogue.database import UNPROVEN
from drd.catalogue.spare import SpareCatalogue
from drd.model import Damage, Hold
from drd.ports import Catalogue
from drd.testing.fakes import START
from tests.unit.catalogue.files import LINEAGE, OTHER, TENANT, damage_pages, filled, proof, spare
from tests.unit.work.points import info


def test_a_catalogue_that_cannot_be_opened_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    catalogue = spare(tmp_path / "file" / "catalogue.sqlite", told)
    assert catalogue.keys(TENANT) == {}
    catalogue.learn([info(1)])
    assert catalogue.points(TENANT) == [info(1)]
    assert catalogue.highest(TENANT, LINEAGE) == 1
    assert len(told) == 1
    assert "without the local catalogue" in told[0]


def asks(catalogue: Catalogue) -> dict[str, Callable[[], object]]:
    return {
        "keys": lambda: catalogue.keys(TENANT),
        "points": lambda: catalogue.points(TENANT),
        "learn": lambda: catalogue.learn([info(seq) for seq in range(1, 301)]),
        "forget": lambda: catalogue.forget([f"m/{seq}" for seq in range(1, 301)]),
        "clear": catalogue.clear,
    }


@pytest.mark.parametrize("first", ["keys", "points", "learn", "forget", "clear"])
def test_damaged_pages_stop_nothing(path: Path, first: str) -> None:
    """Whatever meets them: a warning at most; and the next process finds a file that is whole."""
    filled(path)
    damage_pages(path)
    told: list[str] = []
    catalogue = spare(path, told)
    asks(catalogue)[first]()
    known = catalogue.keys(TENANT)
    assert {one.manifest_key for one in catalogue.points(TENANT)} == set(known)
    catalogue.learn([info(1000)])
    assert catalogue.points(TENANT)[-1] == info(1000)
    catalogue.close()
    assert len(told) == (first != "clear")
    assert all("set aside" in one and UNPROVEN in one for one in told)
    assert path.with_suffix(".damaged").exists()
    with closing(SqliteCatalogue(path)) as again:
        assert again.points(TENANT)[-1] == info(1000)


def test_points_has_what_keys_named_though_the_file_breaks_in_between(path: Path) -> None:
    """Who is told that a manifest is known does not read it: to lack it then would hide a point."""
    points = filled(path)
    catalogue = spare(path)
    assert len(catalogue.keys(TENANT)) == len(points)
    assert catalogue._file is not None
    catalogue._file.begin_anew()
    catalogue.learn([info(1000)])
    assert [one.seq for one in catalogue.points(TENANT)] == [*range(1, 301), 1000]
    catalogue.close()


def fill_its_disk(catalogue: SpareCatalogue) -> None:
    """Let the file have no page more: SQLite then says what it says of a full disk."""
    assert catalogue._file is not None
    db = catalogue._file._database.open
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")


@pytest.mark.parametrize("looked", [False, True])
def test_a_full_disk_stops_nothing_and_forgets_nothing(path: Path, *, looked: bool) -> None:
    filled(path)
    told: list[str] = []
    catalogue = spare(path, told)
    damage = Damage(3, 1, START, "p/1: gone")
    catalogue.note_damage(TENANT, LINEAGE, damage)
    catalogue.note_holds(TENANT, OTHER, [Hold(OTHER, 1, START, "w", "b")])
    catalogue.note_holds(TENANT, OTHER, [])
    if looked:
        catalogue.note_proven(TENANT, [], whole=True)
        catalogue.keys(TENANT)
    fill_its_disk(catalogue)
    catalogue.learn([replace(info(seq), facts={"x": "x" * 9000}) for seq in range(1000, 1100)])
    assert len(told) == 1
    assert "full" in told[0]
    assert "without the local catalogue" in told[0]
    hold, result = Hold(LINEAGE, 2, START, "case", "ann"), proof(LINEAGE, 1, at=1)
    catalogue.note_holds(TENANT, LINEAGE, [hold])
    catalogue.note_proven(TENANT, [result])
    assert catalogue.knows_proven(TENANT) is looked
    assert catalogue.highest(TENANT, LINEAGE) == 1099
    assert catalogue.heads(TENANT)[0].points == 400
    assert catalogue.holds(TENANT) == [hold]
    assert catalogue.proven(TENANT) == [result]
    assert catalogue.damage_of(TENANT, LINEAGE) == damage, "what was known stays known"
    assert catalogue.lineage_of(TENANT, "i") == LINEAGE
    assert len(catalogue.points(TENANT)) == len(catalogue.keys(TENANT)) == 400
    catalogue.forget(["m/1"])
    assert len(catalogue.points(TENANT)) == 399
    assert len(told) == 1
    catalogue.close()
    with closing(SqliteCatalogue(path)) as again:
        assert len(again.points(TENANT)) == 300, "what was there before is whole"


def test_a_backup_on_a_full_disk_reads_nothing_of_the_others(path: Path) -> None:
    """What it could not note is the last thing that it does; all the rest would only fill memory."""
    filled(path)
    catalogue = spare(path)
    assert catalogue.lineage_of(TENANT, "i") == LINEAGE
    assert catalogue.highest(TENANT, LINEAGE) == 300
    fill_its_disk(catalogue)
    catalogue.learn([replace(info(seq), facts={"x": "x" * 9000}) for seq in range(1000, 1100)])
    assert catalogue._read is None
    catalogue.close()
