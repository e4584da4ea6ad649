"""Where an image lies in its lineage, how its size changes, and what is made anew each time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drd.core import hybrid, names, pack, seal
from drd.core import manifest as manifests
from drd.core.sections import Item
from drd.errors import (
    CrashError,
    DrdError,
    IntegrityError,
)
from drd.model import IMAGE_GEOMETRY, Changed, PointKind
from drd.work import layout
from drd.work.layout import Space
from tests.unit.work.world import BLOCK, CELL, World, fill


@pytest.fixture
def world() -> World:
    made = World(size=8 * CELL)
    fill(made)
    made.backup()
    return made


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
    window = IMAGE_GEOMETRY.window_blocks * BLOCK
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


def test_two_runs_for_one_number_have_salts_of_their_own(world: World) -> None:
    """A loser's manifest, or that of a run whose answer was lost, has the number of the next one."""
    rival = world.fork()
    rival.processes += 50
    sealed = []
    for one in (world, rival):
        fill(one, seed=2)
        assert one.backup().seq == 2
        data = one.store.get(names.manifest_key(one.ring.tenant, one.lineage, 2))
        sealed.append(manifests.decode_manifest(data).sealed)
    first, second = (seal.decode_header(one, kind=manifests.SEALED).salt for one in sealed)
    assert first != second


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
