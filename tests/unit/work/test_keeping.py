"""A point that is restored stays while it is, and not a moment longer than it must."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from typing_extensions import override

from drd.core import names
from drd.core.retention import Keep
from drd.core.statement import Statement
from drd.errors import (
    CrashError,
    IntegrityError,
    KeyAccessError,
    NotFoundError,
    RefusedError,
    TransientStoreError,
)
from drd.model import ObjectVersion, PointInfo, Role
from drd.ports import Store
from drd.stores.metered import MeteredStore
from drd.testing.fakes import MemoryRing, seeded
from drd.testing.repository import host_key
from drd.testing.stores import FaultyStore
from drd.work.holds import (
    HOLD,
    LEFT,
    UNTIL,
    Holds,
    Speaker,
    holds_of,
    let_go,
    newest_each,
    over,
    release,
)
from drd.work.journals import journal_of
from drd.work.keeping import (
    LASTS,
    Holder,
    Terms,
    is_passed_over,
    kept,
    refuse_deleted,
    without_deleted,
)
from drd.work.lineagekeys import load_keys
from drd.work.repository import Repository, open_repository
from drd.work.results import Scribe, told_of
from drd.work.rolls import GONE, RollCheck
from drd.work.rotating import Rotation, verify_turn
from drd.work.statements import say
from drd.work.verify import Finding, Proof, Round
from tests.unit.work.shears import (
    GRACE,
    LAST_2,
    done,
    doomed,
    history,
    hold_point,
    pass_time,
    pruner,
    run,
    seqs,
    six,
)
from tests.unit.work.test_verify import EYES
from tests.unit.work.trusting import revoked, root_says
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


def swept(world: World) -> None:
    """Doom the points 1 to 4, and delete them after the grace."""
    done(run(world, LAST_2))
    pass_time(world, GRACE)
    history(world, 1)
    assert done(run(world, LAST_2)).deleted == [1, 2, 3, 4]


def found_wrong(info: PointInfo, about: str = "p/1") -> tuple[PointInfo, Proof]:
    point = f"{info.name}@{info.seq}"
    return info, Proof(point, 1, 1, 1, (Finding(point, about, "is missing"),))


def test_damage_is_told_from_a_point_that_a_prune_deleted(world: World) -> None:
    first, second, last = point(world, 1), point(world, 2), point(world, 6)
    assert refuse_deleted(world.repository(), first, None) == ""
    swept(world)
    with pytest.raises(NotFoundError, match="a prune deleted this point"):
        refuse_deleted(world.repository(), first, None)
    repository: Repository = world.repository()
    proofs = [found_wrong(first), found_wrong(last), (second, Proof("2", 1, 1, 1, ()))]
    left = without_deleted(repository, proofs, None)
    assert left == proofs[1:]
    (warning,) = repository.warnings
    assert "@1 was deleted by a prune" in warning


def test_damage_of_a_point_that_is_only_doomed_is_damage(world: World) -> None:
    """Nothing of it is deleted, and who holds it may save it: he must be told both."""
    first, last = point(world, 1), point(world, 6)
    done(run(world, LAST_2))
    assert doomed(world) == {1, 2, 3, 4}
    assert f"drctl hold add {first.name}@1" in refuse_deleted(world.repository(), first, None)
    repository = world.repository()
    (_, of_first), of_last = without_deleted(
        repository, [found_wrong(first), found_wrong(last)], None
    )
    assert of_first.findings
    assert f"drctl hold add {first.name}@1" in of_first.hint
    assert of_last == found_wrong(last)
    error = IntegrityError("garbage", about=first.manifest_key)
    assert not is_passed_over(repository, first, error, None)
    assert f"drctl hold add {first.name}@1" in error.hint
    assert repository.warnings == []
    assert world.restore(1)[0] == world.taken(first), "and indeed it is whole"


@pytest.mark.parametrize("gone", ["the first pack", "a pack", "a table", "the manifest"])
def test_a_point_is_deleted_from_the_first_object_on_that_is_gone(world: World, gone: str) -> None:
    """The list that dooms it is open until all of it is gone."""
    first = point(world, 1)
    history(world, 6)
    done(run(world, LAST_2))
    journal = journal_of(world.repository(), world.lineage, None).journal
    dead, tenant = journal.doomed()[1], world.ring.tenant
    packs = [names.pack_key(tenant, world.lineage, one) for one in sorted(dead.packs)]
    tables = [names.table_key(tenant, world.lineage, one) for one in sorted(dead.tables)]
    assert len(packs) > 1
    places = {"the first pack": packs[0], "a pack": packs[-1], "a table": tables[-1]}
    key = places.get(gone, first.manifest_key)
    wrong = [] if gone == "the first pack" else [key]
    world.store._objects.pop(key)
    repository = world.repository()
    assert without_deleted(repository, [found_wrong(first, key)], None) == []
    with pytest.raises(NotFoundError, match="a prune deleted"):
        refuse_deleted(repository, first, None, wrong=wrong)


def test_a_turn_of_which_a_prune_deleted_every_point_says_nothing(world: World) -> None:
    first, repository = point(world, 1), world.repository()
    swept(world)
    now, rotation = Round(repository, 2, EYES), Rotation(timedelta(days=1), timedelta(days=8))
    scribe = Scribe("eva@node1", seeded("scribe"))
    assert verify_turn([first], now, rotation, world.clock(), scribe=scribe) is None
    assert "@1 was deleted by a prune" in repository.warnings[-1]
    assert told_of(repository, world.lineage) == []


class Away(MeteredStore):
    """Does not answer what is asked below a prefix."""

    def __init__(self, inner: Store, prefix: str) -> None:
        super().__init__(inner)
        self._prefix = prefix

    @override
    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        if prefix.startswith(self._prefix):
            raise TransientStoreError("slow down", about=prefix)
        return super().list(prefix, limit=limit, after=after)


def test_what_was_found_is_told_though_nobody_says_what_a_prune_did(world: World) -> None:
    first = point(world, 1)
    swept(world)
    proofs = [found_wrong(first)]
    asked: list[Callable[[Repository], bool]] = [
        lambda away: without_deleted(away, proofs, None) == proofs,
        lambda away: refuse_deleted(away, first, None) == "",
        lambda away: not is_passed_over(away, first, IntegrityError("garbage"), None),
    ]
    for ask in asked:
        away = world.repository(store=Away(world.store, "g/"))
        assert ask(away)
        (warning,) = away.warnings
        assert "could not be asked" in warning


def test_a_store_that_hiccups_after_the_hold_fails_no_restore(
    world: World, threads: Executor
) -> None:
    by = holder(world, threads, store=Away(world.store, "g/"))
    with kept(by, point(world, 1)):
        assert held(world).seqs == {1}
        assert 1 not in done(run(world, LAST_2)).doomed
    (warning,) = by.warnings
    assert "@1 is held" in warning
    assert held(world).held == []


def test_a_lineage_to_which_nothing_is_sealed_any_more_restores_with_one_warning(
    world: World, threads: Executor
) -> None:
    """The key of its host is revoked, and the last good point that trust names is gone."""
    ring, first, last = world.ring, point(world, 3), point(world, 6)
    new = replace(ring, host=type(ring).make("new host").host)
    root_says(world, revoked(world, last, at="2026-01-01T00:00:00+00:00"), host_key(new))
    world.store._objects.pop(last.manifest_key)
    by = replace(
        holder(world, threads),
        opens=lambda: open_repository(world.store, new.with_role(Role.BACKUP)),
    )
    with kept(by, first):
        assert world.restore(3)[0] == world.taken(first)
    (warning,) = by.warnings
    assert warning.startswith("nothing holds")


def test_a_person_does_not_end_the_hold_of_a_restore(world: World, threads: Executor) -> None:
    bob = Speaker("bob", world.clock, seeded("bob"))
    first = point(world, 1)
    with kept(holder(world, threads), first):
        with pytest.raises(NotFoundError, match="but a restore, until"):
            release(world.repository(Role.BACKUP), first, "closed", bob)
        hold_point(world, 1)
        repository = world.repository(Role.BACKUP)
        (ended,) = release(repository, first, "closed", bob)
        assert ended.by == "me"
        assert "is held by a restore until" in repository.warnings[-1]
        (left,) = held(world).held
        assert left.hold.until is not None
    assert held(world).held == []


def test_a_hold_that_somebody_else_ended_is_ended(world: World, threads: Executor) -> None:
    """An older drd on another host, or a PUT that was tried again after its answer was lost."""
    by = holder(world, threads)
    with kept(by, point(world, 1)):
        (one,) = held(world).held
        repository = world.repository(Role.BACKUP)
        bob = Speaker("bob", world.clock, seeded("bob"))
        let_go(load_keys(repository, world.lineage), one, "closed", bob)
    assert by.warnings == []
    assert held(world).held == []


def test_a_prune_whose_clock_is_ahead_leaves_the_hold_of_a_restore(
    world: World, threads: Executor
) -> None:
    with kept(holder(world, threads, terms=Terms()), point(world, 6)):
        ahead = replace(pruner(world), now=lambda: world.clock.at + timedelta(days=3))
        stopped = run(world, Keep(last=100, minimum=1), ahead).stopped
        assert isinstance(stopped, RefusedError)
        assert "clock" in stopped.message
        assert held(world, world.clock()).seqs == {6}


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
