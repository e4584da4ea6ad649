"""What stops a prune in a lineage: whatever is not known, or not as it must be. Nothing is changed then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from drd.core import names, seal
from drd.core.coding import Writer
from drd.core.retention import Keep
from drd.core.tables import TableKind, _encode_clear, decode_head
from drd.errors import DrdError, IntegrityError, RefusedError, StoreError
from drd.testing.fakes import MemoryCatalogue, MemoryLease
from drd.testing.stores import FaultyStore
from drd.work.bench import lease_name
from tests.unit.work.shears import (
    GRACE,
    KINDS,
    LAST_2,
    done,
    due,
    pass_time,
    pruner,
    restorable,
    run,
    seqs,
    six,
)
from tests.unit.work.world import IMAGE, World


@pytest.fixture(scope="module")
def worlds() -> dict[str, World]:
    return {kind: six(kind) for kind in KINDS}


@pytest.fixture
def world(worlds: dict[str, World]) -> World:
    """Six points of one image."""
    return worlds["versioned"].fork()


@pytest.fixture(params=KINDS)
def any_world(worlds: dict[str, World], request: pytest.FixtureRequest) -> World:
    """The same, in each kind of bucket."""
    return worlds[request.param].fork()


def stopped(world: World, keep: Keep = LAST_2) -> DrdError:
    """A prune that must change nothing but local state."""
    before = {key: list(world.store.remains(key)) for key in world.keys("")}
    result = run(world, keep)
    assert result.stopped is not None
    assert {
        key: list(world.store.remains(key))
        for key in world.keys("")
        if not key.startswith("probe/")
    } == before
    assert (result.doomed, result.deleted, result.spared) == ([], [], [])
    return result.stopped


def manifest(world: World, seq: int) -> str:
    return names.manifest_key(world.ring.tenant, world.lineage, seq)


def drop(world: World, key: str) -> None:
    for version in world.store.remains(key):
        world.store.delete(key, version=version)


@pytest.mark.parametrize("phase", ["first", "second"])
@pytest.mark.parametrize("forgotten", [False, True])
def test_an_unreadable_manifest_stops_it(any_world: World, phase: str, *, forgotten: bool) -> None:
    if phase == "second":
        due(any_world)
    if forgotten:
        any_world.catalogue = MemoryCatalogue()
        for version in any_world.store.versions(manifest(any_world, 5)):
            any_world.store.damage(manifest(any_world, 5), b"rot", version=version.version)
    else:
        any_world.store.put(manifest(any_world, 8), b"drd1mani and rot")
    assert isinstance(stopped(any_world), IntegrityError)


@pytest.mark.parametrize("folder", ["p", "x", "m", "k", "g"])
def test_a_foreign_object_stops_it(world: World, folder: str) -> None:
    due(world)
    world.store.put(f"{folder}/{world.ring.tenant.hex()}/{world.lineage.hex()}/holiday.jpg", b"")
    error = stopped(world)
    assert "holiday.jpg" in f"{error} {error.hint}"


def test_a_hidden_head_stops_it(world: World) -> None:
    due(world)
    drop(world, manifest(world, 7))
    assert isinstance(stopped(world), RefusedError)


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_gap_that_no_journal_explains_stops_it(world: World, *, forgotten: bool) -> None:
    due(world)
    drop(world, manifest(world, 6))
    if forgotten:
        world.catalogue = MemoryCatalogue()
    error = stopped(world)
    assert isinstance(error, IntegrityError)
    assert "gone" in error.message


def test_a_missing_table_stops_it(world: World) -> None:
    due(world)
    world.catalogue = MemoryCatalogue()
    opened = world.opened(7)
    reference = opened.map.references[-1]
    drop(world, names.table_key(world.ring.tenant, world.lineage, reference.table_id))
    assert isinstance(stopped(world), IntegrityError)


def reaches_nothing(data: bytes) -> bytes:
    """A table whose clear part says that it needs no pack; all else, its length too, is as it was."""
    old = seal.decode_header(data, kind=data[4:8])
    head = decode_head(data, TableKind.RUN)
    assert head.reached
    clear = _encode_clear(head.rows, [])
    room = len(old.clear) - len(clear)
    assert room >= 0
    body = Writer().raw(old.scope.repository).raw(old.scope.tenant).raw(old.scope.lineage)
    body.raw(old.object_id).u32(old.generation).raw(old.salt).raw(old.commitment)
    body.u32(len(old.lengths))
    for stored, plain in old.lengths[:-1]:
        body.u32(stored).u32(plain)
    stored, plain = old.lengths[-1]
    body.u32(stored + room).u32(plain + room).blob(clear)
    return bytes(Writer().raw(data[:8]).blob(bytes(body))) + data[len(old.raw) :] + bytes(room)


@pytest.mark.parametrize("forge", [reaches_nothing, lambda data: data[:40] + b"?" + data[41:]])
def test_a_clear_part_that_somebody_wrote_anew_stops_it(
    world: World, forge: Callable[[bytes], bytes]
) -> None:
    """Else one who may write could make live packs look dead."""
    due(world)
    world.catalogue = MemoryCatalogue()
    references = world.opened(7).map.references
    run_table = next(one for one in references if one.kind is TableKind.RUN)
    key = names.table_key(world.ring.tenant, world.lineage, run_table.table_id)
    forged = forge(world.store.get(key))
    assert len(forged) == run_table.size
    for version in world.store.versions(key):
        world.store.damage(key, forged, version=version.version)
    assert isinstance(stopped(world), IntegrityError)


def test_a_garbled_hold_stops_it(world: World) -> None:
    due(world)
    place = f"h/{world.ring.tenant.hex()}/{world.lineage.hex()}"
    world.store.put(f"{place}/hold-0000000002-{'ab' * 8}", b"garbage")
    assert isinstance(stopped(world), IntegrityError)


def test_a_garbled_journal_stops_it(world: World) -> None:
    due(world)
    place = f"g/{world.ring.tenant.hex()}/{world.lineage.hex()}"
    world.store.put(f"{place}/2", b"garbage")
    assert isinstance(stopped(world), IntegrityError)


def test_a_clock_behind_the_newest_point_stops_it(world: World) -> None:
    due(world)
    world.clock.at -= 30 * GRACE
    error = stopped(world)
    assert isinstance(error, RefusedError)
    assert "clock" in error.message


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_not_the_stores_stops_it(world: World, days: int) -> None:
    due(world)
    pass_time(world)
    moved = replace(pruner(world), now=lambda: world.clock() + timedelta(days=days))
    before = world.keys("m/") | world.keys("p/") | world.keys("x/")
    result = run(world, LAST_2, moved)
    assert isinstance(result.stopped, RefusedError)
    assert "clock" in result.stopped.message
    assert world.keys("m/") | world.keys("p/") | world.keys("x/") == before


def test_a_run_under_way_stops_it(world: World) -> None:
    due(world)
    world.lease = MemoryLease()
    identity = world.source.found(IMAGE).identity
    with world.lease.hold(lease_name(identity)):
        error = stopped(world)
    assert isinstance(error, RefusedError)
    assert done(run(world, LAST_2)).deleted == [1, 2, 3, 4]


def test_a_store_that_refuses_deletion_is_told_apart(world: World) -> None:
    due(world)
    denied = FaultyStore(world.store, "denied " * 50)
    result = run(world, LAST_2, pruner(world, deleter=denied))
    assert isinstance(result.stopped, StoreError)
    assert "[repository.s3.pruner]" in result.stopped.hint
    assert done(run(world, LAST_2)).deleted == [1, 2, 3, 4]


def test_a_failing_store_deletes_nothing_of_which_it_is_not_sure(world: World) -> None:
    """Whatever read fails, what is deleted is dead, and the next prune goes on."""
    due(world)
    for fails in range(0, 60, 3):
        branch = world.fork()
        faulty = FaultyStore(branch.store, reads="ok " * fails + "503")
        run(branch, LAST_2, pruner(branch, store=faulty)) if fails > 8 else None
        branch.check(restorable(branch))
        done(run(branch, LAST_2))
        assert seqs(branch) == [5, 6, 7]
        branch.check()
