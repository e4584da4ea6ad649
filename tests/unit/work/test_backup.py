"""When a run must not begin, what it must not believe, and what it says of what it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from drd.core import names
from drd.errors import (
    BusyError,
    CrashError,
    IntegrityError,
    RefusedError,
    SourceError,
    StoreError,
)
from drd.model import IMAGE_GEOMETRY, BackupResult, Changed, Found, Json, PointInfo
from drd.testing.fakes import MemoryCatalogue, MemoryLease, MemoryRing
from drd.testing.mortal import Life, MortalSource
from drd.testing.repository import SMALL
from drd.testing.stores import FaultyStore
from drd.work.backup import backup_unless, find_lineage
from drd.work.bench import lease_name
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


@pytest.mark.parametrize("off", [0, 14, -14, 16, -16])
def test_unattended_a_point_of_tomorrow_is_followed_when_host_and_store_agree(off: int) -> None:
    """A clock was a day ahead and was set right; the store's is *off* by so many minutes."""
    world = World(size=8 * CELL)
    fill(world)
    world.backup()
    world.clock.at -= timedelta(days=1)
    world.store._now = lambda: world.clock.at + timedelta(minutes=off)
    world.source._now = world.clock
    worker = world.process()
    bench, slot = replace(worker.bench, heals_clock=True), world.clock.at - timedelta(hours=1)
    if abs(off) > 15:
        with pytest.raises(RefusedError, match="clock"):
            backup_unless(bench, worker.source, world.source.found(IMAGE), since=slot)
        return
    made = backup_unless(bench, worker.source, world.source.found(IMAGE), since=slot)
    assert isinstance(made, BackupResult), "what is dated tomorrow serves no slot of today"
    assert made.seq == 2
    assert any("it was wrong then" in one for one in made.warnings)


def test_a_slot_is_served_by_a_point_of_it_and_not_by_one_that_is_dated_ahead(world: World) -> None:
    """The worker decides last: what its source dates two hours ahead serves no slot to come."""
    world.source._now = lambda: world.clock.at + timedelta(hours=2)

    def run(since: timedelta) -> BackupResult | PointInfo:
        worker, slot = world.process(), world.clock.at + since
        return backup_unless(worker.bench, worker.source, world.source.found(IMAGE), since=slot)

    assert isinstance(run(timedelta(0)), BackupResult)
    assert isinstance(run(-timedelta(minutes=1)), PointInfo)
    world.clock.at += timedelta(hours=1)
    assert isinstance(run(timedelta(0)), BackupResult)
    assert len(world.full()) == 3


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
    found = world.source.found(IMAGE)
    with (
        world.lease.hold(lease_name(found.identity)),
        pytest.raises(BusyError) as caught,
    ):
        world.backup()
    assert caught.value.about == found.label, "by its name, and not by that of a lock"
    with world.lease.hold("of another image"):
        assert world.backup().seq == 2


def test_a_lineage_without_a_public_half_is_not_written(world: World) -> None:
    key = names.public_key(world.ring.tenant, world.lineage, 1)
    world.store.damage(key, b"garbage")
    before = unchanged(world)
    with pytest.raises(IntegrityError, match="public key"):
        world.backup()
    assert unchanged(world) == before


def test_what_no_reader_would_take_is_not_committed(world: World) -> None:
    """A host whose key trust does not name, or no longer: it learns so before its point is put."""
    before = world.keys("m/")
    life = Life()
    world.ring = replace(world.ring, host=MemoryRing.make("stranger").host)
    with pytest.raises(IntegrityError, match="trust"):
        world.backup(world.process(life))
    assert world.keys("m/") == before
    assert not any(effect.startswith("put m/") for effect in life.effects)
    assert len(world.snapshots()) == 1


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


@pytest.mark.parametrize("later", range(6))
def test_a_first_run_that_died_before_its_first_point_is_gone_on_with(later: int) -> None:
    """Its snapshot names it, whether it came to make its keys or not: nothing is left behind."""
    world = World(size=2 * CELL)
    fill(world)
    effects = first_effects(world)
    at = effects.index("snapshot")
    assert [one.split("/")[0] for one in effects[at : at + 4]] == ["snapshot", *["put k"] * 3]
    assert not any(one.startswith("put m/") for one in effects[: at + later + 1])
    assert world.backup_until(at + later + 1)
    (held,) = world.source.snapshots()
    result = world.backup()
    assert result.lineage == held.lineage
    assert set(world.store.folders(f"k/{world.ring.tenant.hex()}/")) == {result.lineage.hex()}
    assert world.snapshots() == {world.newest_snapshot()}
    world.check()


def test_a_snapshot_of_another_image_names_no_lineage_of_this_one() -> None:
    world = World(size=2 * CELL)
    fill(world)
    assert world.backup_until(first_effects(world).index("snapshot") + 1)
    (held,) = world.source.snapshots()
    ours = world.image
    world.image = world.source.add("another", CELL)
    world.source.images = {"another": world.image, IMAGE: ours}
    world.image.taken = dict(ours.taken)
    ours.taken.clear()
    assert world.backup().lineage != held.lineage


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


def test_an_old_snapshot_that_cannot_be_removed_costs_no_point(world: World) -> None:
    worker = world.process()
    stubborn = Process(worker.bench, Stubborn(world.source, worker.life), worker.life)
    result = world.backup(stubborn)
    assert any("away" in warning for warning in result.warnings)
    assert len(world.check()) == 2
    assert result.seq == 2


def test_a_crash_tidies_nothing_up(world: World) -> None:
    fill(world, seed=2)
    life = Life(1)
    with pytest.raises(CrashError):
        world.backup(world.process(life))
    assert len(world.snapshots()) == 2
    world.backup()
    assert len(world.snapshots()) == 1


def test_a_resumed_run_begins_where_its_partial_point_ended() -> None:
    """Windows that lie before it are not even read."""
    first = IMAGE_GEOMETRY.window_cells
    world = World(size=(first + 400) * CELL)
    world.knobs = replace(world.knobs, partial_packs=2, pack_size=16 * BLOCK)
    fill(world, cells=range(64))
    fill(world, seed=2, cells=range(first, first + 400))
    effects = first_effects(world)
    manifests_put = [at for at, one in enumerate(effects) if one.startswith("put m/")]
    assert world.backup_until(manifests_put[3] + 1)
    facts = world.points()[-1].facts
    assert isinstance(facts["cursor"], int)
    assert facts["cursor"] > first
    result = world.backup()
    assert result.bytes_read == (first + 400 - facts["cursor"]) * CELL
    world.check()


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
