"""Results of verifies: written once, learnt again, bounded, and never worth a failed verify."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from drd.core.coverage import Cursor
from drd.core.result import Result, told_by
from drd.core.retention import Keep
from drd.errors import CrashError, TransientStoreError
from drd.model import Damage
from drd.ports import Store
from drd.testing.fakes import MemoryCatalogue, MemoryRing, seeded
from drd.testing.mortal import Life, MortalStore
from drd.testing.repository import host_key
from drd.testing.stores import FaultyStore
from drd.work.lineagekeys import load_keys
from drd.work.noting import weigh
from drd.work.repository import open_repository
from drd.work.results import (
    Scribe,
    damage_told,
    learn_results,
    newest,
    proofs_of,
    proven,
    rotating,
    superseded,
    told_of,
    write,
)
from drd.work.rotating import Rotation, packs_of, verify_turn
from drd.work.verify import Proof, Round
from tests.unit.work.shears import history, new_world, pruner, run, run_until, seqs
from tests.unit.work.test_verify import EYES
from tests.unit.work.trusting import root_says
from tests.unit.work.world import CELL, World, fill

DAY = timedelta(days=1)
SCRIBE = Scribe("eva@node1", seeded("scribe"))


@pytest.fixture
def world() -> World:
    """Three points, each with packs of its own."""
    made = World(size=130 * CELL)
    for seed in range(3):
        fill(made, seed=seed)
        made.backup()
    return made


def lineage(world: World) -> bytes:
    return world.full()[0].lineage


def result(world: World, *, level: int = 2, after: timedelta = DAY, seq: int = 3) -> Result:
    return Result(level, world.clock.at + after, points=(seq,), packs=4, of=4)


def put(world: World, said: Result, *, store: Store | None = None) -> str | None:
    repository = world.repository(store=store)
    return write(load_keys(repository, lineage(world)), said, ["p/…: is missing"], SCRIBE)


def test_what_is_written_is_learnt(world: World) -> None:
    said = [result(world, level=level) for level in (0, 1, 2, 4)]
    said.append(replace(result(world, after=2 * DAY), cursor=Cursor(), covered=0.5))
    for one in said:
        assert put(world, one) is not None
    repository, catalogue = world.repository(), MemoryCatalogue()
    assert not catalogue.knows_proven(repository.tenant)
    learn_results(repository, catalogue, [lineage(world)])
    assert catalogue.knows_proven(repository.tenant)
    known = {one.level: one for one in catalogue.proven(repository.tenant)}
    assert sorted(known) == [0, 1, 2, 4]
    assert known[2] == proven(lineage(world), said[-1])
    assert set(newest(repository, lineage(world), told_of(repository, lineage(world)))) == set(said)
    found = rotating(repository, lineage(world), 2)
    assert found == said[-1]
    assert rotating(repository, lineage(world), 1) is None


def test_the_last_proof_of_a_point_that_is_not_the_newest(world: World) -> None:
    old = result(world, seq=2)
    put(world, old)
    put(world, result(world, seq=3, after=2 * DAY))
    put(world, replace(result(world, seq=3, after=3 * DAY, level=1), bad=(2,), findings=1))
    repository = world.repository()
    assert [(one.level, one.ok) for one in proofs_of(repository, lineage(world), 2)] == [
        (1, False),
        (2, True),
    ]
    assert proofs_of(repository, lineage(world), 1) == []


def test_garbage_is_passed_over_for_the_one_before(world: World) -> None:
    key = put(world, result(world))
    assert key is not None
    folder, _, name = key.rpartition("/")
    late = told_by(key)
    assert late is not None
    for other in (f"{name[:-4]}ffff", "result-0000000003-" + "f" * 16, "strange"):
        world.store.put(f"{folder}/{other}", world.store.get(key))
    repository = world.repository()
    found = newest(repository, lineage(world), told_of(repository, lineage(world)))
    assert [one.at for one in found] == [late.at]
    assert any("another name" in one for one in repository.warnings)


def test_old_results_are_superseded_and_the_newest_of_each_kind_stays(world: World) -> None:
    keys = [put(world, result(world, after=day * DAY)) for day in range(5)]
    alone = put(world, result(world, level=1, after=DAY))
    repository = world.repository()
    now = world.clock.at + 63 * DAY
    assert sorted(superseded(repository, lineage(world), now)) == sorted(filter(None, keys[:3]))
    late = superseded(repository, lineage(world), now + 900 * DAY)
    assert sorted(late) == sorted(filter(None, keys[:4]))
    assert alone not in late
    garbage = f"{keys[0]}"[:-4] + "ffff"
    world.store.put(garbage, b"garbage")
    assert keys[4] not in superseded(repository, lineage(world), now + 900 * DAY)


def test_what_hinders_is_a_warning(world: World) -> None:
    store = FaultyStore(world.store, "denied")
    repository = world.repository(store=store)
    assert write(load_keys(repository, lineage(world)), result(world), [], SCRIBE) is None
    assert any("--no-record" in one for one in repository.warnings)
    stranger = replace(world.ring, host=MemoryRing.make("stranger").host)
    repository = open_repository(world.store, stranger)
    assert write(load_keys(repository, lineage(world)), result(world), [], SCRIBE) is None
    assert any("trust" in one for one in repository.warnings)


def test_a_verifier_of_its_own_may_write_results(world: World) -> None:
    verifier = replace(world.ring, host=MemoryRing.make("verifier").host)
    keys = [host_key(world.ring), host_key(verifier, roles=["verifier"])]
    root_says(world, *keys)
    repository = open_repository(world.store, verifier)
    assert write(load_keys(repository, lineage(world)), result(world), [], SCRIBE) is not None
    assert (
        len(list(newest(world.repository(), lineage(world), told_of(repository, lineage(world)))))
        == 1
    )


def test_who_dies_leaves_a_whole_result_or_none(world: World) -> None:
    for last in (0, 1):
        with pytest.raises(CrashError):
            put(world, result(world), store=MortalStore(world.store, Life(last)))
        assert len(told_of(world.repository(), lineage(world))) == last


def test_a_prune_removes_those_that_are_superseded() -> None:
    world = new_world()
    history(world, 3)
    begun = world.clock.at
    for day in range(4):
        put(world, Result(2, begun + day * DAY, points=(3,)))
    keep = Keep(last=9)
    for span, left in ((40 * DAY, 4), (21 * DAY, 4), (0 * DAY, 2)):
        world.clock.at += span
        by = pruner(world, dry_run=span > timedelta(days=0))
        assert run(world, keep, by).stopped is None
        assert len(told_of(world.repository(), lineage(world))) == left
    world.clock.at += 300 * DAY
    assert run_until(world, keep, 1)
    assert run(world, keep).stopped is None
    (last,) = told_of(world.repository(), lineage(world))
    assert last.at == begun + 3 * DAY
    assert seqs(world) == [1, 2, 3]


# ── turns ───────────────────────────────────────────────────────────────────────────────────────
def turn(world: World, day: int, *, coverage: timedelta) -> tuple[set[bytes], Result]:
    """One run of rotating coverage, written down."""
    points = world.full()
    now = Round(world.repository(), 2, EYES)
    found = verify_turn(
        points, now, Rotation(DAY, coverage), world.clock.at + day * DAY, scribe=SCRIBE
    )
    assert found is not None
    assert found.written is not None
    assert all(not proof.findings for _, proof in found.proofs)
    assert found.result.packs == len(now.turns[points[0].lineage])
    return set(now.turns[points[0].lineage]), found.result


@pytest.mark.parametrize("reads", [10, 20, 30])
def test_a_turn_that_the_store_ended_counts_for_nothing(world: World, reads: int) -> None:
    turn(world, 0, coverage=8 * DAY)
    before = rotating(world.repository(), lineage(world), 2)
    away = FaultyStore(world.store, reads="ok " * reads + "timeout")
    with pytest.raises(TransientStoreError):
        verify_turn(
            world.full(),
            Round(world.repository(store=away), 2, EYES),
            Rotation(DAY, 8 * DAY),
            world.clock.at + 2 * DAY,
            scribe=SCRIBE,
        )
    assert rotating(world.repository(), lineage(world), 2) == before


def test_turns_go_on_from_the_bucket_and_cover_every_pack_of_every_point(world: World) -> None:
    for seed in range(3, 9):
        fill(world, seed=seed)
        world.backup()
    every = {one.pack_id for one in packs_of(world.full(), Round(world.repository(), 1, EYES))}
    assert len(every) > 20
    seen: set[bytes] = set()
    for day in range(8):
        looked, found = turn(world, day, coverage=8 * DAY)
        assert found.of == len(every)
        assert found.packs < len(every) / 2
        assert found.covered == pytest.approx(min(1, (day + 1) / 7), abs=0.01)
        seen |= looked
    assert seen == every


def test_a_part_does_not_take_damage_back(world: World) -> None:
    part = Proof("a@3", 2, 1, 1, (), whole=False)
    whole = replace(part, whole=True)
    info = world.full()[-1]
    noted = Damage(info.seq, 2, world.clock.at, "p/…: is missing")
    assert weigh(noted, [(info, part)], now=world.clock.at) == noted
    assert weigh(noted, [(info, whole)], now=world.clock.at) is None


def test_damage_that_another_host_saw_is_learnt_and_taken_back(world: World) -> None:
    bad = replace(result(world), points=(1,), bad=(3,), findings=2, damaged=True)
    put(world, bad)
    repository, catalogue = world.repository(), MemoryCatalogue()
    learn_results(repository, catalogue, [lineage(world)])
    noted = catalogue.damage_of(repository.tenant, lineage(world))
    assert noted is not None
    assert (noted.seq, noted.level, noted.found_at) == (3, 2, bad.at)
    own = replace(noted, what="what this host found")
    catalogue.note_damage(repository.tenant, lineage(world), own)
    learn_results(repository, catalogue, [lineage(world)])
    assert catalogue.damage_of(repository.tenant, lineage(world)) == own

    later = replace(bad, at=bad.at + DAY, points=(3,), bad=(), findings=0, damaged=False)
    assert damage_told([bad, later]) is None
    for other in (
        replace(later, level=1),
        replace(later, level=4),
        replace(later, points=(2,)),
        replace(later, cursor=Cursor()),
        replace(later, at=bad.at - DAY),
    ):
        assert damage_told([other, bad]) == noted
    assert (
        damage_told([replace(bad, damaged=False)]) is None
    )  # a manifest that is gone is no damage
    assert damage_told([replace(bad, level=4)]) is None
