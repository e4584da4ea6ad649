"""Refusals of a real Ceph and a real S3, as an operator gets to see them; and names of images there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drd.ceph.bindings import bindings
from drd.ceph.cluster import CephAccess, Cluster
from drd.stores.s3 import S3Settings
from drd.stores.s3_client import connect
from tests.e2e.cloud import Cloud
from tests.e2e.drctl import Answer
from tests.e2e.site import MIB, Bucket, S3Server, Site, digest, scatter


def refused(site: Site, code: int, *command: str, about: str) -> Answer:
    """The verb fails with *code*, says about what, and what to do."""
    answer = site.run(*command)
    assert answer.code == code, answer.text
    for error in answer.reply["errors"]:
        assert about in error["object"], error
        assert error["message"]
        assert error["hint"]
    told = site.told(*command)
    assert told.code == code
    assert "error: " in told.err
    return answer


@pytest.fixture
def filled(cloud: Cloud) -> Cloud:
    """One image with one point."""
    cloud.make(4 * MIB, 2 * MIB)
    cloud.backup()
    return cloud


# ── Ceph ────────────────────────────────────────────────────────────────────────────────────────
def test_no_such_pool_image_or_snapshot_is_10(filled: Cloud) -> None:
    refused(filled, 10, "backup", "vms/none", about="vms/none")
    refused(filled, 10, "snapshots", "--release", "vms/none", about="vms/none")
    for target in ("rbd:no-such-pool/x", f"rbd:{filled.ceph.pool}/no-such-space/x"):
        refused(filled, 10, "restore", filled.label, "--to", target, about="no-such")
    assert filled.run("snapshots", "--release", filled.label).code == 0
    refused(filled, 10, "verify", filled.label, "--level", "4", about=filled.label)
    pool = f'pool = "{filled.ceph.pool}"'
    filled.configure(sources=filled.sources.replace(pool, 'pool = "no-such-pool"'))
    refused(filled, 10, "backup", about="no-such-pool")


def test_a_level_4_of_a_snapshot_that_is_there(filled: Cloud) -> None:
    filled.write([(0, b"changed since")])
    assert filled.run("verify", filled.label, "--level", "4").code == 0


def as_client(cloud: Cloud, client: str, *caps: str) -> Path:
    """Configure *cloud* to come as a client with these caps; its keyring."""
    keyring = cloud.folder / "keyring"
    keyring.write_text(cloud.ceph.command("auth", "get-or-create", client, *caps))
    cloud.configure(
        sources=cloud.sources.replace(
            "[source.vms]\n", f'[source.vms]\nclient = "{client}"\nkeyring = "{keyring}"\n'
        )
    )
    return keyring


@pytest.mark.parametrize(
    "caps", [("osd", "profile rbd-read-only"), ("osd", "profile rbd pool=elsewhere"), ()]
)
def test_a_client_that_may_not_is_14(filled: Cloud, caps: tuple[str, ...]) -> None:
    before = filled.snapshots()
    client = f"client.weak-{filled.image_name}-{len(' '.join(caps))}"
    as_client(filled, client, "mon", "profile rbd", *caps)
    refused(filled, 14, "backup", about="")
    assert filled.snapshots() == before
    assert len(filled.run("ls", filled.label).points) == 1
    back = f"rbd:{filled.spec}-back"
    refused(filled, 14, "restore", filled.label, "--to", back, about="")


def test_a_wrong_key_is_14_and_a_keyring_that_is_not_there_2(filled: Cloud) -> None:
    keyring = as_client(filled, f"client.wrong-{filled.image_name}", "mon", "profile rbd")
    text = keyring.read_text()
    key = text.partition("key = ")[2].strip()
    other = filled.ceph.command("auth", "get-key", "client.admin").strip()
    keyring.write_text(text.replace(key, other))
    error = refused(filled, 14, "backup", about="").error
    assert other not in str(error)
    keyring.unlink()
    refused(filled, 2, "backup", about=str(keyring))


def test_an_image_that_exists_or_is_in_use_is_15(filled: Cloud) -> None:
    target = f"rbd:{filled.spec}"
    before = filled.digest()
    refused(filled, 15, "restore", filled.label, "--to", target, about=target)
    cluster = Cluster(CephAccess(str(filled.ceph.conf)))
    ceph = bindings()
    with cluster.pool(filled.ceph.pool) as ioctx, ceph.rbd.Image(ioctx, filled.image_name):
        to = ("restore", filled.label, "--to", target, "--overwrite")
        refused(filled, 15, *to, about=target)
    cluster.close()
    assert filled.digest() == before
    assert filled.run("restore", filled.label, "--to", f"{target}-back").code == 0
    assert filled.ceph.export(f"{filled.spec}-back") == filled.ceph.export(filled.spec)


@pytest.mark.parametrize(
    "odd", ["with space", "ümläut-日本", "at@home", "db@17", "a'b\"c", "[x]*?"]
)
def test_odd_names_of_images_go_through_everything(cloud: Cloud, odd: str) -> None:
    name = f"{cloud.image_name}-{odd}"
    cluster = Cluster(CephAccess(str(cloud.ceph.conf)))
    ceph = bindings()
    data = bytes(range(256)) * 4096
    with cluster.pool(cloud.ceph.pool) as ioctx:
        ceph.rbd.RBD().create(ioctx, name, len(data), old_format=False)
        with ceph.rbd.Image(ioctx, name) as image:
            image.write(data, 0)
    cluster.close()
    images = json.dumps([f"{cloud.image_name}-*"], ensure_ascii=False)
    cloud.configure(sources=cloud.sources.replace(f'["{cloud.image_name}"]', images))
    label = f"vms/{name}"
    (point,) = cloud.backup(label)
    assert point["name"] == label
    assert cloud.run("ls", label).points[0]["seq"] == 1
    assert cloud.run("verify", f"{label}@latest", "--level", "4").code == 0
    target = cloud.folder / "back"
    assert cloud.run("restore", f"{label}@latest", "--to", f"file:{target}").code == 0
    assert target.read_bytes() == data


# ── S3 ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_bucket_that_denies_is_13(tmp_path: Path, rgw: S3Server) -> None:
    site = Site(tmp_path / "site", Bucket.fresh(rgw)).made()
    image = site.image()
    site.backup()
    assert site.bucket
    bucket = site.bucket.name
    client = connect(S3Settings(rgw.endpoint, rgw.access, rgw.secret))

    def deny(*actions: str) -> None:
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": [f"s3:{action}" for action in actions],
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        client.put_bucket_policy(Bucket=bucket, Policy=policy)

    scatter(image, 1)
    deny("PutObject")
    error = refused(site, 13, "backup", about="").error
    assert "denies access" in error["message"]
    assert "docs/stores.md" in error["hint"]
    assert len(site.run("ls", "disks/a.img").points) == 1
    deny("GetObject", "GetObjectVersion")
    for command in (("ls",), ("verify",), ("backup",)):
        refused(site, 13, *command, about="")
    client.delete_bucket_policy(Bucket=bucket)
    assert [one["seq"] for one in site.backup()] == [2]
    target = tmp_path / "out"
    assert site.run("restore", "disks/a.img", "--to", f"file:{target}").code == 0
    assert digest(target) == digest(image)
