"""A run that is stopped while it waits for its turn to read."""

from __future__ import annotations

import pytest

from drd.errors import StoppedError
from drd.model import PointKind
from drd.pipeline.batching import BATCH_BYTES
from tests.unit.work.world import World

READS = 12
"""More than are compared at a time, so that some have come out when the rest is stopped."""


def filled() -> World:
    world = World(size=READS * BATCH_BYTES)
    for number in range(READS):
        world.image.write(number * BATCH_BYTES, bytes([number + 1]) * BATCH_BYTES)
    return world


def stopped_at(world: World, last: int) -> StoppedError:
    """One run, which is stopped before read *last*: how it says so."""
    reads = 0
    before = world.source._effect

    def effect(word: str) -> None:
        nonlocal reads
        reads += word == "read"
        if word == "read" and reads > last:
            raise StoppedError("stopped while it waited for its turn to read")
        before(word)

    world.source._effect = effect
    with pytest.raises(StoppedError, match="stopped before its end, as was asked") as stopped:
        world.backup()
    world.source._effect = before
    return stopped.value


def held(world: World) -> int:
    """Bytes in the bucket."""
    return sum(one.size for one in world.store.list(""))


def test_what_it_had_is_in_a_partial_point_and_the_next_run_goes_on() -> None:
    world = filled()
    before = held(world)
    told = stopped_at(world, READS - 1)
    (partial,) = world.points()
    assert partial.kind is PointKind.PARTIAL
    assert (told.lineage, told.seq) == (partial.lineage, partial.seq)
    assert told.bytes_uploaded == held(world) - before > 0
    result = world.backup()
    assert result.kind is PointKind.FULL
    assert result.bytes_read < READS * BATCH_BYTES, "it went on from where the other was"
    world.check()


def test_stopped_before_the_first_read_it_leaves_nothing() -> None:
    world = filled()
    told = stopped_at(world, 0)
    assert world.points() == []
    assert told.seq == 0
    assert world.backup().kind is PointKind.FULL
    world.check()
