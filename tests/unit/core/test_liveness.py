"""What keeps packs and tables alive: reachability, by what stands in clear."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import liveness
from drd.core.liveness import Reach, TableClear
from drd.core.manifest import Clear
from drd.core.tables import TableKind
from drd.errors import IntegrityError
from drd.model import PointKind
from tests.unit.core.specimens import clear, reference

FULL, PARTIAL = PointKind.FULL, PointKind.PARTIAL
RUN_A, RUN_B = (reference(TableKind.RUN, through=through) for through in (1, 2))
PACKS = reference(TableKind.PACKS)


def point(seq: int, kind: PointKind = FULL, *, names: tuple[object, ...] = ()) -> Clear:
    return replace(clear(seq), kind=kind, references=names)  # type: ignore[arg-type]


def pack(ordinal: int) -> bytes:
    return ordinal.to_bytes(16, "big")


def table(*reached: int, rows: tuple[int, ...] = ()) -> TableClear:
    return TableClear(frozenset(reached), {ordinal: pack(ordinal) for ordinal in rows})


# ── roots ───────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.sampled_from(PointKind), max_size=12), st.sets(st.integers(1, 12)))
def test_roots_are_retained_fulls_the_newest_and_partials_after_it(
    kinds: list[PointKind], retained: set[int]
) -> None:
    points = [point(seq, kind) for seq, kind in enumerate(kinds, start=1)]
    kept = {one.seq for one in liveness.roots(points, frozenset(retained))}
    fulls = [seq for seq, kind in enumerate(kinds, start=1) if kind is FULL]
    newest = max(fulls, default=0)
    for seq, kind in enumerate(kinds, start=1):
        wanted = (kind is FULL and (seq in retained or seq == newest)) or (
            kind is PARTIAL and seq > newest
        )
        assert (seq in kept) == wanted


def test_the_newest_full_point_never_expires() -> None:
    assert [one.seq for one in liveness.roots([point(1), point(2)], frozenset())] == [2]


def test_a_partial_point_is_a_root_only_until_a_full_one_follows() -> None:
    points = [point(1), point(2, PARTIAL)]
    assert [one.seq for one in liveness.roots(points, frozenset())] == [1, 2]
    later = [*points, point(3)]
    assert [one.seq for one in liveness.roots(later, frozenset({1, 2, 3}))] == [1, 3]


# ── reach ───────────────────────────────────────────────────────────────────────────────────────


def test_a_point_reaches_what_its_tables_list() -> None:
    tables = {RUN_A.table_id: table(1, 2, rows=(1, 2)), RUN_B.table_id: table(2, 5, rows=(5,))}
    found = liveness.reach(point(1, names=(RUN_A, RUN_B)), tables)
    assert found == Reach(
        tables=frozenset({RUN_A.table_id, RUN_B.table_id}),
        ordinals=frozenset({1, 2, 5}),
        packs=frozenset({pack(1), pack(2), pack(5)}),
    )


def test_a_row_that_nothing_reaches_keeps_nothing_alive() -> None:
    tables = {PACKS.table_id: table(rows=(1, 2)), RUN_A.table_id: table(2)}
    assert liveness.reach(point(1, names=(PACKS, RUN_A)), tables).packs == {pack(2)}


def test_a_table_that_is_not_known_stops_everything() -> None:
    with pytest.raises(IntegrityError, match="not there"):
        liveness.reach(point(1, names=(RUN_A,)), {})


def test_an_ordinal_without_a_row_stops_everything() -> None:
    with pytest.raises(IntegrityError, match="has no row"):
        liveness.reach(point(1, names=(RUN_A,)), {RUN_A.table_id: table(1, 3, rows=(1,))})


def test_an_ordinal_with_two_rows_stops_everything() -> None:
    tables = {
        RUN_A.table_id: table(1, rows=(1,)),
        RUN_B.table_id: TableClear(frozenset({1}), {1: pack(9)}),
    }
    with pytest.raises(IntegrityError, match="two rows"):
        liveness.reach(point(1, names=(RUN_A, RUN_B)), tables)


@given(st.lists(st.sets(st.integers(1, 9)), min_size=1, max_size=4))
def test_alive_is_the_union(reaches: list[set[int]]) -> None:
    """And it only grows with further points: nobody can release what another one keeps."""
    names = [reference(TableKind.RUN, through=at) for at in range(len(reaches))]
    tables = {
        name.table_id: table(*reached, rows=tuple(range(1, 10)))
        for name, reached in zip(names, reaches, strict=True)
    }
    points = [point(at + 1, names=(name,)) for at, name in enumerate(names)]
    whole = liveness.alive(points, tables)
    assert whole.ordinals == set().union(*reaches)
    assert whole.tables == {name.table_id for name in names}
    growing = [liveness.alive(points[:count], tables) for count in range(len(points) + 1)]
    assert all(less.packs <= more.packs for less, more in pairwise(growing))
    assert growing[0].packs == frozenset()
