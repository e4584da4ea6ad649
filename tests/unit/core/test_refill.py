"""Which sparse packs are refilled: only sparse ones, only what is worth it, and within the budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drd.core.refill import SPARSE, WORTH, Listing, Use, choose

MIB = 1 << 20
ordinals = st.integers(1, 12)
uses = st.lists(
    st.builds(Use, ordinals, st.integers(1, 1000), st.integers(0, 1000), st.integers(0, 1000)),
    unique_by=lambda one: one.ordinal,
)
listings = st.dictionaries(
    st.integers(0, 5), st.builds(Listing, st.integers(1, 200), st.frozensets(ordinals)), max_size=6
)


@given(uses, listings, st.integers(0, 3000))
def test_only_sparse_packs_and_never_more_than_the_budget(
    some: list[Use], tables: dict[object, Listing], budget: int
) -> None:
    chosen = choose(some, tables, budget=budget)
    known = {one.ordinal: one for one in some}
    assert chosen <= known.keys()
    for one in (known[ordinal] for ordinal in chosen):
        assert max(one.needed, one.kept) * SPARSE < one.size
    written = [what for what in tables.values() if what.packs & chosen]
    put = sum(known[one].needed for one in chosen) + sum(what.size for what in written)
    assert put <= budget
    for what in written:
        freed = sum(known[one].size - known[one].needed for one in what.packs & chosen)
        assert freed >= WORTH * what.size


@given(uses, st.integers(0, 3000))
def test_where_no_table_stands_in_the_way_the_emptiest_go_first(
    some: list[Use], budget: int
) -> None:
    chosen = choose(some, {}, budget=budget)
    left = budget - sum(one.needed for one in some if one.ordinal in chosen)
    for one in some:
        if one.sparse and one.ordinal not in chosen:
            assert one.needed > left


@given(uses, listings)
def test_more_room_never_means_fewer_bytes_freed(
    some: list[Use], tables: dict[object, Listing]
) -> None:
    """All that is worth it goes when the budget is no matter."""
    known = {one.ordinal: one for one in some}

    def freed(budget: int) -> int:
        chosen = choose(some, tables, budget=budget)
        return sum(known[one].size - known[one].needed for one in chosen)

    assert freed(10**9) >= max(freed(budget) for budget in (0, 100, 1000))


def test_a_quarter_is_too_much() -> None:
    assert choose([Use(1, 100, 25)], {}, budget=MIB) == frozenset()
    assert choose([Use(1, 100, 24)], {}, budget=MIB) == {1}


def test_a_table_is_written_anew_for_many_packs_and_not_for_one() -> None:
    some = [Use(one, 100, 0) for one in range(1, 5)]
    dear: dict[object, Listing] = {"shard": Listing(100, frozenset({1, 2, 3, 4}))}
    assert choose(some, dear, budget=MIB) == {1, 2, 3, 4}
    assert choose(some[:3], dear, budget=MIB) == frozenset()


def test_a_pack_that_stays_makes_the_table_of_another_too_dear() -> None:
    some = [Use(1, 400, 0), Use(2, 400, 0)]
    tables: dict[object, Listing] = {
        "cheap": Listing(200, frozenset({1, 2})),
        "dear": Listing(200, frozenset({2})),
    }
    assert choose(some, tables, budget=MIB) == frozenset()
