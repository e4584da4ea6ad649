"""To find what one name means costs what its lineage costs, and never finds another one for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace

import pytest

from drd.catalogue.memory import MemoryCatalogue
from drd.core.selectors import Selector, parse_point
from drd.errors import NotFoundError
from drd.model import PointInfo
from drd.work.held import Needs
from drd.work.history import learn
from drd.work.listing import Looked, find_lineage, known_points, look
from tests.unit.work.points import NAME, manifest_key, remove
from tests.unit.work.shears import LAST_2, run
from tests.unit.work.test_learning import (
    Asked,
    add_one,
    folder_of,
    manifests,
    of_three_images,
    own,
)
from tests.unit.work.world import World


@pytest.fixture
def world() -> World:
    return of_three_images()


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def looked(
    world: World, catalogue: MemoryCatalogue, text: str, store: Asked | None = None
) -> Looked:
    return look(world.repository(store=store), catalogue, each=[[parse_point(text)]])


@pytest.mark.parametrize("by", ["name", "id"])
def test_only_the_lineage_that_is_meant_is_listed_and_its_new_points_read(
    world: World, by: str
) -> None:
    catalogue = MemoryCatalogue(world.points())
    before = own(world, world.points())
    add_one(world)
    store = Asked(world)
    found = looked(world, catalogue, NAME if by == "name" else world.lineage.hex(), store)
    assert found.points == own(world, world.points())
    assert list(found.before) == before
    assert len(found.lineages) == 3
    assert manifests(store) == [manifest_key(world, 4)]
    assert [one for one in store.listed if one.startswith("m/")] == [
        folder_of(world, world.lineage)
    ]


def test_of_the_journals_only_that_of_the_lineage_is_asked_for(world: World) -> None:
    catalogue = MemoryCatalogue(world.points())
    run(world, LAST_2)
    store = Asked(world)
    found = looked(world, catalogue, NAME, store)
    assert [one.seq for one in found.points if one.doomed] == [1]
    assert all(world.lineage.hex() in one for one in store.listed if one.startswith("g/"))


def test_a_host_that_knows_nothing_yet_looks_at_all(world: World) -> None:
    catalogue = MemoryCatalogue()
    every = learn(world.repository(), MemoryCatalogue())
    assert looked(world, catalogue, NAME).points == every
    assert known_points(world.repository(), catalogue, of=[parse_point(NAME)]) == own(
        world, world.points()
    )


def known_as(points: list[PointInfo], name: str) -> MemoryCatalogue:
    """A host that heard of an image last when it was called *name*."""
    return MemoryCatalogue([replace(one, name=name) for one in points])


def test_an_image_that_another_node_renamed_is_found_by_its_new_name_alone(world: World) -> None:
    mine = own(world, world.points())
    for text in ("source/old", NAME):
        catalogue = known_as(mine[:2], "source/old")
        found = looked(world, catalogue, text).points
        assert len(found) == len(world.points()), "one name is not enough to go by"
        if text == NAME:
            assert find_lineage(found, Selector(NAME))[-1].seq == 3
        else:
            with pytest.raises(NotFoundError):
                find_lineage(found, Selector(text))


def test_a_new_lineage_may_have_taken_the_name_over(world: World) -> None:
    """A re-created image: this host has never heard of its lineage, and knows the name as another's."""
    other = next(one.lineage for one in world.points() if one.lineage != world.lineage)
    catalogue = known_as([one for one in world.points() if one.lineage == other], NAME)
    assert looked(world, catalogue, NAME).points[-1].lineage == other, "it is the newer one"
    catalogue = known_as([one for one in world.points() if one.lineage == other], NAME)
    add_one(world)
    found = looked(world, catalogue, NAME)
    assert {one.lineage for one in found.points} == {world.lineage}


def test_what_the_bucket_does_not_show_any_more_is_looked_for_among_all(world: World) -> None:
    catalogue = MemoryCatalogue(world.points())
    for key in world.keys(folder_of(world, world.lineage)):
        remove(world, key)
    found = looked(world, catalogue, NAME)
    assert {one.lineage for one in found.points} == {
        one.lineage for one in found.before if one.lineage != world.lineage
    }
    assert world.lineage in {one.lineage for one in found.before}


def test_no_snapshot_is_an_orphan_because_another_node_was_quicker(
    world: World, threads: Executor
) -> None:
    """The point that needs it is in the bucket; this host has not heard of it."""
    catalogue = MemoryCatalogue(world.points())
    add_one(world)
    left = f"drd.{world.lineage.hex()}.{99:016x}"
    world.image.take(99, left, world.clock)
    store = Asked(world)
    states = {
        one.snapshot.name: one.state
        for one in Needs(world.repository(store=store), catalogue, threads).of(world.source)
        if one.lineage == world.lineage
    }
    assert states.pop(left) == "orphan"
    assert set(states.values()) == {"kept"}
    assert manifests(store) == [manifest_key(world, 4)]


def test_what_is_kept_costs_nothing_and_a_new_host_learns_first(
    world: World, threads: Executor
) -> None:
    catalogue = MemoryCatalogue(world.points())
    store = Asked(world)
    needs = Needs(world.repository(store=store), catalogue, threads)
    assert {one.state for one in needs.of(world.source)} == {"kept"}
    assert (manifests(store), [one for one in store.listed if one.startswith("m/")]) == ([], [])
    empty = MemoryCatalogue()
    needs = Needs(world.repository(), empty, threads)
    assert {one.state for one in needs.of(world.source)} == {"kept"}
    assert empty.points(world.ring.tenant) == learn(world.repository(), MemoryCatalogue())
