"""Retention: examples that a person can check with a calendar, and laws that always hold."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.retention import MAX_COUNT, Decision, Keep, decide, parse_keep, parse_times
from drd.errors import UsageError

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
RULES = [one.name for one in fields(Keep)]

TIMES = st.lists(
    st.datetimes(datetime(2024, 12, 1), datetime(2027, 1, 10)).map(  # noqa: DTZ001 - made aware here
        lambda when: when.replace(tzinfo=UTC)
    )
    | st.integers(0, 5000).map(lambda minutes: NOW - timedelta(minutes=minutes)),
    max_size=40,
)
KEEPS = st.builds(Keep, **{rule: st.integers(0, 6) for rule in RULES})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def kept(times: list[datetime], keep: Keep, now: datetime = NOW) -> list[datetime]:
    return [one.time for one in decide(times, keep, now) if one.keep]


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


def test_buckets_are_utc_whatever_the_zone_of_a_time() -> None:
    vienna = timezone(timedelta(hours=1))
    late = datetime(2026, 11, 21, 0, 30, tzinfo=vienna)  # 20 November in UTC
    times = [at("2026-11-20T10:00"), late]
    assert kept(times, Keep(daily=5)) == [late]
    assert decide(times, Keep(daily=5), NOW)[1].time.isoformat() == "2026-11-20T23:30:00+00:00"


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


# ── laws ────────────────────────────────────────────────────────────────────────────────────────
@given(TIMES, KEEPS)
def test_one_decision_for_each_time_each_with_a_reason(times: list[datetime], keep: Keep) -> None:
    decisions = decide(times, keep, NOW)
    assert [one.time for one in decisions] == sorted(times)
    assert all(one.reasons for one in decisions)


@given(TIMES, KEEPS)
def test_deciding_again_keeps_what_was_kept(times: list[datetime], keep: Keep) -> None:
    once = kept(times, keep)
    assert kept(once, keep) == once


@given(TIMES, KEEPS)
def test_the_newest_is_kept(times: list[datetime], keep: Keep) -> None:
    past = sorted(when for when in times if when <= NOW)
    assert set(past[-1:]) <= set(kept(times, keep))


@given(TIMES, KEEPS)
def test_the_future_is_kept(times: list[datetime], keep: Keep) -> None:
    assert {when for when in times if when > NOW} <= set(kept(times, keep))


@given(TIMES, KEEPS)
def test_no_more_is_kept_than_all_rules_together_allow(times: list[datetime], keep: Keep) -> None:
    past = {when for when in kept(times, keep) if when <= NOW}
    rules = sum(getattr(keep, rule) for rule in RULES if rule != "minimum")
    assert len(past) <= max(rules + 1, keep.minimum)


@given(TIMES, KEEPS)
def test_no_fewer_is_kept_than_the_minimum(times: list[datetime], keep: Keep) -> None:
    past = {when for when in times if when <= NOW}
    assert len(past & set(kept(times, keep))) >= min(keep.minimum, len(past))


@given(TIMES, KEEPS, st.randoms(use_true_random=False))
def test_order_does_not_matter(times: list[datetime], keep: Keep, dice: object) -> None:
    mixed = list(times)
    dice.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis gives it as an object
    assert decide(mixed, keep, NOW) == decide(times, keep, NOW)


@given(TIMES, KEEPS, st.sampled_from([rule for rule in RULES if rule != "minimum"]))
def test_a_higher_count_releases_nothing_that_a_rule_kept(
    times: list[datetime], keep: Keep, rule: str
) -> None:
    keep = replace(keep, minimum=0)
    higher = replace(keep, **{rule: getattr(keep, rule) + 1})
    assert set(kept(times, keep)) <= set(kept(times, higher))


@given(TIMES, KEEPS)
def test_a_higher_minimum_releases_nothing(times: list[datetime], keep: Keep) -> None:
    higher = replace(keep, minimum=keep.minimum + 1)
    assert set(kept(times, keep)) <= set(kept(times, higher))


@given(TIMES, KEEPS)
def test_each_rule_alone_agrees_with_a_naive_count(times: list[datetime], keep: Keep) -> None:
    formats = {"hourly": "%Y%m%d%H", "daily": "%Y%m%d", "weekly": "%G%V", "monthly": "%Y%m"}
    past = sorted(when for when in times if when <= NOW)
    for rule, name in formats.items():
        newest = {when.strftime(name): when for when in past}
        expected = {newest[one] for one in sorted(newest)[-getattr(keep, rule) or len(newest) :]}
        expected |= set(past[-1:]) | {when for when in times if when > NOW}
        assert set(kept(times, Keep(**{rule: getattr(keep, rule)}))) == expected


# ── words ───────────────────────────────────────────────────────────────────────────────────────
def test_keep_is_read() -> None:
    assert parse_keep("hourly=24, daily = 7") == Keep(hourly=24, daily=7)
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
        ("daily=-1", "count"),
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
