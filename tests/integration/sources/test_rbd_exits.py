"""What an operator sees of a cluster that says no, is away, or lacks what was asked for: the exit code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.ceph import Ceph
from tests.e2e.site import Site
from tests.integration.sources.conftest import POOL, SIZE, Images, caps

NOT_FOUND, SOURCE, CONFIGURATION, REFUSED = 10, 14, 2, 15
TIMEOUT_S = 1.0


class Cloud(Site):
    """A place to work in whose source is a pool of the cluster."""

    def __init__(self, folder: Path, ceph: Ceph) -> None:
        super().__init__(folder)
        self.ceph = ceph
        self.wants()

    def wants(self, **changes: str) -> None:
        """Write the configuration, with *changes* in the section of the source."""
        told = {
            "ceph_conf": str(self.ceph.conf),
            "pool": POOL,
            **changes,
        }
        lines = [f'{key} = "{value}"' for key, value in told.items()]
        lines += ['images = ["disk*"]', f"op_timeout_s = {TIMEOUT_S}"]
        self.sources = '[source.vms]\ntype = "rbd"\n' + "\n".join(lines) + "\n"
        self.configure()


@pytest.fixture
def cloud(tmp_path: Path, ceph: Ceph, images: Images) -> Cloud:
    """An image, and a repository without a point."""
    images.make("disk")
    images.write("disk", 0, b"content")
    cloud = Cloud(tmp_path / "cloud", ceph)
    cloud.made()
    return cloud


def fails(cloud: Cloud, code: int, *words: str) -> dict[str, object]:
    """Run a command that must fail with *code*: one error, which says what to do."""
    answer = cloud.process(*words)
    assert answer.code == code, answer.out + answer.err.encode()
    assert "Traceback" not in answer.err
    assert answer.error["hint"]
    return answer.error


def test_an_image_goes_and_comes_back(cloud: Cloud, images: Images) -> None:
    (point,) = cloud.backup()
    assert (point["name"], point["seq"]) == ("vms/disk", 1)
    answer = cloud.run("restore", "vms/disk", "--to", f"rbd:{POOL}/disk back")
    assert answer.code == 0, answer.text
    assert images.read("disk back") == images.read("disk")
    assert fails(cloud, REFUSED, "restore", "vms/disk", "--to", f"rbd:{POOL}/disk")


@pytest.mark.parametrize(
    "words",
    [
        ("backup", "vms/other"),
        ("snapshots", "--release", "vms/other"),
        ("restore", "vms/other", "--to", f"rbd:{POOL}/new"),
    ],
    ids=lambda words: str(words[0]),
)
def test_no_such_image_is_10(cloud: Cloud, words: tuple[str, ...]) -> None:
    fails(cloud, NOT_FOUND, *words)


def test_no_such_pool_or_namespace_is_10(cloud: Cloud) -> None:
    cloud.backup()
    fails(cloud, NOT_FOUND, "restore", "vms/disk", "--to", "rbd:no-pool/new")
    fails(cloud, NOT_FOUND, "restore", "vms/disk", "--to", f"rbd:{POOL}/no-space/new")
    cloud.wants(pool="no-pool")
    fails(cloud, NOT_FOUND, "backup")


def test_cephx_that_says_no_is_14(cloud: Cloud, ceph: Ceph) -> None:
    client = "client.drd-exits"
    for osd in ("profile rbd pool=ecdata", f"profile rbd-read-only pool={POOL}"):
        cloud.wants(client=client, keyring=caps(ceph, client, mon="profile rbd", osd=osd))
        error = fails(cloud, SOURCE, "backup")
        assert "permission denied" in str(error["message"])
    unknown = cloud.folder / "keyring"
    unknown.write_text("[client.admin]\nkey = AQBIu4BlAAAAABAAJTzlwXT1Zs0XKBvxxm2NxA==\n")
    cloud.wants(keyring=str(unknown))
    fails(cloud, SOURCE, "backup")
    cloud.wants(keyring="/nowhere/keyring")
    fails(cloud, CONFIGURATION, "backup")


@contextmanager
def without_osds(ceph: Ceph) -> Iterator[None]:
    """As when a network goes away: the monitor answers, no data does."""
    for server in ceph.osds:
        server.pause()
    try:
        yield
    finally:
        for server in ceph.osds:
            server.resume()


def test_osds_away_are_14_in_time_and_all_is_well_afterwards(
    cloud: Cloud, ceph: Ceph, images: Images
) -> None:
    cloud.backup()
    images.write("disk", SIZE - 8, b"changed")
    for words in (("backup",), ("restore", "vms/disk", "--to", f"rbd:{POOL}/new")):
        with without_osds(ceph):
            begun = time.monotonic()
            fails(cloud, SOURCE, *words)
            assert time.monotonic() - begun < 10 * TIMEOUT_S + 5
    (point,) = cloud.backup()
    assert point["seq"] == 2
    assert len([one for one in images.snapshots("disk") if one.ours]) == 1
    assert images.names() == ["disk"]
