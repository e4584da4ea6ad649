"""With bucket and sheet alone: which manifests are read to find a point."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from typing_extensions import override

from drd.core.selectors import parse_point
from drd.model import Changed, PointKind
from drd.ports import Store
from drd.work.backup import backup
from drd.work.listing import find_lineage, known_points
from tests.unit.work.points import NAME, KeysRead, with_points
from tests.unit.work.world import BLOCK, CELL, World, fill

NOTHING = parse_point("source/none")


def of_three_images(points: int = 3) -> World:
    """Some points of one image, three of two more."""
    world = with_points(points)
    for name in ("other", "third"):
        world.source.add(name, CELL).write(0, name.encode())
        for _ in range(3):
            worker = world.process()
            backup(worker.bench, worker.source, world.source.found(name))
    return world


def manifests_read(store: KeysRead) -> list[int]:
    return sorted(count for key, count in store.reads.items() if key.startswith("m/"))


@pytest.mark.parametrize("text", [NAME, f"{NAME}@2", "lineage"])
def test_all_manifests_of_the_lineage_meant_and_the_newest_of_others_are_read(text: str) -> None:
    world = of_three_images()
    every = known_points(world.repository(), None)
    (wanted,) = {one.lineage for one in every if one.name == NAME}
    selector = parse_point(wanted.hex() if text == "lineage" else text)
    store = KeysRead(world.store)
    found = known_points(world.repository(store=store), None, of=[selector])
    assert find_lineage(found, selector) == find_lineage(every, selector)
    assert [one.seq for one in found if one.lineage != wanted] == [3, 3]
    assert manifests_read(store) == [1] * 5


def test_a_name_that_nothing_has_costs_the_newest_of_each_alone() -> None:
    world = of_three_images()
    store = KeysRead(world.store)
    found = known_points(world.repository(store=store), None, of=[NOTHING])
    assert [one.seq for one in found] == [3, 3, 3]
    assert manifests_read(store) == [1] * 3


def test_an_unfinished_newest_point_hides_no_name() -> None:
    """The newest full point says what a lineage is called, and is read for it."""
    world = with_points(1, cells=3 * 64)
    fill(world, seed=2)
    world.knobs = replace(world.knobs, partial_packs=2, pack_size=16 * BLOCK)
    world.backup_until(9)
    every = known_points(world.repository(), None)
    assert {one.kind for one in every[1:]} == {PointKind.PARTIAL}
    found = known_points(world.repository(), None, of=[NOTHING])
    assert [one.seq for one in found] == [1, every[-1].seq]
    assert known_points(world.repository(), None, of=[NOTHING, parse_point(NAME)]) == every


def test_points_that_are_suspect_are_marked() -> None:
    world = with_points(3)
    world.image.hidden.append(Changed(0, 4 * CELL))
    world.image.write(0, b"missed")
    world.knobs = replace(world.knobs, sample_cells=4)
    world.backup()
    world.backup()
    every = known_points(world.repository(), None)
    assert any(one.suspect for one in every)
    assert known_points(world.repository(), None, of=[parse_point(NAME)]) == every


class Meeting(KeysRead):
    """Manifests are answered when two more readers ask for one."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._meeting = Barrier(3)

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        if key.startswith("m/"):
            self._meeting.wait(timeout=20)
        return super().get(key, version=version, start=start, length=length)


@pytest.mark.parametrize("named", [False, True])
def test_many_manifests_are_read_at_a_time(named: bool) -> None:  # noqa: FBT001
    """First the newest of the three images, then the others: threes, so that nobody waits alone."""
    world = of_three_images(points=4 if named else 3)
    every = known_points(world.repository(), None)
    of = [parse_point(NAME)] if named else []
    with ThreadPoolExecutor(3) as pool:
        found = known_points(world.repository(store=Meeting(world.store)), None, of=of, pool=pool)
    assert len(found) == (6 if named else 9)
    assert [one for one in every if one in found] == found
