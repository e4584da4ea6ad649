"""Holds: what is held stays held whatever lies beside it, and what cannot be heard deletes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typing_extensions import override

from drd.errors import (
    CrashError,
    IntegrityError,
    KeyAccessError,
    NotFoundError,
    RefusedError,
    TransientStoreError,
    UsageError,
)
from drd.model import PointInfo, PointKind, Role
from drd.ports import Store
from drd.testing.fakes import MemoryCatalogue, MemoryRing, seeded
from drd.testing.mortal import Life, MortalStore
from drd.testing.stores import FaultyStore
from drd.work.holds import (
    Holds,
    Speaker,
    check_words,
    every_hold,
    hold,
    holds_of,
    learn_holds,
    newest_each,
    release,
)
from drd.work.lineagekeys import LineageKeys, load_keys
from drd.work.repository import open_repository
from tests.unit.work.trusting import revoked, root_says
from tests.unit.work.world import World, fill


class Place:
    """A world with two points, and a person in it."""

    def __init__(self) -> None:
        self.world = World()
        fill(self.world)
        self.world.backup()
        fill(self.world, seed=2)
        self.world.backup()
        self.first, self.last = self.world.full()
        self.said = 0

    def speaker(self) -> Speaker:
        self.said += 1
        return Speaker("eva@node1", self.world.clock, seeded(("speaker", self.said)))

    def hold(
        self, info: PointInfo | None = None, why: str = "court", store: Store | None = None
    ) -> None:
        hold(self.world.repository(store=store), info or self.first, why, self.speaker())

    def release(self, store: Store | None = None) -> None:
        release(self.world.repository(store=store), self.first, "over", self.speaker())

    def heard(self, store: Store | None = None) -> Holds:
        repository = self.world.repository(store=store)
        lineage = self.first.lineage
        return holds_of(repository, load_keys(repository, lineage), lineage)

    def keys(self) -> list[str]:
        return sorted(one for one in self.world.store._objects if one.startswith("h/"))


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_hold_says_what_why_and_who(place: Place) -> None:
    place.hold()
    (held,) = place.heard().held
    assert (held.hold.lineage, held.hold.seq) == (place.first.lineage, place.first.seq)
    assert (held.hold.why, held.hold.by) == ("court", "eva@node1")
    assert place.heard().seqs == {1}
    assert place.heard().of(2) == []
    assert not place.heard().problems


def test_a_release_ends_every_hold_and_a_new_one_holds_again(place: Place) -> None:
    place.hold()
    place.hold(why="audit")
    assert [one.hold.why for one in place.heard().held] == ["court", "audit"]
    assert [one.why for one in newest_each(place.heard().held)] == ["audit"]
    place.release()
    assert place.heard().held == []
    with pytest.raises(NotFoundError, match="not held"):
        place.release()
    place.hold()
    assert place.heard().seqs == {1}


def test_who_cannot_open_words_still_knows_what_is_held(place: Place) -> None:
    place.hold()
    repository = place.world.repository()
    (held,) = holds_of(repository, None, place.first.lineage).held
    assert (held.hold.seq, held.hold.why, held.hold.by) == (1, "", "")
    keys = load_keys(repository, place.first.lineage)
    keys.slots.clear()
    assert holds_of(repository, keys, place.first.lineage).seqs == {1}
    assert any("words cannot be read" in one for one in repository.warnings)


@pytest.mark.parametrize("kind", ["hold", "strange", "another's"])
def test_what_cannot_be_heard_is_a_problem_and_hides_no_hold(place: Place, kind: str) -> None:
    place.hold()
    (key,) = place.keys()
    folder = key.rpartition("/")[0]
    name = {"strange": f"{folder}/note"}.get(kind, f"{folder}/hold-0000000002-0123456789abcdef")
    data = place.world.store.get(key) if kind == "another's" else b"garbage"
    place.world.store.put(name, data)
    heard = place.heard()
    assert heard.seqs == {1}
    (problem,) = heard.problems
    assert name in problem


def test_a_garbage_release_ends_nothing(place: Place) -> None:
    place.hold()
    (key,) = place.keys()
    place.world.store.put(key.replace("/hold-", "/release-"), place.world.store.get(key))
    repository = place.world.repository()
    assert holds_of(repository, None, place.first.lineage).seqs == {1}
    assert any("stays held" in one for one in repository.warnings)


def test_who_adds_versions_neither_ends_nor_changes_a_hold(place: Place) -> None:
    place.hold()
    (key,) = place.keys()
    place.world.store.put(key, b"garbage")
    assert place.heard().seqs == {1}
    assert not place.heard().problems


def test_all_lineages_in_one_list(place: Place) -> None:
    place.hold()
    place.world.store.put(place.keys()[0].replace(place.first.lineage.hex(), "0" * 32), b"x")
    repository = place.world.repository()
    asked: list[bytes] = []

    def keys_of(lineage: bytes) -> LineageKeys:
        asked.append(lineage)
        return load_keys(repository, lineage)

    (found,) = every_hold(repository, [place.first.lineage, bytes([7] * 16)], keys_of)
    assert asked == [place.first.lineage]
    assert found.lineage == place.first.lineage
    assert found.seqs == {1}


def test_what_is_no_recovery_point_is_refused(place: Place) -> None:
    with pytest.raises(RefusedError, match="unfinished"):
        place.hold(replace(place.first, kind=PointKind.PARTIAL))
    with pytest.raises(NotFoundError, match="gone"):
        place.hold(replace(place.first, seq=77))
    with pytest.raises(IntegrityError, match="another"):
        place.hold(replace(place.first, manifest_sha256=bytes(32)))
    assert place.keys() == []


@pytest.mark.parametrize("why", ["", " \n", "x" * 1001])
def test_a_reason_that_tells_nothing_is_refused(place: Place, why: str) -> None:
    with pytest.raises(UsageError):
        place.hold(why=why)
    assert place.keys() == []
    assert check_words(" two\nwords ") == "two words"


def test_a_catalogue_learns_what_is_held_and_what_is_not_any_more(place: Place) -> None:
    catalogue, lineages = MemoryCatalogue(), [place.first.lineage]
    place.hold()
    learn_holds(place.world.repository(), catalogue, lineages)
    assert [one.why for one in catalogue.holds(place.first.tenant)] == ["court"]
    place.release()
    learn_holds(place.world.repository(), catalogue, lineages)
    assert catalogue.holds(place.first.tenant) == []


class Emptying:
    """A store from which the point's manifest goes as soon as something is said: a prune came between."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._inner = place.world.store

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        version = self._inner.put(key, data, if_absent=if_absent)
        for one in self._inner.versions(self._place.first.manifest_key):
            self._inner.delete(one.key, version=one.version)
        return version


def test_a_point_that_went_meanwhile_is_told(place: Place) -> None:
    with pytest.raises(NotFoundError, match="gone"):
        place.hold(store=Emptying(place))  # type: ignore[arg-type]  # a store by what it answers


def test_nothing_is_known_when_the_store_is_away(place: Place) -> None:
    place.hold()
    for script in ("timeout", "ok timeout"):
        repository = place.world.repository()
        away = replace(repository, store=FaultyStore(place.world.store, reads=script))
        with pytest.raises(TransientStoreError):
            holds_of(away, None, place.first.lineage)


def test_a_key_that_trust_does_not_name_says_nothing(place: Place) -> None:
    ring = place.world.ring
    stranger = replace(ring, host=MemoryRing.make("stranger").host)
    repository = open_repository(place.world.store, stranger)
    with pytest.raises(IntegrityError, match="trust"):
        hold(repository, place.first, "court", place.speaker())
    assert place.keys() == []


def test_a_revoked_host_can_hold_and_cannot_release(place: Place) -> None:
    place.hold()
    assert place.last.seq == 2
    root_says(place.world, revoked(place.world, place.last, at="2026-01-01T00:00:00+00:00"))
    assert place.heard().seqs == {1}
    place.hold(place.last)
    with pytest.raises(IntegrityError, match="revoked"):
        place.release()
    assert place.heard().seqs == {1, 2}


def test_a_role_that_signs_nothing_says_so(place: Place) -> None:
    class Mute(MemoryRing):
        @override
        def sign(self, message: bytes) -> tuple[bytes, bytes]:
            raise KeyAccessError(f"signs nothing ({len(message)} bytes)")

    ring = place.world.ring
    mute = Mute(ring.repository, ring.tenant, ring.holder, ring.host, ring.root, Role.BACKUP)
    repository = open_repository(place.world.store, mute)
    with pytest.raises(KeyAccessError):
        hold(repository, place.first, "court", place.speaker())
    assert place.keys() == []


def test_who_dies_after_any_effect_leaves_all_or_nothing(place: Place) -> None:
    """A hold is one effect; releasing two is two, and what was not released stays held."""
    for last, expected in ((0, set()), (1, {1})):
        with pytest.raises(CrashError):
            place.hold(store=MortalStore(place.world.store, Life(last)))
        assert place.heard().seqs == expected
        assert not place.heard().problems
    place.hold(why="audit")
    for last, left in ((0, 2), (1, 1), (1, 0)):
        with pytest.raises(CrashError):
            place.release(store=MortalStore(place.world.store, Life(last)))
        assert len(place.heard().held) == left
    with pytest.raises(NotFoundError):
        place.release()
