"""What a look at a pool tells beside its images: patterns that match none, and what restores left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from typing_extensions import override

from drd.ceph.cluster import CephAccess, Cluster
from drd.errors import NotFoundError
from drd.sources.rbd import RbdSettings, RbdSource
from drd.sources.rbd_images import find

POOL = {"": ["vm-1", "vm-2", "vm-1.drd-restoring-00ff00ff"], "a b": ["vm-3.drd-restoring-11ee11ee"]}


class Listed(Cluster):
    """A pool that can be listed, and no more."""

    @override
    def fsid(self) -> str:
        return "fsid"

    @override
    def pool_id(self, pool: str) -> int:
        return 1

    @override
    @contextmanager
    def pool(self, name: str, namespace: str = "") -> Iterator[Any]:
        yield namespace

    @property
    @override
    def ceph(self) -> Any:
        return SimpleNamespace(rbd=SimpleNamespace(RBD=lambda: self))

    def list2(self, ioctx: str) -> list[dict[str, str]]:
        return [{"name": name, "id": f"id-{name}"} for name in POOL[ioctx]]

    def namespace_list(self, ioctx: str) -> list[str]:
        assert ioctx == ""
        return [name for name in POOL if name]


@pytest.fixture
def cluster() -> Listed:
    return Listed(CephAccess())


def overlooked(cluster: Cluster, images: Sequence[str], spaces: Sequence[str] = ("",)) -> list[str]:
    settings = RbdSettings(pool="rbd", images=tuple(images), namespaces=tuple(spaces))
    source = RbdSource("vms", settings, cluster)
    source.discover()
    errors = source.overlooked()
    assert all(isinstance(one, NotFoundError) and one.hint for one in errors)
    return [one.about for one in errors]


def test_a_pattern_without_a_match_is_told(cluster: Listed) -> None:
    assert overlooked(cluster, ["vm-*"]) == []
    assert overlooked(cluster, ["zz*", "vm-1", "vm-9"]) == ["vms: zz*", "vms: vm-9"]
    assert overlooked(cluster, ["*"], ["", "x*"]) == ["vms: namespace x*"]
    assert overlooked(cluster, ["*"], ["a*"]) == ["vms: *"], "what a restore left is no image"


def test_what_a_restore_left_is_told_apart(cluster: Listed) -> None:
    listing = find(cluster, "vms", "rbd", spaces=["", "*"], patterns=["vm-1*"])
    assert [one.label for one in listing.found] == ["vms/vm-1"]
    left = ["rbd/a b/vm-3.drd-restoring-11ee11ee", "rbd/vm-1.drd-restoring-00ff00ff"]
    assert listing.unfinished == left
    empty = RbdSource("vms", RbdSettings(pool="rbd", images=("zz",), namespaces=("*",)), cluster)
    first, second = empty.doubts()
    assert f"`rbd rm '{left[0]}'`" in first
    assert left[1] in second
