"""What a run leaves behind, and what it tells, when something fails before, at, or after the commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from drd.errors import (
    ConfigError,
    IntegrityError,
    NotFoundError,
    RefusedError,
    SourceError,
    StoreError,
    TransientStoreError,
)
from drd.model import Buffer, Changed, Found, HeldSnapshot, ObjectVersion, PointInfo
from drd.ports import FreezeOrder, Frozen
from drd.testing.fakes import MemoryCatalogue, MemoryRing
from drd.testing.mortal import Life, MortalSource
from drd.testing.repository import SMALL
from drd.testing.stores import FaultyStore, MemoryStore
from drd.work.backup import backup
from drd.work.history import learn
from tests.unit.work.points import cut, manifest_key, slots_of, with_points
from tests.unit.work.world import CELL, IMAGE, Process, World, fill


@pytest.fixture
def world() -> World:
    made = World(size=8 * CELL)
    fill(made)
    return made


# ── an image that was never backed up ───────────────────────────────────────────────────────────


def test_an_image_that_cannot_be_opened_leaves_nothing_behind(world: World) -> None:
    """However often it is tried."""
    found = world.source.found(IMAGE)
    world.source.images.clear()
    before = world.keys("")
    for _ in range(3):
        worker = world.process()
        with pytest.raises(NotFoundError):
            backup(worker.bench, worker.source, found)
    assert world.keys("") == before


def test_a_history_begun_anew_beside_one_that_does_not_open_is_told(world: World) -> None:
    """It may be this image's: who it belongs to is sealed."""
    first = world.backup()
    world.source.add("other", CELL)
    worker = world.process()
    other = backup(worker.bench, worker.source, world.source.found("other"))
    assert first.warnings == other.warnings == ()
    for key in slots_of(world):
        if first.lineage.hex() in key:
            world.store.damage(key, b"garbage")
    world.catalogue = MemoryCatalogue()
    result = world.backup()
    assert result.lineage != first.lineage
    (warning,) = result.warnings
    assert f"{first.lineage.hex()}/: it may be the history of this image" in warning
    assert world.backup().warnings == (), "once"


class Watched(MortalSource):
    """Notes whose snapshots it is asked for."""

    asked: tuple[Found | None, ...] = ()

    @override
    def snapshots(self, found: Found | None = None) -> Sequence[HeldSnapshot]:
        self.asked = (*self.asked, found)
        return super().snapshots(found)


def test_a_first_run_looks_at_its_own_image_alone(world: World) -> None:
    worker = world.process()
    source = Watched(world.source, worker.life)
    world.backup(Process(worker.bench, source, worker.life))
    assert source.asked == (world.source.found(IMAGE),)


def effects_of(world: World) -> list[str]:
    life = Life()
    rehearsal = world.fork()
    rehearsal.backup(rehearsal.process(life))
    return life.effects


def test_a_snapshot_of_another_repository_is_none_of_this_ones(world: World) -> None:
    """Both back the same image up; the other's first run died. It may go on with its snapshot yet."""
    other = World(size=8 * CELL, ring=MemoryRing.make("elsewhere"), processes=50)
    assert other.backup_until(effects_of(other).index("snapshot") + 1)
    (theirs,) = other.source.snapshots()
    assert world.source.found(IMAGE) == other.source.found(IMAGE)
    for number, taken in other.image.taken.items():
        world.image.taken[number] = taken
        world.source._next = int(number) + 1
    result = world.backup()
    assert result.lineage != theirs.lineage
    assert theirs.snapshot.id in world.snapshots()


# ── at the commit ───────────────────────────────────────────────────────────────────────────────


class Silent(FaultyStore):
    """Takes a manifest, loses the answer, and tells nothing of it afterwards."""

    deaf = False

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        made = super().put(key, data, if_absent=if_absent)
        if key.startswith("m/"):
            self.deaf = True
            raise TransientStoreError("the answer is lost")
        return made

    @override
    def versions(self, key: str) -> Sequence[ObjectVersion]:
        if self.deaf:
            raise StoreError("no answer")
        return super().versions(key)


def test_a_commit_of_which_nothing_is_known_keeps_both_snapshots(world: World) -> None:
    """The point may be there, and then the new snapshot is the base of the next one."""
    world.backup()
    old = world.snapshots()
    fill(world, seed=2, cells=range(2))
    with pytest.raises(StoreError, match="no answer"):
        world.backup(world.process(store=Silent(world.store)))
    assert [point.seq for point in world.points()] == [1, 2]
    assert world.snapshots() == {*old, world.newest_snapshot()}
    result = world.backup()
    assert (result.seq, result.bytes_read, result.warnings) == (3, 0, ())
    assert world.snapshots() == {world.newest_snapshot()}


def test_a_commit_that_another_won_keeps_no_snapshot_of_the_loser(world: World) -> None:
    world.backup()
    old = world.snapshots()
    fill(world, seed=2, cells=range(2))
    theirs = world.fork()
    theirs.processes += 10  # other dice
    theirs.backup(theirs.process())
    key = manifest_key(world, 2)
    held = theirs.store._objects[key]

    class Overtaken(FaultyStore):
        @override
        def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
            if key.startswith("m/"):
                world.store._objects.setdefault(key, list(held))
            return super().put(key, data, if_absent=if_absent)

    with pytest.raises(RefusedError, match="first"):
        world.backup(world.process(store=Overtaken(world.store)))
    assert world.snapshots() == old


# ── after the commit ────────────────────────────────────────────────────────────────────────────


class Unwritable(MemoryCatalogue):
    """Its disk is full."""

    @override
    def learn(self, points: Iterable[PointInfo]) -> None:
        if any(point.committed_here for point in points):
            raise ConfigError("the catalogue cannot be used: disk full")


def test_a_point_that_cannot_be_noted_is_a_point(world: World) -> None:
    world.catalogue = Unwritable()
    result = world.backup()
    assert any("disk full" in one for one in result.warnings)
    assert [point.seq for point in world.points()] == [1]
    assert world.snapshots() == {world.newest_snapshot()}


def test_only_what_this_host_committed_is_noted_as_its_own(world: World) -> None:
    """What is learnt from the bucket proves nothing of the bucket."""
    world.backup()
    tenant = world.ring.tenant
    assert [one.committed_here for one in world.catalogue.points(tenant)] == [True]
    learn(world.repository(), world.catalogue)
    assert [one.committed_here for one in world.catalogue.points(tenant)] == [True]
    world.catalogue = MemoryCatalogue()
    learn(world.repository(), world.catalogue)
    assert [one.committed_here for one in world.catalogue.points(tenant)] == [False]
    world.backup()
    assert [one.committed_here for one in world.catalogue.points(tenant)] == [False, True]


class Narrow(MemoryCatalogue):
    """Cannot be asked for everything."""

    @override
    def points(self, tenant: bytes) -> Sequence[PointInfo]:
        raise AssertionError("everything is read")


def test_a_known_image_is_found_without_reading_the_whole_catalogue(world: World) -> None:
    world.backup()
    world.catalogue = Narrow(world.catalogue.points(world.ring.tenant))
    assert world.backup().seq == 2


# ── a head that is damaged ──────────────────────────────────────────────────────────────────────


def of_points(count: int, *, versioned: bool) -> World:
    world = World(size=4 * CELL, store=MemoryStore(versioned=versioned))
    for seed in range(count):
        fill(world, seed=seed)
        world.backup()
    return world


@pytest.mark.parametrize("versioned", [True, False])
def test_a_damaged_head_is_damage_and_stays_as_it_is(*, versioned: bool) -> None:
    world = of_points(3, versioned=versioned)
    cut(world, 3)
    key = manifest_key(world, 3)
    before = world.keys(""), world.snapshots(), world.store.get(key)
    for _ in range(2):
        with pytest.raises(IntegrityError, match="newest point is 3") as caught:
            world.backup()
        assert "restore this object first" in caught.value.hint
        assert key in caught.value.about
    assert (world.keys(""), world.snapshots(), world.store.get(key)) == before


@pytest.mark.parametrize("versioned", [True, False])
def test_damaged_bytes_are_never_put_over(*, versioned: bool) -> None:
    """A host that never saw the point goes on, where that destroys nothing; else it stops."""
    world = of_points(2, versioned=versioned)
    cut(world, 2)
    key = manifest_key(world, 2)
    damaged = world.store.get(key)
    world.catalogue = MemoryCatalogue()
    if versioned:
        assert world.backup().seq == 2
    else:
        with pytest.raises(IntegrityError, match="damaged"):
            world.backup()
    oldest = world.store.versions(key)[0]
    assert world.store.get(key, version=oldest.version) == damaged


@pytest.mark.parametrize("versioned", [True, False])
def test_garbage_above_the_head_stops_no_backup(*, versioned: bool) -> None:
    """Whoever may write could put it there. Under the next name itself it does where nothing else would
    keep two writers from putting over each other: ``fault/test_race.py``.
    """
    world = of_points(1, versioned=versioned)
    for seq in (2, 3, 9) if versioned else (3, 9):
        world.store.put(manifest_key(world, seq), b"garbage")
    assert world.backup().seq == 2


def test_a_damaged_head_that_was_put_back_is_gone_on_from() -> None:
    world = with_points(2)
    key = manifest_key(world, 2)
    right = world.store.get(key)
    cut(world, 2)
    with pytest.raises(IntegrityError):
        world.backup()
    world.store.damage(key, right)
    assert world.backup().seq == 3


# ── what a failed run tells ─────────────────────────────────────────────────────────────────────


class Stubborn(MortalSource):
    """Cannot tidy up."""

    @override
    def settle(self, found: Found, lineage: bytes, *, keep: Sequence[str]) -> Sequence[str]:
        raise SourceError("away", about=found.label)


class Impatient(Stubborn):
    """Somebody presses Ctrl-C."""

    @override
    def freeze(self, found: Found, order: FreezeOrder) -> AbstractContextManager[Frozen]:
        raise KeyboardInterrupt


def set_back_its_clock(world: World) -> None:
    world.source._now = lambda: world.clock.at - timedelta(days=1)


def test_a_failed_run_tells_what_it_left_behind(world: World) -> None:
    world.backup()
    set_back_its_clock(world)
    worker = world.process()
    with pytest.raises(RefusedError, match="source") as caught:
        world.backup(Process(worker.bench, Stubborn(world.source, worker.life), worker.life))
    assert caught.value.hint.startswith("set the clock of the source")
    assert "could not be removed yet: away" in caught.value.hint
    (left,) = world.snapshots() - {world.newest_snapshot()}
    world.image.busy.add(left)
    with pytest.raises(RefusedError, match="source") as caught:
        world.backup()
    assert world.image.taken[left].snapshot.name in caught.value.hint


def test_a_failure_with_nothing_beside_it_keeps_its_own_hint(world: World) -> None:
    world.backup()
    set_back_its_clock(world)
    with pytest.raises(RefusedError) as caught:
        world.backup()
    assert caught.value.hint == "set the clock of the source, or this host's; nothing was changed"


def test_an_interrupted_run_tells_what_it_left_behind(world: World) -> None:
    world.backup()
    worker = world.process()
    with pytest.raises(KeyboardInterrupt) as caught:
        world.backup(Process(worker.bench, Impatient(world.source, worker.life), worker.life))
    assert any("away" in note for note in caught.value.__notes__)


def test_a_failed_run_tells_that_earlier_points_are_suspect() -> None:
    """It found out, and the run that succeeds may be long in coming."""
    world = World(size=8 * CELL, knobs=replace(SMALL, sample_cells=8))
    fill(world)
    world.backup()
    world.image.hidden.append(Changed(0, 8 * CELL))
    fill(world, seed=2)
    with pytest.raises(StoreError) as caught:
        world.backup(world.process(life=Life(), store=FaultyStore(world.store, "denied")))
    assert "points up to 1 are suspect" in caught.value.hint
    assert caught.value.hint.startswith(StoreError.next_step)
