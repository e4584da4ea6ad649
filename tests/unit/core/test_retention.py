"""Retention: examples that a person can check with a calendar, and laws that always hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, tzinfo
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drd.core.retention import (
    LAST_GOOD,
    MAX_COUNT,
    Decision,
    Keep,
    decide,
    decide_points,
    parse_keep,
    parse_times,
)
from drd.errors import UsageError
from drd.model import PointInfo, PointKind

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
RULES = [one.name for one in fields(Keep)]
STOCKHOLM = ZoneInfo("Europe/Stockholm")

TIMES = st.lists(
    st.datetimes(datetime(2024, 12, 1), datetime(2027, 1, 10)).map(  # noqa: DTZ001 - made aware here
        lambda when: when.replace(tzinfo=UTC)
    )
    | st.integers(0, 5000).map(lambda minutes: NOW - timedelta(minutes=minutes)),
    max_size=40,
)
COUNTS = {rule: st.integers(0 if rule == "minimum" else -1, 6) for rule in RULES}
KEEPS = st.builds(Keep, **COUNTS)
ZONES = st.sampled_from(["UTC", "Europe/Stockholm", "Asia/Kathmandu", "Pacific/Apia"]).map(ZoneInfo)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def kept(
    times: Iterable[datetime], keep: Keep, now: datetime = NOW, *, zone: tzinfo = UTC
) -> list[datetime]:
    return [one.time for one in decide(times, keep, now, zone=zone) if one.keep]


def more(count: int) -> st.SearchStrategy[int]:
    """A count that is as generous, or more."""
    return st.just(-1) if count == -1 else st.just(-1) | st.integers(count, count + 5)


# ── examples ────────────────────────────────────────────────────────────────────────────────────
def test_the_newest_of_each_day_is_kept() -> None:
    times = [
        at("2026-11-19T01:00"),
        at("2026-11-19T23:00"),
        at("2026-11-20T05:00"),
        at("2026-11-21"),
    ]
    assert kept(times, Keep(daily=2)) == [at("2026-11-20T05:00"), at("2026-11-21")]
    assert kept(times, Keep(daily=3)) == [at("2026-11-19T23:00"), *times[2:]]


def test_a_rule_with_room_left_keeps_the_oldest_too() -> None:
    times = [
        at("2026-11-19T01:00"),
        at("2026-11-19T12:00"),
        at("2026-11-19T23:00"),
        at("2026-11-21"),
    ]
    assert kept(times, Keep(daily=2)) == times[2:]
    decisions = decide(times, Keep(daily=3), NOW)
    assert [one.keep for one in decisions] == [True, False, True, True]
    assert decisions[0].reasons == ("daily: oldest, with room (2 of 3)",)
    assert decide(times, Keep(yearly=-1), NOW)[0].reasons == (
        "yearly: oldest, with room (1 of all)",
    )


def test_minus_one_keeps_every_period() -> None:
    times = [at(f"20{year:02d}-{month:02d}-15") for year in range(10, 26) for month in (3, 9)]
    assert kept(times, Keep(monthly=-1)) == times
    assert kept(times, Keep(last=-1)) == times
    assert kept(times, Keep(yearly=-1)) == [times[0], *times[1::2]]
    assert decide(times, Keep(last=-1), NOW)[0].reasons == ("last 32 of all",)


def test_days_without_a_point_do_not_count() -> None:
    times = [at("2020-01-01"), at("2023-05-05"), at("2026-11-21")]
    assert kept(times, Keep(daily=3)) == times


def test_weeks_are_iso_weeks_also_over_new_year() -> None:
    # 2024-12-30 is the Monday of 2025-W01; 2024-12-29 the Sunday of 2024-W52.
    times = [at("2024-12-29"), at("2024-12-30"), at("2025-01-05")]
    decisions = decide(times, Keep(weekly=2), NOW)
    assert [one.keep for one in decisions] == [True, False, True]
    assert decisions[0].reasons == ("weekly 2024-W52 (2 of 2)",)
    assert decisions[1].reasons == ("weekly: 2025-01-05T00:00:00Z stands for 2025-W01",)
    assert decisions[2].reasons == ("newest", "weekly 2025-W01 (1 of 2)")


def test_periods_are_those_of_the_zone_that_is_asked_for() -> None:
    late = at("2026-11-20T23:30")  # 21 November in Stockholm
    times = [at("2026-11-20T10:00"), at("2026-11-20T20:00"), late]
    assert kept(times, Keep(daily=2)) == [times[0], late]
    assert kept(times, Keep(daily=2), zone=STOCKHOLM) == times[1:]
    shifted = [when.astimezone(STOCKHOLM) for when in times]
    assert decide(shifted, Keep(daily=2), NOW) == decide(times, Keep(daily=2), NOW)
    assert decide(shifted, Keep(daily=2), NOW)[2].time.isoformat() == "2026-11-20T23:30:00+00:00"


def test_the_hour_that_clocks_show_twice_is_one_hour() -> None:
    # 2026-10-25: 03:00 summer time becomes 02:00. 00:30Z and 01:30Z are both 02:30.
    times = [
        at(f"2026-10-{one}") for one in ("24T22:30", "24T23:30", "25T00:30", "25T01:30", "25T02:30")
    ]
    assert kept(times, Keep(hourly=3), zone=STOCKHOLM) == [times[1], times[3], times[4]]
    assert kept(times, Keep(hourly=3)) == times[2:]


def test_the_day_of_25_hours_and_the_one_of_23_are_days() -> None:
    for day in ("2026-10-25", "2026-03-29"):
        midnight = datetime.fromisoformat(day).replace(tzinfo=STOCKHOLM).astimezone(UTC)
        noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=STOCKHOLM).astimezone(UTC)
        late = datetime.fromisoformat(f"{day}T23:59").replace(tzinfo=STOCKHOLM).astimezone(UTC)
        times = [midnight - timedelta(minutes=1), midnight, noon, late, late + timedelta(minutes=1)]
        assert kept(times, Keep(daily=3), zone=STOCKHOLM) == [times[0], *times[3:]]


def test_every_rule_says_its_bucket() -> None:
    keep = Keep(last=1, hourly=1, daily=1, weekly=1, monthly=1, yearly=1)
    assert decide([NOW], keep, NOW)[0].reasons == (
        "newest",
        "last 1 of 1",
        "hourly 2026-11-21T12 (1 of 1)",
        "daily 2026-11-21 (1 of 1)",
        "weekly 2026-W47 (1 of 1)",
        "monthly 2026-11 (1 of 1)",
        "yearly 2026 (1 of 1)",
    )


def test_what_is_released_says_why() -> None:
    times = [at("2026-11-18"), at("2026-11-21T01:00"), at("2026-11-21T02:00")]
    old, earlier, _ = decide(times, Keep(daily=1), NOW)
    assert old.reasons == ("daily: 2026-11-18 is older than the 1 kept",)
    assert earlier.reasons == ("daily: 2026-11-21T02:00:00Z stands for 2026-11-21",)
    assert decide(times, Keep(), NOW)[0].reasons == ("no rule keeps it",)


def test_rules_do_not_know_of_each_other() -> None:
    """As restic: the day that hourly keeps counts for daily too."""
    times = [at("2026-11-19T08:00"), at("2026-11-20T08:00"), at("2026-11-21T08:00")]
    assert kept(times, Keep(hourly=1, daily=1)) == times[2:]


def test_minimum_fills_up_with_the_newest() -> None:
    times = [at(f"2026-11-{day:02d}") for day in range(10, 22)]
    assert kept(times, Keep(minimum=3)) == times[-3:]
    assert decide(times, Keep(minimum=3), NOW)[-2].reasons == ("minimum of 3",)
    assert kept(times, Keep(last=5, minimum=3)) == times[-5:]
    assert kept(times, Keep(minimum=99)) == times


def test_points_in_the_future_are_kept_and_count_in_no_rule() -> None:
    future = NOW + timedelta(seconds=1)
    decisions = decide([future, NOW, at("2026-11-20")], Keep(daily=1), NOW)
    assert [(one.keep, one.reasons[0]) for one in decisions] == [
        (False, "daily: 2026-11-20 is older than the 1 kept"),
        (True, "newest"),
        (True, "in the future"),
    ]


def test_a_clock_that_fell_back_costs_nothing() -> None:
    times = [at("2026-11-20"), at("2026-11-21")]
    assert kept(times, Keep(), now=at("1970-01-01")) == times


def test_nothing_gives_nothing() -> None:
    assert decide([], Keep(daily=7, minimum=3), NOW) == []


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="has no zone"):
        decide([NOW.replace(tzinfo=None)], Keep(), NOW)


# ── holds ───────────────────────────────────────────────────────────────────────────────────────
def test_a_held_point_stays_and_costs_no_other() -> None:
    times = [at("2026-11-01"), at("2026-11-19"), at("2026-11-20"), at("2026-11-21")]
    decisions = decide(times, Keep(minimum=2), NOW, held=[at("2026-11-01")])
    assert [one.keep for one in decisions] == [True, False, True, True]
    assert decisions[0].reasons == ("held",)
    assert decisions[2].reasons == ("minimum of 2",)
    both = decide(times, Keep(last=1), NOW, held=times[3:])[3]
    assert both.reasons == ("held", "newest", "last 1 of 1")
    future = decide([NOW + timedelta(1)], Keep(), NOW, held=[NOW + timedelta(1)])[0]
    assert future.reasons == ("held", "in the future")


def info(seq: int, when: datetime) -> PointInfo:
    return PointInfo(
        tenant=bytes(16),
        lineage=bytes(16),
        seq=seq,
        name="disks/a.img",
        identity="a",
        kind=PointKind.FULL,
        point_at=when,
        committed_at=when,
        size=1,
        manifest_sha256=bytes(32),
        manifest_key="",
        predecessor_seq=seq - 1,
    )


def test_points_are_decided_on_by_their_times_and_held_by_their_numbers() -> None:
    times = [at("2026-11-18"), at("2026-11-19"), at("2026-11-20"), at("2026-11-21")]
    points = [info(seq, when) for seq, when in enumerate(times, 1)]
    decisions = decide_points(reversed(points), Keep(daily=2), NOW, held={1})
    assert [(one.seq, one.keep) for one in decisions] == [
        (1, True),
        (2, False),
        (3, True),
        (4, True),
    ]
    assert decisions[0].reasons == ("held",)
    assert decide_points([], Keep(daily=2), NOW) == []


def test_the_last_good_point_of_a_revoked_key_stays_and_costs_no_other() -> None:
    points = [info(seq, at(f"2026-11-{17 + seq}")) for seq in (1, 2, 3, 4)]
    decisions = decide_points(points, Keep(daily=2), NOW, held={2}, last_good={1, 2, 4, 9})
    assert [(one.seq, one.keep) for one in decisions] == [
        (1, True),
        (2, True),
        (3, True),
        (4, True),
    ]
    assert decisions[0].reasons == (LAST_GOOD,)
    assert decisions[1].reasons == ("held", LAST_GOOD)
    assert decisions[3].reasons[:2] == (LAST_GOOD, "newest")
    points = [*points, info(5, at("2026-11-21T12:00"))]
    decisions = decide_points(points, Keep(minimum=2), NOW, last_good={1})
    assert [one.seq for one in decisions if one.keep] == [1, 4, 5]


def test_the_highest_number_is_kept_also_when_its_clock_was_behind() -> None:
    points = [info(1, at("2026-11-21")), info(2, at("2026-11-20")), info(3, at("2026-11-19"))]
    decisions = decide_points(points, Keep(last=1), NOW)
    assert [(one.seq, one.keep) for one in decisions] == [(3, True), (2, False), (1, True)]
    assert decisions[0].reasons == ("newest by number",)


def test_of_one_time_one_may_be_held() -> None:
    points = [info(seq, at("2026-11-20")) for seq in (1, 2)] + [info(3, at("2026-11-21"))]
    decisions = decide_points(points, Keep(last=1), NOW, held={2})
    assert [(one.seq, one.keep) for one in decisions] == [(1, False), (2, True), (3, True)]


# ── laws ────────────────────────────────────────────────────────────────────────────────────────
@given(TIMES, KEEPS)
def test_one_decision_for_each_time_each_with_a_reason(times: list[datetime], keep: Keep) -> None:
    decisions = decide(times, keep, NOW)
    assert [one.time for one in decisions] == sorted(times)
    assert all(one.reasons for one in decisions)


@given(TIMES, KEEPS, ZONES, st.randoms(use_true_random=False))
def test_deciding_again_keeps_what_was_kept(
    times: list[datetime], keep: Keep, zone: tzinfo, dice: Random
) -> None:
    held = dice.sample(times, len(times) // 4)
    once = [one.time for one in decide(times, keep, NOW, zone=zone, held=held) if one.keep]
    again = [one.time for one in decide(once, keep, NOW, zone=zone, held=held) if one.keep]
    assert again == once


@given(TIMES, KEEPS)
def test_the_newest_is_kept(times: list[datetime], keep: Keep) -> None:
    past = sorted(when for when in times if when <= NOW)
    assert set(past[-1:]) <= set(kept(times, keep))


@given(TIMES, KEEPS)
def test_the_future_is_kept(times: list[datetime], keep: Keep) -> None:
    assert {when for when in times if when > NOW} <= set(kept(times, keep))


@given(TIMES, st.builds(Keep, **{rule: st.integers(0, 6) for rule in RULES}))
def test_no_more_is_kept_than_all_rules_together_allow(times: list[datetime], keep: Keep) -> None:
    past = {when for when in kept(times, keep) if when <= NOW}
    rules = sum(getattr(keep, rule) for rule in RULES if rule != "minimum")
    assert len(past) <= max(rules + 1, keep.minimum)


@given(TIMES, KEEPS)
def test_no_fewer_is_kept_than_the_minimum(times: list[datetime], keep: Keep) -> None:
    past = {when for when in times if when <= NOW}
    assert len(past & set(kept(times, keep))) >= min(keep.minimum, len(past))


@given(TIMES, KEEPS, ZONES, st.randoms(use_true_random=False))
def test_order_does_not_matter(
    times: list[datetime], keep: Keep, zone: tzinfo, dice: Random
) -> None:
    mixed = list(times)
    dice.shuffle(mixed)
    assert decide(mixed, keep, NOW, zone=zone) == decide(times, keep, NOW, zone=zone)


@given(TIMES, KEEPS, ZONES, st.data())
def test_more_generous_rules_lose_nothing_that_a_rule_kept(
    times: list[datetime], keep: Keep, zone: tzinfo, data: st.DataObject
) -> None:
    keep = replace(keep, minimum=0)
    wider = Keep(**{rule: data.draw(more(getattr(keep, rule))) for rule in RULES})
    assert set(kept(times, keep, zone=zone)) <= set(kept(times, wider, zone=zone))


@given(TIMES, KEEPS)
def test_a_higher_minimum_releases_nothing(times: list[datetime], keep: Keep) -> None:
    higher = replace(keep, minimum=keep.minimum + 1)
    assert set(kept(times, keep)) <= set(kept(times, higher))


@given(TIMES, KEEPS, st.randoms(use_true_random=False))
def test_a_hold_costs_no_other_point(times: list[datetime], keep: Keep, dice: Random) -> None:
    held = set(dice.sample(times, len(times) // 3))
    with_holds = {one.time for one in decide(times, keep, NOW, held=held) if one.keep}
    assert with_holds == set(kept(times, keep)) | held


def test_another_point_may_cost_the_one_that_was_the_oldest() -> None:
    """The law that does not hold, and is restic's: there is one oldest."""
    times = [at("2026-11-20T01:00"), at("2026-11-20T02:00"), at("2026-11-21")]
    assert kept(times, Keep(daily=9)) == times
    assert kept([at("2026-11-20T00:30"), *times], Keep(daily=9)) == [
        at("2026-11-20T00:30"),
        *times[1:],
    ]


@given(TIMES, KEEPS, ZONES)
def test_each_rule_alone_agrees_with_a_naive_count(
    times: list[datetime], keep: Keep, zone: tzinfo
) -> None:
    formats = {"hourly": "%Y%m%d%H", "daily": "%Y%m%d", "weekly": "%G%V", "monthly": "%Y%m"}
    past = sorted(when for when in times if when <= NOW)
    for rule, name in formats.items():
        count = getattr(keep, rule)
        newest = {when.astimezone(zone).strftime(name): when for when in past}
        chosen = sorted(newest.values())[-count if count > 0 else 0 :] if count else []
        expected = {*chosen, *past[-1:], *(when for when in times if when > NOW)}
        if count and (count < 0 or len(newest) < count):
            expected.update(past[:1])
        assert set(kept(times, Keep(**{rule: count}), zone=zone)) == expected


YEAR = Keep(hourly=24, daily=7, weekly=5, monthly=12, yearly=3, last=3, minimum=2)


@pytest.mark.parametrize("zone", [UTC, STOCKHOLM])
@pytest.mark.parametrize("step", [4, 7])
def test_a_year_of_pruning_keeps_what_one_pruning_at_its_end_keeps(zone: tzinfo, step: int) -> None:
    """Hourly points, pruned every *step* hours: nothing is lost too early, and what stays has a bound."""
    first = datetime(2025, 11, 21, tzinfo=UTC)
    every: list[datetime] = []
    alive: list[datetime] = []
    for hour in range(0, 366 * 24, step):
        fresh = [first + timedelta(hours=hour + one) for one in range(step)]
        every += fresh
        alive = kept([*alive, *fresh], YEAR, fresh[-1], zone=zone)
        assert len(alive) <= 52
        if hour % (step * 311) == 0:
            assert alive == kept(every, YEAR, fresh[-1], zone=zone)
    assert alive == kept(every, YEAR, every[-1], zone=zone)
    assert alive[0] == first  # yearly has room still: the beginning stays
    assert len(alive) > 40


@settings(max_examples=30)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=120), KEEPS, ZONES)
def test_pruning_often_loses_no_more_than_pruning_once(
    gaps: list[int], keep: Keep, zone: tzinfo
) -> None:
    keep = replace(keep, minimum=0)
    moment = at("2024-12-01")
    every: list[datetime] = []
    alive: list[datetime] = []
    for gap in gaps:
        moment += timedelta(minutes=gap)
        every.append(moment)
        alive = kept([*alive, moment], keep, moment, zone=zone)
    assert alive == kept(every, keep, moment, zone=zone)


# ── words ───────────────────────────────────────────────────────────────────────────────────────
def test_keep_is_read() -> None:
    assert parse_keep("hourly=24, daily = 7") == Keep(hourly=24, daily=7)
    assert parse_keep("hourly=-1") == Keep(hourly=-1)
    assert parse_keep(",".join(f"{rule}=2" for rule in RULES)) == Keep(2, 2, 2, 2, 2, 2, 2)
    assert parse_keep(f"last={MAX_COUNT}") == Keep(last=MAX_COUNT)


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "nearest"),
        ("hourly=24,", "nearest"),
        ("dayly=7", "nearest is 'daily'"),
        ("Daily=7", "nearest is 'daily'"),
        ("montly=1", "nearest is 'monthly'"),
        ("daily", "count"),
        ("daily=", "count"),
        ("daily=-2", "count"),
        ("minimum=-1", "from 0"),
        ("daily=1.5", "count"),
        ("daily=٣", "count"),
        (f"daily={MAX_COUNT + 1}", "count"),
        ("daily=1=2", "count"),
        ("daily=1,daily=2", "twice"),
    ],
)
def test_words_that_are_wrong(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_keep(text)


def test_times_are_read_line_by_line() -> None:
    text = "# nightly\n2026-11-21T10:00:00Z\n\n  2026-11-21T10:00:00+01:00  \r\n"
    assert parse_times(text) == [at("2026-11-21T10:00"), at("2026-11-21T09:00")]


@pytest.mark.parametrize("line", ["2026-11-21T10:00:00", "yesterday", "2026-13-01T00:00:00Z"])
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(UsageError, match="line 2: "):
        parse_times(f"2026-11-21T10:00:00Z\n{line}\n")


def test_decisions_are_values() -> None:
    decision = Decision(NOW, keep=True, reasons=("newest",))
    assert decide([NOW], Keep(), NOW) == [decision]
