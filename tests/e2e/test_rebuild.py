"""``drctl catalogue rebuild``: what an empty disk learns from the bucket, and what it cannot."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from drd.model import Head, Hold, PointInfo, Proven, RunRecord
from tests.e2e.known import backed_up, failed, house_of, image_of, note_failure, watched
from tests.e2e.site import Site, scatter

Known = tuple[list[PointInfo], list[Head], list[Hold], list[Proven]]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two images, three points, a hold that stays, one that was ended, and what verify proved."""
    made = watched(tmp_path)
    backed_up(made, "a", "b")
    scatter(made.images / "a.img", 3)
    made.backup("disks/a.img")
    for arguments in (
        ("hold", "add", "disks/a.img@1", "--why", "case 4711"),
        ("hold", "add", "disks/b.img@1", "--why", "a mistake"),
        ("hold", "rm", "disks/b.img@1", "--why", "it was one"),
        ("verify", "disks/a.img", "--level", "2"),
        ("verify", "disks/b.img", "--level", "1"),
    ):
        answer = made.run(*arguments)
        assert answer.code == 0, answer.text
    return made


def known(site: Site) -> Known:
    """All that the catalogue knows of the bucket; who committed a point is known to a host alone."""
    with house_of(site) as house:
        catalogue, tenant = house.catalogue(), house.tenant()
        assert tenant
        points = [replace(one, committed_here=False) for one in catalogue.points(tenant)]
        holds, proven = list(catalogue.holds(tenant)), list(catalogue.proven(tenant))
        return points, list(catalogue.heads(tenant)), holds, proven


def test_a_rebuild_on_an_empty_disk_equals_what_was_there(site: Site) -> None:
    before = known(site)
    assert [len(some) for some in before] == [3, 2, 1, 2], "points, heads, holds, results"
    shutil.rmtree(site.state)
    answer = site.run("catalogue", "rebuild")
    assert answer.code == 0, answer.text
    assert known(site) == before
    again = site.run("catalogue", "rebuild")
    assert again.code == 0
    assert known(site) == before


def runs(site: Site) -> list[RunRecord]:
    with house_of(site) as house:
        return list(house.diary().runs())


def test_a_rebuild_leaves_what_this_host_alone_knows(site: Site) -> None:
    image = image_of(site, "a")
    note_failure(site, failed(image))
    site.run("catalogue", "rebuild")
    with house_of(site) as house:
        assert len(house.diary().images()) == 2
        assert [run.message for run in house.diary().runs()] == ["no route to host"]
        assert house.diary().pauses()[image.identity].failures == 2
        assert house.diary().last_tick() is not None
    told = site.told("catalogue", "rebuild").text
    assert "lost" not in told


def test_a_lost_file_loses_it_and_the_rebuild_says_so(site: Site) -> None:
    note_failure(site, failed(image_of(site, "a")))
    shutil.rmtree(site.state)
    told = site.told("catalogue", "rebuild").text
    assert "not in the bucket" in told
    for lost in ("history of runs", "pauses", "first seen"):
        assert lost in told
    assert runs(site) == []
