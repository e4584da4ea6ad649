"""Prunes in a world: the verb itself, with clocks that can be moved, and what must be true afterwards."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, timedelta

from drd.core import liveness, names
from drd.core.retention import Keep
from drd.errors import CrashError
from drd.model import PointInfo, PointKind, Role
from drd.ports import Store
from drd.testing.fakes import SteppingClock, seeded
from drd.testing.mortal import Life
from drd.testing.repository import SMALL
from drd.testing.stores import MemoryStore
from drd.work.history import learn
from drd.work.holds import Speaker, hold
from drd.work.journals import mark_doomed
from drd.work.prune import Pruned, Pruner, Rules, prune
from tests.unit.work.expiry import manifests, tables
from tests.unit.work.world import BLOCK, CELL, World

LAST_2 = Keep(last=2, minimum=1)
KINDS = {
    "versioned": (True, True),
    "replacing": (False, True),
    "unconditional": (True, False),
}
"""Kinds of buckets: whether they keep versions, and whether they honour conditions."""
GRACE = timedelta(hours=24)
KNOBS = replace(SMALL, pack_size=16 * BLOCK, partial_packs=2, fanout=3)


def new_world(*, cells: int = 40, versioned: bool = True, conditional: bool = True) -> World:
    """A world whose bucket has the clock of its hosts."""
    clock = SteppingClock()
    store = MemoryStore(versioned=versioned, conditional=conditional, now=clock)
    return World(size=cells * CELL, knobs=KNOBS, store=store, clock=clock)


def history(world: World, points: int, *, hours: int = 1) -> None:
    """So many points, an hour apart, each with some cells of its own and some of others'."""
    draw = seeded(("history", world.processes))
    cells = world.image.head.size // CELL
    for number in range(points):
        for cell in range(number % 5, cells, 5):
            world.image.write(cell * CELL, draw(BLOCK))
        world.clock.at += timedelta(hours=hours)
        world.backup()


def pass_time(world: World, span: timedelta = GRACE) -> None:
    """Time goes by for everybody."""
    world.clock.at += span + timedelta(seconds=10)


def pruner(
    world: World,
    *,
    life: Life | None = None,
    store: Store | None = None,
    deleter: Store | None = None,
    dry_run: bool = False,
    orphans: bool = False,
) -> Pruner:
    """With what a new process prunes."""
    worker = world.process(life, store=store, role=Role.PRUNE)
    bench = worker.bench
    return Pruner(
        repository=bench.repository,
        catalogue=bench.catalogue,
        lease=bench.lease,
        deleter=deleter or bench.repository.store,
        transfers=bench.transfers,
        now=bench.now,
        random=bench.random,
        grace=GRACE,
        orphans_after=timedelta(days=7),
        orphans=orphans,
        dry_run=dry_run,
    )


def run(world: World, keep: Keep | None, by: Pruner | None = None) -> Pruned:
    """One prune of the only lineage."""
    by = by or pruner(world)
    points = [one for one in learn(by.repository, by.catalogue) if one.lineage == world.lineage]
    return prune(by, points, Rules("test", keep, UTC))


def run_until(world: World, keep: Keep, last: int) -> bool:
    """A prune that dies after effect *last*; False when it was done before."""
    try:
        result = run(world, keep, pruner(world, life=Life(last)))
    except CrashError:
        return True
    assert result.stopped is None
    return False


def doomed(world: World) -> set[int]:
    """Numbers of the points that are doomed."""
    marked = mark_doomed(world.repository(), world.points(), None)
    return {one.seq for one in marked if one.doomed}


def seqs(world: World) -> list[int]:
    """Numbers of the full points that are there."""
    return [one.seq for one in world.full()]


def restorable(world: World) -> list[PointInfo]:
    """Every recovery point that is not doomed restores to what its snapshot held; return them."""
    dead = doomed(world)
    return world.check([one for one in world.full() if one.seq not in dead])


def hold_point(world: World, seq: int) -> None:
    """Somebody holds a point."""
    (info,) = [one for one in world.full() if one.seq == seq]
    random = seeded(("hold", seq, world.clock.at))
    hold(world.repository(Role.BACKUP), info, "a test", Speaker("me", world.clock, random))


def named(world: World) -> set[str]:
    """Names of the tables that any manifest names now."""
    tenant, lineage = world.ring.tenant, world.lineage
    return {
        names.table_key(tenant, lineage, one.table_id)
        for point in manifests(world)
        for one in point.references
    }


def assert_exact(world: World, *, ever: Collection[str] | None = None) -> None:
    """What lies in the bucket is what its manifests reach, by brute force: nothing less, nothing more.

    With *ever*, tables that no manifest ever named may lie there, too: a run that merges on several
    levels at once writes some. They are orphans.
    """
    alive = liveness.alive(manifests(world), tables(world))
    tenant, lineage = world.ring.tenant, world.lineage
    packs = {names.pack_key(tenant, lineage, one) for one in alive.packs}
    runs = {names.table_key(tenant, lineage, one) for one in alive.tables}
    assert world.keys("p/") == packs
    there = world.keys("x/")
    assert (there if ever is None else there & set(ever)) == runs


def unfinished(world: World) -> set[int]:
    """Numbers of partial points."""
    return {one.seq for one in world.points() if one.kind is PointKind.PARTIAL}


def six(kind: str = "versioned") -> World:
    """Six points of one image, in a bucket of that kind."""
    versioned, conditional = KINDS[kind]
    made = new_world(versioned=versioned, conditional=conditional)
    history(made, 6)
    return made


def done(result: Pruned) -> Pruned:
    """A prune that nothing stopped."""
    assert result.stopped is None, result.stopped
    return result


def two_phases(world: World, keep: Keep = LAST_2) -> Pruned:
    """Doom, a newer point, the grace, sweep."""
    done(run(world, keep))
    history(world, 1)
    pass_time(world)
    return done(run(world, keep))


def due(world: World) -> World:
    """Everything is ready for the second phase."""
    done(run(world, LAST_2))
    history(world, 1)
    pass_time(world)
    return world
