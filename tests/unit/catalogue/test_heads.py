"""Heads are kept, not computed: after whatever happened they are what the points say."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from drd.catalogue.catalogue import SqliteCatalogue
from drd.catalogue.database import statements
from drd.catalogue.memory import MemoryCatalogue
from drd.model import PointInfo, PointKind
from drd.ports import Catalogue
from drd.testing.fakes import START
from tests.unit.work.points import info

TENANTS = (b"t" * 16, b"u" * 16)
LINEAGES = (b"k" * 16, b"l" * 16, b"m" * 16)
KEYS = [f"m/{number}" for number in range(24)]

Act = Callable[[Catalogue], None]


@st.composite
def points(draw: st.DrawFn) -> PointInfo:
    """A point of few lineages. Under one key there is always one number, as there is in a bucket;
    that its lineage may become another is worse than any bucket.
    """
    number = draw(st.integers(0, len(KEYS) - 1))
    at = START + timedelta(seconds=draw(st.integers(0, 5)), microseconds=draw(st.integers(0, 1)))
    return info(
        number,
        manifest_key=KEYS[number],
        tenant=draw(st.sampled_from(TENANTS)),
        lineage=draw(st.sampled_from(LINEAGES)),
        name=draw(st.sampled_from(["vms/a", "vms/b"])),
        kind=draw(st.sampled_from(PointKind)),
        point_at=at,
        size=draw(st.integers(0, 9)),
    )


def acts() -> st.SearchStrategy[Act]:
    learn = st.lists(points(), max_size=8).map(lambda some: lambda one: one.learn(some))
    forget = st.lists(st.sampled_from(KEYS)).map(lambda keys: lambda one: one.forget(keys))
    clear = st.just(lambda one: one.clear())
    return st.one_of(learn, learn, forget, clear)


@settings(max_examples=150, deadline=None)
@given(st.lists(acts(), max_size=12), st.integers(1, 4))
def test_heads_are_those_of_brute_force_over_the_points(steps: list[Act], at_once: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "catalogue.sqlite"
        with closing(SqliteCatalogue(path, at_once=at_once)) as kept:
            for act in steps:
                act(kept)
                for tenant in TENANTS:
                    brute = MemoryCatalogue(kept.points(tenant))
                    assert list(kept.heads(tenant)) == list(brute.heads(tenant))
                    assert kept.lineages(tenant) == brute.lineages(tenant)
        assert_made_at_once(path)


def assert_made_at_once(path: Path) -> None:
    """A file of an older drd gets the same heads in one statement."""
    with closing(sqlite3.connect(path)) as db:
        kept = db.execute("SELECT * FROM head ORDER BY tenant, lineage").fetchall()
        db.execute("DELETE FROM head")
        db.execute(statements("queries.sql")["all_heads"])
        assert db.execute("SELECT * FROM head ORDER BY tenant, lineage").fetchall() == kept
