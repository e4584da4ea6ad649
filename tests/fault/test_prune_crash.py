"""A prune dies right after each of its effects, and between any two deletions.

After each death every point that is not doomed restores to what its snapshot held; the next prune, on this
host or on one that knows nothing, completes; and then the bucket holds what its points need, and nothing
else. Backups go on in between.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drd.core.retention import Keep
from drd.testing.fakes import MemoryCatalogue
from drd.testing.mortal import Life
from tests.unit.work.shears import (
    assert_exact,
    doomed,
    history,
    hold_point,
    named,
    new_world,
    pass_time,
    pruner,
    restorable,
    run,
    run_until,
    seqs,
)
from tests.unit.work.world import World

KEEP = Keep(last=2, minimum=1)
POINTS = 9


def about_to_doom() -> World:
    world = new_world(cells=20)
    history(world, POINTS)
    return world


def about_to_sweep() -> World:
    world = about_to_doom()
    assert run(world, KEEP).stopped is None
    history(world, 1)
    pass_time(world)
    return world


def about_to_spare() -> World:
    world = about_to_sweep()
    hold_point(world, 3)
    return world


def several_lists() -> World:
    """Three doomed lists, two of them due."""
    world = about_to_doom()
    for _ in range(3):
        assert run(world, KEEP).stopped is None
        history(world, 2)
    pass_time(world)
    return world


STORIES: dict[str, Callable[[], World]] = {
    "doom": about_to_doom,
    "sweep": about_to_sweep,
    "spare": about_to_spare,
    "several lists": several_lists,
}


class Stage:
    """A world before the prune that dies, and the effects of one that lives."""

    def __init__(self, story: Callable[[], World]) -> None:
        self.start = story()
        self.ever = named(self.start)
        life = Life()
        rehearsal = self.start.fork()
        assert run(rehearsal, KEEP, pruner(rehearsal, life=life)).stopped is None
        self.effects = life.effects
        self.left = seqs(rehearsal)


@pytest.fixture(scope="module", params=STORIES, ids=lambda name: name)
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(STORIES[request.param])


def settle(world: World) -> None:
    """Prune until nothing is left that can be deleted now."""
    result = run(world, KEEP)
    assert result.stopped is None, result.stopped


def test_the_stories_have_all_kinds_of_effects() -> None:
    kinds = {
        name: [one.split("/")[0] for one in Stage(story).effects] for name, story in STORIES.items()
    }
    assert "put g" in kinds["doom"]
    for story in ("sweep", "several lists"):
        assert {"put g", "delete p", "delete x", "delete m"} <= set(kinds[story]), story
    assert {"put g", "delete x", "delete m"} <= set(kinds["spare"])
    assert kinds["spare"].count("put g") == 3, "spared, deleted, doomed"
    order = [one for one in kinds["sweep"] if one.startswith("delete ") and "probe" not in one]
    assert order == sorted(order, key=["delete p", "delete x", "delete m"].index)


@pytest.mark.parametrize("forgetful", [False, True])
def test_dying_after_each_effect_loses_nothing(stage: Stage, *, forgetful: bool) -> None:
    assert len(stage.effects) > 2
    for last in range(1, len(stage.effects) + 1):
        world = stage.start.fork()
        assert run_until(world, KEEP, last)
        if forgetful:
            world.catalogue = MemoryCatalogue()
        alive = [one.seq for one in restorable(world)]
        assert alive[-2:] == stage.left[-2:]
        settle(world)
        assert set(alive) - doomed(world) <= set(seqs(world))
        assert set(seqs(world)) <= set(stage.left) | doomed(world)
        restorable(world)


def test_after_a_death_at_any_effect_exactly_the_dead_are_gone(stage: Stage) -> None:
    """The bucket ends as it would have, had nobody died."""
    for last in range(1, len(stage.effects) + 1, 3):
        world = stage.start.fork()
        run_until(world, KEEP, last)
        history(world, 1)
        ever = stage.ever | named(world)
        pass_time(world)
        settle(world)
        history(world, 1)
        ever |= named(world)
        pass_time(world)
        settle(world)
        assert [one.seq for one in restorable(world)][-2:] == seqs(world)[-2:]
        assert_exact(world, ever=ever)
        assert run(world, KEEP, pruner(world, dry_run=True)).stopped is None


def test_dying_again_and_again_still_comes_to_an_end(stage: Stage) -> None:
    world = stage.start.fork()
    for _ in range(len(stage.effects) + 5):
        if not run_until(world, KEEP, 8):
            break
        restorable(world)
    else:
        pytest.fail("it never came to an end")
    assert set(seqs(world)) <= set(stage.left) | doomed(world)


def test_backups_between_a_death_and_the_next_prune(stage: Stage) -> None:
    """A run derives from the newest point: nothing that it needs is on any list."""
    for last in range(1, len(stage.effects) + 1, 4):
        world = stage.start.fork()
        run_until(world, KEEP, last)
        history(world, 2)
        restorable(world)
        settle(world)
        restorable(world)
