"""Which images are found, what they are called, and which are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from drd.errors import DrdError, NotFoundError, SourceError
from drd.model import Found
from drd.ports import FreezeOrder, ReadAt
from drd.sources.rbd import RbdSource
from lab.ceph import Ceph
from tests.integration.sources.conftest import NAMESPACE, POOL, SIZE, Images

ORDER = FreezeOrder(bytes(range(16)), b"12345678")


def labels(source: RbdSource) -> list[str]:
    return [one.label for one in source.discover()]


def refusal(source: RbdSource, found: Found) -> DrdError:
    with pytest.raises(DrdError) as caught, source.freeze(found, ORDER):
        pass
    return caught.value


# ── names and identities ────────────────────────────────────────────────────────────────────────
def test_globs_choose_images_in_all_namespaces(images: Images, spaced: Images) -> None:
    for name in ("vm-1", "vm 2 ü@now", "db-1", "vm-3.drd-restoring-00ff00ff"):
        images.make(name)
    spaced.make("vm-9")
    assert labels(images.source("vm*")) == ["vms/vm 2 ü@now", "vms/vm-1"]
    both = images.source("vm-*", namespaces=("", NAMESPACE))
    assert labels(both) == [f"vms/{NAMESPACE}/vm-9", "vms/vm-1"]
    assert labels(images.source("vm-?", namespaces=("*",))) == labels(both)
    assert labels(images.source(namespaces=("tenant-[a-c]",))) == [f"vms/{NAMESPACE}/vm-9"]


@pytest.mark.parametrize("name", ["disk 1", "Größe", "a@b", "x" * 80, "[1]", "-"])
def test_any_name_can_be_backed_up(images: Images, name: str) -> None:
    images.make(name)
    images.write(name, 4096, b"content")
    source = images.source(name)
    (found,) = source.discover()
    assert found.label == f"vms/{name}"
    with source.freeze(found, ORDER) as frozen:
        ((_, data),) = frozen.read([ReadAt(4096, 7)])
        assert bytes(data) == b"content"
    assert len(source.release(found.label)) == 1


def test_identity_is_made_of_ids(images: Images, spaced: Images, ceph: Ceph) -> None:
    image_id, spaced_id = images.make("disk"), spaced.make("disk")
    pool_id = images.cluster.pool_id(POOL)
    (one,), (other,) = images.source("disk").discover(), spaced.source("disk").discover()
    assert one.identity == f"rbd:{ceph.fsid}/{pool_id}//{image_id}"
    assert other.identity == f"rbd:{ceph.fsid}/{pool_id}/{NAMESPACE}/{spaced_id}"


def test_a_rename_keeps_the_identity_and_the_base(images: Images) -> None:
    images.make("before")
    images.write("before", 0, b"data")
    source = images.source()
    (found,) = source.discover()
    with source.freeze(found, ORDER) as frozen:
        base = frozen.snapshot
    images.rbd.RBD().rename(images.ioctx, "before", "after")
    (renamed,) = source.discover()
    assert renamed == replace(found, label="vms/after")
    with source.freeze(found, replace(ORDER, run=b"2", base=base)) as frozen:
        assert frozen.base == base


def test_an_image_made_anew_is_another_one(images: Images) -> None:
    images.make("disk")
    source = images.source()
    (old,) = source.discover()
    with source.freeze(old, ORDER) as frozen:
        base = frozen.snapshot
    source.release(old.label)
    images.rbd.RBD().remove(images.ioctx, "disk")
    images.make("disk")
    (new,) = source.discover()
    assert new.label == old.label
    assert new.identity != old.identity
    assert isinstance(refusal(source, old), NotFoundError)
    with source.freeze(new, replace(ORDER, base=base)) as frozen:
        assert frozen.base is None


def test_facts_are_enough_to_make_the_image_again(images: Images, ceph: Ceph) -> None:
    images.make("disk", order=20, stripe_unit=65536, stripe_count=4, data_pool=ceph.data_pool)
    with images.open("disk") as image:
        image.metadata_set("drd.policy", "gold")
    source = images.source()
    with source.freeze(source.discover()[0], ORDER) as frozen:
        facts = dict(frozen.facts)
    assert facts | {"librbd": ""} == {
        "kind": "rbd",
        "size": SIZE,
        "order": 20,
        "stripe_unit": 65536,
        "stripe_count": 4,
        "features": [
            *("layering", "striping", "exclusive-lock", "object-map", "fast-diff"),
            *("deep-flatten", "data-pool"),
        ],
        "flags": 0,
        "data_pool": ceph.data_pool,
        "metadata": {"drd.policy": "gold"},
        "parent": None,
        "consistency": "crash",
        "librbd": "",
        "warnings": [],
    }
    assert str(facts["librbd"])[:1].isdecimal()


# ── what is not there ───────────────────────────────────────────────────────────────────────────
def test_a_missing_pool_or_namespace_is_not_found(images: Images) -> None:
    for source in (
        RbdSource("vms", replace(images.source()._settings, pool="no such pool")),
        images.source(namespaces=("no such namespace",)),
    ):
        with pytest.raises(NotFoundError, match="no such"):
            source.discover()
        source.close()


def test_an_image_of_another_cluster_pool_or_namespace_is_not_found(images: Images) -> None:
    images.make("disk")
    source = images.source()
    (found,) = source.discover()
    kind, fsid, pool, _, image_id = found.identity.replace(":", "/", 1).split("/")
    for wrong in (
        f"{kind}:00000000-{fsid[9:]}/{pool}//{image_id}",
        f"{kind}:{fsid}/{int(pool) + 1000}//{image_id}",
        f"{kind}:{fsid}/{pool}/nowhere/{image_id}",
        f"{kind}:{fsid}/{pool}/{NAMESPACE}/{image_id}",
        f"{kind}:{fsid}/{pool}//0123456789",
    ):
        assert isinstance(refusal(source, replace(found, identity=wrong)), NotFoundError)


# ── what is there and must not be touched ───────────────────────────────────────────────────────
def test_an_image_in_the_trash_is_refused_and_not_found(images: Images) -> None:
    images.make("disk")
    source = images.source()
    (found,) = source.discover()
    images.rbd.RBD().trash_move(images.ioctx, "disk")
    assert source.discover() == []
    error = refusal(source, found)
    assert isinstance(error, SourceError)
    assert "trash" in error.message


def test_an_image_that_migrates_is_refused(images: Images) -> None:
    images.make("disk")
    source = images.source()
    (before,) = source.discover()
    rbd = images.rbd.RBD()
    rbd.migration_prepare(images.ioctx, "disk", images.ioctx, "moved")
    try:
        (found,) = source.discover()
        assert found.label == "vms/moved"
        for one in (found, before):
            error = refusal(source, one)
            assert isinstance(error, SourceError)
            assert "migrat" in error.message or "trash" in error.message
    finally:
        rbd.migration_abort(images.ioctx, "moved")
    assert images.snapshots("disk") == []


@contextmanager
def mirroring(images: Images) -> Iterator[None]:
    rbd = images.rbd
    rbd.RBD().mirror_mode_set(images.ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
    try:
        yield
    finally:
        rbd.RBD().mirror_mode_set(images.ioctx, rbd.RBD_MIRROR_MODE_DISABLED)


@pytest.mark.parametrize("mode", ["JOURNAL", "SNAPSHOT"])
def test_a_mirrored_copy_is_refused_and_its_primary_is_not(images: Images, mode: str) -> None:
    rbd = images.rbd
    images.make("disk")
    images.write("disk", 0, b"primary")
    source = images.source()
    (found,) = source.discover()
    with mirroring(images):
        with images.open("disk") as image:
            if mode == "JOURNAL":
                image.update_features(rbd.RBD_FEATURE_JOURNALING, True)  # noqa: FBT003
            image.mirror_image_enable(getattr(rbd, f"RBD_MIRROR_IMAGE_MODE_{mode}"))
        try:
            with source.freeze(found, ORDER) as frozen:
                ((_, data),) = frozen.read([ReadAt(0, 7)])
                assert bytes(data) == b"primary"
            source.release(found.label)
            with images.open("disk") as image:
                image.mirror_image_demote()
            error = refusal(source, found)
            assert isinstance(error, SourceError)
            assert "back up the primary" in error.hint
            with images.open("disk") as image:
                image.mirror_image_promote(True)  # noqa: FBT003
        finally:
            with images.open("disk") as image:
                image.mirror_image_disable(True)  # noqa: FBT003
