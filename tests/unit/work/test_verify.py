"""Each level proves what it says: whatever is done to an object, the level that looks at it finds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from drd.core import names, pack
from drd.core.seal import sha256
from drd.errors import NotFoundError, SourceError
from drd.model import Changed, Json, Progress, Role
from drd.ports import Store
from drd.testing.fakes import Inline
from drd.work.history import Point
from drd.work.restore import OpenedPoint
from drd.work.verify import (
    Eyes,
    Proof,
    Round,
    needed,
    verify_objects,
    verify_source,
)
from tests.unit.work.points import KeysRead
from tests.unit.work.world import BLOCK, CELL, IMAGE, World, fill

EYES = Eyes(Inline(), Inline(), lambda _: None)
LEVELS = [0, 1, 2]


@pytest.fixture
def world() -> World:
    made = World(size=70 * CELL)
    fill(made)
    made.backup()
    fill(made, seed=2, cells=range(3))
    made.backup()
    return made


def round_at(world: World, level: int, *, store: Store | None = None) -> Round:
    return Round(world.repository(store=store), level, EYES)


def verified(world: World, level: int, seq: int = 2) -> Proof:
    return verify_objects(world.opened(seq), round_at(world, level), point=f"image@{seq}")


def about(proof: Proof) -> set[str]:
    return {one.about for one in proof.findings}


def packs_of(world: World) -> list[str]:
    return sorted(world.keys("p/"))


@pytest.mark.parametrize("level", LEVELS)
def test_a_whole_point_has_no_findings(world: World, level: int) -> None:
    proof = verified(world, level)
    assert proof.findings == ()
    assert proof.objects == len(needed(world.opened(2))) > 3
    size = sum(one.size for one in needed(world.opened(2)))
    assert proof.bytes == (size if level else 0), "at level 0 no byte is looked at"


def test_every_object_of_a_point_is_looked_at(world: World) -> None:
    """Packs and tables, all of them: the second point needs everything that is there."""
    assert {one.key for one in needed(world.opened(2))} == world.keys("p/") | world.keys("x/")
    first = {one.key for one in needed(world.opened(1))}
    assert first < world.keys("p/") | world.keys("x/")


Damage: TypeAlias = Callable[[bytes], bytes]


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("level", LEVELS)
def test_a_missing_or_cut_pack_is_found_at_every_level(world: World, level: int) -> None:
    first, second = packs_of(world)[:2]
    world.store._objects.pop(first)
    world.store.damage(second, world.store.get(second)[:-1])
    proof = verified(world, level)
    assert about(proof) == {first, second}


@pytest.mark.parametrize("prefix", ["p/", "x/"])
@pytest.mark.parametrize("level", [1, 2])
def test_one_bit_is_found_from_level_1_on(world: World, prefix: str, level: int) -> None:
    for key in sorted(world.keys(prefix)):
        right = world.store.get(key)
        world.store.damage(key, flipped(right, -40))
        if prefix == "p/":
            assert verified(world, 0).findings == ()
        assert about(verified(world, level)) == {key}
        world.store.damage(key, right)


@pytest.mark.parametrize("level", LEVELS)
def test_a_version_put_over_an_object_is_no_damage(world: World, level: int) -> None:
    """Hashes find the one that is meant."""
    for key in world.keys("p/") | world.keys("x/"):
        world.store.put(key, b"garbage")
    assert verified(world, level).findings == ()


@pytest.mark.parametrize("level", LEVELS)
def test_manifests_that_are_gone_without_a_journal_are_findings(world: World, level: int) -> None:
    key = names.manifest_key(world.ring.tenant, world.lineage, 1)
    world.store._objects.pop(key)
    assert about(verified(world, level)) == {key}


@pytest.mark.parametrize("level", LEVELS)
def test_an_exchanged_manifest_is_found_from_level_1_on(world: World, level: int) -> None:
    """Level 0 asks for no object's content, the manifest of the point itself excepted."""
    key = names.manifest_key(world.ring.tenant, world.lineage, 1)
    world.store.damage(key, b"another")
    assert about(verified(world, level)) == ({key} if level else set())


# ── many points ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("level", LEVELS)
def test_all_points_together_ask_for_each_object_once(world: World, level: int) -> None:
    """Tables are also opened, each once; manifests read as points, and compared with rolls."""
    for seed in range(3, 7):
        fill(world, seed=seed, cells=range(3))
        world.backup()
    store = KeysRead(world.store)
    now = round_at(world, level, store=store)
    points = world.full()
    for info in points:
        proof = verify_objects(now.open(info), now, point=f"image@{info.seq}")
        assert proof.findings == ()
        assert proof.objects == len(needed(world.opened(info.seq)))
    packs = {key: count for key, count in store.reads.items() if key.startswith("p/")}
    assert packs == (dict.fromkeys(world.keys("p/"), 1) if level else {})
    others = {key: count for key, count in store.reads.items() if key[0] in "xm"}
    assert others.keys() == world.keys("x/") | world.keys("m/")
    assert max(others.values()) == (2 if level else 1)
    assert store.traffic.lists <= 2 * len(points) + 4


def test_what_is_damaged_is_told_of_every_point_that_needs_it(world: World) -> None:
    key = packs_of(world)[0]
    world.store.damage(key, b"rot")
    store = KeysRead(world.store)
    now = round_at(world, 1, store=store)
    wrong = [verify_objects(now.open(info), now, point="p") for info in world.full()]
    needing = [key in {one.key for one in needed(world.opened(info.seq))} for info in world.full()]
    assert [about(proof) == {key} for proof in wrong] == needing
    assert any(needing)
    assert store.reads[key] <= 3, "the pinned version, the newest and every other: once"


def test_a_pack_proven_with_one_row_is_not_proven_with_another(world: World) -> None:
    now = round_at(world, 2)
    assert verify_objects(world.opened(2), now, point="p").findings == ()
    opened = world.opened(2)
    rows = opened.rows
    lying = replace(rows.secrets[0], commitment=bytes(32))
    opened._rows = replace(rows, secrets=(lying, *rows.secrets[1:]))
    assert len(verify_objects(opened, now, point="p").findings) == 1


def test_levels_0_and_1_need_no_data_key(world: World) -> None:
    repository = world.repository(Role.BACKUP)
    opened = world.opened(2)
    blind = OpenedPoint(repository, opened.keys, opened.point)
    opened.keys.repository = repository
    for level in (0, 1):
        assert verify_objects(blind, round_at(world, level), point="p").findings == ()


# ── level 2: packs that hash as they should, and are wrong within ───────────────────────────────


def other_header(data: bytes) -> bytes:
    return flipped(data, 8 + 4 + 3 * 16)


def other_epoch(data: bytes) -> bytes:
    return flipped(data, 8 + 4 + 4 * 16 + 4 + 32 + 16 + 8)


def first_frame(data: bytes) -> bytes:
    return flipped(data, 12 + int.from_bytes(data[8:12], "big") + 5)


def in_footer(data: bytes) -> bytes:
    return flipped(data, -30)


def one_frame_less(data: bytes) -> bytes:
    frames = int.from_bytes(data[-12:-8], "big")
    return data[:-12] + (frames - 1).to_bytes(4, "big") + data[-8:]


def no_trailer(data: bytes) -> bytes:
    return data[:-1] + b"?"


def short(_: bytes) -> bytes:
    return b"short"


WITHIN: list[Damage] = [
    other_header,
    other_epoch,
    first_frame,
    in_footer,
    one_frame_less,
    no_trailer,
    short,
]


@pytest.mark.parametrize("damage", WITHIN)
def test_level_2_finds_what_hashes_cannot(
    world: World, damage: Damage, rewritten: Callable[[OpenedPoint, str, bytes], None]
) -> None:
    """A host that was wrong when it wrote a pack also wrote down the hash of what was wrong."""
    opened = world.opened(2)
    key = packs_of(world)[0]
    rewritten(opened, key, damage(world.store.get(key)))
    assert verify_objects(opened, round_at(world, 1), point="p").findings == ()
    assert about(verify_objects(opened, round_at(world, 2), point="p")) == {key}


@pytest.fixture
def rewritten(world: World) -> Callable[[OpenedPoint, str, bytes], None]:
    """Put other bytes under a key, and their hash and size into the point's rows."""

    def change(opened: OpenedPoint, key: str, data: bytes) -> None:
        world.store.damage(key, data)
        rows = opened.rows
        pack_id = bytes.fromhex(key.rsplit("/", 1)[1])
        opened._rows = replace(
            rows,
            rows=tuple(
                replace(row, sha256=sha256(data), size=len(data)) if row.pack_id == pack_id else row
                for row in rows.rows
            ),
        )

    return change


def test_level_2_takes_no_footer_of_another_pack(
    world: World, rewritten: Callable[[OpenedPoint, str, bytes], None]
) -> None:
    """Not even of one that is laid out alike: it would be taken for what it is not by a repair."""
    before = world.keys("p/")
    fill(world, seed=3, cells=range(3))
    world.backup()
    (other,) = (world.store.get(key) for key in world.keys("p/") - before)
    opened = world.opened(2)
    alike = [key for key in before if trailer_of(world.store.get(key)) == trailer_of(other)]
    (key,) = alike
    data, trailer = world.store.get(key), trailer_of(other)
    at = trailer.footer_offset
    rewritten(opened, key, data[:at] + other[at:])
    assert about(verify_objects(opened, round_at(world, 2), point="p")) == {key}


def trailer_of(data: bytes) -> pack.Trailer:
    return pack.decode_trailer(data[-pack.TRAILER_BYTES :])


def test_a_table_that_lists_packs_and_is_gone_is_one_finding(world: World) -> None:
    for key in world.keys("x/"):
        world.store._objects.pop(key)
    for level in LEVELS:
        proof = verified(world, level)
        assert len(proof.findings) == 1
        assert proof.objects == 0


# ── level 4 ─────────────────────────────────────────────────────────────────────────────────────


def against_source(world: World, seq: int) -> Proof:
    found = world.source.found(IMAGE)
    return verify_source(
        world.opened(seq), world.source, found, round_at(world, 4), point=f"image@{seq}"
    )


def test_a_point_is_what_its_snapshot_holds(world: World) -> None:
    proof = against_source(world, 2)
    assert proof.findings == ()
    assert proof.objects == 70


def test_cells_that_differ_from_the_snapshot_are_named(world: World) -> None:
    """Where the diff had missed a change; and only those."""
    world.image.hidden.append(Changed(0, 70 * CELL))
    world.image.write(5 * CELL + BLOCK, b"missed")
    world.image.write(69 * CELL, b"missed")
    world.backup()
    proof = against_source(world, 3)
    assert [(one.offset, one.length) for one in proof.findings] == [
        (5 * CELL, CELL),
        (69 * CELL, CELL),
    ]
    assert {one.point for one in proof.findings} == {"image@3"}


def test_a_hole_of_the_map_that_has_data_is_found() -> None:
    world = World(size=3 * CELL)
    world.backup()
    world.image.hidden.append(Changed(0, 3 * CELL))
    world.image.write(CELL, b"missed")
    world.backup()
    assert [one.offset for one in against_source(world, 2).findings] == [CELL]


def test_a_shrunk_image_is_compared_to_its_end() -> None:
    world = World(size=9 * CELL)
    fill(world)
    world.backup()
    world.image.resize(2 * CELL + 5)
    world.backup()
    assert against_source(world, 2).findings == ()
    world.image.resize(0)
    world.backup()
    assert against_source(world, 3).findings == ()


def test_without_its_snapshot_a_point_cannot_be_compared(world: World) -> None:
    with pytest.raises(NotFoundError):
        against_source(world, 1)
    opened = world.opened(2)
    facts: dict[str, Json] = {**opened.point.facts, "snapshot": {}}
    opened.point = Point(opened.point.key, opened.point.manifest, facts)
    found = world.source.found(IMAGE)
    with pytest.raises(NotFoundError, match="names no snapshot"):
        verify_source(opened, world.source, found, round_at(world, 4), point="p")


def test_a_pack_that_the_point_does_not_reach_is_not_needed() -> None:
    """Its row may stand in a table until the next merge."""
    world = World(size=CELL)
    world.knobs = replace(world.knobs, fanout=3)
    unneeded = 0
    for seed in range(12):
        fill(world, seed=seed)
        opened = world.opened(world.backup().seq)
        packs = {one.row.ordinal for one in needed(opened) if one.row is not None}
        assert seed + 1 in packs
        unneeded += len({row.ordinal for row in opened.rows.rows} - packs)
        assert verify_objects(opened, round_at(world, 2), point="p").findings == ()
    assert unneeded


def test_cells_found_to_differ_before_the_source_goes_away_are_kept(world: World) -> None:
    """A look at a large image takes hours."""
    world.image.hidden.append(Changed(0, CELL))
    world.image.write(0, b"missed")
    world.backup()
    now = round_at(world, 4)

    def away(_: Progress) -> None:
        raise SourceError("away")

    now.eyes = replace(EYES, report=away)
    found = world.source.found(IMAGE)
    with pytest.raises(SourceError):
        verify_source(world.opened(3), world.source, found, now, point="p")
    assert [one.offset for one in now.take()] == [0]
    assert now.take() == ()
