"""Whole runs on real images: digests are the truth, and the last good snapshot stays until the commit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from typing_extensions import override

from drd.ceph.cluster import Cluster
from drd.errors import CrashError, NotFoundError, SourceError, StoreError
from drd.model import BackupResult, Found
from drd.ports import FreezeOrder
from drd.sources.rbd import RbdSettings, RbdSource
from drd.sources.rbd_frozen import RbdFrozen
from drd.sources.rbd_target import RbdAddress, RbdTarget
from lab.ceph import Ceph
from tests.integration.sources.conftest import SIZE, Images
from tests.integration.sources.points import BLOCK, CELL, Points, behind_librbd

CELLS = SIZE // CELL
MANIFEST = "m/"


def noise(images: Images, name: str = "disk", size: int = SIZE) -> None:
    """An image full of noise, so that each block differs from every other."""
    images.write(name, 0, os.urandom(size))


@pytest.fixture
def points(images: Images) -> Points:
    """An image full of noise, and its first point."""
    images.make("disk")
    noise(images)
    made = Points(images, "disk")
    made.right()
    return made


# ── there and back ──────────────────────────────────────────────────────────────────────────────
def plain(images: Images, **options: Any) -> None:
    images.make("disk", **options)
    noise(images)


def clone(images: Images) -> None:
    images.make("parent")
    noise(images, "parent", SIZE // 2 + 5000)
    with images.open("parent") as parent:
        parent.create_snap("golden")
        parent.protect_snap("golden")
        features = parent.features()
    images.rbd.RBD().clone(
        images.ioctx, "parent", "golden", images.ioctx, "disk", features=features
    )


@pytest.mark.parametrize(
    "make",
    [
        plain,
        lambda images: plain(images, order=20, stripe_unit=65536, stripe_count=4),
        lambda images: plain(images, data_pool=Ceph.data_pool),
        lambda images: plain(images, order=22),
        clone,
    ],
    ids=["plain", "striped", "erasure coded", "large objects", "clone"],
)
def test_an_image_comes_back_bit_for_bit(images: Images, make: Callable[[Images], None]) -> None:
    make(images)
    points = Points(images, "disk")
    points.right()
    images.write("disk", 3 * CELL + 512, b"later")
    images.discard("disk", 8 * CELL, 4 * CELL)
    second = points.right()
    assert second.bytes_read < SIZE // 2
    address = RbdAddress(images.pool, "", "back")
    points.restore(
        second,
        RbdTarget(address, Cluster(images.access), overwrite=False, random=os.urandom),
    )
    assert images.read("back") == images.read("disk")


def test_an_image_of_a_namespace_comes_back(spaced: Images) -> None:
    spaced.make("disk")
    noise(spaced)
    points = Points(spaced, "disk")
    points.right()
    spaced.write("disk", 0, b"later")
    assert points.right().bytes_read <= 2 * CELL
    assert len(points.snapshots()) == 1


def test_an_encrypted_image_is_bytes_like_any_other(images: Images) -> None:
    """The key stays with the guest: what is backed up is what the cluster holds."""
    size = 8 * 1024 * 1024  # the header of LUKS 1 takes one object
    images.make("disk", size, order=22)
    with images.open("disk") as image:
        image.encryption_format(images.rbd.RBD_ENCRYPTION_FORMAT_LUKS1, "passphrase of the guest")
        image.write(b"secret of the guest", 0)
    points = Points(images, "disk")
    result = points.right()
    address = RbdAddress(images.pool, "", "back")
    points.restore(
        result, RbdTarget(address, Cluster(images.access), overwrite=False, random=os.urandom)
    )
    back = images.read("back")
    assert back == images.read("disk")
    assert back[:4] == b"LUKS"
    assert b"secret of the guest" not in back


@pytest.mark.parametrize("size", [SIZE // 2, SIZE // 2 + 700, SIZE - 512, SIZE + 5 * CELL + 512])
def test_an_image_that_changes_its_size(points: Points, size: int) -> None:
    images = points.images
    images.resize("disk", size)
    assert points.right().bytes_logical == size
    images.write("disk", size - 512, b"end.")
    points.right()
    images.resize("disk", SIZE // 4 + 512)
    images.resize("disk", SIZE)
    points.right()
    assert points.right().bytes_changed == 0


def test_a_clone_that_shrinks_and_grows_does_not_get_its_inheritance_back(images: Images) -> None:
    clone(images)
    points = Points(images, "disk")
    points.right()
    for smaller in (SIZE // 4, SIZE // 4 - 700):
        images.resize("disk", smaller)
        images.resize("disk", SIZE)
        points.right()


# ── the base ────────────────────────────────────────────────────────────────────────────────────
def base_name(points: Points) -> str:
    (one,) = [one for one in points.images.snapshots("disk") if one.ours]
    return one.name


def remove_base(points: Points, name: str) -> None:
    with points.images.open("disk") as image:
        image.remove_snap(name)


def assert_re_based(points: Points) -> BackupResult:
    """Everything was read, one cell was put, one snapshot is left."""
    result = points.right()
    assert result.bytes_read >= SIZE
    assert result.bytes_changed == CELL
    assert len(points.snapshots()) == 1
    points.images.write("disk", 0, b"then")
    again = points.right()
    assert again.bytes_read <= 2 * CELL
    return again


def test_a_missing_base_is_made_good_by_digests(points: Points) -> None:
    points.images.write("disk", 5 * CELL, b"changed")
    remove_base(points, base_name(points))
    assert_re_based(points)


def test_a_stranger_under_the_name_of_the_base_is_none(points: Points) -> None:
    """Its name is right, its id is not: what changed before it was made would be lost."""
    name = base_name(points)
    remove_base(points, name)
    points.images.write("disk", 5 * CELL, b"changed")
    points.images.snapshot("disk", name)
    assert_re_based(points)


def test_an_image_rolled_back_past_the_base_is_made_good(images: Images) -> None:
    images.make("disk")
    noise(images)
    images.snapshot("disk", "before upgrade")
    images.write("disk", 5 * CELL, b"upgraded")
    points = Points(images, "disk")
    points.right()
    with images.open("disk") as image:
        image.rollback_to_snap("before upgrade")
    result = points.right()
    assert 0 < result.bytes_changed <= CELL
    assert [one.name for one in images.snapshots("disk") if not one.ours] == ["before upgrade"]


def test_a_base_that_is_not_what_was_stored_is_not_built_upon(points: Points) -> None:
    """Block 3 of a cell changed in the base itself: only the digest tells."""
    behind_librbd(points.images, "disk", 9 * CELL + 3 * BLOCK, b"silently", past_too=True)
    points.images.write("disk", 9 * CELL + 7 * BLOCK, b"changed")
    result = points.right()
    assert result.bytes_changed == CELL
    assert "points up to 1 are suspect" in str(result.warnings)
    assert points.point(result).facts["suspects"] == [
        {"through": 1, "cells": 1, "found_by": result.seq}
    ]


def test_only_blocks_that_differ_are_put(points: Points) -> None:
    points.images.write("disk", 9 * CELL + 7 * BLOCK, b"changed")
    same = points.images.read("disk")[20 * CELL : 21 * CELL]
    points.images.write("disk", 20 * CELL, same)
    result = points.right()
    assert result.bytes_changed == BLOCK
    assert result.bytes_uploaded < 2 * CELL
    assert result.warnings == ()


@pytest.mark.parametrize("going", [0, -1], ids=["base", "new"])
def test_a_snapshot_that_goes_while_it_is_read_ends_the_run(points: Points, going: int) -> None:
    """From a snapshot that is gone librbd reads zeros, and says nothing."""

    class Robbed(RbdSource):
        """Somebody else removes one of drd's snapshots before it is read."""

        @override
        @contextmanager
        def freeze(self, found: Found, order: FreezeOrder) -> Iterator[RbdFrozen]:
            with super().freeze(found, order) as frozen:
                ours = [one.name for one in points.images.snapshots("disk") if one.ours]
                remove_base(points, ours[going])
                yield frozen

    unharmed = points.source
    points.source = Robbed("vms", RbdSettings(pool=points.images.pool), points.images.cluster)
    noise(points.images)
    with pytest.raises(SourceError, match="removed while"):
        points.backup()
    assert points.full() == 1
    points.source = unharmed
    points.right()
    assert len(points.snapshots()) == 1


# ── a diff that lies ────────────────────────────────────────────────────────────────────────────
def lied_to(points: Points, cell: int = 40) -> None:
    """A change of the image that the object maps do not know of: a real diff that is wrong."""
    behind_librbd(points.images, "disk", cell * CELL + BLOCK, b"unnoticed", past_too=False)


def test_without_the_sample_the_lie_is_believed(points: Points) -> None:
    """What the sample is for; and that this lie is one."""
    lied_to(points)
    result = points.backup()
    assert points.restored(result) != points.images.read("disk")


def test_the_sample_finds_a_diff_that_lies(points: Points) -> None:
    lied_to(points)
    share, told = CELLS // 4, list[BackupResult]()
    while not told or not told[-1].warnings:
        told.append(points.backup(sample=share))
        assert len(told) <= 4, "one round of the sample has seen each cell"
    assert len(told) == 40 // share + 1
    assert "suspect" in str(told[-1].warnings)
    assert points.restored(told[-1]) == points.images.read("disk")


def test_after_a_lie_the_base_is_not_trusted_once(points: Points) -> None:
    lied_to(points, 1)
    lied_to(points, 60)
    first = points.backup(sample=4)
    assert points.restored(first) != points.images.read("disk")
    second = points.right(sample=4)
    assert "missed changes" in str(second.warnings)
    assert second.bytes_read >= SIZE
    assert points.right(sample=4).bytes_read == 4 * CELL


def test_the_proven_coverage_is_in_the_point(points: Points) -> None:
    sample = points.point(points.right(sample=10)).facts["sample"]
    assert sample == {"cursor": 10, "cells": 10}
    sample = points.point(points.right(sample=10)).facts["sample"]
    assert sample == {"cursor": 20, "cells": 10}


# ── the snapshot of the last good point ─────────────────────────────────────────────────────────
def test_the_old_snapshot_goes_only_after_the_commit(points: Points) -> None:
    (old,) = points.snapshots()
    seen: list[tuple[str, list[str]]] = []
    points.store.before = lambda key: seen.append((key, points.snapshots()))
    points.store.after = points.store.before
    points.images.write("disk", 0, b"changed")
    points.right()
    (new,) = points.snapshots()
    assert new != old
    assert any(key.startswith(MANIFEST) for key, _ in seen)
    assert all(held == [old, new] for _, held in seen)


class Refusing:
    """Refuses manifests: before they are written, or after, so that nobody hears of it."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, key: str) -> None:
        if key.startswith(MANIFEST):
            raise self.error


def test_a_commit_that_fails_keeps_the_old_snapshot_and_one_that_may_be_named(
    points: Points,
) -> None:
    """Whether the store took the manifest nobody can tell; however often it fails, one is kept."""
    (old,) = points.snapshots()
    points.images.write("disk", 0, b"changed")
    points.store.before = Refusing(StoreError("denied"))
    for _ in range(2):
        with pytest.raises(StoreError, match="denied"):
            points.backup()
        held = points.snapshots()
        assert old in held
        assert len(held) == 2
    points.store.before = lambda _key: None
    assert points.right().bytes_read <= 2 * CELL
    assert len(points.snapshots()) == 1


def test_a_run_that_dies_after_the_commit_leaves_an_orphan_for_the_next(points: Points) -> None:
    class Dead(RbdSource):
        """A process that is gone removes nothing."""

        @override
        def settle(self, found: Found, lineage: bytes, *, keep: Sequence[str]) -> Sequence[str]:
            raise CrashError("gone")

    alive = points.source
    points.source = Dead("vms", RbdSettings(pool=points.images.pool), points.images.cluster)
    points.images.write("disk", 0, b"changed")
    with pytest.raises(CrashError):
        points.backup()
    assert len(points.snapshots()) == 2
    points.source = alive
    assert points.right().bytes_read == 0
    assert len(points.snapshots()) == 1


def test_a_busy_snapshot_is_told_and_does_not_stop_the_run(points: Points) -> None:
    name = base_name(points)
    with points.images.open("disk") as image:
        image.protect_snap(name)
    result = points.right()
    assert name in str(result.warnings)
    assert len(points.snapshots()) == 2
    with points.images.open("disk") as image:
        image.unprotect_snap(name)
    points.right()
    assert len(points.snapshots()) == 1


# ── who is who ──────────────────────────────────────────────────────────────────────────────────
def test_a_renamed_image_goes_on(points: Points) -> None:
    points.images.rbd.RBD().rename(points.images.ioctx, "disk", "other")
    points.image = "other"
    result = points.right()
    assert (result.seq, result.name) == (2, "vms/other")
    assert result.bytes_read == 0


def test_an_image_made_anew_is_another_lineage(points: Points) -> None:
    first = points.right()
    images = points.images
    points.source.release("vms/disk")
    images.rbd.RBD().remove(images.ioctx, "disk")
    images.make("disk")
    noise(images)
    second = points.right()
    assert (second.seq, second.name) == (1, first.name)
    assert second.lineage != first.lineage


@contextmanager
def pool_of(ceph: Ceph, cluster: Cluster, *names: str) -> Iterator[Images]:
    ceph.command("osd", "pool", "create", names[0], "1")
    ceph.command("osd", "pool", "application", "enable", names[0], "rbd")
    images = Images(cluster, pool=names[0])
    try:
        yield images
    finally:
        images.close()
        for name in names:
            again = "--yes-i-really-really-mean-it"
            ceph.command("osd", "pool", "delete", name, name, again)


def test_a_renamed_pool_goes_on(ceph: Ceph, cluster: Cluster) -> None:
    with pool_of(ceph, cluster, "drd-before", "drd-after") as images:
        images.make("disk")
        noise(images)
        points = Points(images, "disk")
        identity = points.found.identity
        points.right()
        ceph.command("osd", "pool", "rename", "drd-before", "drd-after")
        cluster.handle().wait_for_latest_osdmap()
        old = RbdSource("vms", RbdSettings(pool="drd-before"), cluster).discover
        images.pool = "drd-after"
        points.source = images.source()
        assert points.found.identity == identity
        assert points.right().bytes_read == 0
        with pytest.raises(NotFoundError, match="no such pool"):
            old()
