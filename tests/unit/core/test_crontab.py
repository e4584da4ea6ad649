"""Lines of crontab(5): what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.crontab import MACROS, longest_day_gap, parse_crontab
from drd.errors import ConfigError

ALL = range(60)


def dates(line: str, first: str, days: int) -> list[str]:
    begin = date.fromisoformat(first)
    table = parse_crontab(line)
    every = [begin + timedelta(days=one) for one in range(days)]
    return [one.strftime("%a %d") for one in every if table.on(one)]


@pytest.mark.parametrize(
    "minute,expected",
    [
        ("*", list(ALL)),
        ("*/20", [0, 20, 40]),
        ("7", [7]),
        ("5-9", [5, 6, 7, 8, 9]),
        ("1-9/4", [1, 5, 9]),
        ("50,1-3,05", [1, 2, 3, 5, 50]),
        ("*/60", [0]),
        ("59", [59]),
    ],
)
def test_minutes(minute: str, expected: list[int]) -> None:
    assert list(parse_crontab(f"{minute} * * * *").minutes) == expected


@pytest.mark.parametrize(
    "weekday,expected",
    [
        ("0", {0}),
        ("7", {0}),
        ("5-7", {5, 6, 0}),
        ("mon-FRI", {1, 2, 3, 4, 5}),
        ("sat-sun", {6, 0}),
        ("sun-tue", {0, 1, 2}),
        ("sun,Wed", {0, 3}),
        ("*/2", {0, 2, 4, 6}),
        ("*/7", {0}),
        ("1-7/3", {1, 4, 0}),
    ],
)
def test_sunday_is_zero_and_seven(weekday: str, expected: set[int]) -> None:
    assert parse_crontab(f"0 0 * * {weekday}").weekdays == expected


def test_monday_is_one() -> None:
    """APScheduler takes 0 for Monday: a line taken over from a crontab would run a day late."""
    assert dates("0 0 * * 1", "2026-11-21", 8) == ["Mon 23"]


def test_months_have_names() -> None:
    assert parse_crontab("0 0 1 jan,MAR,nov-dec *").months == {1, 3, 11, 12}


@pytest.mark.parametrize(
    "line,expected",
    [
        ("30 4 1,15 * 5", ["Sun 01", "Fri 06", "Fri 13", "Sun 15"]),  # the page's own example
        ("0 0 13 * *", ["Fri 13"]),
        ("0 0 * * 5", ["Fri 06", "Fri 13"]),
        ("0 0 */7 * 0", ["Sun 01", "Sun 08", "Sun 15"]),  # 1, 8, 15 of November 2026 are Sundays
        ("0 0 */2 * 1", ["Mon 09"]),  # begins with a star: both must hold
        ("0 0 13 * */5", ["Fri 13"]),
        ("0 0 1-31 * 5", [f"{one:%a %d}" for one in (date(2026, 11, 1 + n) for n in range(15))]),
    ],
)
def test_day_or_weekday_when_both_are_restricted(line: str, expected: list[str]) -> None:
    assert dates(line, "2026-11-01", 15) == expected


@pytest.mark.parametrize("word", MACROS)
def test_words(word: str) -> None:
    assert parse_crontab(word) == parse_crontab(word.upper()) == parse_crontab(MACROS[word])


def test_all_hours_are_each_hour_however_they_are_written() -> None:
    lines = ("0 * * * *", "0 */1 * * *", "0 0-23 * * *", "0 0-11,12-23 * * *")
    assert [parse_crontab(line).every_hour for line in lines] == [True] * 4
    assert not parse_crontab("0 */2 * * *").every_hour
    assert not parse_crontab("0 1-23 * * *").every_hour


@pytest.mark.parametrize(
    "line,message,hint",
    [
        ("", "it has 0 fields", "it needs five: minute, hour, day, month, weekday"),
        ("nope", "it has 1 field", "five"),
        ("0 * * *", "it has 4 fields", "five"),
        ("0 0 * * * *", "it has 6 fields", "five"),
        ("@dayly", "'@dayly' is no word", "the nearest is @daily"),
        ("@reboot", "'@reboot' is no word", "the nearest is @"),
        ("60 * * * *", "minute '60' is out of range", "from 0 to 59, the nearest is 59"),
        ("0 24 * * *", "hour '24' is out of range", "from 0 to 23, the nearest is 23"),
        ("0 0 0 * *", "day '0' is out of range", "from 1 to 31, the nearest is 1"),
        ("0 0 * 13 *", "month '13' is out of range", "the nearest is 12"),
        ("0 0 * * 8", "weekday '8' is out of range", "the nearest is 7"),
        ("0 0 * * mnd", "weekday 'mnd' is no name of one", "the nearest is mon"),
        ("0 0 * sept *", "month 'sept' is no name of one", "the nearest is sep"),
        ("0 1,x * * *", "hour 'x' is no number, range or *", "no other signs"),
        ("0 0 L * *", "day 'L' is no number, range or *", "no other signs"),
        ("0 0 * * 5#2", "weekday '5#2' is no number, name, range or *", "no other signs"),
        ("0 1,,2 * * *", "hour '' is no number", "from 0 to 23"),
        ("0 1, * * *", "hour '' is no number", "from 0 to 23"),
        ("-5 * * * *", "minute '' (of '-5') is no number", "from 0 to 59"),
        ("0 1-2-3 * * *", "hour '2-3' (of '1-2-3') is no number", "from 0 to 23"),
        ("0 22-2 * * *", "hour '22-2' ends before it begins", "write 22-23,0-2"),
        ("0 0 * * fri-mon", "weekday 'fri-mon' ends before it begins", "write fri-6,0-mon"),
        ("5/10 * * * *", "minute '5/10' has a step, and is no range", "write 5-59/10"),
        ("*/0 * * * *", "minute '*/0' has the step '0'", "from 1 to 60, the nearest is 1"),
        ("*/90 * * * *", "minute '*/90' has the step '90'", "the nearest is 60"),
        ("*/ * * * *", "minute '*/' has the step ''", "from 1 to 60"),
        ("*/2/3 * * * *", "minute '*/2/3' has the step '2/3'", "from 1 to 60"),
        ("0 0 30 2 *", "day '30' is in none of the months '2'", "is 29"),
        ("0 0 31 4,6 *", "day '31' is in none of the months '4,6'", "is 30"),
        ("٣ * * * *", "minute '٣' is no number", "from 0 to 59"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(line: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_crontab(line)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_day_that_no_month_has_does_not_matter_beside_a_weekday() -> None:
    assert dates("0 0 31 2 1", "2027-02-01", 28) == ["Mon 01", "Mon 08", "Mon 15", "Mon 22"]


@given(st.text(alphabet="0123456789*/-,@ajnmo \t#L", max_size=24))
def test_any_text_is_a_line_or_an_error_with_a_hint(text: str) -> None:
    try:
        table = parse_crontab(text)
    except ConfigError as error:
        assert error.message  # noqa: PT017 - both ends are fine, others are not
        assert error.hint  # noqa: PT017
    else:
        assert table.minutes
        assert any(table.on(date(2024, 1, 1) + timedelta(days=one)) for one in range(366 * 41))


@pytest.mark.parametrize(
    "line,days",
    [
        ("0 0 * * *", 1),
        ("0 0 * * 1-5", 3),
        ("0 0 1 * *", 31),
        ("0 0 31 * *", 61),
        ("0 0 29 2 *", 2921),  # 2096 to 2104
        ("0 0 1 1 *", 366),
        ("0 0 1,15 * 5", 7),
    ],
)
def test_the_longest_gap_in_days(line: str, days: int) -> None:
    assert longest_day_gap(parse_crontab(line)) == days
