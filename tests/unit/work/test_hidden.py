"""Newest points that were known here and are not in the bucket any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drd.core.selectors import Selector, parse_point
from drd.model import PointInfo
from drd.work.hidden import Hidden
from drd.work.listing import known_points
from tests.unit.work.world import CELL, World, fill


@pytest.fixture
def known() -> list[PointInfo]:
    """Three points of one image."""
    world = World(size=2 * CELL)
    for seed in range(3):
        fill(world, seed=seed)
        world.backup()
    return sorted(known_points(world.repository(), None), key=lambda one: one.seq)


def test_nothing_is_hidden_of_what_is_all_there(known: list[PointInfo]) -> None:
    assert Hidden(known, known).points == []
    assert Hidden([], known).points == []


def test_a_newest_point_is_missed_and_an_older_one_may_have_been_expired(
    known: list[PointInfo],
) -> None:
    assert [one.seq for one in Hidden(known, known[:2]).points] == [3]
    assert Hidden(known, known[1:]).points == []


def test_it_is_told_to_who_means_it(known: list[PointInfo]) -> None:
    hidden, name = Hidden(known, known[:2]), known[0].name
    assert [one.seq for one in hidden.meant_by(Selector(name))] == [3]
    assert [one.seq for one in hidden.meant_by(parse_point(f"{name}@3"))] == [3]
    assert hidden.meant_by(parse_point(f"{name}@2")) == []
    assert hidden.meant_by(replace(Selector(name), at=known[1].point_at)) == []
    assert hidden.meant_by(Selector("another/image")) == []


def test_a_lineage_that_is_gone_as_a_whole_is_missed(known: list[PointInfo]) -> None:
    hidden = Hidden(known, [])
    assert [one.seq for one in hidden.points] == [3]
    assert [one.seq for one in hidden.meant_by(Selector(known[0].name))] == [3]
