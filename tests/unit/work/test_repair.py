"""What a repair heals, to the bit, and what it names as lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from drd.model import Damage, PointKind
from drd.ports import Frozen
from drd.testing.fakes import START
from drd.testing.sources import MemoryTarget
from drd.work.making import snapshot_of
from drd.work.repair import NONE, RECREATED, VERSION, Repaired, Tools, repair
from drd.work.restore import OpenedPoint, restore
from drd.work.verify import Proof, Round, needed, verify_objects
from tests.unit.work.points import NAME
from tests.unit.work.test_verify import EYES
from tests.unit.work.world import BLOCK, CELL, HANDS, IMAGE, World, fill


def reopen(world: World) -> Callable[[OpenedPoint], AbstractContextManager[Frozen]]:
    def opened(point: OpenedPoint) -> AbstractContextManager[Frozen]:
        snapshot = snapshot_of(point.point.table("snapshot"))
        assert snapshot is not None
        return world.source.reopen(world.source.found(IMAGE), snapshot)

    return opened


def repaired(world: World, *objects: str) -> list[Repaired]:
    now = Round(world.repository(), 2, EYES)
    tools = Tools(reopen(world), lambda _: None)
    return list(repair(now, world.full(), objects, tools))


def proven(world: World, seq: int, level: int = 2) -> Proof:
    return verify_objects(world.opened(seq), Round(world.repository(), level, EYES), point=NAME)


def packs(world: World, seq: int) -> list[str]:
    return [one.key for one in needed(world.opened(seq)) if one.row is not None]


def tables(world: World, seq: int) -> list[str]:
    return [one.key for one in needed(world.opened(seq)) if one.row is None]


@pytest.fixture
def world() -> World:
    """Three points: noise, what compresses, and holes where there was data; one pack each, or two."""
    made = World(size=130 * CELL)
    fill(made, seed=1)
    made.backup()
    for cell in range(0, 130, 3):
        made.image.write(cell * CELL + BLOCK, b"the same again and again " * 400)
    made.image.write(5 * CELL, bytes(2 * CELL))
    made.image.write(64 * CELL, bytes(CELL))
    made.backup()
    made.image.write(100 * CELL, b"x" * BLOCK)
    made.backup()
    return made


def flip(data: bytes) -> bytes:
    return data[: len(data) // 3] + bytes([data[len(data) // 3] ^ 4]) + data[len(data) // 3 + 1 :]


def without_tail(data: bytes) -> bytes:
    return data[:-20]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


HARM: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flip,
    "trailer cut": without_tail,
    "cut": half,
    "emptied": lambda _: b"",
    "garbage": lambda data: b"\x55" * len(data),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=list(HARM))
@pytest.mark.parametrize("versioned", [True, False])
def test_each_pack_of_the_newest_content_comes_back_as_it_was(
    world: World,
    harm: Callable[[bytes], bytes],
    versioned: bool,  # noqa: FBT001
) -> None:
    world.store._abilities = replace(world.store.abilities(), versioned=versioned)
    newest = packs(world, 3)[-1]
    good = world.store.get(newest)
    world.store.damage(newest, harm(good))
    assert proven(world, 3).findings
    (done,) = repaired(world, newest)
    assert (done.key, done.how, done.lost) == (newest, RECREATED, ())
    assert world.store.get(newest) == good
    assert len(world.store.versions(newest)) == (2 if versioned else 1), "nothing is taken away"
    for seq in (1, 2, 3):
        assert not proven(world, seq).findings
    world.check()


def test_packs_that_are_gone_come_back_where_the_source_has_all_of_them() -> None:
    world = World(size=200 * CELL)
    fill(world, seed=1, cells=range(60))
    fill(world, seed=2, cells=range(120, 190))
    world.backup()
    world.image.write(3 * CELL, bytes(CELL))  # zeros at the edges of what is put
    for cell in (60, 61, 119, 198):
        world.image.write(cell * CELL, bytes(CELL))
    for cell in range(62, 118, 2):
        world.image.write(cell * CELL, b"more" * 1024)
    world.backup()
    own = [one for one in packs(world, 2) if one not in packs(world, 1)]
    before = {key: world.store._objects.pop(key)[-1].data for key in own}
    assert before
    assert [one.how for one in repaired(world, *own)] == [RECREATED] * len(own)
    assert {key: world.store.get(key) for key in own} == before
    world.check()


def test_two_that_were_swapped_are_both_put_right(world: World) -> None:
    one, other = packs(world, 3)[-2:]
    good = {key: world.store.get(key) for key in (one, other)}
    world.store.damage(one, good[other])
    world.store.damage(other, good[one])
    found = repaired(world, one, other)
    whole = {done.key for done in found if done.how == RECREATED}
    assert other in whole
    assert all(world.store.get(key) == good[key] for key in whole)


def test_what_has_changed_since_is_lost_and_named_as_the_restore_names_it(world: World) -> None:
    first = packs(world, 1)[0]
    world.store._objects.pop(first)
    (done,) = repaired(world, first)
    assert (done.how, first in world.store._objects) == (NONE, False)
    assert done.points == tuple(f"{NAME}@{seq}" for seq in (1, 2, 3))
    for seq in (1, 2, 3):
        outcome = restore(world.opened(seq), MemoryTarget(), HANDS, best_effort=True)
        named = [one.where for one in done.lost if one.point == f"{NAME}@{seq}"]
        assert named == [one.where for one in outcome.damage]
        assert named


def test_of_a_damaged_pack_only_the_frames_that_do_not_open_are_lost(world: World) -> None:
    first = packs(world, 1)[0]
    world.image.write(0, b"other" * 800)
    for cell in range(130):
        world.image.write(cell * CELL, b"other" * 800)
    world.backup()
    data = world.store.get(first)
    world.store.damage(first, flip(data))
    (done,) = repaired(world, first)
    assert done.how == NONE
    outcome = restore(world.opened(1), MemoryTarget(), HANDS, best_effort=True)
    named = [one.where for one in done.lost if one.point == f"{NAME}@1"]
    assert named == [one.where for one in outcome.damage]
    assert 0 < sum(one.length for one in named) < 64 * BLOCK


def test_an_older_version_that_verifies_is_put_again(world: World) -> None:
    for key in (packs(world, 3)[-1], tables(world, 3)[-1]):
        good = world.store.get(key)
        world.store.put(key, b"garbage")
        (done,) = repaired(world, key)
        assert (done.how, world.store.get(key)) == (VERSION, good)


def test_a_lost_table_is_not_made_up(world: World) -> None:
    table = tables(world, 3)[-1]
    world.store.damage(table, b"garbage")
    (done,) = repaired(world, table)
    assert (done.how, done.lost) == (NONE, ())
    assert f"{NAME}@3" in done.points
    assert world.store.get(table) == b"garbage"


@pytest.mark.parametrize("level", [1, 5, 9])
def test_the_level_of_compression_is_found_out(level: int) -> None:
    world = World(size=20 * CELL)
    world.knobs = replace(world.knobs, zstd_level=level)
    world.image.write(0, b"".join(b"line %d of some text\n" % (i * i) for i in range(30000)))
    world.backup()
    (key,) = packs(world, 1)
    good = world.store._objects.pop(key)[-1].data
    (done,) = repaired(world, key)
    assert (done.how, world.store.get(key)) == (RECREATED, good)


def test_nothing_is_put_that_the_row_does_not_name(world: World) -> None:
    key = packs(world, 3)[-1]
    world.store._objects.pop(key)
    image = world.image
    taken = image.taken[max(image.taken)]
    taken.content.write(100 * CELL, b"y" * BLOCK)
    with world.puts() as made:
        (done,) = repaired(world, key)
    assert (done.how, made) == (NONE, [])


def test_the_next_backup_puts_again_what_is_lost_and_the_newest_point_is_whole(
    world: World,
) -> None:
    first = packs(world, 1)[0]
    pack_id = bytes.fromhex(first.rpartition("/")[2])
    world.store._objects.pop(first)
    assert proven(world, 3).findings
    tenant, lineage = world.ring.tenant, world.lineage
    world.catalogue.note_damage(tenant, lineage, damage(pack_id))
    result = world.backup()
    assert result.kind is PointKind.FULL
    assert not proven(world, 4).findings
    world.check([one for one in world.full() if one.seq == 4])


def damage(pack_id: bytes) -> Damage:
    return Damage(3, 2, START, "a pack is lost", (pack_id,))
