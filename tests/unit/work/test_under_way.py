"""A restore whose requests are really under way at the same time, in threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest
from typing_extensions import override

from drd.errors import StoreError
from drd.ports import Store
from drd.testing.fakes import Inline, seeded
from drd.testing.sources import MemoryTarget
from drd.work.board import Handover
from drd.work.restore import Hands, plan, restore
from drd.work.slices import REGION_BLOCKS
from tests.unit.work.points import KeysRead
from tests.unit.work.world import BLOCK, CELL, World

PACKS = 12


@contextmanager
def threads(count: int) -> Iterator[Hands]:
    """Hands with *count* transfers; afterwards nothing is under way any more."""
    with ThreadPoolExecutor(count) as transfers, ThreadPoolExecutor(1) as checks:
        yield Hands(Inline(), transfers, checks, lambda _: None)


class FailsFirst(KeysRead):
    """The first request for a pack fails; those after it wait until the restore has given up."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.over = Event()
        self.packs = 0

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        if key.startswith("p/"):
            self.packs += 1
            if self.packs == 1:
                raise StoreError("denied")
            self.over.wait()
        return super().get(key, version=version, start=start, length=length)


def test_of_a_restore_that_failed_nothing_more_is_fetched() -> None:
    """All requests are those of one slice: the one that failed."""
    world = World(size=PACKS * CELL)
    for number in range(PACKS):
        world.image.write(number * CELL, seeded(number)(BLOCK))
        world.backup()
    store = FailsFirst(world.store)
    opened = world.opened(PACKS, store=store)
    with threads(1) as hands:
        try:
            with pytest.raises(StoreError, match="denied"):
                restore(opened, MemoryTarget(), hands, best_effort=False)
        finally:
            store.over.set()
    assert store.packs <= 2, "the one that failed, and one that had begun"


# ── a frame that the next region needs, too ─────────────────────────────────────────────────────


class Held(KeysRead):
    """Answers the first request for a pack only when a second one comes, or would have come; or fails
    it, where that is wanted.
    """

    def __init__(self, inner: Store, *, fails: bool = False) -> None:
        super().__init__(inner)
        self.packs = 0
        self.second = Event()
        self._fails = fails

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        if key.startswith("p/"):
            self.packs += 1
            if self.packs > 1:
                self.second.set()
            self.second.wait(0.5)
            if self._fails:
                raise StoreError("denied")
        return super().get(key, version=version, start=start, length=length)


def over_the_edge() -> World:
    """Two regions, and one frame, that reaches into both."""
    world = World(size=2 * REGION_BLOCKS * BLOCK)
    world.image.write((REGION_BLOCKS - 1) * BLOCK, seeded("edge")(2 * BLOCK))
    world.backup()
    return world


def test_a_frame_that_is_under_way_is_waited_for_and_not_fetched_again() -> None:
    """So the plan is what is fetched, also where a region begins before the one before it is done."""
    world = over_the_edge()
    store = Held(world.store)
    opened, target = world.opened(1, store=store), MemoryTarget()
    planned = plan(opened)
    with threads(4) as hands:
        assert restore(opened, target, hands, best_effort=False).proven
    assert store.packs == planned.requests == 1
    assert target.final == world.image.head


def test_nobody_waits_for_a_frame_whose_request_failed() -> None:
    world = over_the_edge()
    opened = world.opened(1, store=Held(world.store, fails=True))
    with threads(4) as hands, pytest.raises(StoreError, match="denied"):
        restore(opened, MemoryTarget(), hands, best_effort=False)


def test_a_frame_that_did_not_open_is_asked_for_again_and_damage_in_both_regions() -> None:
    world = over_the_edge()
    (key,) = world.keys("p/")
    world.store.damage(key, bytes(len(world.store.get(key))))
    with threads(4) as hands:
        outcome = restore(world.opened(1), MemoryTarget(), hands, best_effort=True)
    lost = [(one.where.offset, one.where.length) for one in outcome.damage]
    assert lost == [((REGION_BLOCKS - 1) * BLOCK, 2 * BLOCK)]


def test_a_frame_is_kept_until_it_is_taken_and_given_up_when_nobody_gives_it() -> None:
    handover = Handover([1, 2])
    handover.give(1, b"one")
    handover.give(3, b"not wanted")
    handover.close([1, 2, 3])
    assert handover.take(1) == b"one"
    assert handover.take(2) is None
    assert handover.take(3) is None
    assert len(handover) == 0
