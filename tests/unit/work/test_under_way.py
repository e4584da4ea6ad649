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
from drd.work.restore import Hands, restore
from tests.unit.work.points import KeysRead
from tests.unit.work.world import BLOCK, CELL, World

PACKS = 12


@contextmanager
def threads(count: int) -> Iterator[Hands]:
    """Hands with *count* transfers; afterwards nothing is under way any more."""
    with ThreadPoolExecutor(count) as transfers:
        yield Hands(Inline(), transfers, lambda _: None)


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
