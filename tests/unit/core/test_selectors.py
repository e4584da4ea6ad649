"""POINT: what an operator types, and which point is meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.selectors import Selector, choose, parse_point, parse_time, show_time
from drd.errors import NotFoundError, UsageError
from drd.model import PointInfo, PointKind

TEN = datetime(2026, 11, 21, 10, tzinfo=UTC)


def point(seq: int, *, minutes: int = 0, kind: PointKind = PointKind.FULL) -> PointInfo:
    when = TEN + timedelta(minutes=minutes)
    return PointInfo(
        tenant=bytes(16),
        lineage=bytes(16),
        seq=seq,
        name="vms/vm-1",
        identity="",
        kind=kind,
        point_at=when,
        committed_at=when,
        size=0,
        manifest_sha256=bytes(32),
        manifest_key="",
        predecessor_seq=seq - 1,
    )


# ── words ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "text, expected",
    [
        ("vms/vm-1", Selector("vms/vm-1")),
        ("vms/vm-1@17", Selector("vms/vm-1", seq=17)),
        ("vms/vm-1@0017", Selector("vms/vm-1", seq=17)),
        ("vms/vm-1@latest", Selector("vms/vm-1")),
        ("vms/vm-1@2026-11-21T10:00:00Z", Selector("vms/vm-1", at=TEN)),
        ("vms/vm-1@2026-11-21T11:00:00+01:00", Selector("vms/vm-1", at=TEN)),
        ("vms/vm-1@2026-11-21 10:00:00z", Selector("vms/vm-1", at=TEN)),
        ("vms/a@b", Selector("vms/a@b")),
        ("vms/a@b@3", Selector("vms/a@b", seq=3)),
        ("vms/db@17@latest", Selector("vms/db@17")),
        ("vms/db@17@18", Selector("vms/db@17", seq=18)),
        ("vms/db@2026-11-21@latest", Selector("vms/db@2026-11-21")),
        ("vms/db@Latest", Selector("vms/db@Latest")),
        ("vms/db@", Selector("vms/db@")),
        ("vms/db@1x", Selector("vms/db@1x")),
        ("vms/db@-1", Selector("vms/db@-1")),
        ("vms/db@٣", Selector("vms/db@٣")),
        ("vms/db@2026-11-21-copy", Selector("vms/db@2026-11-21-copy")),
        ("vms/ns/my disk ü/x@2", Selector("vms/ns/my disk ü/x", seq=2)),
        ("0f" * 16 + "@5", Selector("0f" * 16, lineage=bytes([15] * 16), seq=5)),
        ("0f" * 16, Selector("0f" * 16, lineage=bytes([15] * 16))),
        ("0F" * 16, Selector("0F" * 16)),
    ],
)
def test_points_are_read(text: str, expected: Selector) -> None:
    assert parse_point(text) == expected


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "name of an image"),
        ("@17", "name of an image"),
        ("@latest", "name of an image"),
        ("a/b@99999999999", "ten digits"),
        ("a/b@" + "9" * 5000, "ten digits"),
        ("a/b@2026-11-21", "offset"),
        ("a/b@2026-11-21T10:00:00", "offset"),
        ("a/b@2026-11-21T10:00", "offset"),
        ("a/b@2026-11-21T10:00Z", "is no time"),
        ("a/b@2026-11-21T10:00:00 +01:00", "offset"),
        ("a/b@2026-02-30T10:00:00Z", "is no time"),
        ("a/b@2026-11-21T25:00:00Z", "is no time"),
        ("a/b@0001-01-01T00:00:00+23:00", "is no time"),
        ("a/b@2026-11-21T10:00:00+99:00", "is no time"),
    ],
)
def test_points_that_are_wrong(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_point(text)


@pytest.mark.parametrize("suffix", ["2026-13-45T99:00:00Z", "2026-11-21T10:00:00", "9" * 11])
def test_what_is_wrong_with_a_point_is_told_whole(suffix: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_point(f"disks/a@{suffix}")
    assert caught.value.about == f"disks/a@{suffix}"
    assert caught.value.hint[0] not in "; "


def test_a_wrong_time_tells_how_to_reach_an_image_of_that_name() -> None:
    with pytest.raises(UsageError) as caught:
        parse_point("a/b@2026-11-21")
    assert "'a/b@2026-11-21@latest'" in caught.value.hint
    assert parse_point("a/b@2026-11-21@latest").name == "a/b@2026-11-21"


@given(st.text(min_size=1), st.integers(0, 10**10 - 1))
def test_any_name_with_a_number(name: str, seq: int) -> None:
    selector = parse_point(f"{name}@{seq}")
    assert (selector.name, selector.seq, selector.at) == (name, seq, None)


@given(st.text(min_size=1), st.datetimes(timezones=st.just(UTC)))
def test_any_name_with_a_time(name: str, when: datetime) -> None:
    selector = parse_point(f"{name}@{show_time(when)}")
    assert (selector.name, selector.seq, selector.at) == (name, None, when)


@given(st.text(min_size=1))
def test_any_name_can_be_reached(name: str) -> None:
    assert parse_point(f"{name}@latest").name == name


@given(st.text())
def test_whatever_is_typed_gives_a_selector_or_a_usage_error(text: str) -> None:
    try:
        selector = parse_point(text)
    except UsageError as error:
        assert error.hint or error.message  # noqa: PT017 - both ends are fine, others are not
    else:
        assert text.startswith(selector.name)


# ── times ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "text, expected",
    [
        ("2026-11-21T10:00:00Z", TEN),
        ("2026-11-21t10:00:00-00:00", TEN),
        ("2026-11-21T10:00:00.5Z", TEN + timedelta(milliseconds=500)),
        ("2026-11-21T10:00:00.1234567899Z", TEN + timedelta(microseconds=123456)),
        ("2026-11-21T09:59:60Z", TEN - timedelta(microseconds=1)),
        ("2026-11-22T00:30:00+14:30", TEN),
    ],
)
def test_times_are_read(text: str, expected: datetime) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "now", "20261121T100000Z", "2026-11-21T10:00:00", "2026-W47-6T10:00:00Z", "1763719200",
     "2026-11-21T10:00:00Z ", "2026-11-21T10:00:00,5Z", "٢026-11-21T10:00:00Z"],
)  # fmt: skip
def test_times_of_other_standards_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_time(text)


def test_times_are_shown_with_z() -> None:
    assert show_time(TEN) == "2026-11-21T10:00:00Z"
    assert show_time(TEN + timedelta(microseconds=5)) == "2026-11-21T10:00:00.000005Z"


# ── choice ──────────────────────────────────────────────────────────────────────────────────────
POINTS = [
    point(3, minutes=30),
    point(1, minutes=10),
    point(5, minutes=50),
    point(6, minutes=60, kind=PointKind.PARTIAL),
    point(4, minutes=40, kind=PointKind.PARTIAL),
]


def chosen(text: str) -> int:
    return choose(POINTS, parse_point(text)).seq


def test_the_newest_full_point() -> None:
    assert chosen("a") == 5
    assert chosen("a@latest") == 5


def test_by_number() -> None:
    assert chosen("a@3") == 3


def test_by_time_the_newest_at_or_before() -> None:
    assert chosen("a@2026-11-21T10:30:00Z") == 3
    assert chosen("a@2026-11-21T10:49:59Z") == 3
    assert chosen("a@2030-01-01T00:00:00Z") == 5


def test_of_one_time_the_later_number() -> None:
    twins = [point(8), point(7)]
    assert choose(twins, parse_point("a@2026-11-21T10:00:00Z")).seq == 8


def test_when_the_clock_fell_back_a_time_still_means_that_time() -> None:
    points = [point(1, minutes=60), point(2, minutes=30)]
    assert choose(points, parse_point("a@2026-11-21T11:00:00Z")).seq == 1
    assert choose(points, parse_point("a")).seq == 2


def test_an_unknown_number_names_the_nearest() -> None:
    points = [point(seq, minutes=seq) for seq in range(1, 20) if seq != 10]
    with pytest.raises(NotFoundError, match="no point 10") as caught:
        choose(points, parse_point("a@10"))
    assert caught.value.hint == (
        "nearest: @8 (2026-11-21T10:08:00Z), @9 (2026-11-21T10:09:00Z), @11 (2026-11-21T10:11:00Z)"
    )


def test_a_partial_point_is_none() -> None:
    with pytest.raises(NotFoundError, match="point 4 is only part of an unfinished backup"):
        chosen("a@4")


def test_a_time_before_the_first_point_says_when_the_first_is() -> None:
    with pytest.raises(NotFoundError, match="at or before 2026-11-21T10:00:00Z") as caught:
        chosen("a@2026-11-21T10:00:00Z")
    assert caught.value.hint == "the first is @1 (2026-11-21T10:10:00Z)"
    assert caught.value.about == "a"


@pytest.mark.parametrize("points", [[], [point(1, kind=PointKind.PARTIAL)]])
def test_no_point_at_all(points: list[PointInfo]) -> None:
    with pytest.raises(NotFoundError, match="no recovery point"):
        choose(points, parse_point("a"))


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50), st.booleans())), st.integers(0, 50)
)
def test_by_time_agrees_with_a_naive_search(rows: list[tuple[int, int, bool]], minute: int) -> None:
    points = [
        point(seq, minutes=minutes, kind=PointKind.FULL if full else PointKind.PARTIAL)
        for seq, minutes, full in rows
    ]
    at = TEN + timedelta(minutes=minute)
    good = [(one.point_at, one.seq) for one in points if one.kind is PointKind.FULL]
    before = [one for one in good if one[0] <= at]
    if before:
        found = choose(points, Selector("a", at=at))
        assert (found.point_at, found.seq) == max(before)
    else:
        with pytest.raises(NotFoundError):
            choose(points, Selector("a", at=at))
