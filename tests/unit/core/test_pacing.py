"""What a limit lets through, over any stretch of time; and whose share is how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.pacing import (
    BURST_S,
    NO_LIMIT,
    Bucket,
    Limit,
    Pacer,
    Reading,
    limit_of,
    shares,
    tightest,
)

RATES = st.floats(min_value=1000, max_value=1e9)
LENGTHS = st.integers(min_value=1, max_value=4 << 20)
PAUSES = st.floats(min_value=0, max_value=30)
ROUNDING = 1e-6


def passed(pacer: Pacer, asked: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """When each read of *asked* (a pause before it, and its bytes) began."""
    at, begun = 0.0, []
    for pause, length in asked:
        at += pause
        for _ in range(3):
            at += pacer.wait(length, at)
        assert pacer.wait(length, at) == 0, "who waited as long as it was told may pass"
        pacer.take(length, at)
        begun.append((at, length))
    return begun


def most_in_any_window(begun: list[tuple[float, int]], rate: float, *, counted: bool) -> float:
    """By how much what began in some window was more than the rate allows in it."""
    return max(
        sum(1 if counted else length for _, length in begun[first:end])
        - rate * (begun[end - 1][0] - begun[first][0])
        for first in range(len(begun))
        for end in range(first + 1, len(begun) + 1)
    )


@given(RATES, st.lists(st.tuples(PAUSES, LENGTHS), min_size=1, max_size=25))
def test_bytes_of_any_window_are_at_most_the_rate_and_one_burst(
    rate: float, asked: list[tuple[float, int]]
) -> None:
    begun = passed(Pacer(Limit(bytes_per_s=rate), 0.0), asked)
    burst = max(rate * BURST_S, *(length for _, length in asked))
    assert most_in_any_window(begun, rate, counted=False) <= burst * (1 + ROUNDING)


@given(
    st.floats(min_value=0.1, max_value=500),
    st.lists(st.tuples(PAUSES, LENGTHS), min_size=1, max_size=25),
)
def test_reads_of_any_window_are_at_most_the_rate_and_one_burst(
    rate: float, asked: list[tuple[float, int]]
) -> None:
    begun = passed(Pacer(Limit(reads_per_s=rate), 0.0), asked)
    assert most_in_any_window(begun, rate, counted=True) <= max(rate, 1.0) * (1 + ROUNDING)


@given(RATES, st.lists(LENGTHS, min_size=2, max_size=40))
def test_nobody_starves_and_the_rate_is_used(rate: float, lengths: list[int]) -> None:
    begun = passed(Pacer(Limit(bytes_per_s=rate), 0.0), [(0.0, one) for one in lengths])
    assert begun[-1][0] <= sum(lengths) / rate * (1 + ROUNDING), "longer than the rate makes it"


@given(
    st.lists(
        st.tuples(RATES, st.lists(st.tuples(PAUSES, LENGTHS), max_size=6)), min_size=1, max_size=6
    )
)
def test_a_limit_that_changes_holds_from_then_on(
    stages: list[tuple[float, list[tuple[float, int]]]],
) -> None:
    """The same bound, with what the rates of each moment add up to in place of one rate."""
    pacer = Pacer(Limit(bytes_per_s=stages[0][0]), 0.0)
    at, granted, begun = 0.0, 0.0, []
    for rate, asked in stages:
        pacer.change(Limit(bytes_per_s=rate), at)
        for pause, length in asked:
            for step in (pause, pacer.wait(length, at + pause)):
                at += step
                granted += step * rate
            pacer.take(length, at)
            begun.append((granted, length))
    burst = max([rate for rate, _ in stages] + [length for _, length in begun])
    if begun:
        assert most_in_any_window(begun, 1.0, counted=False) <= burst * (1 + ROUNDING)


def test_a_higher_limit_is_felt_at_once_also_by_a_debt() -> None:
    pacer = Pacer(Limit(bytes_per_s=1000), 0.0)
    pacer.take(1_000_000, 0.0)
    assert pacer.wait(1, 0.0) == pytest.approx(999.001)
    pacer.change(Limit(bytes_per_s=1e6), 10.0)
    assert pacer.wait(1, 10.0) < 1
    pacer.change(NO_LIMIT, 10.0)
    assert pacer.wait(1 << 40, 10.0) == 0


def test_a_lower_limit_takes_what_was_saved() -> None:
    pacer = Pacer(Limit(bytes_per_s=1e9), 0.0)
    pacer.change(Limit(bytes_per_s=1000), 0.0)
    pacer.take(1000, 0.0)
    assert pacer.wait(1000, 0.0) == pytest.approx(1.0)


def test_a_large_read_waits_for_a_full_bucket_and_no_longer() -> None:
    bucket = Bucket(1000.0, 0.0)
    bucket.take(600, 0.0)
    assert bucket.wait(4 << 20, 0.0) == pytest.approx(0.6)
    bucket.take(4 << 20, 0.6)
    assert bucket.wait(1, 0.6) == pytest.approx(((4 << 20) - 999) / 1000)


def test_a_timer_that_stands_still_or_goes_back_lets_nothing_more_through() -> None:
    bucket = Bucket(1000.0, 50.0)
    bucket.take(1000, 50.0)
    assert bucket.wait(1000, 20.0) == pytest.approx(1.0)
    assert bucket.wait(1000, 50.5) == pytest.approx(0.5)


# ── shares ──────────────────────────────────────────────────────────────────────────────────────
LIMITS = st.builds(Limit, st.none() | st.floats(1, 1e9), st.none() | st.floats(1, 1e5))


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1), st.builds(Reading, st.sampled_from("xyz"), LIMITS)
    ),
    st.dictionaries(st.sampled_from("xyz"), LIMITS),
    LIMITS,
)
def test_shares_together_are_never_more_than_a_limit(
    runs: dict[str, Reading], sources: dict[str, Limit], node: Limit
) -> None:
    divided = shares(runs, sources, node)
    assert divided.keys() == runs.keys()
    for limit, members in [
        (node, list(runs)),
        *((sources[s], [run for run in runs if runs[run].source == s]) for s in sources),
        *((one.own, [run]) for run, one in runs.items()),
    ]:
        for name in ("bytes_per_s", "reads_per_s"):
            bound, each = getattr(limit, name), [getattr(divided[run], name) for run in members]
            if bound is not None and members:
                assert all(one is not None and one > 0 for one in each)
                assert sum(each) <= bound * (1 + ROUNDING)


def test_a_run_gets_the_least_of_its_own_its_sources_and_its_nodes() -> None:
    runs = {
        "a": Reading("vms", Limit(bytes_per_s=10)),
        "b": Reading("vms"),
        "c": Reading("disks"),
    }
    divided = shares(runs, {"vms": Limit(100, 8)}, Limit(bytes_per_s=240))
    assert divided == {"a": Limit(10, 4), "b": Limit(50, 4), "c": Limit(80, None)}
    assert shares({}, {}, NO_LIMIT) == {}
    assert shares({"a": Reading("x")}, {}, NO_LIMIT) == {"a": NO_LIMIT}


def test_what_a_line_says_is_what_is_heard() -> None:
    assert tightest() == NO_LIMIT
    for limit in (NO_LIMIT, Limit(65536.5, None), Limit(None, 2.5), Limit(1, 1)):
        assert limit_of(limit.said()) == limit
    assert limit_of({"bytes_per_s": True, "iops": "many"}) == NO_LIMIT
    assert limit_of({"bytes_per_s": 0, "iops": -1}) == NO_LIMIT
