"""What the three S3 principals of docs/install.md can do, and what the server refuses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from drd.core.address import S3Address
from drd.errors import StoreError
from drd.model import Role
from drd.stores.s3 import S3Store
from lab.minio import Minio
from lab.rgw import Rgw
from tests.e2e.site import Bucket, Site, digest, scatter
from tests.integration.install.principals import (
    PRUNER,
    READER,
    WRITER,
    host_of,
    on_minio,
    on_rgw,
    settings_of,
)

STORE_REFUSES, NO_KEY = 13, 12


@dataclass(frozen=True)
class Hosts:
    """One repository, and a host for each principal; backup's key file opens no old data."""

    owner: Site
    writer: Site
    reader: Site
    pruner: Site

    def store(self, host: Site) -> S3Store:
        assert host.bucket
        return S3Store(S3Address(host.bucket.name, "site-a"), settings_of(host))


@pytest.fixture(params=["minio", "rgw"])
def hosts(request: pytest.FixtureRequest, tmp_path: Path) -> Hosts:
    server = cast("Minio | Rgw", request.getfixturevalue(request.param))
    owner = Site(tmp_path / "owner", Bucket.fresh(server)).made()
    assert owner.bucket
    name = owner.bucket.name
    keys = on_minio(server, name) if isinstance(server, Minio) else on_rgw(server, name)
    return Hosts(
        owner,
        host_of(owner, WRITER, keys[WRITER], role=Role.BACKUP),
        host_of(owner, READER, keys[READER]),
        host_of(owner, PRUNER, keys[PRUNER], role=Role.PRUNE),
    )


def refused(act: Callable[[], object]) -> None:
    with pytest.raises(StoreError, match="denies access"):
        act()


def test_a_backup_needs_neither_old_packs_nor_keys_that_open_them(
    hosts: Hosts, tmp_path: Path
) -> None:
    """Points on points, with GET below p/ refused by the server and decryption by the key file."""
    image = hosts.owner.image()
    for _ in range(3):
        (point,) = hosts.writer.backup()
        scatter(image, 5)
    (point,) = hosts.writer.backup()
    assert point["bytes_changed"] < 1 << 20, "an increment, and no copy of the whole"

    answer = hosts.writer.run("verify", "disks/a.img", "--level", "2")
    assert answer.code in (STORE_REFUSES, NO_KEY), answer.text
    target = tmp_path / "back.img"
    stolen = hosts.writer.run("restore", "disks/a.img", "--to", f"file:{target}")
    assert stolen.code in (STORE_REFUSES, NO_KEY), stolen.text
    assert not target.exists()

    proven = hosts.reader.run("verify", "--all", "--level", "2")
    assert proven.code == 0, proven.text
    restored = hosts.reader.run("restore", "disks/a.img", "--to", f"file:{target}")
    assert restored.code == 0, restored.text
    assert digest(target) == digest(image)


def test_even_with_the_whole_key_file_the_writers_host_reads_no_pack(hosts: Hosts) -> None:
    """Each of both refusals holds alone: here the keys could, and the server does not let them."""
    hosts.owner.image()
    hosts.writer.backup()
    hosts.writer.key.write_text(hosts.owner.key.read_text())
    answer = hosts.writer.run("verify", "disks/a.img", "--level", "2")
    assert answer.code == STORE_REFUSES, answer.text
    policy = '[policy.gold]\nevery = "1h"\nverify = { level = 2, every = "1d" }\n'
    hosts.writer.configure(extra=policy)
    told = hosts.writer.run("check-config", "--online")
    assert told.code == 0, told.text
    (one,) = [one for one in told.reply["findings"] if one["key"] == "daemon.verify"]
    assert "packs cannot be read" in one["message"]
    assert "verify = false below [daemon]" in one["hint"]


def test_what_each_principal_is_refused(hosts: Hosts) -> None:
    hosts.owner.image()
    hosts.writer.backup()
    owner = hosts.store(hosts.owner)
    writer, reader, pruner = map(hosts.store, (hosts.writer, hosts.reader, hosts.pruner))
    pack, manifest = (next(iter(owner.list(prefix))) for prefix in ("p/", "m/"))

    for one in (pack, manifest):
        for thief in (writer, reader):
            refused(lambda one=one, thief=thief: thief.delete(one.key, version=one.version))  # type: ignore[misc]
            refused(lambda one=one, thief=thief: thief.delete(one.key))  # type: ignore[misc]
    for blind in (writer, pruner):
        refused(lambda blind=blind: blind.get(pack.key))  # type: ignore[misc]
        # Not compared with what the bucket's owner reads: on RGW an object is its writer's.
        assert blind.get(manifest.key) == reader.get(manifest.key)
    for key in (pack.key, manifest.key, "m/new"):
        refused(lambda key=key: reader.put(key, b"forged"))  # type: ignore[misc]
        refused(lambda key=key: pruner.put(key, b"forged"))  # type: ignore[misc]
    assert [one.version for one in owner.versions(pack.key)] == [pack.version]
    assert [one.version for one in owner.versions(manifest.key)] == [manifest.version]


def test_what_only_one_principal_may(hosts: Hosts) -> None:
    owner = hosts.store(hosts.owner)
    reader, pruner = hosts.store(hosts.reader), hosts.store(hosts.pruner)
    version = owner.put("p/t/l/1", b"dead")
    assert reader.get("p/t/l/1", version=version) == b"dead"
    reader.put("h/t/l/1", b"result")
    pruner.put("g/t/l/1", b"doomed")
    pruner.delete("p/t/l/1", version=version)
    assert not owner.versions("p/t/l/1")
