"""A restored image is like the one that was backed up, and nobody else's is lost on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from typing_extensions import override

from drd.ceph.bindings import Bindings
from drd.ceph.cluster import Cluster
from drd.errors import DrdError, NotFoundError, RefusedError, SourceError
from drd.model import Json
from drd.ports import FreezeOrder
from drd.sources.rbd_target import RbdAddress, RbdTarget
from lab.ceph import Ceph
from tests.integration.sources.conftest import NAMESPACE, SIZE, Images

LINEAGE = bytes(range(16))


def target(images: Images, name: str, *, overwrite: bool = False) -> RbdTarget:
    address = RbdAddress(images.pool, images.namespace, name)
    return RbdTarget(address, Cluster(images.access), overwrite=overwrite, random=os.urandom)


def facts_of(images: Images, name: str) -> dict[str, Json]:
    source = images.source(name)
    with source.freeze(source.discover()[0], FreezeOrder(LINEAGE, b"1")) as frozen:
        facts = dict(frozen.facts)
    source.release(f"vms/{name}")
    source.close()
    return facts


def restored(
    images: Images, name: str, facts: Mapping[str, Json], *, overwrite: bool = False
) -> RbdTarget:
    one = target(images, name, overwrite=overwrite)
    one.prepare(SIZE, facts)
    one.write(0, b"front")
    one.skip(5, SIZE - 9)
    one.write(SIZE - 4, b"back")
    one.finish()
    return one


RIGHT = b"front" + bytes(SIZE - 9) + b"back"


# ── the same layout ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "options",
    [
        {"order": 22},
        {"order": 20, "stripe_unit": 65536, "stripe_count": 4},
        {"order": 16, "data_pool": Ceph.data_pool},
        {"off": ("exclusive-lock", "object-map", "fast-diff", "deep-flatten")},
        {"off": ("layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten")},
    ],
    ids=["large objects", "striped", "erasure coded", "only layering", "no features"],
)
def test_an_image_comes_back_with_its_layout(images: Images, options: dict[str, Any]) -> None:
    images.make("before", **options)
    with images.open("before") as image:
        image.metadata_set("drd.policy", "gold")
        image.metadata_set("conf_rbd_qos_iops_limit", "1000")
    facts = facts_of(images, "before")
    one = restored(images, "after ü@1", facts)
    assert one.warnings == []
    assert images.read("after ü@1") == RIGHT
    again = facts_of(images, "after ü@1")
    assert again == facts


def test_journaling_is_switched_on_at_the_end(images: Images) -> None:
    images.make("before")
    with images.open("before") as image:
        image.update_features(images.rbd.RBD_FEATURE_JOURNALING, True)  # noqa: FBT003
    facts = facts_of(images, "before")
    restored(images, "after", facts)
    assert facts_of(images, "after")["features"] == facts["features"]
    assert images.read("after") == RIGHT


def test_an_image_in_a_namespace_comes_back(spaced: Images) -> None:
    done = target(spaced, "after")
    assert done.name == f"rbd:{spaced.pool}/{NAMESPACE}/after"
    done.prepare(SIZE, {"kind": "device"})
    done.write(0, b"front")
    done.finish()
    assert spaced.read("after")[:5] == b"front"


def test_another_kind_of_source_gives_an_image_with_ceph_defaults(images: Images) -> None:
    restored(images, "disk", {"kind": "device", "size": SIZE})
    assert images.read("disk") == RIGHT
    with images.open("disk") as image:
        assert image.stat()["order"] == 22


def test_the_object_map_is_right_and_the_image_sparse(images: Images, ceph: Ceph) -> None:
    images.make("before")
    restored(images, "after", facts_of(images, "before"))
    with images.open("after") as image:
        assert image.flags() == 0
        found: list[tuple[int, int]] = []
        image.diff_iterate(
            0, SIZE, None, lambda at, length, _: found.append((at, length)), whole_object=True
        )
    assert found == [(0, 65536), (SIZE - 65536, 65536)]
    ceph.rbd("object-map", "check", f"{images.pool}/after")


def test_a_missing_data_pool_is_told(images: Images) -> None:
    images.make("before")
    facts = facts_of(images, "before") | {"data_pool": "gone"}
    one = restored(images, "after", facts)
    assert "gone" in one.warnings[0]
    assert facts_of(images, "after")["data_pool"] is None


# ── nobody else's image is lost ─────────────────────────────────────────────────────────────────
def test_the_old_image_goes_to_the_trash_under_its_own_name(images: Images) -> None:
    old_id = images.make("disk")
    images.write("disk", 0, b"precious")
    images.snapshot("disk", "theirs")
    one = restored(images, "disk", {}, overwrite=True)
    assert old_id in one.warnings[0], "and is named"
    assert images.read("disk") == RIGHT
    assert [(gone["id"], gone["name"]) for gone in images.trash()] == [(old_id, "disk")]
    images.rbd.RBD().trash_restore(images.ioctx, old_id, "back again")
    assert images.read("back again")[:8] == b"precious"
    assert [one.name for one in images.snapshots("back again")] == ["theirs"]


@contextmanager
def watched(images: Images, name: str) -> Iterator[None]:
    with images.open(name):
        yield


def test_an_image_in_use_is_refused_before_anything_is_made(images: Images) -> None:
    images.make("disk")
    with watched(images, "disk"):
        one = target(images, "disk", overwrite=True)
        with pytest.raises(RefusedError, match="open at"):
            one.prepare(SIZE, {})
        assert one.abandon() == ""
    assert images.names() == ["disk"]


def test_an_image_that_comes_into_use_meanwhile_is_refused_at_the_end(images: Images) -> None:
    images.make("disk")
    images.write("disk", 0, b"precious")
    one = target(images, "disk", overwrite=True)
    one.prepare(SIZE, {})
    one.write(0, b"new")
    with watched(images, "disk"), pytest.raises(RefusedError, match="open at"):
        one.finish()
    left = one.abandon()
    assert images.read("disk")[:8] == b"precious"
    assert images.read(left.rpartition("/")[2])[:3] == b"new"


def test_an_image_made_meanwhile_is_not_lost(images: Images) -> None:
    one = target(images, "disk")
    one.prepare(SIZE, {})
    one.write(0, b"new")
    images.make("disk")
    images.write("disk", 0, b"somebody's")
    with pytest.raises(RefusedError, match="exists"):
        one.finish()
    left = one.abandon()
    assert left.startswith(f"rbd:{images.pool}/disk.drd-restoring-")
    assert images.read("disk")[:10] == b"somebody's"
    assert images.read(left.rpartition("/")[2])[:3] == b"new"


class SnatchedName(Cluster):
    """Somebody makes an image of the name, just when the old one has gone into the trash."""

    def __init__(self, images: Images, name: str) -> None:
        super().__init__(images.access)

        class Rbd(images.rbd.RBD):  # type: ignore[misc, name-defined]
            def trash_move(self, *args: Any, **options: Any) -> None:
                super().trash_move(*args, **options)
                images.make(name)
                images.write(name, 0, b"somebody's")

        names = {one: getattr(images.rbd, one) for one in dir(images.rbd)}
        self._ceph = replace(super().ceph, rbd=SimpleNamespace(**(names | {"RBD": Rbd})))

    @property
    @override
    def ceph(self) -> Bindings:
        return self._ceph


def test_an_old_image_that_does_not_come_back_is_named_with_the_way_back(images: Images) -> None:
    """The name is taken when the new image should get it, and still when the old one should."""
    old_id = images.make("disk")
    images.write("disk", 0, b"precious")
    cluster = SnatchedName(images, "disk")
    address = RbdAddress(images.pool, "", "disk")
    one = RbdTarget(address, cluster, overwrite=True, random=os.urandom)
    one.prepare(SIZE, {})
    one.write(0, b"new")
    with pytest.raises(SourceError, match="did not come back out of the trash") as caught:
        one.finish()
    assert caught.value.about == f"rbd:{images.pool}/disk"
    assert f"`rbd trash restore {images.pool}/{old_id} --image disk`" in caught.value.hint
    left = one.abandon()
    assert images.read(left.rpartition("/")[2])[:3] == b"new"
    assert images.read("disk")[:10] == b"somebody's"
    assert [gone["id"] for gone in images.trash()] == [old_id]


def test_the_way_back_works(images: Images, ceph: Ceph) -> None:
    old_id = images.make("disk")
    images.write("disk", 0, b"precious")
    images.rbd.RBD().trash_move(images.ioctx, "disk")
    ceph.rbd("trash", "restore", f"{images.pool}/{old_id}", "--image", "disk")
    assert images.read("disk")[:8] == b"precious"


def test_an_image_of_a_group_is_refused(images: Images) -> None:
    images.make("disk")
    images.rbd.RBD().group_create(images.ioctx, "group")
    group = images.rbd.Group(images.ioctx, "group")
    group.add_image(images.ioctx, "disk")
    try:
        with pytest.raises(RefusedError, match="group"):
            target(images, "disk", overwrite=True).prepare(SIZE, {})
    finally:
        group.remove_image(images.ioctx, "disk")
        images.rbd.RBD().group_remove(images.ioctx, "group")
    assert images.names() == ["disk"]


@pytest.mark.parametrize(
    "address",
    [RbdAddress("no such pool", "", "disk"), RbdAddress("drd-sources", "no such ns", "disk")],
)
def test_a_missing_pool_or_namespace_is_not_found(images: Images, address: RbdAddress) -> None:
    one = RbdTarget(address, Cluster(images.access), overwrite=False, random=os.urandom)
    with pytest.raises(NotFoundError, match="no such"):
        one.prepare(SIZE, {})
    assert one.abandon() == ""


def test_a_prepare_that_fails_leaves_nothing(images: Images) -> None:
    """A stripe unit that does not divide the object size is refused by librbd."""
    facts: dict[str, Json] = {
        "kind": "rbd",
        "order": 20,
        "stripe_unit": 65537,
        "stripe_count": 3,
        "features": ["layering", "striping"],
    }
    with pytest.raises(DrdError):
        target(images, "disk").prepare(SIZE, facts)
    assert images.names() == []


# ── failing writes ──────────────────────────────────────────────────────────────────────────────
def test_a_failed_write_comes_out_at_a_later_call(images: Images, ceph: Ceph) -> None:
    access = replace(images.access, osd_timeout_s=1.0)
    address = RbdAddress(images.pool, "", "disk")
    one = RbdTarget(address, Cluster(access), overwrite=False, random=os.urandom)
    one.prepare(SIZE, {})

    def many_writes() -> None:
        for _ in range(100):
            one.write(0, b"x" * 4096)

    ceph.pause()
    try:
        with pytest.raises(SourceError, match="no answer"):
            many_writes()
        with pytest.raises(SourceError, match="no answer"):
            one.finish()
    finally:
        ceph.resume()
    left = one.abandon()
    assert left.startswith(f"rbd:{images.pool}/disk.drd-restoring-")
    assert images.names() == [left.rpartition("/")[2]]


def test_many_writes_arrive(images: Images) -> None:
    one = target(images, "disk")
    one.prepare(SIZE, {})
    parts = [os.urandom(4096) for _ in range(SIZE // 4096)]
    for number, part in enumerate(parts):
        one.write(number * 4096, part)
    one.finish()
    assert images.read("disk") == b"".join(parts)
