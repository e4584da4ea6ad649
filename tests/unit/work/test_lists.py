"""What people call points, which are in doubt, and what lies in the bucket beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from drd.core import names
from drd.core.seal import sha256
from drd.core.selectors import parse_point
from drd.errors import IntegrityError, NotFoundError
from drd.model import Json, PointInfo, PointKind
from drd.testing.fakes import START, MemoryCatalogue
from drd.work.affected import points_that_need
from drd.work.besides import check_reader, slots_wanting
from drd.work.held import held_snapshots, needed_ids
from drd.work.history import mark_suspects
from drd.work.listing import find_lineage, full_points, known_points, matching, open_full, owners
from drd.work.repository import Repository
from drd.work.strangers import AT_MOST, strangers_of, warn_of_strangers
from tests.unit.work.points import NAME, KeysRead, cut, info, remove, slots_of, with_points
from tests.unit.work.world import BLOCK, World, fill


@pytest.fixture
def world() -> World:
    return with_points(3)


# ── suspects ────────────────────────────────────────────────────────────────────────────────────


def suspects(points: Iterable[PointInfo]) -> list[int]:
    return [one.seq for one in mark_suspects(points) if one.suspect]


def test_points_up_to_the_one_found_wrong_are_suspect() -> None:
    told: dict[str, Json] = {"suspects": [{"through": 2, "cells": 1}, {"through": 1}]}
    points = [info(1), info(2), info(3, facts=told), info(1, lineage=b"m" * 16)]
    assert suspects(points) == [1, 2]


@pytest.mark.parametrize("value", [None, "all", [], ["x"], [{}], [{"through": "2"}]])
def test_suspects_that_are_none_are_ignored(value: Json) -> None:
    assert suspects([info(1), info(2, facts={"suspects": value})]) == []


# ── names ───────────────────────────────────────────────────────────────────────────────────────

OLD, NEW, ODD = b"o" * 16, b"n" * 16, b"d" * 16


def test_a_created_again_image_takes_the_name_over() -> None:
    points = [
        info(5, lineage=OLD),
        info(1, lineage=NEW, committed_at=START + timedelta(days=1)),
        info(9, lineage=ODD, name="a/c"),
    ]
    for order in (points, points[::-1]):
        assert [one.lineage for one in find_lineage(order, parse_point("a/b"))] == [NEW]
        assert [one.lineage for one in find_lineage(order, parse_point(OLD.hex()))] == [OLD]
    with pytest.raises(NotFoundError):
        find_lineage(points, parse_point("a/x"))
    with pytest.raises(NotFoundError):
        find_lineage(points, parse_point("00" * 16))


def test_an_unfinished_first_backup_takes_no_name() -> None:
    young = info(1, lineage=NEW, kind=PointKind.PARTIAL, committed_at=START + timedelta(days=9))
    lineages = {OLD: [info(5, lineage=OLD)], NEW: [young]}
    assert owners(lineages) == {"a/b": OLD}
    assert owners({NEW: [young]}) == {"a/b": NEW}
    assert full_points([young, info(1)]) == [info(1)]


def test_patterns_choose_owners_and_ids_choose_any() -> None:
    points = [
        info(5, lineage=OLD),
        info(1, lineage=NEW, committed_at=START + timedelta(days=1)),
        info(9, lineage=ODD, name="a/[c]"),
    ]

    def chosen(*patterns: str) -> list[bytes]:
        return [lineage[0].lineage for lineage in matching(points, patterns)]

    assert set(chosen()) == {NEW, ODD}
    assert sorted(chosen("a/b", "a/*")) == sorted([NEW, ODD])
    assert chosen("a/[c]") == [ODD], "a name is itself, before it is a pattern"
    assert chosen(OLD.hex()) == [OLD]
    with pytest.raises(NotFoundError):
        chosen("a/*", "nothing")


def test_points_are_known_with_and_without_a_catalogue(world: World) -> None:
    fresh = known_points(world.repository(), None)
    assert [one.seq for one in fresh] == [1, 2, 3]
    catalogue = MemoryCatalogue()
    assert known_points(world.repository(), catalogue) == fresh
    assert len(catalogue.points(world.ring.tenant)) == 3
    _, point = open_full(world.repository(), fresh[1])
    assert point.seq == 2


# ── what no manifest names ──────────────────────────────────────────────────────────────────────


def test_a_reader_that_is_gone_or_another_is_missed(world: World) -> None:
    repository = world.repository()
    with pytest.raises(IntegrityError, match="missing"):
        check_reader(repository)
    reader = b"# a reader"
    known = replace(repository.format, reader_sha256=sha256(reader))
    repository = replace(repository, format=known)
    key = names.reader_key(sha256(reader))
    world.store.put(key, reader)
    check_reader(repository)
    world.store.damage(key, b"another")
    with pytest.raises(IntegrityError, match="damaged"):
        check_reader(repository)


def test_a_holder_without_a_slot_is_told(world: World) -> None:
    lineage = world.lineage
    assert list(slots_wanting(world.repository(), lineage, NAME)) == []
    first, second = sorted(slots_of(world))
    world.store.put(first, b"garbage")
    assert list(slots_wanting(world.repository(), lineage, NAME)) == []
    world.store.damage(second, b"garbage")
    remove(world, first)
    told = list(slots_wanting(world.repository(), lineage, NAME))
    assert len(told) == 2
    assert all(any(key in one for one in told) for key in (first, second))


# ── snapshots, packs, strangers ─────────────────────────────────────────────────────────────────


def test_snapshots_that_the_next_run_needs_are_kept_and_others_marked() -> None:
    world = with_points(1, cells=3 * 64)
    fill(world, seed=2)
    world.knobs = replace(world.knobs, partial_packs=2, pack_size=16 * BLOCK)
    world.backup_until(9)
    points = world.points()
    assert {one.kind for one in points[1:]} == {PointKind.PARTIAL}
    assert len(world.snapshots()) == 2
    needed, shown = needed_ids(points), list(world.source.snapshots())
    assert needed == {world.lineage: frozenset(world.snapshots())}
    assert {one.state for one in held_snapshots(shown, needed)} == {"kept"}
    assert {one.state for one in held_snapshots(shown, {})} == {"unknown"}
    nothing = {world.lineage: frozenset[str]()}
    assert {one.state for one in held_snapshots(shown, nothing)} == {"orphan"}
    assert needed_ids([info(1)]) == {b"l" * 16: frozenset({""})}


def needing(
    repository: Repository, points: list[PointInfo], packs: list[str]
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {pack: [] for pack in packs}
    for pack, point in points_that_need(repository, points, packs):
        found[pack].append(point)
    return found


def test_points_that_need_a_pack_are_named(world: World) -> None:
    """A pack is shared by all points whose map still points to it."""
    packs = sorted(world.keys("p/"))
    repository = world.repository()
    found = needing(repository, world.points(), [*packs, "p/unknown"])
    assert found["p/unknown"] == []
    assert sorted(len(found[pack]) for pack in packs) == [1, 2, 3]
    assert {one for pack in packs for one in found[pack]} == {f"{NAME}@{n}" for n in (1, 2, 3)}
    told = world.points()
    cut(world, 2)
    found = needing(repository, told, packs)
    assert f"{NAME}@2" not in {one for pack in packs for one in found[pack]}
    assert any(f"{NAME}@2" in one for one in repository.warnings)


def test_each_table_is_read_once_for_all_points(world: World) -> None:
    store = KeysRead(world.store)
    points = world.points()
    assert needing(world.repository(store=store), points, sorted(world.keys("p/")))
    tables = {key: count for key, count in store.reads.items() if key.startswith("x/")}
    assert tables == dict.fromkeys(world.keys("x/"), 1)


def test_who_stops_half_way_has_what_was_found_so_far(world: World) -> None:
    store = KeysRead(world.store)
    found = points_that_need(world.repository(store=store), world.points(), world.keys("p/"))
    assert next(found)[1] == f"{NAME}@1"
    assert sum(count for key, count in store.reads.items() if key.startswith("m/")) == 1


def test_strangers_are_named_and_what_is_drds_is_not(world: World) -> None:
    repository = world.repository()
    assert list(strangers_of(repository, [world.lineage])) == []
    tenant, lineage = world.ring.tenant.hex(), world.lineage.hex()
    strange = {"readme.txt", "zoo/1", f"p/{tenant}/{lineage}/x", f"k/{tenant}/{lineage}/readme"}
    for key in strange:
        world.store.put(key, b"")
    assert set(strangers_of(repository, [world.lineage])) == strange


def test_few_strangers_are_all_named(world: World) -> None:
    world.store.put("stranger", b"")
    repository = world.repository()
    warn_of_strangers(repository, [world.lineage])
    assert repository.warnings == ["stranger is not one of drd's objects"]


def test_of_many_strangers_some_are_named_and_the_rest_counted(world: World) -> None:
    for at in range(AT_MOST + 3):
        world.store.put(f"stranger-{at:02}", b"")
    repository = world.repository()
    before = len(repository.warnings)
    warn_of_strangers(repository, [])
    assert len(repository.warnings) == before + AT_MOST + 1
    assert "3 more" in repository.warnings[-1]
