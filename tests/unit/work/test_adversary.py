"""A whole repository in the hands of somebody who may write whatever he likes.

Whatever is flipped, cut, extended or exchanged, also with objects of another lineage or of another
repository: a restore gives what was backed up, or it says that it does not. Never other bytes, and never
an exception that is not drd's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drd.errors import DrdError
from drd.model import PointKind
from drd.testing.fakes import Inline, MemoryCatalogue, MemoryRing
from drd.testing.sources import MemoryTarget, SparseBytes
from drd.testing.stores import MemoryStore
from drd.work.history import learn
from drd.work.restore import restore
from drd.work.verify import Eyes, Round, verify_objects
from tests.unit.work.effort import FACTOR
from tests.unit.work.world import BLOCK, CELL, HANDS, World

STEP = max(1, 41 // FACTOR)
"""Every so many bytes one bit is turned over; a long run (see ``effort``) tries more of them."""


def repository(name: str, *, dice: int = 0) -> World:
    """Two points of a small image, in a store that keeps no older versions to fall back on.

    Other *dice* make another lineage of the same repository.
    """
    world = World(size=3 * CELL, store=MemoryStore(versioned=False), ring=MemoryRing.make(name))
    world.processes = dice
    for seed in range(2):
        world.image.write(seed * CELL, bytes([seed + 1]) * 3 * BLOCK)
        world.backup()
    return world


@pytest.fixture(scope="module")
def world() -> World:
    return repository("ours")


def told(world: World, wanted: SparseBytes) -> bool:
    """Whether the newest point comes back as it was; False when somebody says that it does not.

    Fails when anything else comes back with a name, or a stranger's exception.
    """
    try:
        points = learn(world.repository(), MemoryCatalogue())
        mine = [one for one in points if one.seq == 2 and one.kind is PointKind.FULL]
        if not mine:
            return False
        target = MemoryTarget()
        outcome = restore(world.opened(2), target, HANDS, best_effort=False)
    except DrdError:
        return False
    if target.final is None:
        assert outcome.damage or not outcome.proven
        return False
    assert outcome.proven
    assert target.final == wanted
    return True


def variants(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), STEP):
        changed = bytearray(data)
        changed[at] ^= 1 << at // STEP % 8
        yield bytes(changed)
    for length in (0, 1, 12, len(data) // 2, len(data) - 1):
        yield data[:length]
    yield data + b"\0"
    yield data + data


@pytest.mark.parametrize("prefix", ["format/", "trust/", "k/", "m/", "p/", "x/"])
def test_any_object_flipped_cut_or_extended(world: World, prefix: str) -> None:
    wanted = world.image.head
    keys = sorted(world.keys(prefix))
    assert keys
    assert told(world, wanted)
    noticed = 0
    for key in keys:
        right = world.store.get(key)
        for wrong in variants(right):
            world.store.damage(key, wrong)
            noticed += not told(world, wanted)
        world.store.damage(key, right)
    assert noticed
    assert told(world, wanted)


@pytest.mark.parametrize("prefix", ["format/", "trust/", "k/", "m/", "p/", "x/"])
def test_any_two_objects_exchanged(prefix: str) -> None:
    """Of one lineage, of two, and of two repositories."""
    world = repository("ours")
    wanted, lineage = world.image.head, world.lineage
    second, stranger = repository("ours", dice=100), repository("theirs")
    assert second.lineage != lineage
    keys = sorted(world.keys(prefix))
    strange = [other.store.get(key) for other in (second, stranger) for key in other.keys(prefix)]
    for key in keys:
        right = world.store.get(key)
        for wrong in [*(world.store.get(one) for one in keys if one != key), *strange]:
            world.store.damage(key, wrong)
            told(world, wanted)
        world.store.damage(key, right)
    assert told(world, wanted)


@pytest.mark.parametrize("prefix", ["m/", "p/", "x/", "k/", "trust/", "format/"])
def test_any_object_gone(world: World, prefix: str) -> None:
    wanted = world.image.head
    noticed = 0
    for key in sorted(world.keys(prefix)):
        held = world.store._objects.pop(key)
        noticed += not told(world, wanted)
        world.store._objects[key] = held
    assert noticed


@pytest.mark.parametrize("level", [0, 1, 2])
def test_verify_meets_only_damage(world: World, level: int) -> None:
    """Whatever lies in place of a pack or a table: a finding, or an error of drd's."""
    eyes = Eyes(Inline(), Inline(), lambda _: None)
    for key in sorted(world.keys("p/") | world.keys("x/")):
        right = world.store.get(key)
        for wrong in (b"", b"drd1", right[:100], right[:-1], right + b"x", bytes(len(right))):
            world.store.damage(key, wrong)
            proof = verify_objects(
                world.opened(2), Round(world.repository(), level, eyes), point="p"
            )
            if level or len(wrong) != len(right):
                assert [one.about for one in proof.findings] == [key]
        world.store.damage(key, right)
