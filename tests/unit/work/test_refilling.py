"""Sparse packs are refilled from the snapshot: what a run puts for it, and what goes then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from typing_extensions import override

from drd.core import names, needs
from drd.core.needs import Needs
from drd.core.retention import Keep
from drd.core.sections import MapPiece, What
from drd.core.tables import TableKind
from drd.errors import StoppedError
from drd.model import BackupResult, Changed
from drd.testing.fakes import SteppingClock
from drd.testing.mortal import Life, MortalStore
from drd.testing.repository import SMALL
from drd.testing.stores import MemoryStore
from drd.work.refilling import Memory
from tests.unit.work.expiry import assert_reach, manifests, tables
from tests.unit.work.shears import done, history, pass_time, run
from tests.unit.work.world import BLOCK, CELL, World, fill

CELLS = 128
LEFT = 8
"""One cell in so many stays as the first point had it."""
KEPT = [cell for cell in range(CELLS) if cell % LEFT == 0]
KNOBS = replace(SMALL, fanout=3)
KEEP = Keep(last=1, minimum=1)


class Blind(MortalStore):
    """A store that gives no pack, as the writer's S3 principal sees it."""

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        assert not key.startswith("p/"), "a backup reads no pack"
        return super().get(key, version=version, start=start, length=length)


def backup(world: World) -> BackupResult:
    """A run that can read no pack."""
    blind = Blind(world.store, Life())
    return world.backup(world.process(store=blind))


def overwrite(world: World, seed: int) -> None:
    """All cells but those that are kept, a block in each."""
    fill(world, seed=seed, cells=[cell for cell in range(CELLS) if cell % LEFT])


def due(*, refill: bool = True, sample: int = 0, retained: int = 2) -> World:
    """Of the first point's packs an eighth is needed, also by those that are retained, and the next run is
    one that looks for it.
    """
    clock = SteppingClock()
    knobs = replace(KNOBS, refill=refill, sample_cells=sample)
    store = MemoryStore(now=clock)
    world = World(size=CELLS * CELL, knobs=knobs, store=store, clock=clock)
    fill(world)
    backup(world)
    for seed in (2, 3):
        overwrite(world, seed)
        assert backup(world).bytes_refilled == 0
    doom_all_but(world, retained)
    return world


def doom_all_but(world: World, last: int) -> None:
    done(run(world, Keep(last=last, minimum=1)))


def stored(world: World) -> int:
    return sum(one.size for one in world.store.list("p/"))


def pruned(world: World) -> int:
    """Bytes of packs that are left when all but the newest point went."""
    done(run(world, KEEP))
    world.image.write(CELL, b"x" * BLOCK)
    backup(world)
    pass_time(world)
    assert done(run(world, KEEP)).deleted
    world.check()
    return stored(world)


def test_the_needed_blocks_are_put_again_and_no_pack_is_read() -> None:
    world = due()
    world.image.write(3 * CELL, b"y" * BLOCK)
    result = backup(world)
    assert result.bytes_refilled == len(KEPT) * BLOCK
    assert result.bytes_changed == BLOCK
    assert result.warnings == ()
    world.check()


def test_no_later_point_reaches_a_pack_that_was_refilled() -> None:
    world = due()
    old = {row.ordinal for row in world.opened(1).rows.rows}
    assert old
    backup(world)
    backup(world)
    known = tables(world)
    for point in manifests(world):
        assert_reach(world, point, known)
        reached = {one for table in point.references for one in known[table.table_id].reached}
        assert bool(reached & old) == (point.seq <= 3)


def test_the_bucket_gets_smaller_than_without() -> None:
    sizes = {}
    for refill in (True, False):
        world = due(refill=refill)
        assert bool(backup(world).bytes_refilled) == refill
        sizes[refill] = pruned(world)
    assert sizes[True] < 0.7 * sizes[False]


@pytest.mark.parametrize("oldest, refilled", [(1, 0), (2, len(KEPT)), (3, len(KEPT))])
def test_the_oldest_retained_point_tells_what_is_of_use(oldest: int, refilled: int) -> None:
    """The first point needs all of its packs; the second and the third an eighth of them, and all of their
    own, which is newer.
    """
    world = due(retained=4 - oldest)
    assert backup(world).bytes_refilled == refilled * BLOCK
    world.check(world.full()[-2:])


def test_it_frees_the_pack_when_those_points_have_gone() -> None:
    world = due()
    assert backup(world).bytes_refilled
    old = {row.pack_id for row in world.opened(1).rows.rows}
    assert old
    pass_time(world)
    assert done(run(world, KEEP)).doomed
    world.image.write(CELL, b"x" * BLOCK)
    backup(world)
    pass_time(world)
    done(run(world, KEEP))
    assert not old & {bytes.fromhex(one.key.rpartition("/")[2]) for one in world.store.list("p/")}
    world.check()


def lose_shard(world: World, window: int) -> None:
    """The newest point's."""
    (lost,) = (
        one
        for one in world.opened(world.full()[-1].seq).point.manifest.clear.references
        if one.kind is TableKind.SHARD and one.number == window
    )
    key = names.table_key(world.ring.tenant, world.lineage, lost.table_id)
    for version in world.store.remains(key):
        world.store.delete(key, version=version)


def test_a_table_that_is_lost_hinders_no_backup() -> None:
    """Of a window that nothing touches: the backup of what changed does not read it."""
    world = two_windows()
    for number in range(6):
        backup(world)
        world.image.write(0, bytes([number + 50]) * BLOCK)
    lose_shard(world, 1)
    world.catalogue.ledger.clear()
    told: list[str] = []
    for number in range(8):
        world.image.write(number * CELL, bytes([number + 90]) * BLOCK)
        told += backup(world).warnings
    assert len([one for one in told if "no sparse pack is refilled this time" in one]) == 2


def two_windows() -> World:
    """Eight cells at the start of each; the first run that looks is still to come."""
    knobs = replace(KNOBS, fanout=4, sample_cells=0)
    clock = SteppingClock()
    world = World(size=20 << 30, knobs=knobs, store=MemoryStore(now=clock), clock=clock)
    for cell in range(8):
        world.image.write(cell * CELL, bytes([cell + 1]) * CELL)
        world.image.write((17 << 30) + cell * CELL, bytes([cell + 101]) * CELL)
    return world


def points(world: World, *, seed: int, count: int) -> list[str]:
    """Points of the first window; what was warned of."""
    told: list[str] = []
    for number in range(count):
        world.image.write(number * CELL, bytes([seed, number + 1]) * (BLOCK // 2))
        told += backup(world).warnings
    return told


def memory(world: World) -> Memory:
    ledger = world.catalogue.ledger
    return Memory.of(ledger.needs(world.ring.tenant, world.lineage), lambda: None)


def look(world: World, seq: int, known: Memory) -> int:
    """How many windows of a point are painted to see what they need."""
    point = world.opened(seq).map
    before = known.painted
    for window in point.windows(What.MAP):
        known.needs(point, window)
    return known.painted - before


def test_only_windows_that_changed_are_painted_again() -> None:
    world = two_windows()
    points(world, seed=1, count=10)
    assert look(world, 9, Memory({}, lambda: None)) == 2
    assert look(world, 8, memory(world)) == 0, "the look before the ninth point was of this one"
    assert look(world, 10, memory(world)) == 1, "the first window only"
    world.image.write(18 << 30, b"x" * BLOCK)
    backup(world)
    assert look(world, 11, memory(world)) == 2


def test_of_a_window_that_nothing_touches_no_table_is_read() -> None:
    world = two_windows()
    points(world, seed=1, count=10)
    lose_shard(world, 1)
    assert points(world, seed=2, count=5) == []
    assert look(world, world.full()[-1].seq, memory(world)) == 1


def test_what_is_remembered_is_what_would_be_painted() -> None:
    """After runs that refill, merge and discard: of each point each window."""
    world = due()
    known = memory(world)
    assert backup(world).bytes_refilled
    world.image.discard(8 * CELL, 20 * CELL)
    for seed in range(8):
        fill(world, seed=seed, cells=range(seed, CELLS, 9))
        backup(world)
    for point in world.full():
        opened = world.opened(point.seq).map
        (window,) = opened.windows(What.MAP)
        told = known.needs(opened, window)
        again = Memory.of(known.encoded(), lambda: None).needs(opened, window)
        piece, packs = opened.window(window), set(told.packs[told.painted > 0].tolist())
        assert packs == set(piece.frames.pack.tolist())
        assert again.painted.tolist() == told.painted.tolist() == exact(piece, told.packs)
        assert set(told.packs[told.listed].tolist()) == set(
            *(
                opened.shelf.open(one).head.reached
                for one in opened.references
                if one.kind is TableKind.SHARD
            )
        )


def exact(piece: MapPiece, packs: npt.NDArray[np.uint32]) -> list[int]:
    """Bytes painted of each of *packs*, block by block; of a frame, rounded up."""
    at = [
        line + more
        for line, count, zero in zip(
            piece.line.tolist(), piece.count.tolist(), piece.zero.tolist(), strict=True
        )
        if not zero
        for more in range(count)
    ]
    frames = piece.frames
    owner = np.repeat(np.arange(len(frames)), frames.plain // BLOCK)
    blocks = np.bincount(owner[at], minlength=len(frames)).tolist()
    total = dict.fromkeys(packs.tolist(), 0)
    for index, count in enumerate(blocks):
        whole = int(frames.plain[index]) // BLOCK
        total[int(frames.pack[index])] += -(-int(frames.stored[index]) * count // whole)
    return list(total.values())


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "lost": lambda data: data[:0],
    "cut short": lambda data: data[:-9],
    "of another drd": lambda data: b"\xff" + data[1:],
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_memory_that_is_lost_or_damaged_costs_a_painting_and_nothing_else(
    spoil: Callable[[bytes], bytes],
) -> None:
    """Runs that look two times: with the memory of the first look, and without."""
    refilled: list[list[int]] = []
    for way in (spoil, lambda data: data):
        world = due()
        ledger, at = world.catalogue.ledger, (world.ring.tenant, world.lineage)
        done_by = []
        for seed in range(4, 12):
            overwrite(world, seed)
            ledger.note_needs(*at, way(ledger.needs(*at)))
            result = backup(world)
            assert result.warnings == ()
            done_by.append(result.bytes_refilled)
            doom_all_but(world, 2)
        world.check(world.full()[-2:])
        refilled.append(done_by)
    assert refilled[0] == refilled[1]
    assert any(refilled[0])


@pytest.mark.parametrize("factor", [0, 100])
def test_a_memory_that_lies_makes_a_bad_choice_and_no_bad_point(factor: int) -> None:
    """As if nothing, or too much, were needed of what is needed: all points restore, and nothing that a
    point reaches is deleted.
    """
    world = due()
    ledger, at = world.catalogue.ledger, (world.ring.tenant, world.lineage)
    honest = memory(world)
    look(world, 3, honest)
    look(world, 2, honest)
    lies = {
        key: Needs(one.packs, one.painted * factor, one.listed)
        for key, one in needs.decode(honest.encoded()).items()
    }
    ledger.note_needs(*at, needs.encode(lies))
    assert not backup(world).bytes_refilled
    world.check(world.full()[-2:])
    pruned(world)
    known = tables(world)
    for point in manifests(world):
        assert_reach(world, point, known)


def test_a_look_that_is_stopped_is_gone_on_with() -> None:
    world = two_windows()
    points(world, seed=1, count=4)
    process = world.process()
    asked = iter([False, True])
    process.bench = replace(process.bench, stopping=lambda: next(asked, True))
    with pytest.raises(StoppedError):
        world.backup(process)
    assert look(world, 4, memory(world)) == 1
    assert points(world, seed=2, count=2) == []


def test_what_is_refilled_once_stays() -> None:
    world = due()
    assert backup(world).bytes_refilled
    for seed in range(7):
        world.image.write(seed * CELL, bytes([seed + 1]) * BLOCK)
        assert backup(world).bytes_refilled == 0
    world.check()


def test_a_history_without_sparse_packs_costs_nothing() -> None:
    """The same objects as without, one for one."""
    put = []
    for refill in (True, False):
        world = World(size=CELLS * CELL, knobs=replace(KNOBS, refill=refill))
        fill(world)
        life = Life()
        for seed in range(8):
            fill(world, seed=seed, cells=range(seed, CELLS, 40))
            world.backup(world.process(life))
        put.append(life.effects)
    assert put[0] == put[1]


def test_no_more_is_put_than_the_budget_allows() -> None:
    """Little changed since: a third of it, and the size of a pack."""
    world = due()
    world.knobs = replace(world.knobs, pack_size=8 * BLOCK)
    facts = world.full()[-1].facts["refill"]
    assert isinstance(facts, dict)
    changed = facts["changed"]
    assert isinstance(changed, int)
    result = backup(world)
    assert result.bytes_refilled <= changed // 3 + 8 * BLOCK
    world.check()


@pytest.mark.parametrize("sample", [0, 5])
def test_a_change_that_the_source_kept_silent_of_is_found(sample: int) -> None:
    """In a cell that is refilled the digest tells: the cell is put as it is, and everything is compared
    in the next run.
    """
    world = due(sample=sample)
    world.image.hidden.append(Changed(0, CELLS * CELL))
    world.image.write(KEPT[5] * CELL, b"z" * BLOCK)
    result = backup(world)
    assert any("1 cells were not what the map restores" in one for one in result.warnings)
    restored, _ = world.restore(result.seq)
    assert restored == world.image.head
    world.image.hidden.clear()
    assert any("compared by digest" in one for one in backup(world).warnings)
    world.check(world.full()[-2:])


def test_a_lost_base_does_not_hinder_it() -> None:
    world = due()
    for snapshot in world.snapshots():
        world.image.lose(snapshot)
    world.image.write(KEPT[1] * CELL + BLOCK, b"z" * BLOCK)
    result = backup(world)
    assert result.warnings == ()
    assert result.bytes_refilled == (len(KEPT) - 1) * BLOCK  # of the changed cell all is put anyhow
    world.check()


def test_an_image_that_shrank_and_cells_that_were_emptied() -> None:
    world = due()
    world.image.resize(100 * CELL + 100)
    world.image.discard(8 * CELL, 20 * CELL)
    assert backup(world).warnings == ()
    world.check()


def test_a_run_that_goes_on_with_another_refills_nothing_and_the_one_after_does() -> None:
    world = due()
    world.knobs = replace(world.knobs, partial_packs=1, pack_size=8 * BLOCK)
    life = Life()
    world.fork().backup(world.process(life))
    overwrite(world, 9)
    manifest = 1 + next(at for at, one in enumerate(life.effects) if one.startswith("put m/"))
    assert world.backup_until(manifest)
    backup(world)
    world.check()
    history(world, 6)
    world.check()
