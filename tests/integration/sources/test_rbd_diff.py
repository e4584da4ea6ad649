"""What a diff of librbd may hide, and that it does not: clones, rollbacks, broken maps, bad versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from typing_extensions import override

from drd.ceph.bindings import Bindings, Version, bindings
from drd.ceph.cluster import CephAccess, Cluster
from drd.model import Changed, Found, Snapshot
from drd.ports import FreezeOrder, Frozen, ReadAt
from drd.sources.rbd import RbdSettings, RbdSource
from tests.integration.sources.conftest import ORDER, SIZE, Images

LINEAGE = bytes(range(16))
OBJECT = 1 << ORDER


def order(run: int, base: Snapshot | None = None) -> FreezeOrder:
    return FreezeOrder(LINEAGE, bytes([run] * 8), base)


def content(frozen: Frozen) -> bytes:
    size = frozen.snapshot.size
    wanted = [ReadAt(at, min(1 << 20, size - at)) for at in range(0, size, 1 << 20)]
    return b"".join(bytes(data) for _, data in frozen.read(wanted))


def missed(claimed: Sequence[Changed], old: bytes, new: bytes) -> list[int]:
    """Sectors that differ and are not claimed; a claimed hole that holds data counts."""
    old = old.ljust(len(new), b"\0")
    covered: set[int] = set()
    for one in claimed:
        covered.update(range(one.offset // 512, -(-one.end // 512)))
        if not one.data and any(new[one.offset : one.end]):
            return [one.offset]
    return [
        at
        for at in range(0, len(new), 512)
        if old[at : at + 512] != new[at : at + 512] and at // 512 not in covered
    ]


class Diffs:
    """Takes point after point of one image and compares what is claimed with what is there."""

    def __init__(self, images: Images, name: str, source: RbdSource | None = None) -> None:
        self.images = images
        self.source = source or images.source(name)
        self.found: Found = next(
            one for one in self.source.discover() if one.label.endswith(f"/{name}")
        )
        self.runs = 0
        self.base: Snapshot | None = None
        self.old = b""

    def point(self, *, settle: bool = True) -> tuple[list[Changed], list[object]]:
        """One more point: nothing may be missed. Claims and warnings."""
        self.runs += 1
        with self.source.freeze(self.found, order(self.runs, self.base)) as frozen:
            assert frozen.base == self.base
            new = content(frozen)
            claimed = list(frozen.changed(0, len(new)))
            assert missed(claimed, self.old if self.base else b"", new) == []
            warnings = frozen.facts["warnings"]
            assert isinstance(warnings, list)
            self.base, self.old = frozen.snapshot, new
        if settle:
            assert not self.source.settle(self.found, LINEAGE, keep=[self.base.id])
        return claimed, list(warnings)


def claimed_bytes(claimed: Sequence[Changed]) -> int:
    return sum(one.length for one in claimed)


# ── two stages ──────────────────────────────────────────────────────────────────────────────────
def test_two_stages_name_the_bytes_and_not_the_objects(images: Images) -> None:
    images.make("disk", order=20)
    images.write("disk", 0, b"f" * SIZE)
    diffs = Diffs(images, "disk")
    diffs.point()
    for offset in (4096, 70_000, (2 << 20) + 512):
        images.write("disk", offset, b"changed!" * 64)
    claimed, _ = diffs.point()
    assert claimed_bytes(claimed) <= 3 * 4096
    claimed, _ = diffs.point()
    assert claimed == []


def test_a_discard_is_a_hole(images: Images) -> None:
    images.make("disk")
    images.write("disk", 0, b"f" * SIZE)
    diffs = Diffs(images, "disk")
    diffs.point()
    images.discard("disk", 4 * OBJECT, 2 * OBJECT)
    claimed, _ = diffs.point()
    assert claimed == [Changed(4 * OBJECT, 2 * OBJECT, data=False)]


@pytest.mark.parametrize("options", [{}, {"stripe_unit": 4096, "stripe_count": 2}])
def test_any_range_gives_its_part(images: Images, options: dict[str, Any]) -> None:
    images.make("disk", **options)
    images.write("disk", 0, b"f" * SIZE)
    diffs = Diffs(images, "disk")
    diffs.point()
    random = Random(3)  # noqa: S311  # the same each time
    for _ in range(30):
        images.write("disk", random.randrange(SIZE // 512) * 512, b"x" * 512)
    with diffs.source.freeze(diffs.found, order(2, diffs.base)) as frozen:
        everything = frozen.changed(0, SIZE)
        for _ in range(40):
            first = random.randrange(SIZE)
            last = min(SIZE, first + random.choice([1, 512, OBJECT, OBJECT * 7, SIZE]))
            part = frozen.changed(first, last - first)
            inside = [
                (max(one.offset, first), min(one.end, last))
                for one in everything
                if one.offset < last and one.end > first
            ]
            assert [(one.offset, one.end) for one in part] == inside


@pytest.mark.parametrize("seed", range(6))
def test_no_change_is_missed_whatever_happens_between(images: Images, seed: int) -> None:
    """Writes, discards, resizes, foreign snapshots made, removed and rolled back to."""
    random = Random(seed)  # noqa: S311  # the same each time
    name = f"disk-{seed}"
    parent = seed % 2 == 1
    if parent:
        make_clone(images, name)
    else:
        images.make(name)
    diffs, size, foreign, made = Diffs(images, name), SIZE, list[str](), 0
    for _ in range(5):
        with images.open(name) as image:
            for _ in range(random.randrange(7)):
                kind = random.randrange(12)
                offset = random.randrange(size // 512) * 512
                length = min(random.choice([512, 4096, OBJECT, 4 * OBJECT]), size - offset)
                if kind < 5:
                    image.write(random.randbytes(length), offset)
                elif kind < 8:
                    offset = offset // OBJECT * OBJECT + random.choice([0, 0, 4096])
                    image.discard(offset, min(random.choice([1, 3]) * OBJECT, size - offset))
                elif kind == 8:
                    size = random.choice([SIZE, SIZE // 2, SIZE - 3 * 512, SIZE + 5 * OBJECT])
                    image.resize(size)
                elif kind == 9:
                    made += 1
                    foreign.append(f"user {made}")
                    image.create_snap(foreign[-1])
                elif kind == 10 and foreign:
                    image.remove_snap(foreign.pop(random.randrange(len(foreign))))
                elif kind == 11 and foreign:
                    image.rollback_to_snap(random.choice(foreign))
                    size = int(image.size())
        diffs.point(settle=random.random() < 0.8)


# ── clones ──────────────────────────────────────────────────────────────────────────────────────
def make_clone(images: Images, name: str) -> None:
    """A clone of an image that holds data at the front."""
    images.make(f"{name}-parent")
    images.write(f"{name}-parent", 4096, b"inherited" * 9000)
    with images.open(f"{name}-parent") as parent:
        parent.create_snap("golden")
        parent.protect_snap("golden")
        features = parent.features()
    images.rbd.RBD().clone(
        images.ioctx, f"{name}-parent", "golden", images.ioctx, name, features=features
    )


def test_the_first_point_of_a_clone_has_what_it_inherits(images: Images) -> None:
    make_clone(images, "clone")
    images.write("clone", 3 * OBJECT, b"own")
    claimed, _ = Diffs(images, "clone").point()
    assert claimed[0].offset <= 4096
    assert claimed_bytes(claimed) < SIZE


def test_a_clone_goes_on_with_what_changed(images: Images) -> None:
    make_clone(images, "clone")
    diffs = Diffs(images, "clone")
    diffs.point()
    images.write("clone", 8192, b"over what is inherited")
    images.discard("clone", OBJECT, OBJECT)
    claimed, _ = diffs.point()
    assert claimed
    assert diffs.point()[0] == []


def test_flattening_loses_nothing(images: Images) -> None:
    make_clone(images, "clone")
    diffs = Diffs(images, "clone")
    diffs.point()
    with images.open("clone") as image:
        image.flatten()
    images.write("clone", 0, b"after")
    diffs.point()
    with diffs.source.freeze(diffs.found, order(9, diffs.base)) as frozen:
        assert frozen.facts["parent"] is None


# ── rollbacks ───────────────────────────────────────────────────────────────────────────────────
def rolled_back(images: Images, forget: Callable[[Any], None]) -> tuple[Diffs, list[object]]:
    """An image changed, put into a point, and rolled back to before that change."""
    images.make("disk")
    images.write("disk", 0, b"f" * SIZE)
    images.snapshot("disk", "much earlier")
    images.snapshot("disk", "before upgrade")
    images.write("disk", 5 * OBJECT, b"upgraded")
    diffs = Diffs(images, "disk")
    diffs.point()
    with images.open("disk") as image:
        image.rollback_to_snap("before upgrade")
        forget(image)
    claimed, warnings = diffs.point()
    assert claimed
    assert diffs.old == b"f" * SIZE
    return diffs, warnings


def test_librbd_itself_misses_a_rollback(images: Images) -> None:
    """Why the marks exist. Should this fail one day, librbd was mended: see docs/adr/0022."""
    images.make("disk")
    images.write("disk", 0, b"f" * SIZE)
    images.snapshot("disk", "much earlier")
    images.snapshot("disk", "before upgrade")
    images.write("disk", 5 * OBJECT, b"upgraded")
    images.snapshot("disk", "base")
    with images.open("disk") as image:
        image.rollback_to_snap("before upgrade")
        image.create_snap("new")
    assert images.read("disk", "base") != images.read("disk", "new")
    assert told(images, whole=True) == []
    assert told(images, whole=False) == [5 * OBJECT]


def told(images: Images, *, whole: bool) -> list[int]:
    """Where librbd sees changes between "base" and "new"."""
    found: list[int] = []
    with images.open("disk", "new") as image:
        image.diff_iterate(
            0, SIZE, "base", lambda offset, *_: found.append(offset), whole_object=whole
        )
    return found


def test_a_rollback_is_seen_while_the_snapshot_is_there(images: Images) -> None:
    _, warnings = rolled_back(images, lambda _image: None)
    assert warnings == []


def test_a_rollback_is_seen_when_the_snapshot_is_gone(images: Images) -> None:
    _, warnings = rolled_back(images, lambda image: image.remove_snap("before upgrade"))
    assert "rolled back" in str(warnings)


def test_a_rollback_to_drds_own_snapshot_is_seen(images: Images) -> None:
    images.make("disk")
    images.write("disk", 0, b"f" * SIZE)
    diffs = Diffs(images, "disk")
    diffs.point()
    images.write("disk", 3 * OBJECT, b"later")
    diffs.point()
    images.write("disk", 7 * OBJECT, b"latest")
    with images.open("disk") as image:
        image.rollback_to_snap(diffs.base.name if diffs.base else "")
    images.write("disk", 9 * OBJECT, b"then")
    diffs.point()


def test_a_rollback_to_a_group_snapshot_is_seen(images: Images) -> None:
    rbd = images.rbd
    images.make("disk")
    images.write("disk", 0, b"f" * SIZE)
    rbd.RBD().group_create(images.ioctx, "group")
    group = rbd.Group(images.ioctx, "group")
    group.add_image(images.ioctx, "disk")
    try:
        images.snapshot("disk", "first")
        group.create_snap("together")
        images.write("disk", 5 * OBJECT, b"upgraded")
        diffs = Diffs(images, "disk")
        diffs.point()
        group.rollback_to_snap("together")
        group.remove_snap("together")
        _, warnings = diffs.point()
        assert "rolled back" in str(warnings)
        assert diffs.old == b"f" * SIZE
    finally:
        group.remove_image(images.ioctx, "disk")
        rbd.RBD().group_remove(images.ioctx, "group")


# ── maps that cannot be believed ────────────────────────────────────────────────────────────────
def maps(images: Images) -> int:
    return int(images.rbd.RBD_FEATURE_OBJECT_MAP | images.rbd.RBD_FEATURE_FAST_DIFF)


def test_an_invalid_map_is_told_and_not_used(images: Images) -> None:
    images.make("disk", off=("fast-diff", "object-map"))
    images.write("disk", 0, b"f" * SIZE)
    with images.open("disk") as image:
        # Switched on later, the maps are not built yet, and marked so.
        image.update_features(maps(images), True)  # noqa: FBT003
    diffs = Diffs(images, "disk")
    _, warnings = diffs.point()
    assert "object-map rebuild" in str(warnings)
    images.write("disk", 0, b"x")
    claimed, warnings = diffs.point()
    assert "object-map rebuild" in str(warnings)
    assert 0 < claimed_bytes(claimed) <= 4096


def test_a_map_made_invalid_between_two_points_is_told(images: Images) -> None:
    images.make("disk")
    images.write("disk", 0, b"f" * SIZE)
    diffs = Diffs(images, "disk")
    assert diffs.point()[1] == []
    for on in (False, True):
        with images.open("disk") as image:
            image.update_features(maps(images), on)
        images.write("disk", OBJECT, b"x")
    claimed, warnings = diffs.point()
    assert "object-map rebuild" in str(warnings)
    assert claimed
    with images.open("disk") as image:
        image.rebuild_object_map()
    for one in images.snapshots("disk"):
        with images.open("disk", one.name) as image:
            image.rebuild_object_map()
    images.write("disk", 2 * OBJECT, b"x")
    assert diffs.point()[1] == []


class Aged(Cluster):
    """A cluster whose librbd says that it is another version."""

    def __init__(self, access: CephAccess, version: Version) -> None:
        super().__init__(access)
        self.version = version

    @property
    @override
    def ceph(self) -> Bindings:
        return replace(bindings(), version=self.version)


@contextmanager
def aged(images: Images, name: str, version: Version) -> Iterator[Diffs]:
    cluster = Aged(images.access, version)
    yield Diffs(images, name, RbdSource("vms", RbdSettings(pool=images.pool), cluster))
    cluster.close()


@pytest.mark.parametrize("version", [(16, 2, 10), (17, 2, 7), (18, 2, 2)])
def test_known_bad_versions_still_miss_nothing_and_say_so(images: Images, version: Version) -> None:
    images.make("disk")
    images.write("disk", 0, b"f" * SIZE)
    with aged(images, "disk", version) as diffs:
        assert "63770" in str(diffs.point()[1])
        images.write("disk", OBJECT, b"x" * 512)
        images.discard("disk", 3 * OBJECT, OBJECT)
        images.resize("disk", SIZE // 2)
        images.write("disk", 5 * OBJECT + 4096, b"y")
        diffs.point()
        images.resize("disk", SIZE)
        claimed, _ = diffs.point()
        assert claimed_bytes(claimed) <= SIZE // 2
        images.write("disk", 7 * OBJECT, b"x" * 512)
        claimed, _ = diffs.point()
        assert claimed_bytes(claimed) <= 4096
