"""The journal of deletions: which points are doomed, and which gaps it explains."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import journal as journals
from drd.core.journal import DoomedList, Journal
from drd.core.statement import Statement
from drd.errors import IntegrityError
from drd.model import Json
from drd.testing.fakes import START
from tests.unit.core.specimens import SCOPE, noise

ONE, TWO, THREE = ((seq, noise(32, seq)) for seq in (1, 2, 3))
LIST = DoomedList(
    number=1,
    at=START,
    points=(ONE, TWO, THREE),
    packs={noise(16, "pack"): 7},
    tables={noise(16, "table"): 9},
    newest=5,
    ordinal=12,
    roots=2,
)


def said(kind: str, number: int, clear: dict[str, Json]) -> Statement:
    return Statement(kind, SCOPE, number, START, clear, {})


DOOMED = said("doomed", 1, LIST.clear())
SPARED = said("spared", 2, journals.answer(1, (TWO,)))
DELETED = said("deleted", 3, journals.answer(1, (ONE, THREE)))


def test_a_list_is_read_as_it_was_written() -> None:
    journal = journals.read([DOOMED])
    assert journal.open == [LIST]
    assert journal.doomed().keys() == {1, 2, 3}
    assert journal.covered() == {ONE, TWO, THREE}
    assert journal.deleted() == frozenset()
    assert journal.last == 1


@given(st.permutations([DOOMED, SPARED, DELETED]), st.integers(1, 3))
def test_the_order_of_reading_does_not_matter(order: list[Statement], count: int) -> None:
    some = order[:count]
    journal = journals.read(some)
    doomed = {1, 2, 3} if DOOMED in some and DELETED not in some else set()
    spared = {2} if SPARED in some else set()
    assert journal.doomed().keys() == doomed - spared
    assert journal.last == max(one.number for one in some)


def test_what_was_spared_is_a_point_again_and_explains_no_gap() -> None:
    journal = journals.read([DOOMED, SPARED])
    assert journal.left(LIST) == (ONE, THREE)
    assert journal.covered() == {ONE, THREE}


def test_a_closed_list_dooms_nothing_and_explains_what_was_deleted() -> None:
    journal = journals.read([DOOMED, SPARED, DELETED])
    assert journal.open == []
    assert journal.doomed() == {}
    assert journal.covered() == journal.deleted() == {ONE, THREE}


def test_a_point_that_was_spared_can_be_doomed_again() -> None:
    again = replace(LIST, number=4, points=(TWO,))
    journal = journals.read([DOOMED, SPARED, DELETED, said("doomed", 4, again.clear())])
    assert journal.doomed() == {2: again}


def test_another_manifest_of_the_same_number_is_not_covered() -> None:
    assert (1, noise(32, "another")) not in journals.read([DOOMED]).covered()


def test_the_next_statement_has_the_next_number() -> None:
    journal = Journal(last=7)
    assert journal.next("spared", {}, scope=SCOPE, at=START).number == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"points": None},
        {"points": "all"},
        {"points": [[1]]},
        {"points": [[1, "ab"]]},
        {"points": [[-1, "00" * 32]]},
        {"points": [["1", "00" * 32]]},
        {"points": [[True, "00" * 32]]},
        {"points": [[1, "zz" * 32]]},
        {"packs": [["00" * 15, 1]]},
        {"packs": [["00" * 16, -1]]},
        {"tables": [["00" * 16]]},
        {"tables": {}},
        {"newest": "5"},
        {"ordinal": None},
        {"roots": -1},
    ],
)
def test_a_damaged_list_is_refused(changes: dict[str, Json]) -> None:
    with pytest.raises(IntegrityError):
        journals.read([said("doomed", 1, LIST.clear() | changes)])


@pytest.mark.parametrize("kind", ["spared", "deleted"])
@pytest.mark.parametrize("changes", [{"list": None}, {"list": "1"}, {"points": [[]]}])
def test_a_damaged_answer_is_refused(kind: str, changes: dict[str, Json]) -> None:
    with pytest.raises(IntegrityError):
        journals.read([said(kind, 2, journals.answer(1, (ONE,)) | changes)])
