"""A process dies right after each of its effects, on the bucket, the source or the catalogue.

After each death: everything committed is readable and restores to what its own snapshot held; the next
run completes; no snapshot is left but that of the newest point; and only packs that were in flight, or
newer than the last partial point, are put again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from drd.core.retention import Keep
from drd.errors import CrashError
from drd.model import PointInfo, PointKind
from drd.testing.fakes import MemoryCatalogue, SteppingClock
from drd.testing.mortal import Life
from drd.testing.repository import SMALL
from drd.testing.stores import MemoryStore
from tests.unit.work.shears import done, run
from tests.unit.work.world import BLOCK, CELL, MIB, World, fill

BATCHES = 6
PACKS = BATCHES
"""Each batch of 64 cells has as much noise as a pack takes."""

KNOBS = replace(SMALL, partial_packs=3)


def long_first_full() -> World:
    world = World(size=BATCHES * 64 * CELL, knobs=KNOBS)
    fill(world)
    return world


def second_run() -> World:
    """A point is there; then blocks change all over the image, some become holes, and it grows."""
    world = long_first_full()
    world.backup()
    image = world.image
    fill(world, seed=2, cells=range(3, image.head.size // CELL, 2))
    image.discard(100 * CELL, 70 * CELL)
    image.discard(7 * CELL + BLOCK, CELL)
    image.resize(image.head.size + 3 * CELL + 1000)
    image.write(image.head.size - 1000, b"x" * 1000)
    return world


def base_lost() -> World:
    """The same, but somebody removed the base: everything is compared by digest."""
    world = second_run()
    for snapshot in world.snapshots():
        world.image.lose(snapshot)
    return world


def full_level() -> World:
    """The run that is to come merges 32 others; two windows' worth of tables are written anew."""
    world = World(size=2 * MIB)
    for number in range(33):
        fill(world, seed=number, cells=range(number % 7, 32, 7))
        if number < 32:
            world.backup()
    return world


def refilling() -> World:
    """The run that is to come refills the packs of the first one, of which each eighth block is left;
    several partial points lie on its way.
    """
    clock = SteppingClock()
    knobs, store = replace(KNOBS, fanout=4), MemoryStore(now=clock)
    world = World(size=BATCHES * 64 * CELL, knobs=knobs, store=store, clock=clock)
    cells = range(world.image.head.size // CELL)
    fill(world)
    for seed in range(2, 2 + knobs.fanout):
        world.backup()
        fill(world, seed=seed, cells=[cell for cell in cells if cell % 8])
    done(run(world, Keep(last=2, minimum=1)))
    return world


STORIES: dict[str, Callable[[], World]] = {
    "a long first full": long_first_full,
    "a second run": second_run,
    "a lost base": base_lost,
    "a merge": full_level,
    "a refill": refilling,
}


class Stage:
    """A story up to the run that dies; each act begins from the same state."""

    def __init__(self, story: Callable[[], World]) -> None:
        self.start = story()
        life = Life()
        rehearsal = self.start.fork()
        rehearsal.backup(rehearsal.process(life))
        self.effects = life.effects


@pytest.fixture(scope="module", params=STORIES, ids=lambda name: name)
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(STORIES[request.param])


def packs_put(life: Life) -> int:
    return sum(effect.startswith("put p/") for effect in life.effects)


def newest(points: list[PointInfo]) -> PointInfo | None:
    return points[-1] if points else None


def assert_nothing_broken(world: World) -> list[PointInfo]:
    """What is there is readable without a warning, and right.

    Nothing is ever deleted in these stories, so of many points the last ones tell enough.
    """
    if not world.keys("m/"):
        return []
    world.check(world.full()[-2:])
    assert world.repository().warnings == []
    return world.points()


def assert_next_run_completes(world: World) -> Life:
    life = Life()
    result = world.backup(world.process(life))
    assert result.kind is PointKind.FULL
    assert result.warnings == ()
    assert world.snapshots() == {world.newest_snapshot()}
    world.check(world.full()[-2:])
    return life


def test_the_stories_have_all_kinds_of_effects() -> None:
    """Else the tests below would prove less than they say."""
    kinds = {name: {one.split("/")[0] for one in Stage(STORIES[name]).effects} for name in STORIES}
    assert kinds["a long first full"] >= {"snapshot", "put k", "put p", "put x", "put m", "learn"}
    assert kinds["a second run"] >= {"snapshot", "put p", "put x", "put m", "learn", "remove"}
    first = Stage(long_first_full).effects
    assert sum(one.startswith("put m/") for one in first) > 2, "partial points"
    refill = Stage(refilling)
    assert refill.start.fork().backup().bytes_refilled > 0
    assert sum(one.startswith("put m/") for one in refill.effects) > 1, "partial points"
    merging = Stage(full_level).effects
    assert sum(one.startswith("put x/") for one in merging) > 3, "tables written anew"


def test_dying_after_each_effect_breaks_nothing(stage: Stage) -> None:
    assert len(stage.effects) > 5
    for last in range(len(stage.effects) + 1):
        world = stage.start.fork()
        before = len(world.points()) if world.keys("m/") else 0
        world.backup_until(last)
        points = assert_nothing_broken(world)
        assert len(points) >= before
        assert_next_run_completes(world)


def test_only_what_no_partial_point_holds_is_put_again(stage: Stage) -> None:
    whole = sum(effect.startswith("put p/") for effect in stage.effects)
    for last in range(len(stage.effects) + 1):
        world = stage.start.fork()
        life = Life(last)
        try:
            world.backup(world.process(life))
        except CrashError:
            again = packs_put(assert_next_run_completes(world))
            assert packs_put(life) + again <= whole + KNOBS.partial_packs
            if any(effect.startswith("put m/") for effect in life.effects):
                assert again < whole


def test_all_points_of_a_long_history_restore_after_a_crash() -> None:
    stage = Stage(full_level)
    manifest = next(at for at, one in enumerate(stage.effects) if one.startswith("put m/"))
    world = stage.start.fork()
    world.backup_until(manifest)
    assert len(world.check()) == 32
    assert_next_run_completes(world)
    assert len(world.check()) == 33


def test_dying_again_and_again_still_comes_to_an_end() -> None:
    """Each run lives for a few effects more than a partial point needs: all of them get on."""
    world = long_first_full()
    lives = 0
    while world.backup_until(10):
        lives += 1
        assert_nothing_broken(world)
        assert lives < BATCHES
    assert lives > 1
    assert_next_run_completes(world)


def test_a_crash_in_the_run_after_a_crash(stage: Stage) -> None:
    """The second death meets what the first left behind."""
    count = len(stage.effects)
    for first in range(2, count, count // 4):
        for second in range(1, count, count // 4):
            world = stage.start.fork()
            world.backup_until(first)
            world.backup_until(second)
            assert_nothing_broken(world)
            assert_next_run_completes(world)


def test_the_image_goes_on_changing_between_death_and_resume(stage: Stage) -> None:
    """A resumed run reads its own old snapshot; the run after it has the rest."""
    for last in range(0, len(stage.effects) + 1, 3):
        world = stage.start.fork()
        world.backup_until(last)
        fill(world, seed=9, cells=range(0, 32, 5))
        world.image.discard(0, 3 * BLOCK)
        assert_next_run_completes(world)
        result = world.backup()
        restored, _ = world.restore(result.seq)
        assert restored == world.image.head


def test_a_resume_whose_snapshot_is_gone_compares_everything(stage: Stage) -> None:
    """The map then holds neither the old snapshot nor the new one."""
    for last in range(1, len(stage.effects) + 1, 3):
        world = stage.start.fork()
        world.backup_until(last)
        for snapshot in world.snapshots():
            world.image.lose(snapshot)
        fill(world, seed=9, cells=range(0, 32, 5))
        world.image.discard(64 * CELL, 40 * CELL)
        result = world.backup()
        restored, _ = world.restore(result.seq)
        assert restored == world.image.head
        world.check()


def test_a_lost_catalogue_changes_nothing(stage: Stage) -> None:
    for last in range(0, len(stage.effects) + 1, 3):
        world = stage.start.fork()
        world.backup_until(last)
        world.catalogue = MemoryCatalogue()
        assert_next_run_completes(world)


def test_a_partial_point_is_no_recovery_point() -> None:
    world = long_first_full()
    world.backup_until(10)
    points = world.points()
    assert [point.kind for point in points] == [PointKind.PARTIAL]
    assert world.full() == []
    assert world.snapshots() == {world.newest_snapshot()}, "it keeps the snapshot it resumes from"


def test_a_partial_point_keeps_the_base_of_the_newest_full_one() -> None:
    """Until the run is done the base is needed, and the last full point restores."""
    world = second_run()
    full = world.newest_snapshot()
    manifests = [at for at, one in enumerate(stage_effects(second_run())) if "put m/" in one]
    assert len(manifests) > 1
    world.backup_until(manifests[0] + 1)
    assert world.snapshots() == {full, world.newest_snapshot()}
    life = assert_next_run_completes(world)
    assert len([one for one in life.effects if one == "snapshot"]) == 0, "resumed, not begun anew"


def stage_effects(world: World) -> list[str]:
    life = Life()
    world.backup(world.process(life))
    return life.effects


def test_more_packs_in_flight_still_bound_what_is_put_again() -> None:
    knobs = replace(SMALL, in_flight=3, partial_packs=5)
    world = long_first_full()
    world.knobs = knobs
    start = world.fork()
    whole = stage_effects(world)
    for last in range(0, len(whole), 2):
        world = start.fork()
        life = Life(last)
        with pytest.raises(CrashError):
            world.backup(world.process(life))
        again = packs_put(assert_next_run_completes(world))
        assert packs_put(life) + again <= PACKS + knobs.partial_packs
