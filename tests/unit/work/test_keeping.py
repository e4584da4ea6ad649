"""A point that is restored stays while it is, and not a moment longer than it must."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from typing_extensions import override

from drd.core import names
from drd.core.statement import Statement
from drd.errors import CrashError, KeyAccessError, NotFoundError, RefusedError
from drd.model import PointInfo, Role
from drd.ports import Store
from drd.testing.fakes import MemoryRing, seeded
from drd.testing.stores import FaultyStore
from drd.work.holds import HOLD, LEFT, UNTIL, Holds, Speaker, holds_of, newest_each, over
from drd.work.keeping import (
    LASTS,
    Holder,
    Terms,
    deleted,
    kept,
    refuse_deleted,
    without_deleted,
)
from drd.work.lineagekeys import load_keys
from drd.work.repository import Repository, open_repository
from drd.work.rolls import GONE, RollCheck
from drd.work.statements import say
from drd.work.verify import Finding, Proof
from tests.unit.work.shears import (
    GRACE,
    LAST_2,
    done,
    doomed,
    history,
    hold_point,
    pass_time,
    run,
    seqs,
    six,
)
from tests.unit.work.world import World

LONG = Terms(lasts=timedelta(days=30), again=timedelta(days=10))
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def made() -> World:
    """Six points, of which the rules keep the last two."""
    return six("versioned")


@pytest.fixture
def world(made: World) -> World:
    return made.fork()


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def holder(
    world: World,
    threads: Executor,
    *,
    terms: Terms = LONG,
    store: Store | None = None,
) -> Holder:
    random = seeded(("keeping", world.clock.at))
    return Holder(
        opens=lambda: world.repository(Role.BACKUP, store=store),
        warnings=[],
        speaker=Speaker("eva@node1", world.clock, random),
        threads=threads,
        terms=terms,
    )


def point(world: World, seq: int) -> PointInfo:
    (info,) = [one for one in world.full() if one.seq == seq]
    return info


def held(world: World, now: datetime | None = None) -> Holds:
    return holds_of(world.repository(), None, world.lineage, now=now)


def test_prunes_go_on_beside_a_restore_and_spare_its_point(world: World, threads: Executor) -> None:
    first = point(world, 1)
    with kept(holder(world, threads), first):
        assert done(run(world, LAST_2)).doomed == [2, 3, 4]
        pass_time(world)
        history(world, 1)
        assert done(run(world, LAST_2)).deleted == [2, 3, 4]
        restored, _ = world.restore(1)
        assert restored == world.taken(first)
    assert held(world).held == [], "nobody holds it any more"
    assert 1 in done(run(world, LAST_2)).doomed


def test_a_point_that_was_doomed_meanwhile_is_spared_and_restores(
    world: World, threads: Executor
) -> None:
    """A prune that read the holds before this one was put dooms the point; the next one finds the hold."""
    first = point(world, 1)
    with kept(holder(world, threads), first):
        hidden = held(world).held
        for one in hidden:
            world.store._objects.pop(_key(world, one.tag, HOLD))
        assert 1 in done(run(world, LAST_2)).doomed
        again = holder(world, threads)
        keys = load_keys(again.opens(), world.lineage)
        for one in hidden:
            clear = {"manifest": first.manifest_sha256.hex()}
            said = Statement(HOLD, keys.scope, 1, world.clock(), clear, {}, one.tag)
            say(keys, said, random=again.speaker.random)
        pass_time(world)
        history(world, 1)
        assert done(run(world, LAST_2)).spared == [1]
        assert world.restore(1)[0] == world.taken(first)


def _key(world: World, tag: bytes, kind: str) -> str:
    return names.statement_key(world.ring.tenant, world.lineage, kind, 1, tag=tag)


def test_what_a_restore_that_was_killed_leaves_is_over_by_itself(
    world: World, threads: Executor
) -> None:
    dies = FaultyStore(world.store, "ok crash")
    by = holder(world, threads, terms=Terms(), store=dies)
    with pytest.raises(CrashError), kept(by, point(world, 1)):
        pass
    (one,) = held(world, world.clock()).held
    assert one.hold.why == "", "without keys no words"
    assert one.hold.until is not None
    assert one.hold.until - one.hold.at <= LASTS
    assert newest_each([one]) == [], "a catalogue does not remember it"
    assert 1 not in done(run(world, LAST_2)).doomed
    pass_time(world, LASTS)
    assert held(world, world.clock()).held == []
    assert done(run(world, LAST_2)).doomed == [1]
    assert world.keys("h/"), "for a day it can be seen who held what"
    pass_time(world, LEFT)
    history(world, 1)
    assert 1 in done(run(world, LAST_2)).deleted
    assert not world.keys("h/"), "and then nothing is left of it"


def test_what_people_hold_is_never_removed(world: World, threads: Executor) -> None:
    hold_point(world, 2)
    with kept(holder(world, threads), point(world, 1)):
        pass
    assert len(world.keys("h/")) == 3, "a hold of a person; a hold and its release of a restore"
    pass_time(world, LONG.lasts + 2 * LEFT)
    gone = over(world.repository(), world.lineage, world.clock())
    assert [one.rpartition("/")[2].partition(".")[0] for one in gone] != []
    history(world, 1)
    done(run(world, LAST_2))
    assert len(world.keys("h/")) == 1
    assert held(world, world.clock()).seqs == {2}


def test_a_restore_that_takes_long_holds_again_and_again(world: World, threads: Executor) -> None:
    quick = Terms(lasts=timedelta(hours=1), again=timedelta(milliseconds=1))
    give_up = time.monotonic() + DEADLINE_S
    with kept(holder(world, threads, terms=quick), point(world, 1)):
        while len(held(world).held) < 4 and time.monotonic() < give_up:
            Event().wait(0.05)
        ends = [one.hold.until for one in held(world).held if one.hold.until]
        assert len(ends) >= 4, "it was not renewed"
        assert ends == sorted(ends)
        assert ends[-1] > ends[0]
    assert held(world).held == []


class Mute(MemoryRing):
    """A sheet, or a key file for restores alone."""

    @override
    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        raise KeyAccessError(f"signs nothing ({len(message)} bytes)")


def mute(world: World) -> Repository:
    ring = world.ring
    other = Mute(ring.repository, ring.tenant, ring.holder, ring.host, ring.root, Role.BACKUP)
    return open_repository(world.store, other)


@pytest.mark.parametrize("why", ["the store", "the keys"])
def test_who_may_not_hold_restores_with_one_warning(
    world: World, threads: Executor, why: str
) -> None:
    if why == "the store":
        by = holder(world, threads, store=FaultyStore(world.store, "denied " * 9))
    else:
        by = replace(holder(world, threads), opens=lambda: mute(world))
    with kept(by, point(world, 1)):
        assert world.restore(1)[0] == world.taken(point(world, 1))
    (warning,) = by.warnings
    assert warning.startswith("nothing holds")
    assert not world.keys("h/")


def test_a_release_that_fails_says_until_when_the_point_is_held(
    world: World, threads: Executor
) -> None:
    by = holder(world, threads, store=FaultyStore(world.store, "ok denied"))
    with kept(by, point(world, 1)):
        pass
    (warning,) = by.warnings
    assert "stays held until" in warning
    assert held(world).seqs == {1}


def test_what_was_doomed_or_deleted_since_it_was_chosen_is_refused(
    world: World, threads: Executor
) -> None:
    first = point(world, 1)
    done(run(world, LAST_2))
    with pytest.raises(RefusedError, match="doomed"), kept(holder(world, threads), first):
        pytest.fail("the block began")
    assert held(world).held == [], "and does not stay held for it"
    pass_time(world, GRACE)
    history(world, 1)
    done(run(world, LAST_2))
    assert seqs(world) == [5, 6, 7] or 1 not in seqs(world)
    with pytest.raises(NotFoundError, match="gone"), kept(holder(world, threads), first):
        pytest.fail("the block began")


def test_damage_is_told_from_a_point_that_a_prune_deleted(world: World) -> None:
    first, last = point(world, 1), point(world, 6)
    refuse_deleted(world.repository(), first, None)
    done(run(world, LAST_2))
    with pytest.raises(NotFoundError, match="a prune deleted this point"):
        refuse_deleted(world.repository(), first, None)
    assert doomed(world) == {1, 2, 3, 4}
    two = [first, last, replace(point(world, 5), manifest_sha256=bytes(32))]
    assert deleted(world.repository(), two, None) == {1}
    repository: Repository = world.repository()
    wrong = (Finding("p", "p/1", "is missing"),)
    proofs = [
        (first, Proof("1", 1, 1, 1, wrong)),
        (last, Proof("6", 1, 1, 1, wrong)),
        (point(world, 2), Proof("2", 1, 1, 1, ())),
    ]
    assert [one.seq for one, _ in without_deleted(repository, proofs, None)] == [6, 2]
    (warning,) = repository.warnings
    assert "@1 was deleted by a prune" in warning


@pytest.mark.parametrize("end", ["soon", True, -1, 0, 2**70, None, 1.5])
def test_an_end_that_cannot_be_understood_is_none(world: World, end: object) -> None:
    """Of another version, or by mistake: what is not known to be over holds."""
    repository = world.repository(Role.BACKUP)
    keys = load_keys(repository, world.lineage)
    clear = {"manifest": "", UNTIL: end}
    random = seeded("end")
    said = Statement(HOLD, keys.scope, 1, world.clock(), clear, {}, random(8))  # type: ignore[arg-type]
    say(keys, said, random=random)
    far = datetime(2400, 1, 1, tzinfo=UTC)
    assert held(world, far).seqs == {1}
    assert over(world.repository(), world.lineage, far) == []


def test_a_long_verify_misses_nothing_that_a_prune_deleted_meanwhile(
    world: World, threads: Executor
) -> None:
    """It listed the manifests before, and read the journal before; it looks at them after."""
    opened = world.opened(6)
    clear, repository = opened.point.manifest.clear, world.repository()
    folder = names.manifest_folder(world.ring.tenant, world.lineage)
    check = RollCheck(repository, threads)
    check._there[folder] = frozenset(world.keys(folder))
    check._covered[world.lineage] = frozenset()
    done(run(world, LAST_2))
    pass_time(world, GRACE)
    history(world, 1)
    assert done(run(world, LAST_2)).deleted == [1, 2, 3, 4]
    assert check.missing(clear, opened.shelf) == []
    world.store._objects.pop(names.manifest_key(world.ring.tenant, world.lineage, 6))
    last = world.opened(7)
    found = RollCheck(repository, threads).missing(last.point.manifest.clear, last.shelf)
    assert [(entry.seq, why) for entry, why in found] == [(6, GONE)]
