"""Results are statements whose names tell level and time, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drd.core.coverage import TURN, Cursor, Mark
from drd.core.result import Result, from_statement, to_statement, told_by
from drd.core.seal import Scope
from drd.errors import IntegrityError
from drd.model import Json

AT = datetime(2026, 11, 21, 10, 30, 0, 123456, tzinfo=UTC)
SCOPE = Scope(bytes(16), bytes(16), bytes([7] * 16))
PLAIN = Result(2, AT, points=(3, 4), bad=(5,), findings=2, damaged=True, packs=10, of=10)
TURNED = Result(
    1,
    AT,
    points=(9,),
    packs=2,
    of=40,
    covered=0.25,
    cursor=Cursor((Mark(AT - timedelta(days=1), 0), Mark(AT, TURN + 5)), 17),
)


@pytest.mark.parametrize("result", [PLAIN, TURNED])
def test_there_and_back(result: Result) -> None:
    said = to_statement(result, SCOPE, {"by": "eva@node1"})
    assert from_statement(said) == result
    told = told_by(said.key)
    assert told is not None
    assert (told.seq, told.level, told.at) == (result.seq, result.level, AT)
    assert told.rotating is (result.cursor is not None)


def test_what_it_is_about() -> None:
    assert PLAIN.seq == 5
    assert not PLAIN.ok
    assert TURNED.ok


@pytest.mark.parametrize(
    "key",
    [
        "h/x",
        "h/" + "0" * 32 + "/" + "0" * 32 + "/hold-0000000001-0123456789abcdef",
        "h/" + "0" * 32 + "/" + "0" * 32 + "/result-0000000001-02" + "0" * 14,
    ],
)
def test_names_that_tell_nothing(key: str) -> None:
    assert told_by(key) is None


WRONG: list[Mapping[str, Json]] = [
    {"level": 1},
    {"level": -2},
    {"level": True},
    {"points": "3"},
    {"points": [3, "4"]},
    {"points": [3, 10**10]},
    {"points": [], "bad": []},
    {"points": [9]},
    {"findings": None},
    {"packs": 1.5},
    {"covered": 2},
    {"covered": "all"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_no_verify_says(wrong: Mapping[str, Json]) -> None:
    said = to_statement(PLAIN, SCOPE, {})
    with pytest.raises(IntegrityError):
        from_statement(replace(said, clear={**said.clear, **wrong}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"marks": None},
        {"marks": [1]},
        {"marks": [[1]]},
        {"marks": [["x", "0"]]},
        {"marks": [[1, 2]]},
        {"marks": [[1, "x"]]},
        {"marks": [[10**30, "0"]]},
        {"through": -1},
    ],
    ids=str,
)
def test_a_cursor_that_is_none(wrong: Mapping[str, Json]) -> None:
    said = to_statement(TURNED, SCOPE, {})
    with pytest.raises(IntegrityError):
        from_statement(replace(said, clear={**said.clear, **wrong}))


def test_fields_that_are_missing_and_times_that_differ() -> None:
    said = to_statement(PLAIN, SCOPE, {})
    for name in said.clear:
        rest = {key: value for key, value in said.clear.items() if key != name}
        with pytest.raises(IntegrityError):
            from_statement(replace(said, clear=rest))
    with pytest.raises(IntegrityError, match="time"):
        from_statement(replace(said, at=AT + timedelta(microseconds=1)))
