"""A prune keeps the point that trust names as the last good one of a revoked key: its manifest vouches for
the keys of the lineage, which nobody could write any more without it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from drd.core import names
from drd.core.retention import LAST_GOOD, Keep
from drd.errors import RefusedError
from drd.model import PointInfo
from drd.testing.fakes import MemoryCatalogue, MemoryRing, seeded
from drd.testing.repository import host_key
from drd.work.journals import journal_of
from tests.unit.work.shears import (
    LAST_2,
    assert_exact,
    done,
    doomed,
    due,
    history,
    named,
    new_world,
    pass_time,
    pruner,
    restorable,
    run,
    seqs,
    six,
    two_phases,
    unfinished,
)
from tests.unit.work.trusting import revoked, root_says
from tests.unit.work.world import World


@pytest.fixture(scope="module")
def made() -> World:
    """Six points of one image."""
    return six()


@pytest.fixture
def world(made: World) -> World:
    return made.fork()


def other_host(world: World) -> MemoryRing:
    """The same keys, another host's signature."""
    return replace(world.ring, host=MemoryRing.make("another host").host)


def revoke(world: World, point: PointInfo) -> None:
    """The root revokes the key of the host; from now on another host works in this world."""
    new = other_host(world)
    root_says(world, revoked(world, point), host_key(new))
    world.ring = new


def points_of(world: World) -> dict[int, PointInfo]:
    return {one.seq: one for one in world.points()}


def test_the_last_good_point_of_a_revoked_key_stays_and_the_lineage_is_written_on(
    world: World,
) -> None:
    last = points_of(world)[6]
    revoke(world, last)
    history(world, 4)
    ever = named(world)
    result = two_phases(world)
    assert result.deleted == [1, 2, 3, 4, 5, 7, 8]
    assert seqs(world) == [6, 9, 10, 11]
    (good,) = [one for one in result.decisions if one.seq == 6]
    assert good.keep
    assert good.reasons[0] == LAST_GOOD
    assert_exact(world, ever=ever | named(world))
    world.catalogue = MemoryCatalogue()
    history(world, 1)
    assert [one.seq for one in restorable(world)] == [6, 10, 11, 12]


def test_a_dry_run_says_why_it_stays(world: World) -> None:
    revoke(world, points_of(world)[6])
    history(world, 4)
    result = done(run(world, Keep(last=1), pruner(world, dry_run=True)))
    assert {one.seq: one.reasons for one in result.decisions if one.keep} == {
        6: (LAST_GOOD,),
        10: ("newest", "last 1 of 1"),
    }


def test_a_key_that_is_not_revoked_keeps_nothing(world: World) -> None:
    """An entry of a key in force means nothing, and one of another lineage is about another."""
    points = points_of(world)
    idle = revoked(world, points[2]) | {"revoked_at": None}
    elsewhere = revoked(world, replace(points[3], lineage=bytes(16)))
    elsewhere["key"] = bytes(32).hex()
    root_says(world, idle, elsewhere)
    assert done(run(world, LAST_2)).doomed == [1, 2, 3, 4]


def test_a_doomed_point_that_trust_names_since_is_spared(world: World) -> None:
    """The list must be another host's: of a revoked one it would not be heard."""
    good, new = points_of(world)[6], other_host(world)
    root_says(world, host_key(world.ring), host_key(new))
    old, world.ring = world.ring, new
    history(world, 4)
    assert 6 in done(run(world, LAST_2)).doomed
    history(world, 1)
    pass_time(world)
    world.ring = old
    revoke(world, good)
    result = done(run(world, LAST_2))
    assert result.spared == [6]
    assert 6 in seqs(world)
    assert 6 not in doomed(world)
    assert [one.seq for one in restorable(world)] == [6, 10, 11]


def test_one_whose_deletion_had_begun_keeps_its_manifest(world: World) -> None:
    points, new = points_of(world), other_host(world)
    root_says(world, host_key(world.ring), host_key(new))
    old, world.ring = world.ring, new
    history(world, 3)
    due(world)
    (begun,) = journal_of(world.repository(), world.lineage, None).journal.open
    assert 6 in doomed(world)
    for pack in begun.packs:
        key = names.pack_key(world.ring.tenant, world.lineage, pack)
        for version in world.store.remains(key):
            world.store.delete(key, version=version)
    world.ring = old
    revoke(world, points[6])
    before = world.keys("m/")
    result = run(world, LAST_2)
    assert isinstance(result.stopped, RefusedError)
    assert "had begun" in result.stopped.message
    assert world.keys("m/") == before


def test_an_unfinished_point_that_trust_names_stays_too() -> None:
    """A host that was stolen in the middle of a large run."""
    world = new_world(cells=200)
    history(world, 3)
    world.image.write(0, seeded("much")(world.image.head.size))
    world.clock.at += timedelta(hours=1)
    assert world.backup_until(14)
    seq = max(unfinished(world))
    revoke(world, points_of(world)[seq])
    history(world, 3)
    result = two_phases(world, Keep(last=1))
    (good,) = [one for one in result.decisions if one.seq == seq]
    assert good.reasons == (LAST_GOOD,)
    assert unfinished(world) == {seq}, "the others of that run went, as they do"
    world.catalogue = MemoryCatalogue()
    history(world, 1)
    restorable(world)
