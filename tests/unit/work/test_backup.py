"""When a run must not begin, what it must not believe, and what it says of what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from drd.core import hybrid, names, pack, seal
from drd.core import manifest as manifests
from drd.core.sections import Item
from drd.errors import (
    CrashError,
    DrdError,
    IntegrityError,
    RefusedError,
    SourceError,
    StoreError,
)
from drd.model import IMAGE_GEOMETRY, Changed, Found, Json, PointKind
from drd.testing.fakes import MemoryCatalogue, MemoryLease
from drd.testing.mortal import Life, MortalSource
from drd.testing.repository import SMALL
from drd.testing.stores import FaultyStore
from drd.work import layout
from drd.work.backup import find_lineage
from drd.work.layout import Space
from drd.work.making import snapshot_facts, snapshot_of
from tests.unit.work.world import BLOCK, CELL, IMAGE, Process, World, fill


@pytest.fixture
def world() -> World:
    made = World(size=8 * CELL)
    fill(made)
    made.backup()
    return made


def unchanged(world: World) -> tuple[set[str], set[str]]:
    return world.keys(""), world.snapshots()


# ── refused ─────────────────────────────────────────────────────────────────────────────────────


def test_a_clock_that_went_back_is_refused(world: World) -> None:
    before = unchanged(world)
    world.clock.at -= timedelta(days=1)
    with pytest.raises(RefusedError, match="clock"):
        world.backup()
    assert unchanged(world) == before


def test_a_source_whose_clock_went_back_is_refused(world: World) -> None:
    """Points are found by their time."""
    before = unchanged(world)
    clock, world.source._now = world.clock, lambda: world.clock.at - timedelta(days=1)
    with pytest.raises(RefusedError, match="source"):
        world.backup()
    assert unchanged(world) == before
    world.source._now = clock
    assert world.backup().seq == 2


def test_a_store_that_hides_the_newest_point_stops_the_writer(world: World) -> None:
    fill(world, seed=2)
    world.backup()
    key = names.manifest_key(world.ring.tenant, world.lineage, 2)
    hidden = world.store._objects.pop(key)
    before = unchanged(world)
    with pytest.raises(RefusedError, match="point 2 was there"):
        world.backup()
    assert unchanged(world) == before
    world.store._objects[key] = hidden
    assert world.backup().seq == 3


def test_a_store_that_hides_every_point_stops_the_writer(world: World) -> None:
    key = names.manifest_key(world.ring.tenant, world.lineage, 1)
    hidden = world.store._objects.pop(key)
    with pytest.raises(RefusedError, match="point 1 was there"):
        world.backup()
    world.catalogue = MemoryCatalogue()
    world.store._objects[key] = hidden
    assert world.backup().seq == 2


def test_a_busy_lineage_is_refused(world: World) -> None:
    world.lease = MemoryLease()
    with world.lease.hold("of another image"):
        assert world.backup().seq == 2


def test_a_lineage_without_a_public_half_is_not_written(world: World) -> None:
    key = names.public_key(world.ring.tenant, world.lineage, 1)
    world.store.damage(key, b"garbage")
    before = unchanged(world)
    with pytest.raises(IntegrityError, match="public key"):
        world.backup()
    assert unchanged(world) == before


# ── which lineage ───────────────────────────────────────────────────────────────────────────────


def test_an_image_is_known_by_its_identity_not_its_name(world: World) -> None:
    lineage = world.backup().lineage
    world.source.rename(IMAGE, "other")
    repository = world.repository()
    found = world.source.found("other")
    assert find_lineage(repository, MemoryCatalogue(), found) == lineage
    created_again = Found("source", "source/image", "another identity")
    assert find_lineage(repository, MemoryCatalogue(), created_again) is None


def first_effects(world: World) -> list[str]:
    life = Life()
    rehearsal = world.fork()
    rehearsal.backup(rehearsal.process(life))
    return life.effects


def test_a_first_run_that_died_before_its_first_point_is_gone_on_with() -> None:
    """Its keys are there, and its snapshot names it: nothing is left behind."""
    world = World(size=2 * CELL)
    fill(world)
    assert world.backup_until(first_effects(world).index("snapshot") + 1)
    assert len(world.snapshots()) == 1
    begun = set(world.store.folders(f"k/{world.ring.tenant.hex()}/"))
    result = world.backup()
    assert {result.lineage.hex()} == begun
    assert world.snapshots() == {world.newest_snapshot()}


def test_a_first_run_that_died_before_its_snapshot_is_begun_anew() -> None:
    world = World(size=2 * CELL)
    fill(world)
    assert world.backup_until(first_effects(world).index("snapshot"))
    assert world.snapshots() == set()
    assert world.backup().seq == 1


# ── what the source says ────────────────────────────────────────────────────────────────────────


def test_a_diff_that_misses_changes_is_found_by_the_sample() -> None:
    """Then the next run compares everything by digest."""
    world = World(size=8 * CELL, knobs=replace(SMALL, sample_cells=8))
    fill(world)
    world.backup()
    world.image.hidden.append(Changed(0, 8 * CELL))
    fill(world, seed=2)
    result = world.backup()
    assert any("suspect" in warning for warning in result.warnings)
    assert [one.suspect for one in world.points()] == [True, False]
    restored, _ = world.restore(result.seq)
    assert restored == world.image.head
    again = world.backup()
    assert any("compared by digest" in warning for warning in again.warnings)
    assert [one.suspect for one in world.points()] == [True, False, False]
    assert world.backup().warnings == ()


def test_a_base_that_is_not_what_the_map_restores_makes_points_suspect(world: World) -> None:
    """The diff hid one of two changed blocks of a cell; the next change to that cell finds it."""
    world.image.hidden.append(Changed(0, CELL))
    world.image.write(BLOCK, b"missed" * 10)
    world.backup()
    world.image.hidden.clear()
    world.image.write(2 * BLOCK, b"seen" * 10)
    result = world.backup()
    assert any("1 cells" in warning for warning in result.warnings)
    assert [one.suspect for one in world.points()] == [True, True, False]
    restored, _ = world.restore(3)
    assert restored == world.image.head


def test_a_sample_goes_round() -> None:
    """Every cell is looked at again in time, though the source calls it unchanged."""
    world = World(size=8 * CELL, knobs=replace(SMALL, sample_cells=3))
    fill(world)
    world.backup()
    read = [world.backup().bytes_read for _ in range(4)]
    assert read == [3 * CELL, 3 * CELL, 2 * CELL, 3 * CELL]


def test_doubts_of_the_source_are_told(world: World) -> None:
    world.image.facts["warnings"] = ["the file changed while it was read"]
    assert world.backup().warnings == ("the file changed while it was read",)
    world.image.facts["warnings"] = "no list"
    assert world.backup().warnings == ()


# ── snapshots ───────────────────────────────────────────────────────────────────────────────────


def test_a_snapshot_that_cannot_be_removed_is_told_and_removed_later(world: World) -> None:
    old = world.newest_snapshot()
    world.image.busy.add(old)
    assert any("could not be removed" in one for one in world.backup().warnings)
    assert old in world.snapshots()
    world.image.busy.clear()
    world.backup()
    assert world.snapshots() == {world.newest_snapshot()}


class Stubborn(MortalSource):
    """Cannot tidy up."""

    @override
    def settle(self, found: Found, lineage: bytes, *, keep: Sequence[str]) -> Sequence[str]:
        raise SourceError("away", about=found.label)


def test_the_first_failure_is_the_one_that_is_told(world: World) -> None:
    """When tidying up fails as well, it says less."""
    worker = world.process()
    clock = world.clock
    world.source._now = lambda: clock.at - timedelta(days=1)
    stubborn = Process(worker.bench, Stubborn(world.source, worker.life), worker.life)
    with pytest.raises(RefusedError, match="source"):
        world.backup(stubborn)


def test_a_crash_tidies_nothing_up(world: World) -> None:
    fill(world, seed=2)
    life = Life(1)
    with pytest.raises(CrashError):
        world.backup(world.process(life))
    assert len(world.snapshots()) == 2
    world.backup()
    assert len(world.snapshots()) == 1


# ── what a manifest keeps ───────────────────────────────────────────────────────────────────────


def test_what_the_next_point_needs_outlives_every_manifest_but_the_newest(world: World) -> None:
    """A manifest holds no fact that a later point needs: earlier ones may expire."""
    for seed in range(2, 6):
        fill(world, seed=seed, cells=range(seed))
        world.backup()
        keys = sorted(world.keys("m/"))
        for key in keys[1:]:
            world.store._objects.pop(key)
        world.catalogue = MemoryCatalogue()
        world.check()
    assert world.backup().seq == 6


def test_ordinals_are_never_used_twice(world: World) -> None:
    """Not even those of packs that no map reaches any more."""
    seen: list[int] = []
    for seed in range(2, 8):
        fill(world, seed=seed)
        world.backup()
        opened = world.opened(world.points()[-1].seq)
        new = {row.ordinal for row in opened.rows.rows} - set(seen)
        assert min(new) > max(seen, default=0)
        seen += sorted(new)
        assert opened.point.manifest.clear.ordinal > max(seen)


def test_snapshots_are_facts_and_back() -> None:
    world = World(size=CELL)
    taken = world.source.take(IMAGE, "mine")
    assert snapshot_of(snapshot_facts(taken)) == taken
    assert snapshot_of(snapshot_facts(None)) is None
    assert snapshot_of("text") is None
    facts = snapshot_facts(taken)
    damaged: list[Json] = [
        {"id": "1"},
        {**facts, "taken_at": "yesterday"},
        {**facts, "size": "large"},
        {**facts, "size": None},
        {**facts, "taken_at": "0001-01-01T00:00:00+23:00"},
    ]
    for one in damaged:
        with pytest.raises(IntegrityError, match="snapshot"):
            snapshot_of(one)


# ── where an item lies ──────────────────────────────────────────────────────────────────────────


def test_an_item_grows_where_it_can_and_keeps_what_it_had() -> None:
    geometry = IMAGE_GEOMETRY

    def fit(item: Item | None, cells: int, space: Space) -> tuple[Item, Space]:
        return layout.fit(item, cells * CELL, name="", space=space, geometry=geometry)

    first, space = fit(None, 3, Space())
    assert (first.extents, space) == (((0, 3),), Space(2, 3))
    grown, space = fit(first, 5, space)
    assert (grown.extents, space) == (((0, 5),), Space(2, 5))
    second, space = fit(None, 2, space)
    assert (second.item_id, second.extents, space) == (2, ((5, 2),), Space(3, 7))
    apart, space = fit(grown, 6, space)
    assert (apart.extents, space) == (((0, 5), (7, 1)), Space(3, 8))
    shrunk, again = fit(apart, 1, space)
    assert (shrunk.extents, shrunk.size, again) == (apart.extents, CELL, space)
    assert fit(shrunk, 6, space) == (apart, space)
    stretches = layout.stretches(apart, geometry)
    assert [(one.first, one.space, one.cells) for one in stretches] == [(0, 0, 5), (5, 7, 1)]


def test_a_point_without_its_item_is_damage() -> None:
    with pytest.raises(IntegrityError, match="no item 1"):
        layout.only_item({}, 1)


def test_an_image_over_two_windows_is_backed_up_and_restored() -> None:
    window = IMAGE_GEOMETRY.window_bytes
    world = World(size=2 * window + 5 * CELL)
    for offset in (0, window - BLOCK, window, 2 * window + CELL):
        world.image.write(offset, b"x" * BLOCK)
    world.backup()
    world.image.discard(window - CELL, 2 * CELL)
    world.image.resize(window + 3 * CELL)
    result = world.backup()
    assert result.kind is PointKind.FULL
    world.check()
    assert not issubclass(CrashError, DrdError)


# ── sizes that come and go ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, CELL, 3 * CELL + 5, 4 * CELL + BLOCK])
def test_what_was_cut_off_does_not_come_back(size: int) -> None:
    """A shrink paints ZERO, to the byte: the source says nothing of what lies beyond its end."""
    world = World(size=8 * CELL)
    world.image.write(0, b"x" * 8 * CELL)
    world.backup()
    world.image.resize(size)
    world.backup()
    world.image.resize(8 * CELL)
    world.backup()
    world.check()


def test_an_end_that_moved_between_two_snapshots_is_looked_at() -> None:
    """Shrunk and grown again unseen, or the diff silent of the cell in which the image ended."""
    world = World(size=2 * CELL + 100)
    world.image.write(0, b"x" * (2 * CELL + 100))
    world.backup()
    world.image.hidden.append(Changed(0, 9 * CELL))
    for size in (2 * CELL + 50, 2 * CELL + 200, CELL + 7, 5 * CELL):
        world.image.resize(size)
        world.backup()
    world.check()


# ── fresh for each object ───────────────────────────────────────────────────────────────────────


def salts_of(world: World) -> list[bytes]:
    """The salt of every sealed object in the bucket: tables, footers, sealed parts of manifests."""
    found = []
    for key in world.keys("x/"):
        data = world.store.get(key)
        found.append(seal.decode_header(data, kind=data[4:8]).salt)
    for key in world.keys("p/"):
        data = world.store.get(key)
        footer = data[pack.decode_trailer(data[-pack.TRAILER_BYTES :]).footer_offset :]
        found.append(seal.decode_header(footer, kind=pack.FOOTER).salt)
    for key in world.keys("m/"):
        sealed = manifests.decode_manifest(world.store.get(key)).sealed
        found.append(seal.decode_header(sealed, kind=manifests.SEALED).salt)
    return found


def test_every_sealed_object_has_a_salt_of_its_own() -> None:
    """One salt twice is one key twice, and nonces count from 0 under each. So it is across a crash."""
    world = World(size=140 * CELL)
    world.knobs = replace(world.knobs, fanout=3, partial_packs=2, pack_size=16 * BLOCK)
    for seed in range(5):
        fill(world, seed=seed)
        world.backup_until(9)
        world.backup()
    found = salts_of(world)
    assert len(found) > 30
    assert len(set(found)) == len(found)


def test_every_run_has_a_data_key_of_its_own(world: World) -> None:
    """And it is nowhere but sealed to the generation."""
    fill(world, seed=2)
    world.backup()
    opened = world.opened(2)
    private, secrets = opened.keys.private(1), []
    for epoch in opened.rows.epochs:
        info = pack.epoch_info(opened.keys.scope, 1, epoch.epoch_id)
        secrets.append(hybrid.open_with(private, info, epoch.sealed_key))
    assert len(set(secrets)) == len(secrets) == 2
    whole = b"".join(world.store.get(key) for key in world.keys(""))
    assert not any(secret in whole for secret in (*secrets, private, opened.keys.metadata(1)))


def test_all_points_of_a_lineage_have_one_digest_key(world: World) -> None:
    """It outlives every manifest: with another one no stored digest would mean anything."""
    fill(world, seed=2)
    world.backup()
    assert world.opened(1).point.text("digest_key") == world.opened(2).point.text("digest_key")


def test_a_resumed_run_that_fails_keeps_what_the_next_one_needs() -> None:
    """The base of the newest full point and the partial point's own snapshot: both, whatever fails."""
    world = World(size=70 * 4 * CELL, knobs=replace(SMALL, partial_packs=2, pack_size=16 * BLOCK))
    fill(world)
    world.backup()
    full = world.newest_snapshot()
    fill(world, seed=2)
    life = Life()
    rehearsal = world.fork()
    rehearsal.backup(rehearsal.process(life))
    manifest = next(at for at, one in enumerate(life.effects) if one.startswith("put m/"))
    world.backup_until(manifest + 1)
    needed = {full, world.newest_snapshot()}
    assert len(needed) == 2
    with pytest.raises(StoreError):
        world.backup(world.process(store=FaultyStore(world.store, "denied")))
    assert world.snapshots() == needed
    assert world.backup().warnings == ()
    world.check()
