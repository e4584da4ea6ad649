"""The lease is lost after any effect of a run: nothing that others see happens after that."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from typing_extensions import override

from drd.errors import RefusedError
from drd.testing.fakes import MemoryLease
from drd.testing.mortal import Life
from drd.testing.repository import SMALL
from tests.unit.work.world import BLOCK, CELL, World, fill

KNOBS: Final = replace(SMALL, partial_packs=3, pack_size=16 * BLOCK)
CELLS: Final = 9 * 64
QUIET: Final = ("put p/", "put x/", "put k/", "learn", "forget")
"""What nobody sees: packs, tables and keys that no manifest names, and this host's own cache."""


class Losing(Life):
    """The lease is broken right after effect number *last*; the process lives on."""

    def __init__(self, lease: MemoryLease, last: int) -> None:
        super().__init__()
        self.lease = lease
        self.lost_after = last

    @override
    def happened(self, word: str) -> None:
        super().happened(word)
        if len(self.effects) == self.lost_after:
            self.lease.break_lock()

    @property
    def afterwards(self) -> list[str]:
        """What it did when the lease was lost."""
        return self.effects[self.lost_after :]


def stage(*, renews: bool, points: int = 1) -> World:
    """A world with *points*, and much that is new: the next run makes several partial points."""
    world = World(size=CELLS * CELL, knobs=KNOBS, lease=MemoryLease(renews=renews))
    for seed in range(points):
        fill(world, seed=seed, cells=range(4))
        world.backup()
    fill(world, seed=100)
    return world


def whole_run(points: int) -> list[str]:
    world = stage(renews=False, points=points)
    process = world.process()
    world.backup(process)
    return process.life.effects


@pytest.mark.parametrize("renews", [True, False])
@pytest.mark.parametrize("points", [0, 1])
def test_nothing_is_committed_or_removed_once_the_lease_is_lost(
    points: int, *, renews: bool
) -> None:
    effects = whole_run(points)
    assert sum(one.startswith("put m/") for one in effects) > 2, "partial points"
    last_manifest = max(n for n, one in enumerate(effects, 1) if one.startswith("put m/"))
    start = stage(renews=renews, points=points)
    for last in range(1, len(effects) + 1):
        world = start.fork()
        world.lease = MemoryLease(renews=renews)
        life = Losing(world.lease, last)
        if last < last_manifest:
            with pytest.raises(RefusedError, match="lost") as caught:
                world.backup(world.process(life))
            assert (caught.value.exit_code, caught.value.code) == (15, "refused")
        else:
            result = world.backup(world.process(life))
            removed = any(one.startswith("remove") for one in effects[:last])
            assert any("lease" in one for one in result.warnings) is not removed
        assert not [one for one in life.afterwards if not one.startswith(QUIET)]
        world.check()


def test_a_run_stops_at_once_when_a_renewal_has_met_the_loss() -> None:
    """Without looking at each batch it would go on putting packs up to the next partial point."""
    start = stage(renews=True)
    first_pack = next(n for n, one in enumerate(whole_run(1), 1) if one.startswith("put p/"))
    world = start.fork()
    world.lease = MemoryLease(renews=True)
    life = Losing(world.lease, first_pack)
    with pytest.raises(RefusedError, match="lost"):
        world.backup(world.process(life))
    assert len(life.afterwards) == 0


def test_the_next_run_goes_on_from_the_partial_point() -> None:
    effects = whole_run(1)
    manifests = [n for n, one in enumerate(effects, 1) if one.startswith("put m/")]
    packs = sum(one.startswith("put p/") for one in effects)
    world = stage(renews=True)
    lease = world.lease
    assert isinstance(lease, MemoryLease)
    with pytest.raises(RefusedError, match="lost"):
        world.backup(world.process(Losing(lease, manifests[-2])))
    process = world.process()
    result = world.backup(process)
    again = sum(one.startswith("put p/") for one in process.life.effects)
    assert again < packs - len(manifests[:-2]), "what partial points hold is not put again"
    assert "snapshot" not in process.life.effects, "resumed, not begun anew"
    assert world.restore(result.seq)[0] == world.image.head
    assert world.snapshots() == {world.newest_snapshot()}


def test_what_another_node_does_meanwhile_is_left_alone() -> None:
    """The loser neither removes the snapshot that the new holder reads, nor gets in before it."""
    world = stage(renews=False)
    lease = MemoryLease()
    world.lease = lease
    other: list[int] = []

    class Overtaken(Life):
        @override
        def happened(self, word: str) -> None:
            super().happened(word)
            if word.startswith("put p/") and not other:
                lease.break_lock()
                other.append(0)
                other.append(world.backup(world.process()).seq)
                world.life = self

    with pytest.raises(RefusedError, match="lost"):
        world.backup(world.process(Overtaken()))
    points = world.check()
    assert points[-1].seq == other[-1]
    assert world.newest_snapshot() in world.snapshots(), "the base of the next run"
    fill(world, seed=7, cells=range(3))
    world.backup()
    world.check()
