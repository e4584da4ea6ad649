"""What a verify found is told, whatever ends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typing_extensions import override

from drd.cli.output import Reply
from drd.cli.recording import Wish
from drd.cli.verify import _Look, prove_each, tell
from drd.errors import TransientStoreError
from drd.model import ObjectVersion
from drd.ports import Source, Store
from drd.stores.metered import MeteredStore
from drd.wiring import House
from drd.work.proving import Prover
from drd.work.verify import needed
from tests.unit.work.points import NAME
from tests.unit.work.test_verify import EYES
from tests.unit.work.world import CELL, World, fill

CAUSES = [TransientStoreError("away"), KeyboardInterrupt(), ValueError("a surprise")]


class Ending(MeteredStore):
    """Fails when one object is asked for."""

    def __init__(self, inner: Store, key: str, cause: BaseException) -> None:
        super().__init__(inner)
        self._key = key
        self._cause = cause

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        if key == self._key:
            raise self._cause
        return super().get(key, version=version, start=start, length=length)


@pytest.fixture
def world() -> World:
    """Two points; the second has packs that the first does without."""
    made = World(size=130 * CELL)
    for seed in range(2):
        fill(made, seed=seed)
        made.backup()
    return made


def own_packs(world: World) -> list[str]:
    """Those of the second point alone, in the order in which they are looked at."""
    first, second = (
        [one.key for one in needed(world.opened(seq)) if one.row is not None] for seq in (1, 2)
    )
    return [key for key in second if key not in first]


def verified(world: World, *order: int, ends_at: str, cause: BaseException) -> Reply:
    store = Ending(world.store, ends_at, cause)
    prover = Prover(lambda: [world.source], world.repository(store=store), 1, EYES)
    points = {one.seq: one for one in world.full()}
    reply = Reply()
    tell(reply, prove_each([points[seq] for seq in order], prover, reply))
    return reply


class Dying(MeteredStore):
    """Is away from the moment on that one object is asked for."""

    def __init__(self, inner: Store, key: str) -> None:
        super().__init__(inner)
        self._key = key
        self._away = False

    def _ask(self, key: str) -> None:
        self._away = self._away or key == self._key
        if self._away:
            raise TransientStoreError("away", about=key)

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        self._ask(key)
        return super().get(key, version=version, start=start, length=length)

    @override
    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        self._ask(prefix)
        return super().list(prefix, limit=limit, after=after)


class Bare(House):
    """A house of one source, that keeps nothing."""

    def __init__(self, world: World) -> None:
        super().__init__(None)
        self._world = world

    @override
    def sources(self) -> list[Source]:
        return [self._world.source]


def test_damage_is_told_though_the_store_goes_away_for_good(world: World) -> None:
    """Then nobody says whether a prune deleted the point meanwhile."""
    damaged, *_, last = own_packs(world)
    world.store.damage(damaged, b"garbage")
    repository, reply = world.repository(store=Dying(world.store, last)), Reply()
    points = {one.seq: one for one in world.full()}
    look = _Look(Bare(world), repository, EYES, reply, record=False)
    ((info, proof),) = look.at([points[2], points[1]], Wish(1, rotate=False, policy=""))
    assert (info.seq, [one.about for one in proof.findings]) == (2, [damaged])
    assert any("could not be asked" in one for one in repository.warnings)


@pytest.mark.parametrize("cause", CAUSES)
def test_damage_is_told_first_whatever_ends_the_look_at_the_point(
    world: World, cause: BaseException
) -> None:
    damaged, *_, last = own_packs(world)
    world.store.damage(damaged, b"garbage")
    reply = verified(world, 2, 1, ends_at=last, cause=cause)
    (finding,) = reply.lists["findings"]
    assert (finding["point"], finding["object"]) == (f"{NAME}@2", damaged)
    assert reply.errors[0].code == "damage"
    assert len(reply.errors) == 2
    assert reply.exit_code == 1, "several causes"
    row, *others = reply.lists["points"]
    assert (row["seq"], row["ok"], row["objects"]) == (2, False, 0)
    stopped = isinstance(cause, KeyboardInterrupt)
    assert [(one["seq"], one["ok"]) for one in others] == ([] if stopped else [(1, True)])


def test_an_end_without_damage_is_told_as_what_it_is(world: World) -> None:
    last = own_packs(world)[-1]
    reply = verified(world, 2, 1, ends_at=last, cause=CAUSES[0])
    assert [row["seq"] for row in reply.lists["points"]] == [1]
    assert (reply.exit_code, [error.code for error in reply.errors]) == (3, ["store"])


def test_ctrl_c_ends_all_and_keeps_what_was_proven_before_it(world: World) -> None:
    last = own_packs(world)[-1]
    for order, proven in (((1, 2), [1]), ((2, 1), [])):
        reply = verified(world, *order, ends_at=last, cause=KeyboardInterrupt())
        assert [row["seq"] for row in reply.lists["points"]] == proven
        assert [error.about for error in reply.errors] == [f"{NAME}@2"]
        assert reply.exit_code == 130
