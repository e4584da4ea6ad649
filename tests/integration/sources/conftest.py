"""A real cluster, a pool of this folder's own in it, and images that go when their test ends."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from drd.ceph.bindings import bindings
from drd.ceph.cluster import CephAccess, Cluster
from drd.model import Found
from drd.sources.rbd import RbdSettings, RbdSource
from drd.sources.rbd_snapshots import Listed, listed
from lab.ceph import Ceph
from lab.folder import Lab

POOL = "drd-sources"
NAMESPACE = "tenant-a"
ORDER = 16
SIZE = 4 * 1024 * 1024


class Images:
    """Makes images in one pool and namespace, and changes them as their users would."""

    def __init__(self, cluster: Cluster, *, pool: str = POOL, namespace: str = "") -> None:
        self.cluster = cluster
        self.pool = pool
        self.namespace = namespace
        self.rbd: Any = bindings().rbd
        self.ioctx: Any = cluster.handle().open_ioctx(pool)
        self.ioctx.set_namespace(namespace)

    @property
    def access(self) -> CephAccess:
        return self.cluster.access

    def source(self, *patterns: str, **settings: Any) -> RbdSource:
        settings.setdefault("namespaces", (self.namespace,))
        settings.setdefault("access", self.access)
        return RbdSource("vms", RbdSettings(pool=self.pool, images=patterns or ("*",), **settings))

    def make(self, name: str, size: int = SIZE, *, off: Sequence[str] = (), **options: Any) -> str:
        """Make an image with small objects and all the usual features; its id."""
        names = ["layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"]
        constants = {
            one: getattr(self.rbd, f"RBD_FEATURE_{one.replace('-', '_').upper()}") for one in names
        }
        options.setdefault("order", ORDER)
        options.setdefault("features", sum(bit for one, bit in constants.items() if one not in off))
        if "stripe_unit" in options:
            options["features"] |= self.rbd.RBD_FEATURE_STRIPINGV2
        self.rbd.RBD().create(self.ioctx, name, size, old_format=False, **options)
        with self.open(name) as image:
            return str(image.id())

    @contextmanager
    def open(self, name: str, snapshot: str | None = None) -> Iterator[Any]:
        image = self.rbd.Image(self.ioctx, name, snapshot=snapshot)
        try:
            yield image
        finally:
            image.close()

    def write(self, name: str, offset: int, data: bytes) -> None:
        with self.open(name) as image:
            image.write(data, offset)

    def discard(self, name: str, offset: int, length: int) -> None:
        with self.open(name) as image:
            image.discard(offset, length)

    def resize(self, name: str, size: int) -> None:
        with self.open(name) as image:
            image.resize(size)

    def read(self, name: str, snapshot: str | None = None) -> bytes:
        with self.open(name, snapshot) as image:
            return bytes(image.read(0, image.size()))

    def snapshot(self, name: str, snapshot: str) -> None:
        with self.open(name) as image:
            image.create_snap(snapshot)

    def snapshots(self, name: str) -> list[Listed]:
        with self.open(name) as image:
            return listed(self.cluster, image, about=name)

    def names(self) -> list[str]:
        return sorted(self.rbd.RBD().list(self.ioctx))

    def trash(self) -> list[dict[str, Any]]:
        return list(self.rbd.RBD().trash_list(self.ioctx))

    def empty(self) -> None:
        """Remove everything: clones before their parents, snapshots whatever they are."""
        rbd = self.rbd.RBD()
        for one in self.trash():
            if one["source"] == "USER":
                rbd.trash_restore(self.ioctx, one["id"], f"from-trash-{one['id']}")
        left = self.names()
        for _ in range(3):
            for name in left:
                self._remove(name)
            left = self.names()
            if not left:
                return
        raise AssertionError(f"left behind: {left}")

    def _remove(self, name: str) -> None:
        try:
            with self.open(name) as image:
                for one in list(image.list_snaps()):
                    if one["namespace"] != self.rbd.RBD_SNAP_NAMESPACE_TYPE_USER:
                        continue
                    if image.is_protected_snap(one["name"]):
                        image.unprotect_snap(one["name"])
                    image.remove_snap(one["name"])
            self.rbd.RBD().remove(self.ioctx, name)
        except (self.rbd.ImageBusy, self.rbd.ImageHasSnapshots):
            return  # its clone goes first: the next round

    def close(self) -> None:
        self.ioctx.close()


def access_of(ceph: Ceph, **changes: Any) -> CephAccess:
    """Short waits: a lab answers at once, or is broken."""
    access = CephAccess(str(ceph.conf), osd_timeout_s=20.0, mon_timeout_s=10.0)
    return replace(access, mount_timeout_s=10.0, snapshot_timeout_s=30.0, **changes)


@pytest.fixture(scope="session")
def ceph(breakable: Lab) -> Ceph:
    """Some tests here freeze it."""
    return breakable.ceph


@pytest.fixture(scope="session")
def cluster(ceph: Ceph) -> Iterator[Cluster]:
    cluster = Cluster(access_of(ceph))
    if POOL not in cluster.handle().list_pools():
        ceph.command("osd", "pool", "create", POOL, "8")
        ceph.command("osd", "pool", "application", "enable", POOL, "rbd")
    with cluster.pool(POOL) as ioctx:
        bindings().rbd.RBD().pool_init(ioctx, True)  # noqa: FBT003
        if not bindings().rbd.RBD().namespace_exists(ioctx, NAMESPACE):
            bindings().rbd.RBD().namespace_create(ioctx, NAMESPACE)
    yield cluster
    cluster.close()


@pytest.fixture
def images(cluster: Cluster) -> Iterator[Images]:
    images = Images(cluster)
    yield images
    images.empty()
    images.close()


@pytest.fixture
def spaced(cluster: Cluster) -> Iterator[Images]:
    """Images in a namespace."""
    images = Images(cluster, namespace=NAMESPACE)
    yield images
    images.empty()
    images.close()


class RbdSubject:
    """An image of a real cluster, for the conformance suite."""

    _numbers = itertools.count()

    def __init__(self, images: Images, **options: Any) -> None:
        self.images = images
        self.image = f"subject-{next(self._numbers)}"
        images.make(self.image, **options)
        self.source = images.source(self.image)
        self.found: Found = self.source.discover()[0]

    def write(self, offset: int, data: bytes) -> None:
        self.images.write(self.image, offset, data)

    def discard(self, offset: int, length: int) -> None:
        self.images.discard(self.image, offset, length)

    def resize(self, size: int) -> None:
        self.images.resize(self.image, size)

    def foreign_snapshot(self, name: str) -> None:
        self.images.snapshot(self.image, name)

    def snapshot_names(self) -> Sequence[str]:
        return [one.name for one in self.images.snapshots(self.image)]


def caps(ceph: Ceph, client: str, **granted: str) -> str:
    """Make a cephx user with these caps; the path of its keyring."""
    words = [word for name, caps in granted.items() for word in (name, caps)]
    ceph.command("auth", "rm", client)
    key = json.loads(ceph.command("auth", "get-or-create", client, *words, "-f", "json"))
    path = ceph.folder / f"{client}.keyring"
    path.write_text(f"[{client}]\nkey = {key[0]['key']}\n", encoding="utf-8")
    return str(path)
