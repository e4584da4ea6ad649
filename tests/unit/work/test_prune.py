"""Prune: what it dooms, spares and deletes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from drd.core.retention import Keep
from drd.errors import RefusedError
from drd.model import Role
from drd.testing.fakes import MemoryCatalogue, seeded
from drd.testing.stores import FaultyStore
from drd.work.holds import Speaker, release
from drd.work.verify import needed
from tests.unit.work.shears import (
    GRACE,
    KINDS,
    LAST_2,
    assert_exact,
    done,
    doomed,
    history,
    hold_point,
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
from tests.unit.work.world import World


@pytest.fixture(scope="module")
def worlds() -> dict[str, World]:
    return {kind: six(kind) for kind in KINDS}


@pytest.fixture
def world(worlds: dict[str, World]) -> World:
    """Six points of one image."""
    return worlds["versioned"].fork()


@pytest.fixture(params=KINDS)
def any_world(worlds: dict[str, World], request: pytest.FixtureRequest) -> World:
    """The same, in each kind of bucket."""
    return worlds[request.param].fork()


# ── two phases ──────────────────────────────────────────────────────────────────────────────────


def test_the_first_phase_dooms_and_deletes_nothing(any_world: World) -> None:
    before = any_world.keys("p/") | any_world.keys("x/") | any_world.keys("m/")
    result = done(run(any_world, LAST_2))
    assert result.doomed == [1, 2, 3, 4]
    assert (result.deleted, result.bytes_freed) == ([], 0)
    assert result.bytes_doomed > 0
    assert doomed(any_world) == {1, 2, 3, 4}
    assert any_world.keys("p/") | any_world.keys("x/") | any_world.keys("m/") == before
    assert [one.seq for one in restorable(any_world)] == [5, 6]
    any_world.check()


@pytest.mark.parametrize("kind", KINDS)
def test_the_second_phase_deletes_what_is_dead_and_nothing_else(kind: str) -> None:
    versioned, conditional = KINDS[kind]
    world = new_world(versioned=versioned, conditional=conditional)
    history(world, 14)
    result = two_phases(world)
    assert result.deleted == list(range(1, 13))
    assert result.packs > 0
    assert result.tables > 0
    assert result.bytes_freed > 0
    assert seqs(world) == [13, 14, 15]
    assert doomed(world) == {13}, "one point more has expired meanwhile"
    world.check()
    assert_exact(world, ever=world.keys("x/") & named(world))


def test_nothing_is_deleted_before_the_grace_is_over(world: World) -> None:
    done(run(world, LAST_2))
    history(world, 1)
    world.clock.at += GRACE - timedelta(minutes=5) - timedelta(hours=1)
    assert done(run(world, LAST_2)).deleted == []
    assert len(seqs(world)) == 7


def test_nothing_is_deleted_before_a_newer_full_point_is_there(world: World) -> None:
    done(run(world, LAST_2))
    pass_time(world, 5 * GRACE)
    result = done(run(world, LAST_2))
    assert (result.deleted, result.waiting) == ([], [1, 2, 3, 4])
    history(world, 1)
    assert done(run(world, LAST_2)).deleted == [1, 2, 3, 4]


def test_the_age_of_a_list_is_the_stores(world: World) -> None:
    """A host whose clock runs ahead, by less than is found out, deletes nothing earlier."""
    done(run(world, LAST_2))
    history(world, 1)
    world.clock.at += GRACE - timedelta(hours=1) - timedelta(minutes=9)
    ahead = pruner(world)
    ahead = replace(ahead, now=lambda: world.clock() + timedelta(minutes=9))
    assert done(run(world, LAST_2, ahead)).deleted == []


def test_a_prune_without_anything_to_do_writes_nothing(world: World) -> None:
    two_phases(world)
    history(world, 1)
    pass_time(world)
    done(run(world, LAST_2))
    before = world.keys("")
    result = done(run(world, LAST_2))
    assert (result.doomed, result.deleted, result.spared) == ([], [], [])
    assert world.keys("") == before


def test_without_rules_all_stays(world: World) -> None:
    result = done(run(world, None))
    assert (result.doomed, result.points) == ([], 6)


def test_backups_go_on_and_what_is_kept_is_left(world: World) -> None:
    ever = named(world)
    for _ in range(24):
        history(world, 1)
        ever |= named(world)
        if world.clock.at.hour % 3 == 0:
            pass_time(world)
            done(run(world, Keep(last=3, minimum=1)))
            restorable(world)
    for _ in range(2):
        history(world, 1)
        ever |= named(world)
        pass_time(world)
        done(run(world, Keep(last=3, minimum=1)))
    keep_all = done(run(world, Keep(last=3, minimum=1), pruner(world, dry_run=True)))
    assert keep_all.waiting, "one is always waiting"
    assert_exact(world, ever=ever)
    history(world, 1)
    assert world.repository().warnings == []


def test_versions_and_markers_of_what_is_deleted_go_too() -> None:
    world = new_world()
    history(world, 12)
    keys = sorted(world.keys("p/"))
    for key in keys:
        world.store.put(key, b"another version")
        world.store.mark_deleted(key)
    two_phases(world)
    gone = set(keys) - world.keys("p/")
    assert gone
    assert [world.store.remains(key) for key in sorted(gone)] == [[]] * len(gone)


def test_a_dry_run_tells_the_same_and_changes_nothing(any_world: World) -> None:
    before = any_world.keys("")
    told = run(any_world, LAST_2, pruner(any_world, dry_run=True))
    assert any_world.keys("") == before
    real = done(run(any_world, LAST_2))
    assert (told.doomed, told.bytes_doomed) == (real.doomed, real.bytes_doomed)
    history(any_world, 1)
    pass_time(any_world)
    before = any_world.keys("")
    told = run(any_world, LAST_2, pruner(any_world, dry_run=True))
    assert any_world.keys("") == before
    real = done(run(any_world, LAST_2))
    assert (told.deleted, told.bytes_freed, told.packs, told.tables) == (
        real.deleted,
        real.bytes_freed,
        real.packs,
        real.tables,
    )


# ── what stays ──────────────────────────────────────────────────────────────────────────────────


def test_a_held_point_is_not_doomed(world: World) -> None:
    hold_point(world, 2)
    assert done(run(world, LAST_2)).doomed == [1, 3, 4]
    two_phases(world)
    assert 2 in seqs(world)
    world.check()


def test_a_doomed_point_that_is_held_is_spared(any_world: World) -> None:
    done(run(any_world, LAST_2))
    hold_point(any_world, 2)
    history(any_world, 1)
    pass_time(any_world)
    result = done(run(any_world, LAST_2))
    assert result.spared == [2]
    assert result.deleted == [1, 3, 4]
    assert seqs(any_world) == [2, 5, 6, 7]
    any_world.check()
    assert_exact(any_world)


def test_a_spared_point_that_is_let_go_dies_later(world: World) -> None:
    done(run(world, LAST_2))
    hold_point(world, 2)
    history(world, 1)
    pass_time(world)
    done(run(world, LAST_2))
    (info,) = [one for one in world.full() if one.seq == 2]
    speaker = Speaker("me", world.clock, seeded("release"))
    release(world.repository(Role.BACKUP), info, "over", speaker)
    result = two_phases(world)
    assert 2 in result.deleted
    world.check()
    assert_exact(world)


def test_a_policy_that_keeps_more_again_revives(world: World) -> None:
    done(run(world, LAST_2))
    result = done(run(world, Keep(last=10)))
    assert result.spared == [1, 2, 3, 4]
    assert doomed(world) == set()
    assert len(restorable(world)) == 6


def test_a_hold_that_comes_after_deletion_began_is_told_and_not_spared(world: World) -> None:
    done(run(world, LAST_2))
    history(world, 1)
    pass_time(world)
    listed = next(iter(sorted(world.keys("p/"))))
    first = FaultyStore(world.store, crash_after_effects=3)
    with pytest.raises(BaseException, match="script"):
        run(world, LAST_2, pruner(world, store=first))
    assert listed not in world.keys("p/") or len(world.keys("p/")) < 100
    hold_point(world, 1)
    result = run(world, LAST_2)
    if result.stopped is None:
        assert result.spared == [1]
        world.check(restorable(world))
    else:
        assert isinstance(result.stopped, RefusedError)
        assert "had begun" in result.stopped.message
        assert 1 in doomed(world)


def test_rules_that_keep_nothing_are_refused(world: World) -> None:
    result = run(world, Keep(minimum=1))
    assert isinstance(result.stopped, RefusedError)
    assert doomed(world) == set()


def test_unfinished_points_are_roots_until_a_full_one_is_there() -> None:
    world = new_world(cells=200)
    history(world, 3)
    world.image.write(0, seeded("much")(world.image.head.size))
    world.clock.at += timedelta(hours=1)
    assert world.backup_until(14)
    partial = unfinished(world)
    assert partial
    assert not set(done(run(world, Keep(last=1))).doomed) & partial
    for _ in range(4):
        assert partial <= unfinished(world) or world.full()[-1].seq > max(partial)
        world.clock.at += timedelta(hours=1)
        world.backup()
        pass_time(world)
        done(run(world, Keep(last=1)))
        restorable(world)
    assert unfinished(world) == set()
    assert len(seqs(world)) == 2, "the newest, and one that is doomed"


# ── another host ────────────────────────────────────────────────────────────────────────────────


def test_a_host_that_knows_nothing_finishes_what_another_began(any_world: World) -> None:
    done(run(any_world, LAST_2))
    history(any_world, 1)
    pass_time(any_world)
    any_world.catalogue = MemoryCatalogue()
    assert done(run(any_world, LAST_2)).deleted == [1, 2, 3, 4]
    assert_exact(any_world)


def test_a_host_that_slept_while_another_pruned_goes_on(world: World) -> None:
    done(run(world, LAST_2))
    asleep = world.catalogue
    other = MemoryCatalogue()
    world.catalogue = other
    history(world, 1)
    pass_time(world)
    done(run(world, LAST_2))
    world.catalogue = asleep
    history(world, 1)
    pass_time(world)
    done(run(world, LAST_2))
    assert_exact(world)
    world.check()


# ── orphans ─────────────────────────────────────────────────────────────────────────────────────


def test_orphans_go_when_they_are_old_and_a_newer_point_is_there(world: World) -> None:
    clean = world.keys("")
    world.image.write(0, b"y" * world.image.head.size)
    world.backup_until(4)
    left = (world.keys("p/") | world.keys("x/")) - clean
    assert left
    by = pruner(world, orphans=True)
    assert done(run(world, None, by)).orphans == 0, "they are young"
    pass_time(world, timedelta(days=8))
    assert done(run(world, None, pruner(world, orphans=True))).orphans == 0, "nothing newer"
    history(world, 1)
    told = run(world, None, pruner(world, orphans=True, dry_run=True))
    result = done(run(world, None, pruner(world, orphans=True)))
    assert result.orphans == told.orphans == len(left - needed_by_newest(world))
    assert not (left - needed_by_newest(world)) & world.keys("")
    world.check()
    assert_exact(world)


def needed_by_newest(world: World) -> set[str]:
    """Objects that the newest point needs, of those of an unfinished run that it went on with."""
    return {one.key for one in needed(world.opened(world.full()[-1].seq))}


def test_without_being_asked_orphans_stay(world: World) -> None:
    world.image.write(0, b"y" * world.image.head.size)
    world.backup_until(4)
    for snapshot in world.snapshots():
        world.image.lose(snapshot)
    pass_time(world, timedelta(days=8))
    history(world, 1)
    before = world.keys("p/")
    done(run(world, None))
    assert world.keys("p/") == before
