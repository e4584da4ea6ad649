"""What the bucket holds of points: learnt, and missed when it is gone or damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drd.catalogue.spare import SpareCatalogue
from drd.core import manifest as manifests
from drd.core import merge
from drd.core.manifest import MAGIC
from drd.core.seal import SealOrder, seal_object, sha256
from drd.core.selectors import parse_point
from drd.core.tables import TableKind
from drd.errors import (
    IntegrityError,
    KeyAccessError,
    NotFoundError,
    ObjectMissingError,
    RefusedError,
)
from drd.model import Json, PointKind
from drd.testing.fakes import Inline, MemoryCatalogue, MemoryRing
from drd.work import rolls
from drd.work.gaps import choose_whole, damaged, find_whole, locked
from drd.work.history import Point, learn, newest, read_manifest
from drd.work.lineagekeys import load_keys
from drd.work.shelf import Shelf
from tests.unit.core.specimens import clear, signed_manifest
from tests.unit.work.points import NAME, cut, manifest_key, remove, slots_of, with_points
from tests.unit.work.world import CELL, IMAGE, World


@pytest.fixture
def world() -> World:
    return with_points(3)


def test_keys_of_another_repository_do_not_make_manifests_of_this_one(world: World) -> None:
    thief = MemoryRing.make("thief")
    data = signed_manifest(
        replace(clear(4), scope=world.repository().scope(world.lineage)), b"", ring=thief
    )
    world.store.put(manifest_key(world, 4), data)
    assert [one.seq for one in world.points()] == [1, 2, 3]


# ── one manifest ────────────────────────────────────────────────────────────────────────────────


def test_of_several_versions_the_first_that_verifies_is_meant(world: World) -> None:
    right = world.store.get(manifest_key(world, 2))
    for junk in (b"garbage", world.store.get(manifest_key(world, 1)), right[:-1]):
        world.store.put(manifest_key(world, 2), junk)
    assert read_manifest(world.repository(), world.lineage, 2).sha256 == sha256(right)


def test_a_manifest_that_is_not_there_or_not_whole(world: World) -> None:
    with pytest.raises(ObjectMissingError):
        read_manifest(world.repository(), world.lineage, 9)
    cut(world, 2)
    with pytest.raises(IntegrityError, match="damaged"):
        read_manifest(world.repository(), world.lineage, 2)


def test_a_manifest_under_a_trust_that_is_not_here_is_refused(world: World) -> None:
    """A store that hides the newest trust would undo a revocation."""
    repository = world.repository()
    known = repository.trust
    for other in (replace(known, number=known.number - 1), replace(known, sha256=bytes(32))):
        strict = replace(repository, trust=other)
        with pytest.raises(IntegrityError):
            read_manifest(strict, world.lineage, 1)
    later = replace(repository, trust=replace(known, number=known.number + 1))
    assert read_manifest(later, world.lineage, 1).clear.seq == 1


def point_with(**facts: Json) -> Point:
    data = signed_manifest(clear(), b"")
    return Point("m/key", manifests.decode_manifest(data), facts)


def test_facts_are_what_they_should_be() -> None:
    good = point_with(name="n", size=5, digest_key="00ff", image={"a": 1})
    assert (good.text("name"), good.number("size")) == ("n", 5)
    assert (good.hex("digest_key", 2), good.table("image")) == (b"\0\xff", {"a": 1})
    assert good.table("nothing") == {}
    assert good.seq == clear().seq
    assert good.is_full
    for bad in (point_with(), point_with(size="5"), point_with(size=True), point_with(size=-1)):
        with pytest.raises(IntegrityError):
            bad.number("size")
    for bad in (point_with(), point_with(root=5), point_with(root="zz"), point_with(root="00")):
        with pytest.raises(IntegrityError):
            bad.hex("root", 2)
    with pytest.raises(IntegrityError):
        point_with(name=None).text("name")


@pytest.mark.parametrize(
    "block, cell",
    [(0, 65536), (4096, 0), (4096, 4097), (12, 48), (4096, 3 * 4096), (-1, 1), (4096, "64K")],
)
def test_sizes_that_cannot_be_are_damage(block: Json, cell: Json) -> None:
    assert point_with(block=8192, cell=8192).geometry().cell_blocks == 1
    with pytest.raises(IntegrityError):
        point_with(block=block, cell=cell).geometry()


# ── the newest ──────────────────────────────────────────────────────────────────────────────────


def test_garbage_above_the_newest_point_is_passed_over_with_a_warning(world: World) -> None:
    for seq in range(4, 16):
        world.store.put(manifest_key(world, seq), b"garbage")
    world.store.put(f"{manifest_key(world, 1)[:-10]}0000", b"garbage")
    repository = world.repository()
    found = newest(repository, load_keys(repository, world.lineage))
    assert found is not None
    assert found.seq == 3
    assert len(repository.warnings) == 13


def test_without_a_manifest_there_is_no_newest(world: World) -> None:
    lineage = world.lineage
    for key in world.keys("m/"):
        remove(world, key)
    repository = world.repository()
    assert newest(repository, load_keys(repository, lineage)) is None


# ── learning ────────────────────────────────────────────────────────────────────────────────────


def test_only_manifests_that_are_not_known_are_read(world: World) -> None:
    catalogue = MemoryCatalogue()
    learn(world.repository(), catalogue)
    for seq in (1, 2):
        cut(world, seq)
    repository = world.repository()
    assert [one.seq for one in learn(repository, catalogue)] == [1, 2, 3]
    assert repository.warnings == []


def test_secrets_do_not_reach_the_catalogue(world: World) -> None:
    for point in world.points():
        assert "digest_key" not in point.facts
        assert point.facts["root"]


def test_what_is_gone_is_told_and_forgotten_but_never_the_newest(world: World) -> None:
    """A store that hides the newest points is found out by who remembers them."""
    catalogue = MemoryCatalogue()
    learn(world.repository(), catalogue)
    for seq in (1, 3):
        remove(world, manifest_key(world, seq))
    for _ in range(2):
        repository = world.repository()
        assert [one.seq for one in learn(repository, catalogue)] == [2]
        assert any(manifest_key(world, 3) in one for one in repository.warnings)
    assert [one.seq for one in catalogue.points(world.ring.tenant)] == [2, 3]


def test_the_newest_full_point_is_not_forgotten_either(world: World) -> None:
    """By it a lineage has its name: a partial one takes none."""
    tenant = world.ring.tenant
    partial = replace(world.points()[-1], seq=4, kind=PointKind.PARTIAL, manifest_key="m/4")
    world.catalogue.learn([*world.points(), partial])
    for seq in (1, 2, 3):
        remove(world, manifest_key(world, seq))
    for _ in range(2):
        assert learn(world.repository(), world.catalogue) == []
        assert [one.seq for one in world.catalogue.points(tenant)] == [3, 4]


def test_garbage_above_a_hidden_point_does_not_have_it_forgotten(world: World) -> None:
    """Who can hide the newest point can put anything above it, too."""
    remove(world, manifest_key(world, 3))
    world.store.put(manifest_key(world, 4), b"garbage")
    for _ in range(2):
        learn(world.repository(), world.catalogue)
        assert world.catalogue.highest(world.ring.tenant, world.lineage) == 3
    with pytest.raises(RefusedError, match="point 3 was there"):
        world.backup()


def test_strange_names_are_told(world: World) -> None:
    world.store.put(f"m/{world.ring.tenant.hex()}/readme", b"")
    repository = world.repository()
    assert len(learn(repository, MemoryCatalogue())) == 3
    assert any("readme" in one for one in repository.warnings)


def sign_after(world: World, seq: int, facts: dict[str, Json]) -> str:
    """Put a manifest after point *seq* that its own host signed, with these facts; its key."""
    key, data = manifest_key(world, seq + 1), world.store.get(manifest_key(world, seq))
    old = manifests.decode_manifest(data).clear
    made = replace(old, seq=seq + 1, predecessor=(seq, bytes(32)), references=(), roll=())
    metadata = load_keys(world.repository(), world.lineage).metadata(1)
    order = SealOrder(old.scope, 1, metadata, bytes(16))
    encoded, place = manifests.encode_clear(made), (seq + 1).to_bytes(16, "big")
    text = json.dumps(facts).encode()  # with escapes: they can spell what UTF-8 cannot
    sealed = seal_object(manifests.SEALED, order, place, clear=b"", sections=[text])
    signed = world.ring.sign(manifests.to_sign(encoded, sealed))
    world.store.put(key, manifests.encode_manifest(encoded, sealed, *signed))
    return key


def test_a_manifest_without_the_facts_of_a_point_is_told(world: World) -> None:
    """It verifies, and says less than this drd needs."""
    key = sign_after(world, 3, {"name": "x"})
    repository = world.repository()
    assert [one.seq for one in learn(repository, MemoryCatalogue())] == [1, 2, 3]
    assert any(key in one for one in repository.warnings)


@pytest.mark.parametrize(
    "more", [{"size": 1 << 63}, {"size": 1 << 70}, {"name": "\ud800"}, {"identity": "\udcff"}]
)
def test_a_signed_point_that_no_catalogue_holds_is_left_out(
    world: World, tmp_path: Path, more: dict[str, Json]
) -> None:
    """One stolen host must not stop every verb that learns, nor have a healthy file set aside."""
    good: dict[str, Json] = {"name": "a/b", "identity": "i", "size": 1}
    told: list[str] = []
    catalogue = SpareCatalogue(tmp_path / "catalogue.sqlite", told.append)
    sign_after(world, 3, {**good, **more})
    for _ in range(2):
        repository = world.repository()
        assert [one.seq for one in learn(repository, catalogue)] == [1, 2, 3]
        assert any("damaged" in one for one in repository.warnings)
    catalogue.close()
    assert told == []
    assert not (tmp_path / "catalogue.damaged").exists()
    remove(world, manifest_key(world, 4))
    sign_after(world, 3, good)
    assert [one.seq for one in world.points()] == [1, 2, 3, 4], "but for these facts it is one"


def test_a_lineage_whose_keys_do_not_open_hides_no_other(world: World) -> None:
    """But when nothing opens at all, the keys are wrong."""
    for key in slots_of(world):
        world.store.damage(key, b"garbage")
    with pytest.raises(KeyAccessError):
        learn(world.repository(), MemoryCatalogue())
    first = world.lineage
    world.image = world.source.add(IMAGE, 2 * CELL)
    world.backup()
    repository = world.repository()
    found = learn(repository, MemoryCatalogue())
    assert {one.lineage for one in found} == {one.lineage for one in found} - {first}
    assert sum("no slot" in one for one in repository.warnings) == 1


def test_a_lineage_without_its_public_half_is_told(world: World) -> None:
    for key in world.keys("k/"):
        if key.endswith(".pub"):
            remove(world, key)
    repository = world.repository()
    assert learn(repository, MemoryCatalogue()) == []
    assert any("public half" in one for one in repository.warnings)


# ── damaged points are not passed over ──────────────────────────────────────────────────────────


def test_a_damaged_newest_point_is_not_passed_over(world: World) -> None:
    cut(world, 3)
    points = world.points()
    with pytest.raises(IntegrityError, match=f"{IMAGE}@3") as caught:
        choose_whole(world.repository(), points, parse_point(NAME))
    assert f"{NAME}@2" in caught.value.hint
    by_id = parse_point(world.lineage.hex())
    with pytest.raises(IntegrityError) as caught:
        choose_whole(world.repository(), points, by_id)
    assert f"{world.lineage.hex()}@2" in caught.value.hint


def test_garbage_in_the_place_of_a_point_stops_nobody(world: World) -> None:
    world.store.put(manifest_key(world, 9), b"garbage")
    world.store.put(f"{manifest_key(world, 9)[:-1]}x", b"garbage")
    points = world.points()
    assert choose_whole(world.repository(), points, parse_point(NAME)).seq == 3


def test_a_damaged_point_between_others_matters_only_to_whom_it_may_concern(world: World) -> None:
    cut(world, 2)
    points = world.points()
    assert choose_whole(world.repository(), points, parse_point(NAME)).seq == 3
    assert choose_whole(world.repository(), points, parse_point(f"{NAME}@1")).seq == 1
    when = points[0].point_at + timedelta(milliseconds=1)
    at = parse_point(f"{NAME}@{when.isoformat().replace('+00:00', 'Z')}")
    with pytest.raises(IntegrityError, match="@2 is damaged"):
        choose_whole(world.repository(), points, at)
    with pytest.raises(IntegrityError, match="@2 is damaged"):
        choose_whole(world.repository(), points, parse_point(f"{NAME}@2"))
    with pytest.raises(NotFoundError):
        choose_whole(world.repository(), points, parse_point(f"{NAME}@7"))


def test_a_damaged_point_after_the_next_whole_one_cannot_be_meant(world: World) -> None:
    cut(world, 3)
    points = world.points()
    when = points[0].point_at + timedelta(milliseconds=1)
    at = parse_point(f"{NAME}@{when.isoformat().replace('+00:00', 'Z')}")
    assert choose_whole(world.repository(), points, at).seq == 1


def test_before_the_first_whole_point_a_damaged_one_may_be_meant(world: World) -> None:
    cut(world, 1)
    points = world.points()
    with pytest.raises(IntegrityError, match="@1 is damaged"):
        choose_whole(world.repository(), points, parse_point(f"{NAME}@2020-01-01T00:00:00Z"))


def test_a_point_that_is_whole_by_now_is_not_damaged(world: World) -> None:
    """It was committed between the listing and the look."""
    assert list(damaged(world.repository(), world.lineage, {1, 2})) == []


def test_a_lineage_whose_only_manifest_is_damaged_is_not_nothing() -> None:
    world = with_points(1)
    key = manifest_key(world, 1)
    cut(world, 1)
    world.store.put(f"m/{world.ring.tenant.hex()}/readme/9999999998", b"garbage")
    repository = world.repository()
    with pytest.raises(IntegrityError, match="name cannot be read"):
        find_whole(repository, [], parse_point(NAME))
    world.store.damage(key, b"garbage")
    with pytest.raises(NotFoundError):
        find_whole(repository, [], parse_point(NAME))


def test_whole_points_are_found(world: World) -> None:
    points = world.points()
    assert find_whole(world.repository(), points, parse_point(NAME)) == points
    with pytest.raises(NotFoundError):
        find_whole(world.repository(), points, parse_point("source/other"))
    assert MAGIC in world.store.get(manifest_key(world, 1))


def test_a_lineage_whose_keys_do_not_open_is_not_nothing_either(world: World) -> None:
    """Its name is not known: names are sealed. Somebody who asks for it must learn of it."""
    assert list(locked(world.repository(), {world.lineage})) == []
    assert list(locked(world.repository(), [])) == [], "it opens; it was made since"
    world.store.put(f"{manifest_key(world, 1)[:-10]}0000", b"garbage")
    world.store.put(manifest_key(world, 9), b"garbage")
    world.store.put(f"m/{world.ring.tenant.hex()}/readme/1", b"garbage")
    for key in slots_of(world):
        world.store.damage(key, b"garbage")
    repository = world.repository()
    (reason,) = locked(repository, [])
    assert isinstance(reason, KeyAccessError)
    with pytest.raises(KeyAccessError):
        find_whole(repository, [], parse_point(NAME))


def test_a_folder_without_any_manifest_is_nothing(world: World) -> None:
    folder = manifest_key(world, 1)[:-10]
    for key in world.keys("m/"):
        remove(world, key)
    world.store.put(f"{folder}9999999990", b"garbage")
    assert list(locked(world.repository(), [])) == []


# ── the roll ────────────────────────────────────────────────────────────────────────────────────


def roll_of(world: World, seq: int) -> tuple[list[int], list[tuple[int, str]]]:
    """Numbers on the roll of a point, and what is wrong with them."""
    repository = world.repository()
    shelf = Shelf(repository.store, load_keys(repository, world.lineage))
    told = read_manifest(repository, world.lineage, seq).clear
    entries = [one.seq for one in rolls.full_roll(told, shelf)]
    check = rolls.RollCheck(repository, Inline())
    return entries, [(one.seq, why) for one, why in check.missing(told, shelf)]


def test_each_manifest_is_on_the_roll_of_the_next(world: World) -> None:
    assert roll_of(world, 1) == ([], [])
    assert roll_of(world, 3) == ([1, 2], [])


def test_a_manifest_that_is_gone_or_exchanged_is_missed(world: World) -> None:
    remove(world, manifest_key(world, 1))
    world.store.damage(manifest_key(world, 2), b"another")
    found = dict(roll_of(world, 3)[1])
    assert found.keys() == {1, 2}
    assert "gone" in found[1]
    assert "not the manifest" in found[2]


def test_a_manifest_below_other_versions_is_not_missed(world: World) -> None:
    world.store.put(manifest_key(world, 1), b"garbage")
    assert roll_of(world, 3)[1] == []


def test_long_changes_become_a_new_base() -> None:
    """No entry is lost, none is there twice; and a manifest stays small."""
    first, second = merge.ROLL_CHANGES + 2, 2 * merge.ROLL_CHANGES + 3
    world = with_points(second + 1, cells=1)
    bases = set()
    for seq in range(1, second + 2):
        told = read_manifest(world.repository(), world.lineage, seq).clear
        assert len(told.roll) <= merge.ROLL_CHANGES
        bases |= {one.table_id for one in told.references if one.kind is TableKind.ROLL}
    assert len(bases) == 2
    for seq in (1, first - 1, first, first + 1, second - 1, second, second + 1):
        assert roll_of(world, seq) == (list(range(1, seq)), [])


def test_a_roll_without_entries_is_damage(world: World) -> None:
    repository = world.repository()
    shelf = Shelf(repository.store, load_keys(repository, world.lineage))
    told = read_manifest(repository, world.lineage, 3).clear
    run = next(one for one in told.references if one.kind is TableKind.RUN)
    data = repository.store.get(shelf.key(run))
    lying = replace(run, kind=TableKind.ROLL)
    with pytest.raises(IntegrityError):
        rolls.full_roll(replace(told, references=(lying,)), shelf)
    fresh = Shelf(repository.store, load_keys(repository, world.lineage))
    fresh.put_away(run, data)
    with pytest.raises(IntegrityError, match="no entries"):
        rolls.full_roll(replace(told, references=(lying,)), fresh)
