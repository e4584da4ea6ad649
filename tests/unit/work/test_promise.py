"""By when the next point is promised: what a checker without keys reads in the newest manifest."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from drd.core.manifest import Clear
from drd.model import PointKind
from drd.testing.repository import SMALL
from drd.work.history import read_manifest
from tests.unit.work.world import MIB, World, fill

RPO = timedelta(hours=2)
TIGHT = replace(SMALL, pack_size=64 * 1024, partial_packs=2)


def made(world: World, promise: timedelta | None) -> None:
    process = world.process()
    world.backup(replace(process, bench=replace(process.bench, promise=promise)))


def clears(world: World) -> list[Clear]:
    """The clear part of each manifest, the oldest first."""
    repository = world.process().bench.repository
    count = len(world.keys("m/"))
    return [read_manifest(repository, world.lineage, seq + 1).clear for seq in range(count)]


def test_a_point_promises_the_next_within_the_rpo() -> None:
    world = World()
    fill(world)
    made(world, RPO)
    (clear,) = (one for one in clears(world) if one.kind is PointKind.FULL)

    assert clear.next_by == clear.point_at + RPO


def test_nothing_is_promised_where_there_is_no_rpo() -> None:
    world = World()
    fill(world)
    made(world, None)

    assert {one.next_by for one in clears(world)} == {None}


@pytest.mark.parametrize("before", [RPO, None])
def test_a_partial_point_keeps_no_promise(before: timedelta | None) -> None:
    """What the last full point promised stays; where it promised nothing, the run does."""
    world = World(size=16 * MIB, knobs=TIGHT)
    made(world, before)
    first = len(clears(world))
    world.clock.at += timedelta(hours=1)
    fill(world, seed=2)
    made(world, RPO)
    head, rest = clears(world)[first - 1], clears(world)[first:]
    partial = [one for one in rest if one.kind is PointKind.PARTIAL]
    (full,) = (one for one in rest if one.kind is PointKind.FULL)

    assert partial, "the run committed no partial point: this shows nothing"
    expected: datetime = head.next_by or full.point_at + RPO
    assert {one.next_by for one in partial} == {expected}
    assert full.next_by == full.point_at + RPO
