"""A restore that cannot lie: what is damaged is named to the byte, and gets no final name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from typing_extensions import override

from drd.core.tables import PackRows
from drd.errors import IntegrityError, KeyAccessError, RefusedError, SourceError
from drd.model import ByteRange, Json, Role
from drd.testing.fakes import seeded
from drd.testing.sources import MemoryTarget, SparseBytes
from drd.work.history import Point
from drd.work.packkeys import PackKeys
from drd.work.restore import Damage, OpenedPoint, Outcome, join_damage, plan, restore
from drd.work.slices import SLICE_BLOCKS
from tests.unit.work.world import BLOCK, CELL, HANDS, World, fill

CELLS = 140
"""More than the 128 of a slice."""


@pytest.fixture
def world() -> World:
    """Two points; packs of both interleave in the second, and frames reach over the edge of a slice."""
    made = World(size=CELLS * CELL)
    fill(made)
    made.backup()
    fill(made, seed=2, cells=range(0, CELLS, 3))
    made.backup()
    return made


def put_back(
    opened: OpenedPoint, *, best_effort: bool = False, ordered: bool = False
) -> tuple[Outcome, MemoryTarget]:
    target = MemoryTarget(ordered=ordered)
    return restore(opened, target, HANDS, best_effort=best_effort), target


def ranges(damage: list[Damage]) -> list[tuple[int, int]]:
    return [(one.where.offset, one.where.length) for one in damage]


def packs_of(world: World, seq: int) -> dict[int, str]:
    """Ordinal to key."""
    opened = world.opened(seq)
    keys = PackKeys(opened.keys, opened.rows)
    return {row.ordinal: keys.name(row.ordinal) for row in opened.rows.rows}


# ── what is right ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ordered", [False, True])
def test_a_point_is_put_back_and_proven(world: World, *, ordered: bool) -> None:
    outcome, target = put_back(world.opened(2), ordered=ordered)
    assert outcome.proven
    assert outcome.root.hex() == world.opened(2).point.text("root")
    assert target.final == world.taken(world.points()[1])
    assert target.quarantine is None
    assert outcome.bytes_written <= CELLS * CELL


def test_the_plan_is_what_is_done(world: World) -> None:
    """And it fetches no data: with the packs gone it is the same."""
    wanted = plan(world.opened(2))
    for key in world.keys("p/"):
        world.store._objects.pop(key)
    again = plan(world.opened(2))
    assert again == wanted
    assert (wanted.seq, wanted.size, wanted.generations) == (2, CELLS * CELL, (1,))
    assert wanted.bytes_data == CELLS * BLOCK
    assert wanted.packs == len(packs_of(world, 2))
    assert wanted.bytes_stored >= wanted.bytes_data
    assert wanted.requests >= wanted.packs


def test_holes_are_not_written(world: World) -> None:
    """Between blocks that are apart, sparse stays sparse."""
    outcome, _ = put_back(world.opened(1))
    assert outcome.bytes_written == CELLS * BLOCK


def test_restored_tables_may_be_fetched_at_once(world: World) -> None:
    opened = world.opened(2)
    opened.warm(HANDS.transfers)
    assert put_back(opened)[0].proven


def test_an_item_of_several_extents_is_put_together(world: World) -> None:
    """Images have one; what lies in one window is read once."""
    opened = world.opened(2)
    opened._item = replace(opened.item, extents=((0, 70), (70, CELLS - 70)))
    outcome, target = put_back(opened)
    assert outcome.proven
    assert target.final == world.taken(world.points()[1])


def test_a_long_image_is_put_back_slice_by_slice() -> None:
    world = World(size=1200 * CELL)
    fill(world, cells=range(0, 1200, 100))
    world.backup()
    restored, _ = world.restore(1)
    assert restored == world.image.head


def test_an_image_whose_end_is_no_whole_block() -> None:
    world = World(size=CELL + 5)
    world.image.write(CELL, b"tail!")
    world.backup()
    restored, outcome = world.restore(1)
    assert restored == world.image.head
    assert outcome.bytes_written == 5


# ── what is damaged ─────────────────────────────────────────────────────────────────────────────

Spoil = Callable[[World, str], None]


def gone(world: World, key: str) -> None:
    world.store._objects.pop(key)


def rotten(world: World, key: str) -> None:
    world.store.damage(key, bytes(len(world.store.get(key))))


def cut(world: World, key: str) -> None:
    world.store.damage(key, world.store.get(key)[:100])


@pytest.mark.parametrize("spoil", [gone, rotten, cut])
def test_lost_ranges_are_named_and_the_target_gets_no_name(world: World, spoil: Spoil) -> None:
    packs = packs_of(world, 1)
    ordinal = min(packs)
    spoil(world, packs[ordinal])
    outcome, target = put_back(world.opened(1))
    assert not outcome.proven
    assert target.final is None
    assert outcome.left_at == "memory:quarantine"
    assert {one.pack for one in outcome.damage} == {packs[ordinal]}
    wanted = world.taken(world.points()[0])
    lost: set[int] = set()
    for offset, length in ranges(outcome.damage):
        lost.update(range(offset // BLOCK, (offset + length) // BLOCK))
    assert target.quarantine is not None
    for block in range(CELLS * CELL // BLOCK):
        held = target.quarantine.read(block * BLOCK, BLOCK)
        assert (held == wanted.read(block * BLOCK, BLOCK)) == (block not in lost)


def test_a_stretch_that_is_lost_over_the_edge_of_a_slice_is_one_range() -> None:
    """Slices are how a restore works, nothing that an operator should have to know of."""
    world = World(size=2 * SLICE_BLOCKS * BLOCK)
    edge = SLICE_BLOCKS * BLOCK
    world.image.write(edge - BLOCK, seeded("edge")(2 * BLOCK))
    world.backup()
    gone(world, packs_of(world, 1)[1])
    outcome, _ = put_back(world.opened(1))
    assert ranges(outcome.damage) == [(edge - BLOCK, 2 * BLOCK)]


def test_best_effort_gives_the_name_and_still_tells(world: World) -> None:
    gone(world, packs_of(world, 1)[1])
    outcome, target = put_back(world.opened(1), best_effort=True)
    assert outcome.damage
    assert not outcome.proven
    assert target.final is not None


def test_a_pipe_ends_at_the_first_damage(world: World) -> None:
    gone(world, packs_of(world, 1)[1])
    with pytest.raises(IntegrityError, match="are lost"):
        put_back(world.opened(1), ordered=True)
    outcome, target = put_back(world.opened(1), ordered=True, best_effort=True)
    assert outcome.damage
    assert target.final is not None


def test_another_version_of_a_pack_is_as_good(world: World) -> None:
    """A copied bucket must restore, and who may only add versions must not be able to shadow."""
    for key in world.keys("p/"):
        right = world.store.get(key)
        world.store.damage(key, b"rot" * 50)
        world.store.put(key, right)
        world.store.put(key, b"garbage")
    assert put_back(world.opened(2))[0].proven


def with_facts(opened: OpenedPoint, **facts: Json) -> OpenedPoint:
    point = opened.point
    opened.point = Point(point.key, point.manifest, {**point.facts, **facts})
    return opened


def test_another_root_is_never_given_a_name(world: World) -> None:
    """Nothing is known to be damaged, yet it is not what was backed up."""
    opened = with_facts(world.opened(2), root="00" * 32)
    outcome, target = put_back(opened)
    assert (outcome.damage, outcome.proven) == ([], False)
    assert target.final is None


def with_digest_key(opened: OpenedPoint, key: str) -> OpenedPoint:
    """So that every cell is another than what was backed up."""
    other = Point(
        opened.point.key, opened.point.manifest, {**opened.point.facts, "digest_key": key}
    )
    opened.digest_keys = OpenedPoint(opened.repository, opened.keys, other).digest_keys
    return opened


def test_a_cell_that_is_not_what_was_backed_up_is_damage(world: World) -> None:
    """Every tag was right, and the map points to other blocks than it should."""
    outcome, target = put_back(with_digest_key(world.opened(2), "00" * 32))
    assert {one.why for one in outcome.damage} == {"the cell is not what was backed up"}
    assert sum(length for _, length in ranges(outcome.damage)) == CELLS * CELL
    assert target.final is None


def test_a_wrong_cell_is_named_beside_a_lost_frame_of_the_same_slice(world: World) -> None:
    """Both are damage, and who repairs the lost pack alone must not believe that this was all."""
    packs = packs_of(world, 2)
    gone(world, packs[max(packs)])
    opened = with_digest_key(world.opened(2), "00" * 32)
    outcome, _ = put_back(opened, best_effort=True)
    lost = {one.where.offset // CELL for one in outcome.damage if one.pack}
    wrong = {
        cell
        for one in outcome.damage
        if not one.pack
        for cell in range(one.where.offset // CELL, one.where.end // CELL)
    }
    assert lost
    assert lost <= set(range(0, CELLS, 3))
    assert wrong == set(range(CELLS)) - lost


def with_rows(opened: OpenedPoint, change: Callable[[PackRows], PackRows]) -> OpenedPoint:
    opened._rows = change(opened.rows)
    return opened


def test_a_pack_whose_commitment_is_another_is_not_decrypted(world: World) -> None:
    def other(rows: PackRows) -> PackRows:
        first = replace(rows.secrets[0], commitment=bytes(32))
        return replace(rows, secrets=(first, *rows.secrets[1:]))

    outcome, _ = put_back(with_rows(world.opened(1), other))
    assert all("commitment" in one.why for one in outcome.damage)
    assert outcome.damage


def test_an_epoch_key_that_does_not_open_is_damage(world: World) -> None:
    def other(rows: PackRows) -> PackRows:
        first = replace(rows.epochs[0], sealed_key=bytes(1200))
        return replace(rows, epochs=(first, *rows.epochs[1:]))

    outcome, _ = put_back(with_rows(world.opened(1), other))
    assert outcome.damage


def test_a_pack_that_is_reached_without_a_row_is_damage(world: World) -> None:
    opened = world.opened(1)
    keys = PackKeys(opened.keys, PackRows())
    with pytest.raises(IntegrityError, match="has no row"):
        keys.open(1)
    half = PackKeys(opened.keys, replace(opened.rows, secrets=()))
    with pytest.raises(IntegrityError, match="has no row"):
        half.row(1)


def test_a_role_that_opens_no_data_restores_none(world: World) -> None:
    opened = world.opened(1)
    opened.keys.repository = world.repository(Role.BACKUP)
    opened.keys._private.clear()
    with pytest.raises(KeyAccessError):
        put_back(opened)


# ── targets that do not want ────────────────────────────────────────────────────────────────────


def test_nothing_is_fetched_for_a_target_that_refuses(world: World) -> None:
    for key in world.keys("p/"):
        world.store._objects.pop(key)
    existing = MemoryTarget(existing=SparseBytes(5))
    for target in (existing, MemoryTarget(capacity=5)):
        with pytest.raises(RefusedError):
            restore(world.opened(2), target, HANDS, best_effort=False)
    assert existing.final == SparseBytes(5)


@pytest.mark.parametrize("word", ["write", "finish"])
def test_a_target_that_fails_says_where_what_was_written_lies(world: World, word: str) -> None:
    def fail(what: str) -> None:
        if what == word:
            raise SourceError("the target is away", hint="look at the cluster")

    target = MemoryTarget(effect=fail)
    with pytest.raises(SourceError) as caught:
        restore(world.opened(2), target, HANDS, best_effort=False)
    assert "look at the cluster" in caught.value.hint
    assert "memory:quarantine" in caught.value.hint
    assert target.final is None


class Clean(MemoryTarget):
    """Leaves nothing behind."""

    @override
    def abandon(self) -> str:
        return ""


def test_a_target_that_leaves_nothing_has_nothing_to_be_removed(world: World) -> None:
    def fail(_: str) -> None:
        raise SourceError("the target is away", hint="look")

    with pytest.raises(SourceError) as caught:
        restore(world.opened(2), Clean(effect=fail), HANDS, best_effort=False)
    assert caught.value.hint == "look"


@pytest.mark.parametrize("kind", [MemoryTarget, Clean])
def test_an_interrupted_restore_abandons_its_target(world: World, kind: type[MemoryTarget]) -> None:
    def stop(_: str) -> None:
        raise KeyboardInterrupt

    target = kind(effect=stop)
    with pytest.raises(KeyboardInterrupt):
        restore(world.opened(2), target, HANDS, best_effort=False)
    assert target.final is None


# ── parts ───────────────────────────────────────────────────────────────────────────────────────


def damage(offset: int, length: int, pack: str = "p", why: str = "w") -> Damage:
    return Damage(ByteRange(offset, length), pack, why)


def test_neighbouring_damage_of_one_cause_is_one_range() -> None:
    found = [damage(20, 5), damage(0, 10), damage(10, 10), damage(25, 5, why="x")]
    assert join_damage(found) == [damage(0, 25), damage(25, 5, why="x")]
    assert join_damage([damage(0, 5), damage(5, 5, pack="q"), damage(11, 1, pack="q")]) == [
        damage(0, 5),
        damage(5, 5, pack="q"),
        damage(11, 1, pack="q"),
    ]
    assert join_damage([]) == []
