"""Requests of a prune grow with what dies, and not with what there is."""

from __future__ import annotations

from dataclasses import dataclass

from drd.core.retention import ALL, Keep
from drd.stores.metered import MeteredStore
from tests.unit.work.shears import done, due, history, new_world, pass_time, pruner, run, six
from tests.unit.work.world import World

FEW = 25
"""So many a prune may ask of a lineage in which nothing dies; it needs about a dozen."""


@dataclass(frozen=True)
class Cost:
    gets: int
    lists: int
    puts: int

    @property
    def requests(self) -> int:
        return self.gets + self.lists + self.puts


def cost(world: World, keep: Keep) -> Cost:
    metered = MeteredStore(world.store)
    by = pruner(world, store=metered)
    before = metered.traffic
    done(run(world, keep, by))
    after = metered.traffic
    return Cost(after.gets - before.gets, after.lists - before.lists, after.puts - before.puts)


def test_where_nothing_dies_a_prune_costs_a_handful_however_many_points_there_are() -> None:
    world = new_world(cells=5)
    history(world, 5)
    done(run(world, Keep(last=ALL)))
    few = cost(world, Keep(last=ALL))
    history(world, 60)
    done(run(world, Keep(last=ALL)))
    many = cost(world, Keep(last=ALL))
    assert many.puts == 0
    assert many.requests <= FEW
    assert many.requests - few.requests <= 3, "a new base of the roll, and no more"


def test_new_points_cost_what_they_are() -> None:
    """One question and one answer for each manifest that is new; nothing for those known."""
    world = new_world(cells=5)
    history(world, 30)
    done(run(world, Keep(last=ALL)))
    history(world, 1)
    one = cost(world, Keep(last=ALL))
    history(world, 11)
    eleven = cost(world, Keep(last=ALL))
    assert one.requests <= FEW + 6
    assert eleven.requests - one.requests <= 6 * 11


def test_what_dies_is_paid_for_once() -> None:
    world = due(six())
    sweep = cost(world, Keep(last=2))
    history(world, 1)
    pass_time(world)
    assert sweep.requests > cost(world, Keep(last=ALL)).requests
