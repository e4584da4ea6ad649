"""What begins now: each rule of the plan by an example, and what the plan promises by a law."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.schedule import (
    Plan,
    Rhythm,
    Rules,
    Wanted,
    due_slot,
    newest_slot,
    next_slot,
    pause,
    plan,
)

NOW = datetime(2027, 1, 10, 12, 30, 20, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
HOURLY = Rhythm(3600, None, "UTC", None)
FULL_HOUR = Rhythm(None, "0 * * * *", "UTC", None)
NEVER = Rhythm(None, None, "UTC", None)
RULES = Rules(2, (), "UTC")


def image(identity: str = "a", **changes: object) -> Wanted:
    base = Wanted(identity, "vms", FULL_HOUR, NOW - HOUR, None, slow=False, asked=False)
    return replace(base, **changes)  # type: ignore[arg-type]


def begun(decided: Plan) -> list[str]:
    return [one.identity for one in decided.begin]


# ── slots ───────────────────────────────────────────────────────────────────────────────────────
def test_the_grid_begins_in_1970_and_is_moved_by_a_hash() -> None:
    slots = {name: newest_slot(HOURLY, name, NOW) for name in ("a", "b", "c")}
    moved = {name: (at - datetime(1970, 1, 1, tzinfo=UTC)) % HOUR for name, at in slots.items()}
    # Fixed for ever: another hash would make every image of a site due at once.
    assert {name: at.total_seconds() for name, at in moved.items()} == {
        "a": 1343,
        "b": 533,
        "c": 555,
    }


@pytest.mark.parametrize("every", [1, 7, 60, 3600, 86400, 7 * 86400])
@pytest.mark.parametrize("spread", [None, 1, 30, 3600, 10**9])
def test_slots_of_an_interval(every: int, spread: int | None) -> None:
    rhythm = Rhythm(every, None, "UTC", spread)
    for name in ("a", "b", "rbd:1/2/3"):
        newest, following = newest_slot(rhythm, name, NOW), next_slot(rhythm, name, NOW)
        assert newest <= NOW < following == newest + timedelta(seconds=every)
        assert newest_slot(rhythm, name, newest) == newest
        assert newest_slot(rhythm, name, newest - timedelta(microseconds=1)) < newest
        offset = newest.timestamp() % every
        assert offset < min(every, spread or every)


def test_a_cron_line_is_moved_only_where_the_policy_says_so() -> None:
    assert newest_slot(FULL_HOUR, "a", NOW) == NOW.replace(minute=0, second=0)
    spread = replace(FULL_HOUR, spread=1800)
    moved = {newest_slot(spread, str(n), NOW).timestamp() % 3600 for n in range(500)}
    assert max(moved) < 1800
    assert len(moved) > 300
    for name in map(str, range(50)):
        newest, following = newest_slot(spread, name, NOW), next_slot(spread, name, NOW)
        assert newest <= NOW < following == newest + HOUR


def test_images_are_spread_evenly() -> None:
    tenths = [
        int(newest_slot(HOURLY, f"rbd:{n}", NOW).timestamp() % 3600 // 360) for n in range(5000)
    ]
    assert all(400 < tenths.count(one) < 600 for one in range(10))


@pytest.mark.parametrize("ask", [newest_slot, next_slot])
def test_without_a_rhythm_there_are_no_slots(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(ValueError, match="no slots"):
        ask(NEVER, "a", NOW)


# ── due ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "newest,slot",
    [
        (
            None,
            datetime(2027, 1, 10, 12, tzinfo=UTC),
        ),  # a point that another node makes now serves it
        (NOW - HOUR, datetime(2027, 1, 10, 12, tzinfo=UTC)),
        (NOW - 9 * DAY, datetime(2027, 1, 10, 12, tzinfo=UTC)),
        (datetime(2027, 1, 10, 11, 59, 59, tzinfo=UTC), datetime(2027, 1, 10, 12, tzinfo=UTC)),
        (datetime(2027, 1, 10, 12, tzinfo=UTC), None),
        (NOW, None),
        (NOW + MINUTE, None),  # clocks differ a little
        (NOW + 40 * MINUTE, None),  # past the next slot, by no more than clocks may differ
        (NOW + HOUR, datetime(2027, 1, 10, 12, tzinfo=UTC)),  # a clock was wrong
        (NOW + DAY, datetime(2027, 1, 10, 12, tzinfo=UTC)),
    ],
)
def test_due_is_what_has_no_point_of_the_newest_slot(
    newest: datetime | None, slot: datetime | None
) -> None:
    assert due_slot(FULL_HOUR, "a", newest, NOW) == slot


def test_an_image_that_is_due_begins_and_one_that_is_not_does_not() -> None:
    decided = plan([image("a"), image("b", newest=NOW - MINUTE)], RULES, {}, NOW)
    assert begun(decided) == ["a"]
    assert decided.begin[0].slot == datetime(2027, 1, 10, 12, tzinfo=UTC)
    assert not decided.begin[0].slow
    one_o_clock = datetime(2027, 1, 10, 13, tzinfo=UTC)
    assert decided.next_run == {"a": one_o_clock, "b": one_o_clock}
    assert decided.look_again == one_o_clock
    assert decided.waiting == 0


def test_what_runs_does_not_begin_again() -> None:
    decided = plan([image("a", asked=True)], RULES, {"a": False}, NOW)
    assert not decided.begin
    assert decided.waiting == 0
    assert decided.next_run["a"] == datetime(2027, 1, 10, 13, tzinfo=UTC)


def test_without_a_rhythm_only_a_person_makes_it_run() -> None:
    decided = plan([image("a", rhythm=NEVER, newest=None)], RULES, {}, NOW)
    assert (begun(decided), decided.next_run, decided.waiting) == ([], {}, 0)
    assert decided.look_again > NOW
    asked = plan([image("a", rhythm=NEVER, newest=None, asked=True)], RULES, {}, NOW)
    assert begun(asked) == ["a"]


def test_nothing_to_do_at_all() -> None:
    assert plan([], RULES, {}, NOW) == Plan((), NOW + HOUR, {}, 0)


# ── pauses, blackout, asked ─────────────────────────────────────────────────────────────────────
def test_a_pause_holds_back_until_it_is_over() -> None:
    decided = plan([image(paused_until=NOW + 5 * MINUTE)], RULES, {}, NOW)
    assert not decided.begin
    assert decided.waiting == 1
    assert decided.look_again == decided.next_run["a"] == NOW + 5 * MINUTE
    assert begun(plan([image(paused_until=NOW)], RULES, {}, NOW)) == ["a"]


def test_a_pause_of_a_clock_that_was_wrong_is_not_believed() -> None:
    assert begun(plan([image(paused_until=NOW + DAY)], RULES, {}, NOW)) == ["a"]
    daily = Rhythm(86400, None, "UTC", None)
    slow = image(rhythm=daily, newest=NOW - 2 * DAY, paused_until=NOW + 20 * HOUR)
    assert not plan([slow], RULES, {}, NOW).begin


def test_a_blackout_holds_all_back_and_what_fell_into_it_runs_at_its_end() -> None:
    rules = Rules(2, ("12:00-13:15",), "UTC")
    images = [image("a"), image("b", newest=None), image("c", newest=NOW - MINUTE)]
    decided = plan(images, rules, {}, NOW)
    end = datetime(2027, 1, 10, 13, 15, tzinfo=UTC)
    assert not decided.begin
    assert decided.waiting == 2
    assert decided.next_run == {"a": end, "b": end, "c": end}  # c: 13:00 is dark, too
    assert decided.look_again == end
    after = plan(images, rules, {}, end)
    assert begun(after) == ["b", "a"] or begun(after) == ["a", "b"]


def test_a_pause_that_ends_in_a_blackout_ends_with_it() -> None:
    rules = Rules(2, ("12:40-12:50",), "UTC")
    decided = plan([image(paused_until=NOW + 12 * MINUTE)], rules, {}, NOW)
    assert decided.next_run["a"] == datetime(2027, 1, 10, 12, 50, tzinfo=UTC)


def test_asked_runs_now_before_all_others_whatever_holds() -> None:
    rules = Rules(1, ("12:00-13:15",), "UTC")
    asked = image("z", newest=NOW, paused_until=NOW + MINUTE, asked=True)
    decided = plan([image("a", newest=None), asked], rules, {}, NOW)
    assert begun(decided) == ["z"]
    assert decided.begin[0].slot == NOW
    light = plan([image("a", newest=NOW - 9 * DAY), asked], Rules(1, (), "UTC"), {}, NOW)
    assert begun(light) == ["z"]


# ── lanes and order ─────────────────────────────────────────────────────────────────────────────
def test_slow_ones_leave_a_worker_free() -> None:
    slow = [image(f"s{n}", slow=True, newest=None) for n in range(9)]
    assert len(begun(plan(slow, Rules(4, (), "UTC"), {}, NOW))) == 3
    assert len(begun(plan(slow, Rules(4, (), "UTC"), {"s0": True, "s1": True}, NOW))) == 1
    decided = plan([*slow, image("q")], Rules(2, (), "UTC"), {"s0": True}, NOW)
    assert begun(decided) == ["q"]
    assert decided.waiting == 8
    assert not plan(slow, Rules(2, (), "UTC"), {"s0": True}, NOW).begin


def test_one_worker_is_one_lane() -> None:
    assert begun(plan([image(slow=True)], Rules(1, (), "UTC"), {}, NOW)) == ["a"]
    assert not plan([image(slow=True)], Rules(1, (), "UTC"), {"b": False}, NOW).begin


def test_no_more_than_there_are_workers() -> None:
    images = [image(str(n)) for n in range(9)]
    decided = plan(images, Rules(3, (), "UTC"), {"8": False}, NOW)
    assert len(decided.begin) == 2
    assert decided.waiting == 6


def test_who_is_furthest_past_its_slot_in_its_intervals_goes_first() -> None:
    daily = Rhythm(None, "0 0 * * *", "UTC", None)
    images = [
        image("hour-late", newest=NOW - 2 * HOUR),  # of 11:00 it has none: 1.5 intervals
        image("day-late", rhythm=daily, newest=NOW - DAY - 13 * HOUR),  # of 0:00 yesterday: 1.52
        image("new", newest=None),  # 1
        image("just", newest=NOW - 45 * MINUTE),  # of 12:00: 0.5
        image("today", rhythm=daily, newest=NOW - 13 * HOUR),  # of 0:00: 0.52
    ]
    for workers in range(1, 6):
        order = ["day-late", "hour-late", "new", "today", "just"]
        assert begun(plan(images, Rules(workers, (), "UTC"), {}, NOW)) == order[:workers]


def test_sources_take_turns() -> None:
    late = [image(f"a{n}", source="a", newest=NOW - 9 * HOUR) for n in range(5)]
    fresh = [image(f"b{n}", source="b") for n in range(5)]
    assert begun(plan([*late, *fresh], Rules(4, (), "UTC"), {}, NOW)) == ["a0", "b0", "a1", "b1"]
    running = {"a0": False, "a1": False}
    assert begun(plan([*late, *fresh], Rules(4, (), "UTC"), running, NOW)) == ["b0", "b1"]


def test_a_source_whose_images_all_fail_delays_no_other() -> None:
    """They are furthest past their slots, and their pauses are over; the others go before."""
    over = NOW - MINUTE
    failing = [image(f"f{n}", newest=NOW - 9 * DAY, paused_until=over) for n in range(50)]
    others = [image(f"o{n}", source="other") for n in range(2)]
    assert begun(plan([*failing, *others], RULES, {}, NOW)) == ["o0", "o1"]
    alone = plan([*failing, *others[:1]], RULES, {}, NOW)
    assert begun(alone) == ["o0", "f0"]
    assert alone.begin[1].slow
    # Those that hang do not take the last worker either.
    assert not plan(failing, RULES, {"f7": True}, NOW).begin


# ── pauses grow ─────────────────────────────────────────────────────────────────────────────────
def test_pauses_are_doubled_and_capped() -> None:
    for failures, middle in ((1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (1000, 3600)):
        seconds = [pause(f"image-{n}", failures, first=60, longest=3600) for n in range(200)]
        assert min(seconds) >= middle * 0.8 - 1
        assert max(seconds) <= middle * 1.2 + 1
        assert max(seconds) - min(seconds) > middle * 0.3  # they do not come back together
    assert pause("a", 0, first=60, longest=3600) <= 72
    assert pause("a", 1, first=1, longest=1) == 1
    assert pause("a", 3, first=60, longest=3600) == pause("a", 3, first=60, longest=3600)


# ── laws ────────────────────────────────────────────────────────────────────────────────────────
MOMENTS = st.integers(-200_000, 200_000).map(lambda s: NOW + timedelta(seconds=s))
IMAGES = st.builds(
    Wanted,
    identity=st.integers(0, 10**6).map(str),
    source=st.sampled_from("abc"),
    rhythm=st.sampled_from([HOURLY, FULL_HOUR, NEVER, Rhythm(None, "@daily", "Europe/Malta", 60)]),
    newest=st.none() | MOMENTS,
    paused_until=st.none() | MOMENTS,
    slow=st.booleans(),
    asked=st.booleans(),
)


@given(
    st.lists(IMAGES, max_size=12, unique_by=lambda one: one.identity),
    st.builds(Rules, st.integers(1, 5), st.sampled_from([(), ("12:00-12:31",)]), st.just("UTC")),
    st.data(),
)
def test_what_every_plan_keeps(images: list[Wanted], rules: Rules, data: st.DataObject) -> None:
    names = [one.identity for one in images]
    runs = data.draw(st.lists(st.sampled_from(names), unique=True, max_size=3)) if names else []
    running = {name: data.draw(st.booleans()) for name in runs}
    decided = plan(images, rules, running, NOW)
    by_name = {one.identity: one for one in images}
    assert len(set(begun(decided))) == len(decided.begin)
    assert not set(begun(decided)) & set(running)
    assert len(decided.begin) <= max(rules.workers - len(running), 0)
    slow = sum(running.values()) + sum(one.slow for one in decided.begin)
    assert slow <= max(rules.workers - 1, 1) or not any(one.slow for one in decided.begin)
    assert decided.look_again > NOW
    for start in decided.begin:
        one = by_name[start.identity]
        assert one.asked or start.slot == due_slot(one.rhythm, one.identity, one.newest, NOW)
    for name, at in decided.next_run.items():
        assert at > NOW or (at == NOW and name not in running)
        assert at <= NOW or decided.look_again <= at
    assert plan(list(reversed(images)), rules, running, NOW) == decided
