"""What stands of each image: every state by an example, and laws that hold for all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.standing import Aim, Known, is_verify_overdue, newest_heads, standings
from drd.model import Damage, Head, Image, Outcome, Pause, Proven, RunRecord, Standing, State
from drd.testing.fakes import START

HOUR = timedelta(hours=1)
NOW = START + 100 * HOUR
GOLD = Aim(rpo=7200, verify_level=2, verify_every=86400)
AIMS = {"gold": GOLD, "free": Aim()}
LINEAGE = b"l" * 16


def image(**more: object) -> Image:
    base = Image("id a", "vms", "vms/a", "gold", START, NOW)
    return replace(base, **more)  # type: ignore[arg-type] # a test's shorthand


def head(age: timedelta = HOUR, **more: object) -> Head:
    at = NOW - age
    base = Head(LINEAGE, "vms/a", "id a", 9, at, at, 1 << 30, points=5, oldest_at=START)
    return replace(base, **more)  # type: ignore[arg-type] # as above


def run(outcome: Outcome, age: timedelta = HOUR / 2, **more: object) -> RunRecord:
    base = RunRecord("ab" * 8, "backup", "id a", "vms/a", "vms", "gold", NOW - age)
    done = replace(base, ended_at=NOW - age, outcome=outcome)
    return replace(done, **more)  # type: ignore[arg-type] # as above


DAMAGE = Damage(8, 2, NOW - HOUR, "p/1: gone")


def known(**more: object) -> Known:
    base = Known(images=[image()], heads=[head()], aims=AIMS)
    return replace(base, **more)  # type: ignore[arg-type] # as above


def one(what: Known) -> Standing:
    (found,) = standings(what, NOW)
    return found


FAILED = {"id a": run(Outcome.FAILED, message="no route")}
CASES: dict[str, tuple[Known, State]] = {
    "a fresh point": (known(), State.OK),
    "as old as the RPO": (known(heads=[head(2 * HOUR)]), State.OK),
    "a moment older": (known(heads=[head(2 * HOUR + timedelta(seconds=1))]), State.LATE),
    "late though it runs": (
        known(heads=[head(3 * HOUR)], running={"id a": NOW - HOUR}),
        State.LATE,
    ),
    "late and failing": (known(heads=[head(3 * HOUR)], last_runs=FAILED), State.LATE),
    "late and damaged": (known(heads=[head(3 * HOUR)], damages={LINEAGE: DAMAGE}), State.LATE),
    "a policy without RPO": (
        known(images=[image(policy="free")], heads=[head(99 * HOUR)]),
        State.OK,
    ),
    "no point for longer than the RPO": (known(heads=[]), State.NEVER),
    "new": (known(images=[image(first_seen=NOW - HOUR)], heads=[]), State.WAITING),
    "new without RPO": (known(images=[image(policy="free")], heads=[]), State.WAITING),
    "new and failing": (
        known(images=[image(first_seen=NOW - HOUR)], heads=[], last_runs=FAILED),
        State.FAILING,
    ),
    "new and running": (
        known(images=[image(first_seen=NOW - HOUR)], heads=[], running={"id a": NOW}),
        State.RUNNING,
    ),
    "damaged": (known(damages={LINEAGE: DAMAGE}), State.DAMAGED),
    "damage of another": (known(damages={b"o" * 16: DAMAGE}), State.OK),
    "failing": (known(last_runs=FAILED), State.FAILING),
    "stalled": (known(last_runs={"id a": run(Outcome.STALLED)}), State.FAILING),
    "crashed": (known(last_runs={"id a": run(Outcome.CRASHED)}), State.FAILING),
    "busy is no failure": (known(last_runs={"id a": run(Outcome.BUSY)}), State.OK),
    "stopped is none": (known(last_runs={"id a": run(Outcome.STOPPED)}), State.OK),
    "a point made by hand since": (
        known(heads=[head(HOUR / 4)], last_runs=FAILED),
        State.OK,
    ),
    "running": (known(running={"id a": NOW - HOUR}), State.RUNNING),
    "failing and running": (known(last_runs=FAILED, running={"id a": NOW}), State.FAILING),
    "no policy": (known(images=[image(policy="")], heads=[]), State.UNPROTECTED),
    "no policy any more": (
        known(images=[image(policy="")], heads=[head(99 * HOUR)]),
        State.UNPROTECTED,
    ),
    "a policy that is not there": (known(images=[image(policy="lost")]), State.UNPROTECTED),
    "gone": (known(images=[image(gone_at=NOW)], heads=[head(99 * HOUR)]), State.GONE),
    "gone and never backed up": (known(images=[image(gone_at=NOW)], heads=[]), State.GONE),
    "gone and damaged": (
        known(images=[image(gone_at=NOW)], damages={LINEAGE: DAMAGE}),
        State.DAMAGED,
    ),
    "no image": (known(images=[]), State.STRANGE),
    "no image and damaged": (known(images=[], damages={LINEAGE: DAMAGE}), State.DAMAGED),
}


@pytest.mark.parametrize("what, state", CASES.values(), ids=CASES)
def test_each_state(what: Known, state: State) -> None:
    found = one(what)
    assert found.state is state
    assert bool(found.message) == (state is not State.OK), "whatever is not in order says why"


def test_all_that_is_known_of_a_lineage_is_told() -> None:
    results = [Proven(LINEAGE, level, 9, NOW - HOUR, ok=True) for level in (1, 2)]
    others = [Proven(b"o" * 16, 2, 9, NOW, ok=True)]
    pause, next_run = Pause("id a", 3, NOW + HOUR), NOW + 2 * HOUR
    found = one(
        known(
            proven=[*results, *others],
            pauses={"id a": pause},
            last_runs=FAILED,
            next_run={"id a": next_run},
        )
    )
    assert found == Standing(
        label="vms/a",
        source="vms",
        identity="id a",
        lineage=LINEAGE.hex(),
        policy="gold",
        state=State.FAILING,
        point_at=NOW - HOUR,
        age=3600.0,
        rpo=7200,
        next_run=next_run,
        points=5,
        size=1 << 30,
        first_seen=START,
        failures=3,
        last_run=FAILED["id a"],
        verified=tuple(results),
        message="the last run failed at 2026-01-05T03:30:00Z: no route",
    )


@pytest.mark.parametrize("images", [[image(gone_at=NOW)], [image(policy="")], []])
def test_what_is_not_wanted_has_neither_rpo_nor_next_run(images: list[Image]) -> None:
    """Else an image that was deleted on purpose would be late for ever."""
    found = one(known(images=images, next_run={"id a": NOW}))
    assert found.rpo is None
    assert found.next_run is None
    assert found.age == 3600


def test_what_is_not_known_is_none_and_a_point_of_the_future_is_of_age_0() -> None:
    found = one(known(heads=[]))
    assert (found.point_at, found.age, found.last_run, found.lineage) == (None, None, None, "")
    assert one(known(heads=[head(-HOUR)])).age == 0


def test_a_failure_of_the_future_says_nothing_of_now() -> None:
    """A clock was a day ahead: the store refused, and what has a point for each slot is not due."""
    tomorrow = replace(FAILED["id a"], ended_at=NOW + timedelta(days=1))
    assert one(known(heads=[head(HOUR / 2)], last_runs={"id a": tomorrow})).state is State.OK
    assert one(known(heads=[], last_runs={"id a": tomorrow})).state is State.NEVER
    late = one(known(heads=[head(3 * HOUR)], last_runs={"id a": tomorrow}))
    assert late.state is State.LATE, "that a point is missing is known all the same"


def test_a_point_of_the_future_hides_no_failure() -> None:
    """A clock was a year ahead while it was made: until then every further run is refused."""
    assert one(known(heads=[head(timedelta(days=-365))], last_runs=FAILED)).state is State.FAILING


def test_of_several_lineages_of_an_image_the_one_committed_last_is_its_own() -> None:
    old = head(9 * HOUR, lineage=b"o" * 16)
    found = standings(known(heads=[old, head()]), NOW)
    assert [(each.lineage, each.state) for each in found] == [
        (LINEAGE.hex(), State.OK),
        ((b"o" * 16).hex(), State.STRANGE),
    ]
    assert newest_heads([old, head()]) == newest_heads([head(), old]) == {"id a": head()}


def test_the_worst_comes_first_and_the_latest_before_the_late() -> None:
    names = ["vms/c", "vms/b", "vms/a", "vms/z", "vms/y"]
    ages = [HOUR, HOUR, 3 * HOUR, 9 * HOUR, 200 * HOUR]
    images = [image(identity=name, label=name) for name in names]
    images[4] = replace(images[4], policy="free")
    heads = [
        head(age, identity=name, lineage=name.encode())
        for name, age in zip(names, ages, strict=True)
    ]
    found = standings(known(images=images, heads=heads), NOW)
    assert [each.label for each in found] == ["vms/z", "vms/a", "vms/b", "vms/c", "vms/y"]


@given(st.lists(st.sampled_from(sorted(CASES)), max_size=12))
def test_lines_are_as_many_as_images_and_lineages_and_sorted_by_state(cases: list[str]) -> None:
    images: list[Image] = []
    heads: list[Head] = []
    for number, case in enumerate(cases):
        what, _ = CASES[case]
        identity, lineage = f"id {number}", number.to_bytes(16, "big")
        images += [replace(each, identity=identity) for each in what.images]
        heads += [replace(each, identity=identity, lineage=lineage) for each in what.heads]
    found = standings(known(images=images, heads=heads), NOW)
    order = [list(State).index(each.state) for each in found]
    assert order == sorted(order)
    assert len(found) == len({each.identity for each in images} | {each.identity for each in heads})


def verified(**more: object) -> Standing:
    return replace(one(known()), **more)  # type: ignore[arg-type] # as above


def proof(age: timedelta, level: int = 2, *, ok: bool = True) -> Proven:
    return Proven(LINEAGE, level, 9, NOW - age, ok=ok)


DAY = 24 * HOUR


@pytest.mark.parametrize(
    "proofs, first_seen, overdue",
    [
        ([proof(2 * DAY)], START, False),
        ([proof(2 * DAY + HOUR)], START, True),
        ([proof(HOUR, level=1)], START, True),
        ([proof(HOUR, level=3)], START, False),
        ([proof(HOUR, ok=False)], START, True),
        ([proof(HOUR, ok=False), proof(DAY, level=3)], START, False),
        ([], START, True),
        ([], NOW - DAY, False),
        ([], None, False),
    ],
)
def test_a_verify_is_overdue_after_two_intervals_without_success(
    proofs: list[Proven], first_seen: datetime | None, *, overdue: bool
) -> None:
    what = verified(verified=tuple(proofs), first_seen=first_seen)
    assert is_verify_overdue(what, GOLD, NOW) is overdue
    assert not is_verify_overdue(what, Aim(rpo=1), NOW)
    assert not is_verify_overdue(replace(what, state=State.GONE), GOLD, NOW)
    assert not is_verify_overdue(replace(what, point_at=None), GOLD, NOW)
