"""Answers that get lost, time-outs, a busy store, a full one: at each single write and read.

With retries in between a single fault is ridden out by the run that meets it. Without, the run fails with
an error of drd's, what is committed stays right, and the next run completes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from drd.errors import StoreError, TransientStoreError
from drd.model import Buffer
from drd.ports import Store
from drd.stores.retrying import Patience, RetryingStore
from drd.testing.repository import SMALL
from drd.testing.stores import FaultyStore, MemoryStore
from tests.unit.work.world import CELL, World, fill

KNOBS = replace(SMALL, partial_packs=3)
BATCHES = 3

STORES: dict[str, Callable[[], MemoryStore]] = {
    "versioned, conditional": MemoryStore,
    "versioned only": lambda: MemoryStore(conditional=False),
    "conditional only": lambda: MemoryStore(versioned=False),
}


@pytest.fixture(params=STORES, ids=lambda name: name)
def start(request: pytest.FixtureRequest) -> World:
    """One point is there; the run to come puts several packs and a partial point."""
    world = World(size=BATCHES * 64 * CELL, knobs=KNOBS, store=STORES[request.param]())
    fill(world, cells=range(5))
    world.backup()
    fill(world, seed=2)
    return world


def retrying(inner: Store) -> RetryingStore:
    return RetryingStore(inner, patience=Patience(attempts=3), wait=lambda _: False)


def writes(world: World) -> int:
    rehearsal = world.fork()
    faulty = FaultyStore(rehearsal.store)
    rehearsal.backup(rehearsal.process(store=faulty))
    return len(faulty.journal)


def assert_all_well(world: World) -> None:
    """All that is committed is right, and one more run brings everything in."""
    world.check()
    result = world.backup()
    restored, _ = world.restore(result.seq)
    assert restored == world.image.head
    assert world.snapshots() == {world.newest_snapshot()}


@pytest.mark.parametrize("word", ["lose-ack", "timeout", "503"])
def test_a_fault_in_passing_is_ridden_out(start: World, word: str) -> None:
    count = writes(start)
    assert count > 5
    for at in range(count):
        world = start.fork()
        faulty = FaultyStore(world.store, f"{'ok ' * at}{word}")
        result = world.backup(world.process(store=retrying(faulty)))
        assert faulty.unused == ()
        restored, _ = world.restore(result.seq)
        assert restored == world.image.head
        world.check()


@pytest.mark.parametrize("word", ["lose-ack", "timeout", "503"])
def test_a_first_run_rides_out_a_fault_too(word: str) -> None:
    """Slots and public half of a new lineage included."""
    start = World(size=CELL, knobs=KNOBS)
    fill(start)
    count = writes(start)
    assert count == 6
    for at in range(count):
        world = start.fork()
        faulty = FaultyStore(world.store, f"{'ok ' * at}{word}")
        world.backup(world.process(store=retrying(faulty)))
        assert len(world.check()) == 1


@pytest.mark.parametrize("word", ["lose-ack", "timeout", "503", "denied"])
def test_without_retries_a_run_fails_and_the_next_completes(start: World, word: str) -> None:
    for at in range(writes(start)):
        world = start.fork()
        faulty = FaultyStore(world.store, f"{'ok ' * at}{word}")
        try:
            world.backup(world.process(store=faulty))
        except StoreError:
            assert faulty.unused == ()
        assert_all_well(world)


def test_a_lost_answer_to_a_commit_is_a_commit(start: World) -> None:
    """Whatever the answer was: the bytes that are there decide."""
    rehearsal = start.fork()
    faulty = FaultyStore(rehearsal.store)
    rehearsal.backup(rehearsal.process(store=faulty))
    last = max(at for at, one in enumerate(faulty.journal) if one.key.startswith("m/"))
    world = start.fork()
    before = len(world.full())
    faulty = FaultyStore(world.store, f"{'ok ' * last}lose-ack")
    world.backup(world.process(store=faulty))
    assert faulty.unused == ()
    assert len(world.full()) == before + 1
    assert world.snapshots() == {world.newest_snapshot()}


@pytest.mark.parametrize("word", ["timeout", "503", "denied"])
def test_a_failed_read_ends_the_run_and_breaks_nothing(start: World, word: str) -> None:
    reads = 0
    while True:
        world = start.fork()
        faulty = FaultyStore(world.store, reads=f"{'ok ' * reads}{word}")
        try:
            result = world.backup(world.process(store=faulty))
        except StoreError:
            assert_all_well(world)
            reads += 1
            continue
        restored, _ = world.restore(result.seq)
        assert restored == world.image.head
        break
    assert reads > 5


class FullStore(FaultyStore):
    """A store without room: from some write on every further one is denied."""

    def __init__(self, inner: Store, room: int) -> None:
        super().__init__(inner, f"{'ok ' * room}{'denied ' * 1000}")


def test_a_store_that_is_full_from_some_write_on(start: World) -> None:
    for room in range(writes(start)):
        world = start.fork()
        with pytest.raises(StoreError):
            world.backup(world.process(store=FullStore(world.store, room)))
        assert_all_well(world)


class Rewriting:
    """Notes the bytes of every put, key by key; delegates all else."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.sent: dict[str, list[bytes]] = {}
        self.abilities = inner.abilities
        self.get = inner.get
        self.stat = inner.stat
        self.folders = inner.folders
        self.versions = inner.versions
        self.delete = inner.delete

    url = "memory://"

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        self.sent.setdefault(key, []).append(bytes(data))
        return self._inner.put(key, data, if_absent=if_absent)

    def list(self, prefix: str, *, limit: int | None = None, after: str = "") -> Iterator[object]:
        return self._inner.list(prefix, limit=limit, after=after)


def test_a_retry_sends_the_same_bytes() -> None:
    """Else one nonce would seal two plaintexts: a new attempt of other bytes needs a new pack id."""
    world = World(size=BATCHES * 64 * CELL, knobs=KNOBS)
    fill(world)
    noted = Rewriting(FaultyStore(world.store, "ok lose-ack timeout " * 30))
    world.backup(world.process(store=retrying(noted)))  # type: ignore[arg-type]
    again = {key: sent for key, sent in noted.sent.items() if len(sent) > 1}
    assert any(key.startswith("p/") for key in again)
    for key, sent in again.items():
        assert len(set(sent)) == 1, key


def test_a_failure_that_lasts_ends_with_it() -> None:
    world = World(size=CELL)
    faulty = FaultyStore(world.store, "timeout " * 100)
    with pytest.raises(TransientStoreError):
        world.backup(world.process(store=retrying(faulty)))
    assert world.snapshots() == set()
