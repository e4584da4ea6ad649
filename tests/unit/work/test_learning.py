"""What it costs to learn of one lineage, and of lineages that are new here: no more than they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from typing_extensions import override

from drd.catalogue.memory import MemoryCatalogue
from drd.core import names
from drd.errors import KeyAccessError
from drd.model import ObjectVersion, PointInfo
from drd.work.backup import backup
from drd.work.history import learn, learn_each, learn_lineage, learn_unknown
from tests.unit.work.points import KeysRead, cut, manifest_key, remove
from tests.unit.work.world import BLOCK, CELL, World, fill

OTHERS = ("other", "third")


class Asked(KeysRead):
    """Notes what was listed, too."""

    def __init__(self, world: World) -> None:
        super().__init__(world.store)
        self.listed: list[str] = []

    @override
    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        self.listed.append(prefix)
        return super().list(prefix, limit=limit, after=after)


def manifests(store: Asked) -> Sequence[str]:
    """Keys of manifests that were read."""
    return sorted(key for key in store.reads if key.startswith("m/"))


class Images(World):
    """A world of several images; ``lineage`` is that of its own one."""

    first = b""

    @property
    @override
    def lineage(self) -> bytes:
        return self.first or super().lineage


def of_three_images() -> World:
    """Three points of the world's own image, two of each of the others."""
    world = Images(size=4 * CELL)
    for seed in range(3):
        fill(world, seed=seed)
        world.backup()
    world.first = world.lineage
    for name in OTHERS:
        world.source.add(name, CELL).write(0, name.encode())
        for _ in range(2):
            add_point(world, name)
    return world


def add_point(world: World, name: str) -> None:
    worker = world.process()
    backup(worker.bench, worker.source, world.source.found(name))


@pytest.fixture
def world() -> World:
    return of_three_images()


def folder_of(world: World, lineage: bytes) -> str:
    return names.manifest_folder(world.ring.tenant, lineage)


def lineages_of(world: World) -> dict[str, bytes]:
    return {one.identity: one.lineage for one in learn(world.repository(), MemoryCatalogue())}


def own(world: World, points: list[PointInfo]) -> list[PointInfo]:
    return [one for one in points if one.lineage == world.lineage]


# ── one lineage ─────────────────────────────────────────────────────────────────────────────────


def add_one(world: World) -> None:
    fill(world, seed=9)
    world.backup()


def remove_all(world: World) -> None:
    for seq in (1, 2, 3):
        remove(world, manifest_key(world, seq))


CHANGES: dict[str, Callable[[World], object]] = {
    "nothing": lambda _: None,
    "a point made elsewhere": add_one,
    "an old point gone": lambda world: remove(world, manifest_key(world, 1)),
    "the newest hidden": lambda world: remove(world, manifest_key(world, 3)),
    "a known one damaged": lambda world: cut(world, 2),
    "garbage": lambda world: world.store.put(manifest_key(world, 7), b"garbage"),
    "all gone": remove_all,
}


@pytest.mark.parametrize("known", ["all", "some", "none"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_learns_of_a_lineage_what_learning_everything_learns_of_it(
    world: World, change: Callable[[World], object], known: str
) -> None:
    tenant, points = world.ring.tenant, world.points()
    change(world)
    kept = {"all": points, "some": own(world, points)[:1], "none": []}[known]
    whole, one = MemoryCatalogue(kept), MemoryCatalogue(kept)
    first, second = world.repository(), world.repository()
    wanted = own(world, learn(first, whole))
    assert learn_lineage(second, one, world.lineage) == wanted
    assert one.points_of(tenant, world.lineage) == whole.points_of(tenant, world.lineage)
    assert sorted(second.warnings) == sorted(first.warnings)


@pytest.mark.parametrize("threads", [0, 4])
@pytest.mark.parametrize("known", ["all", "some", "none"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_lineage_by_lineage_it_learns_what_learning_everything_at_once_learns(
    world: World, change: Callable[[World], object], known: str, threads: int
) -> None:
    tenant, points = world.ring.tenant, world.points()
    change(world)
    kept = {"all": points, "some": points[:2], "none": []}[known]
    whole, each = MemoryCatalogue(kept), MemoryCatalogue(kept)
    first, second = world.repository(), world.repository()
    wanted = learn(first, whole)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        counts = learn_each(second, each, pool=pool if threads else None)
    assert {lineage: count for lineage, count in counts.items() if count} == dict(
        Counter(one.lineage for one in wanted)
    )
    assert each.points(tenant) == whole.points(tenant)
    assert sorted(second.warnings) == sorted(first.warnings)


def test_lineages_that_did_not_change_cost_a_list_each(world: World) -> None:
    catalogue = MemoryCatalogue(world.points())
    store = Asked(world)
    assert len(learn_each(world.repository(store=store), catalogue)) == 3
    assert manifests(store) == []
    assert len([one for one in store.listed if one.startswith("m/")]) == 3
    assert not any(one.startswith("k/") for one in store.listed)


def test_only_the_manifests_of_the_lineage_are_listed_and_the_new_ones_read(world: World) -> None:
    catalogue = MemoryCatalogue(world.points())
    add_one(world)
    store = Asked(world)
    assert len(learn_lineage(world.repository(store=store), catalogue, world.lineage)) == 4
    assert manifests(store) == [manifest_key(world, 4)]
    assert [one for one in store.listed if one.startswith("m/")] == [
        folder_of(world, world.lineage)
    ]


def shut(world: World, lineage: bytes) -> None:
    for key in world.keys(names.key_folder(world.ring.tenant, lineage)):
        if not key.endswith(".pub"):
            world.store.damage(key, b"garbage")


def test_a_lineage_that_does_not_open_keeps_what_was_known_of_it(world: World) -> None:
    catalogue = MemoryCatalogue(own(world, world.points())[:2])
    shut(world, world.lineage)
    repository = world.repository()
    assert [one.seq for one in learn_lineage(repository, catalogue, world.lineage)] == [1, 2]
    assert "no slot for the metadata key" in repository.warnings[-1]


# ── lineages that are new here ──────────────────────────────────────────────────────────────────


def test_of_lineages_that_are_new_here_the_newest_point_is_read_and_nothing_of_the_others(
    world: World,
) -> None:
    catalogue = MemoryCatalogue(own(world, world.points()))
    store = Asked(world)
    fresh = learn_unknown(world.repository(store=store), catalogue)
    others = sorted(set(lineages_of(world).values()) - {world.lineage})
    assert [(one.lineage, one.seq) for one in fresh] == [(one, 2) for one in others]
    assert manifests(store) == sorted(one.manifest_key for one in fresh)
    assert folder_of(world, world.lineage) not in store.listed
    assert catalogue.lineages(world.ring.tenant) == {*others, world.lineage}
    again = Asked(world)
    assert learn_unknown(world.repository(store=again), catalogue) == []
    assert manifests(again) == []


def test_a_backup_of_a_known_image_asks_of_no_other(world: World) -> None:
    world.catalogue.learn(learn(world.repository(), MemoryCatalogue()))
    store = Asked(world)
    fill(world, seed=9)
    world.backup(world.process(store=store))
    mine = folder_of(world, world.lineage)
    assert all(one.startswith(mine) for one in manifests(store))
    assert {one for one in store.listed if one.startswith("m/")} == {mine}


def test_a_backup_of_a_new_image_reads_no_manifest_of_those_known(world: World) -> None:
    world.catalogue.learn(learn(world.repository(), MemoryCatalogue()))
    before = set(lineages_of(world).values())
    world.source.add("new", CELL).write(BLOCK, b"new")
    store = Asked(world)
    worker = world.process(store=store)
    backup(worker.bench, worker.source, world.source.found("new"))
    (made,) = set(lineages_of(world).values()) - before
    assert all(one.startswith(folder_of(world, made)) for one in manifests(store))
    listed = {one for one in store.listed if one.startswith("m/")}
    assert listed <= {folder_of(world, made)}


def test_wrong_keys_are_told_where_nothing_opens_and_passed_over_elsewhere(world: World) -> None:
    points = world.points()
    for lineage in lineages_of(world).values():
        shut(world, lineage)
    for learns in (learn_unknown, learn_each):
        with pytest.raises(KeyAccessError):
            learns(world.repository(), MemoryCatalogue())
    known = MemoryCatalogue(points[:1])
    repository = world.repository()
    assert learn_unknown(repository, known) == []
    assert repository.warnings
