"""What a verify found wrong is said by each backup since, until a verify finds it to be no more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from drd.model import Damage
from drd.testing.fakes import START
from drd.work.noting import Proven, note_damage, weigh
from drd.work.verify import Finding, Proof, needed, verify_objects
from tests.unit.work.points import NAME, info, with_points
from tests.unit.work.test_verify import round_at
from tests.unit.work.world import World, fill

LATER = START + timedelta(days=1)
PACK = Finding("a/b@1", "p/1", "is missing")
ROLL = Finding("a/b@1", "m/1", "is on the roll and gone from the bucket")


def proof(seq: int, level: int, *findings: Finding) -> Proven:
    return info(seq), Proof(f"a/b@{seq}", level, 1, 1, findings)


def noted(seq: int, level: int) -> Damage:
    return Damage(seq, level, START, "p/0: is missing")


@pytest.mark.parametrize(
    "before, proofs, after",
    [
        (None, [proof(3, 1)], None),
        (None, [proof(3, 1, ROLL)], None),
        (None, [proof(3, 1, PACK)], (3, 1)),
        (None, [proof(2, 0, PACK), proof(3, 0, PACK)], (3, 0)),
        (None, [proof(2, 1, PACK), proof(3, 1)], None),
        (None, [proof(2, 1), proof(3, 1, PACK)], (3, 1)),
        (noted(3, 1), [proof(3, 1)], None),
        (noted(3, 1), [proof(3, 1, ROLL)], None),
        (noted(3, 1), [proof(4, 2)], None),
        (noted(3, 1), [proof(4, 0)], (3, 1)),
        (noted(3, 1), [proof(2, 2)], (3, 1)),
        (noted(3, 2), [proof(5, 0, PACK)], (5, 2)),
        (noted(3, 0), [proof(2, 1, PACK)], (3, 1)),
        (noted(3, 1), [proof(2, 1, PACK), proof(4, 1)], None),
    ],
)
def test_what_is_noted_after_a_verify(
    before: Damage | None, proofs: list[Proven], after: tuple[int, int] | None
) -> None:
    found = weigh(before, proofs, now=LATER)
    assert (found and (found.seq, found.level)) == after
    if found is not None and any(one.findings for _, one in proofs):
        assert found.found_at == LATER
        assert PACK.about in found.what


def looked(world: World, level: int, seq: int) -> None:
    """A verify of one point that notes what it found."""
    found = verify_objects(world.opened(seq), round_at(world, level), point=f"{NAME}@{seq}")
    infos = {one.seq: one for one in world.points()}
    note_damage(world.catalogue, world.ring.tenant, [(infos[seq], found)], now=LATER)


def told(world: World) -> list[str]:
    fill(world, seed=world.processes, cells=range(1))
    return [one for one in world.backup().warnings if "verify found damage" in one]


def test_each_backup_tells_of_damage_until_a_verify_finds_none() -> None:
    world = with_points(2)
    *_, pack = (one.key for one in needed(world.opened(2)) if one.row is not None)
    data = world.store.get(pack)
    looked(world, 1, 2)
    assert told(world) == []
    world.store.damage(pack, data[:-1] + b"?")
    looked(world, 1, 3)
    for _ in range(2):
        (warning,) = told(world)
        assert pack in warning
        assert f"drctl verify {NAME} --level 1" in warning
        assert f"{LATER:%Y-%m-%d}" in warning
    looked(world, 0, 5)
    assert told(world), "level 0 reads no byte of it"
    world.store.damage(pack, data)
    assert told(world), "nobody has looked since"
    looked(world, 1, 7)
    assert told(world) == []
