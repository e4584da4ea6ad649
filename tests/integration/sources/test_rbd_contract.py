"""The conformance suites against a real cluster."""

from __future__ import annotations

import os

import pytest

from drd.ceph.cluster import Cluster
from drd.ports import Target
from drd.sources.rbd_target import RbdAddress, RbdTarget
from drd.testing import source_conformance as suite
from drd.testing import target_conformance as targets
from lab.ceph import Ceph
from tests.integration.sources.conftest import Images, RbdSubject


@pytest.mark.parametrize("check", suite.SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_rbd_keeps_the_contract_of_sources(images: Images, check: suite.SourceCheck) -> None:
    check(RbdSubject(images))


@pytest.mark.parametrize("check", suite.SNAPSHOT_CHECKS, ids=lambda check: check.__name__)
def test_rbd_keeps_the_contract_of_snapshots(images: Images, check: suite.SourceCheck) -> None:
    check(RbdSubject(images))


@pytest.mark.parametrize(
    "options",
    [
        {"stripe_unit": 4096, "stripe_count": 3},
        {"data_pool": Ceph.data_pool},
        {"off": ("fast-diff", "object-map")},
        {"order": 22},
    ],
    ids=["striped", "data pool", "no maps", "large objects"],
)
@pytest.mark.parametrize(
    "check",
    [suite.changes_are_named, suite.shrunk_then_grown_is_named, suite.reads_come_in_order],
    ids=lambda check: check.__name__,
)
def test_layouts_keep_the_contract(
    images: Images, options: dict[str, object], check: suite.SourceCheck
) -> None:
    check(RbdSubject(images, **options))


@pytest.mark.parametrize(
    "check",
    [suite.discovers_its_image, suite.changes_are_named, suite.settles_its_own],
    ids=lambda check: check.__name__,
)
def test_namespaces_keep_the_contract(spaced: Images, check: suite.SourceCheck) -> None:
    check(RbdSubject(spaced))


@pytest.mark.parametrize(
    "check", [*targets.TARGET_CHECKS, *targets.QUARANTINE_CHECKS], ids=lambda check: check.__name__
)
def test_rbd_keeps_the_contract_of_targets(images: Images, check: targets.TargetCheck) -> None:
    address = RbdAddress(images.pool, "", "restored @1 ü")

    def make(*, overwrite: bool) -> Target:
        return RbdTarget(address, Cluster(images.access), overwrite=overwrite, random=os.urandom)

    def look() -> bytes | None:
        return images.read(address.image) if address.image in images.names() else None

    check(targets.TargetSubject(lambda: make(overwrite=False), lambda: make(overwrite=True), look))
