"""Two writers want one number: exactly one gets it, the other is told, nothing is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
from typing_extensions import override

from drd.core import manifest as manifests
from drd.core import names
from drd.core.seal import SealOrder
from drd.errors import IntegrityError, RefusedError, StoreError, TransientStoreError
from drd.model import Buffer, ObjectVersion, StoreAbilities
from drd.ports import Store
from drd.stores.metered import MeteredStore
from drd.testing.fakes import MemoryLease
from drd.testing.stores import FaultyStore, MemoryStore
from drd.work.commit import commit
from drd.work.history import Point, newest
from drd.work.lineagekeys import load_keys
from tests.unit.work.world import CELL, World, fill

STORES: dict[str, Callable[[], MemoryStore]] = {
    "versioned, conditional": MemoryStore,
    "versioned only": lambda: MemoryStore(conditional=False),
    "conditional only": lambda: MemoryStore(versioned=False),
}


def on(*stores: str) -> pytest.MarkDecorator:
    """Only on stores that can what the test is about."""
    return pytest.mark.parametrize("world", stores, indirect=True)


@pytest.fixture(params=STORES, ids=lambda name: name)
def world(request: pytest.FixtureRequest) -> World:
    made = World(size=8 * CELL, store=STORES[request.param]())
    fill(made)
    made.backup()
    fill(made, seed=2, cells=range(4))
    return made


@dataclass
class Interrupted:
    """A store in which, just before or after one call about one name, something else happens."""

    inner: Store
    call: str
    prefix: str
    act: Callable[[], object]
    after: bool = False
    done: bool = False

    @property
    def url(self) -> str:
        return self.inner.url

    def _around(self, call: str, key: str, do: Callable[[], object]) -> object:
        meant = not self.done and call == self.call and key.startswith(self.prefix)
        self.done = self.done or meant
        if meant and not self.after:
            self.act()
        try:
            return do()
        finally:
            if meant and self.after:
                self.act()

    def abilities(self) -> StoreAbilities:
        return self.inner.abilities()

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        put = self.inner.put
        return str(self._around("put", key, lambda: put(key, data, if_absent=if_absent)))

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        get = self.inner.get
        made = self._around(
            "get", key, lambda: get(key, version=version, start=start, length=length)
        )
        assert isinstance(made, bytes)
        return made

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        made = self._around("versions", key, lambda: self.inner.versions(key))
        assert isinstance(made, list | tuple)
        return made

    def remains(self, key: str) -> Sequence[str]:
        return self.inner.remains(key)

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        return self.inner.stat(key, version=version)

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        return self.inner.list(prefix, limit=limit, after=after)

    def folders(self, prefix: str) -> Iterator[str]:
        return self.inner.folders(prefix)

    def delete(self, key: str, *, version: str = "") -> None:
        self.inner.delete(key, version=version)


def only_current(store: MemoryStore) -> MemoryStore:
    """What a tool that knows no versions makes of a bucket."""
    copy = MemoryStore()
    for listed in store.list(""):
        copy.put(listed.key, store.get(listed.key))
    return copy


# ── whole runs ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", ["put p/", "put x/", "put m/"])
def test_a_run_that_is_overtaken_is_told_and_breaks_nothing(world: World, call: str) -> None:
    """The lease failed, and another writer commits the same number first."""
    won: list[int] = []

    def other() -> None:
        won.append(world.backup(world.process()).seq)

    word, prefix = call.split()
    slow = Interrupted(world.store, word, prefix, other)
    with pytest.raises(RefusedError, match="first"):
        world.backup(world.process(store=slow))
    assert won == [2]
    assert [point.seq for point in world.check()] == [1, 2]
    fill(world, seed=3, cells=range(2))
    result = world.backup()
    restored, _ = world.restore(result.seq)
    assert restored == world.image.head
    assert world.snapshots() == {world.newest_snapshot()}
    if world.store.abilities().versioned:
        copied = only_current(world.store)
        for point in world.full():
            assert world.restore(point.seq, store=copied)[0] == world.taken(point)


def test_with_a_lease_the_second_writer_does_not_even_begin(world: World) -> None:
    world.lease = MemoryLease()
    refused: list[RefusedError] = []

    def other() -> None:
        with pytest.raises(RefusedError) as caught:
            world.backup(world.process())
        refused.append(caught.value)

    slow = Interrupted(world.store, "put", "p/", other)
    process = world.process(store=slow)
    life = world.life
    with world.puts() as made:
        world.backup(process)
    assert refused
    assert len([key for key in made if key.startswith("m/")]) == 1
    assert life.dead is False


# ── the commit alone, in every order ────────────────────────────────────────────────────────────


@dataclass
class Rivals:
    """Two manifests that are both right, for one number."""

    world: World
    head: Point
    mine: bytes
    theirs: bytes

    @property
    def seq(self) -> int:
        return self.head.seq + 1

    @property
    def key(self) -> str:
        return names.manifest_key(self.world.ring.tenant, self.world.lineage, self.seq)

    def commit(self, data: bytes, store: Store | None = None) -> bool:
        """Whether that writer won."""
        repository = self.world.repository(store=store)
        try:
            commit(repository, self.world.lineage, self.seq, data)
        except RefusedError:
            return False
        return True


def manifest_after(world: World, head: Point, *, ordinal: int) -> bytes:
    """A manifest that follows *head*, and verifies; *ordinal* tells rivals apart."""
    clear = head.manifest.clear
    following = replace(
        clear,
        seq=clear.seq + 1,
        predecessor=(clear.seq, head.manifest.sha256),
        ordinal=ordinal,
    )
    encoded = manifests.encode_clear(following)
    key = load_keys(world.repository(), world.lineage).metadata(clear.generation)
    order = SealOrder(clear.scope, clear.generation, key, ordinal.to_bytes(16, "big"))
    sealed = manifests.seal_facts(order, following.seq, head.facts)
    signer, signature = world.ring.sign(manifests.to_sign(encoded, sealed))
    return manifests.encode_manifest(encoded, sealed, signer, signature)


@pytest.fixture
def rivals(world: World) -> Rivals:
    repository = world.repository()
    head = newest(repository, load_keys(repository, world.lineage))
    assert head is not None
    mine, theirs = (manifest_after(world, head, ordinal=one) for one in (50, 60))
    return Rivals(world, head, mine, theirs)


MOMENTS = [
    ("put", False),
    ("put", True),
    ("versions", False),
    ("versions", True),
    ("get", False),
    ("get", True),
]


@pytest.mark.parametrize("call, after", MOMENTS)
@pytest.mark.parametrize("answer", ["ok", "lose-ack", "timeout"])
def test_exactly_one_of_two_wins(rivals: Rivals, call: str, answer: str, *, after: bool) -> None:
    """The rival commits whole at any moment of ours, whatever we hear of our own PUT."""
    store = rivals.world.store
    won: list[bool] = []
    faulty = FaultyStore(store, answer)
    slow = Interrupted(faulty, call, "m/", lambda: won.append(rivals.commit(rivals.theirs)), after)
    try:
        mine = rivals.commit(rivals.mine, slow)
    except TransientStoreError:
        mine = False
        assert answer == "timeout"
    theirs = won == [True] or (not won and rivals.commit(rivals.theirs))
    assert [mine, theirs].count(True) == 1
    winner = rivals.mine if mine else rivals.theirs
    assert store.get(rivals.key) == winner, (
        "the current version is the winner's: a copy has only it"
    )
    valid = [store.get(rivals.key, version=one.version) for one in store.versions(rivals.key)]
    assert valid[0] == winner


def test_my_own_bytes_are_a_lost_answer(rivals: Rivals) -> None:
    assert rivals.commit(rivals.mine)
    assert rivals.commit(rivals.mine)
    assert not rivals.commit(rivals.theirs)


@on("versioned, conditional", "versioned only")
def test_garbage_under_the_name_does_not_win(rivals: Rivals) -> None:
    """Nor does a manifest of another place, or of another number."""
    store = rivals.world.store
    garbage = [b"garbage", rivals.mine[:-1], rivals.head.key.encode()]
    garbage.append(store.get(rivals.head.key))
    for data in garbage:
        store.put(rivals.key, data)
    assert rivals.commit(rivals.mine)
    assert store.get(rivals.key) == rivals.mine
    assert not rivals.commit(rivals.theirs)


@on("conditional only")
def test_without_versions_garbage_under_the_name_is_refused(rivals: Rivals) -> None:
    """Two writers who both saw it would both put over it, and both be told that they won."""
    store = rivals.world.store
    for garbage in (b"garbage", rivals.mine[:-1], store.get(rivals.head.key)):
        store.put(rivals.key, garbage)
        for data in (rivals.mine, rivals.theirs):
            with pytest.raises(IntegrityError, match="no versions") as caught:
                rivals.commit(data)
            assert caught.value.about == rivals.key
            assert "move this object away" in caught.value.hint
        assert store.get(rivals.key) == garbage
    store.delete(rivals.key)
    assert rivals.commit(rivals.mine)
    assert not rivals.commit(rivals.theirs)


class BeforePuttingOver(MeteredStore):
    """Something else happens just before a manifest is first put without the condition."""

    def __init__(self, inner: Store, act: Callable[[], object]) -> None:
        super().__init__(inner)
        self._acts = [act]

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        if key.startswith("m/") and not if_absent and self._acts:
            self._acts.pop()()
        return super().put(key, data, if_absent=if_absent)


def test_two_runs_that_meet_garbage_do_not_both_win(world: World) -> None:
    """The other one commits whole when ours has looked at the garbage and is about to put over it."""
    world.store.put(names.manifest_key(world.ring.tenant, world.lineage, 2), b"garbage")
    told: list[int] = []

    def run(store: Store | None = None) -> None:
        with suppress(RefusedError, IntegrityError):
            told.append(world.backup(world.process(store=store)).seq)

    run(BeforePuttingOver(world.store, run))
    assert told == ([2] if world.store.abilities().versioned else [])
    assert [point.seq for point in world.check()] == [1, *told]


class Slow(FaultyStore):
    """Refuses a second object under a name, and shows the first one only after some looks."""

    unseen = 2

    @override
    def versions(self, key: str) -> Sequence[ObjectVersion]:
        self.unseen -= key.startswith("m/")
        hidden = key.startswith("m/") and self.unseen >= 0
        return [] if hidden else super().versions(key)


def test_a_winner_that_is_not_visible_yet_is_not_put_over(rivals: Rivals) -> None:
    """What was never looked at may be somebody's point."""
    assert rivals.commit(rivals.theirs)
    store = rivals.world.store
    assert not rivals.commit(rivals.mine, Slow(store))
    assert store.get(rivals.key) == rivals.theirs
    first = store.versions(rivals.key)[0]
    assert store.get(rivals.key, version=first.version) == rivals.theirs


@on("versioned, conditional", "conditional only")
def test_a_name_that_is_taken_and_shows_nothing_is_the_stores_failure(rivals: Rivals) -> None:
    assert rivals.commit(rivals.theirs)
    slow = Slow(rivals.world.store)
    slow.unseen = 1000
    with pytest.raises(StoreError, match="shows nothing"):
        rivals.commit(rivals.mine, slow)
    assert len(slow.journal) == 0
    assert rivals.world.store.get(rivals.key) == rivals.theirs


@on("versioned, conditional", "versioned only")
def test_a_loser_who_is_current_is_put_under_the_winner(rivals: Rivals) -> None:
    store = rivals.world.store
    assert rivals.commit(rivals.mine)
    store.put(rivals.key, rivals.theirs)
    assert not rivals.commit(rivals.theirs)
    assert store.get(rivals.key) == rivals.mine


@on("versioned, conditional", "versioned only")
def test_the_next_writer_puts_the_winner_back_where_the_loser_could_not(rivals: Rivals) -> None:
    """The loser dies after its PUT: a copy of the bucket would have the wrong point."""
    world = rivals.world
    assert rivals.commit(rivals.mine)
    world.store.put(rivals.key, rivals.theirs)
    world.backup()
    assert world.store.get(rivals.key) == rivals.mine
    written = len(world.store.versions(rivals.key))
    world.backup()
    assert len(world.store.versions(rivals.key)) == written
