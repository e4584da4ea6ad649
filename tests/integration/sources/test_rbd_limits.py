"""Limits on a real cluster: what drctl reports of bytes and seconds lies within them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.ceph import Ceph
from tests.e2e.drctl import Row
from tests.e2e.site import Site
from tests.integration.sources.conftest import POOL, Images

MIB = 1 << 20
READ = 4 * MIB
SIZE = 6 * READ
CHANGED = 3 * READ


@pytest.fixture
def cloud(tmp_path: Path, ceph: Ceph, images: Images) -> Site:
    """An image full of noise, and a repository without a point."""
    images.make("disk", SIZE)
    images.write("disk", 0, os.urandom(SIZE))
    site = Site(tmp_path / "cloud")
    lines = ("[source.vms]", 'type = "rbd"', f'ceph_conf = "{ceph.conf}"', f'pool = "{POOL}"')
    site.sources = "\n".join((*lines, "sample_cells = 0", ""))
    return site.made()


def point(site: Site, *options: str, source: str = "", extra: str = "") -> Row:
    """Back up with these limits; the point."""
    site.configure(sources=f"{site.sources}{source}\n", extra=extra)
    answer = site.run("backup", *options)
    assert answer.code == 0, answer.text
    (made,) = answer.points
    return made


def test_bytes_of_the_new_snapshot_and_of_the_base_count(cloud: Site, images: Images) -> None:
    limits = 'limits = { bytes_per_s = "4MiB" }'
    full = point(cloud, source=limits)
    assert full["bytes_read"] == SIZE
    assert (SIZE - READ) / full["seconds"] <= 4 * MIB
    images.write("disk", 0, os.urandom(CHANGED))
    more = point(cloud, source=limits)
    assert more["bytes_read"] == 2 * CHANGED
    assert (2 * CHANGED - READ) / more["seconds"] <= 4 * MIB


def test_reads_count_as_the_cluster_sees_them(cloud: Site) -> None:
    made = point(cloud, source="limits = { iops = 2 }")
    assert made["bytes_read"] == SIZE
    assert (SIZE / READ - 2) / made["seconds"] <= 2


def test_the_policy_that_an_image_names_limits_it_and_no_limits_waives_it(
    cloud: Site, images: Images
) -> None:
    with images.open("disk") as image:
        image.metadata_set("drd.policy", "slow")
    policies = '[policy.slow]\nlimits = { bytes_per_s = "4MiB" }\n'
    made = point(cloud, extra=policies)
    assert (SIZE - READ) / made["seconds"] <= 4 * MIB
    images.write("disk", 0, os.urandom(SIZE))
    slower = policies.replace("4MiB", "64KiB")
    free = point(cloud, "--no-limits", extra=slower)
    assert free["bytes_read"] == 2 * SIZE
    assert free["seconds"] < 60, "at 64 KiB a second it were twelve minutes"
