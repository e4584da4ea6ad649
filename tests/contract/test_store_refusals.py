"""What real stores say when they refuse, in drd's words; and what the least rights allow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import botocore.session
import pytest

from drd.core.address import S3Address
from drd.errors import ObjectMissingError, PlaceMissingError, StoreError, TransientStoreError
from drd.stores.retrying import RetryingStore
from drd.stores.s3 import S3Settings, S3Store
from drd.stores.s3_client import connect
from drd.testing.store_conformance import CHECKS, Check
from tests.contract.conftest import S3Server, settings_of

Acts = dict[str, Callable[[S3Store], object]]

ACTS: Acts = {
    "put": lambda store: store.put("p/a", b"1"),
    "put a pack": lambda store: store.put("p/a", bytearray(8 << 20)),
    "get": lambda store: store.get("p/a"),
    "get a version": lambda store: store.get("p/a", version="e0f6e9b2-5f0c-4b52-9b47-1f1b0b6a1f6d"),
    "stat": lambda store: store.stat("p/a"),
    "list": lambda store: list(store.list("p/")),
    "folders": lambda store: list(store.folders("p/")),
    "versions": lambda store: store.versions("p/a"),
    "delete": lambda store: store.delete("p/a"),
    "abilities": lambda store: store.abilities(),
}

each_act = pytest.mark.parametrize("act", ACTS.values(), ids=list(ACTS))


@pytest.fixture(params=["minio", "rgw"])
def server(request: pytest.FixtureRequest) -> S3Server:
    return cast("S3Server", request.getfixturevalue(request.param))


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.fresh_bucket()


def refused(act: Callable[[S3Store], object], store: S3Store) -> StoreError:
    with pytest.raises(StoreError) as caught:
        act(store)
    assert not isinstance(caught.value, ObjectMissingError | TransientStoreError)
    assert caught.value.hint
    return caught.value


@each_act
def test_an_unknown_access_key(
    server: S3Server, bucket: str, act: Callable[[S3Store], object]
) -> None:
    settings = replace(settings_of(server), access_key="NOBODY")
    error = refused(act, S3Store(S3Address(bucket), settings))
    assert error.exit_code == 13
    assert "does not know the access key" in error.message
    assert "access_key_file" in error.hint


@each_act
def test_a_wrong_secret_key(
    server: S3Server, bucket: str, act: Callable[[S3Store], object]
) -> None:
    settings = replace(settings_of(server), secret_key="WRONG-SECRET")
    error = refused(act, S3Store(S3Address(bucket), settings))
    assert error.exit_code == 13
    assert "rejects the signature" in error.message
    assert "WRONG-SECRET" not in f"{error!r}{error.__cause__!r}{error.hint}"


@each_act
def test_a_bucket_that_is_not_there(server: S3Server, act: Callable[[S3Store], object]) -> None:
    error = refused(act, S3Store(S3Address("no-such-bucket"), settings_of(server)))
    assert isinstance(error, PlaceMissingError)
    assert error.exit_code == 10, "no such repository"
    assert error.message == "the bucket does not exist"
    assert error.about == "no-such-bucket"


def test_a_port_where_something_else_listens(server: S3Server) -> None:
    """A TLS client at a plain port gets no handshake; nothing is concluded from it."""
    settings = replace(settings_of(server), endpoint=server.endpoint.replace("http:", "https:"))
    with pytest.raises(TransientStoreError):
        S3Store(S3Address("bucket"), settings).get("p/a")


class Hashed(bytearray):
    """A buffer that brings its digest."""

    sha256 = b""


def test_a_digest_of_other_bytes_is_refused_and_nothing_is_written(
    server: S3Server, bucket: str
) -> None:
    store = S3Store(S3Address(bucket), settings_of(server))
    body = Hashed(range(256)) * 4096
    body = Hashed(body)
    body.sha256 = sha256(b"other bytes").digest()
    with pytest.raises(TransientStoreError, match="other bytes than were sent"):
        store.put("p/a", body)
    assert not store.versions("p/a")
    body.sha256 = sha256(body).digest()
    store.put("p/a", body)
    assert store.get("p/a") == bytes(body)


def test_strangers_in_the_bucket_are_left_out(server: S3Server, bucket: str) -> None:
    raw = connect(settings_of(server))
    for key in ("site/m/a b", "site/m/ü", "site/m/100%", "site/m/a+b", "site/m/&<x>", "elsewhere"):
        raw.put_object(Bucket=bucket, Key=key, Body=b"")
    raw.put_object(Bucket=bucket, Key="site/m/a b/c", Body=b"")
    store = S3Store(S3Address(bucket, "site"), settings_of(server))
    store.put("m/ours/1", b"")
    assert [o.key for o in store.list("")] == ["m/ours/1"]
    assert list(store.folders("m/")) == ["ours"]


def test_objects_from_before_versioning_keep_their_place(server: S3Server) -> None:
    bucket = server.fresh_bucket(versioned=False)
    store = S3Store(S3Address(bucket), settings_of(server))
    assert store.put("m/a", b"before") == ""
    raw = connect(settings_of(server))
    raw.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert [v.version for v in store.versions("m/a")] == [""]
    after = store.put("m/a", b"after")
    old, new = store.versions("m/a")
    assert (old.version, new.version) == ("null", after)
    assert store.get("m/a", version="null") == b"before"
    assert store.get("m/a") == b"after"
    store.delete("m/a")
    assert [v.version for v in store.versions("m/a")] == [after]
    store.delete("m/a")
    assert store.get("m/a") == b"after"


def test_versioning_that_was_suspended_is_found_out(server: S3Server, bucket: str) -> None:
    raw = connect(settings_of(server))
    raw.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    store = S3Store(S3Address(bucket), settings_of(server))
    assert not store.abilities().versioned
    assert not list(store.list("probe/"))


def test_a_lost_race_over_a_retried_put_is_told(minio: S3Server) -> None:
    bucket = minio.fresh_bucket()
    ours = RetryingStore(S3Store(S3Address(bucket), settings_of(minio)))
    version = ours.put("m/1", b"theirs", if_absent=True)
    with pytest.raises(StoreError, match="taken"):
        ours.put("m/1", b"ours", if_absent=True)
    assert [v.version for v in ours.versions("m/1")] == [version]


# ── the policy of docs/stores.md ────────────────────────────────────────────────────────────────

POLICY = re.compile(r"```json\n(.*?)\n```", re.DOTALL)


def documented_policy(bucket: str) -> dict[str, Any]:
    page = Path(__file__).parents[2] / "docs/stores.md"
    found = POLICY.search(page.read_text())
    assert found
    policy = json.loads(found[1].replace(":::drd", f":::{bucket}"))
    return cast("dict[str, Any]", policy)


def writer_on_minio(minio: S3Server, bucket: str) -> S3Settings:
    """Keys that MinIO's token service cuts down to the documented policy."""
    session = botocore.session.Session()
    service: Any = session.create_client(
        "sts",
        endpoint_url=minio.endpoint,
        region_name="us-east-1",
        aws_access_key_id=minio.access,
        aws_secret_access_key=minio.secret,
        verify=False,
    )
    keys = service.assume_role(
        RoleArn="arn:aws:iam::000000000000:role/writer",
        RoleSessionName="writer",
        Policy=json.dumps(documented_policy(bucket)),
    )["Credentials"]
    return S3Settings(
        minio.endpoint,
        keys["AccessKeyId"],
        keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
    )


def writer_on_rgw(rgw: S3Server, bucket: str) -> S3Settings:
    """The owner of the bucket, to whom its policy denies what the documented one denies."""
    policy = documented_policy(bucket)
    denials = [statement for statement in policy["Statement"] if statement["Effect"] == "Deny"]
    for statement in denials:
        statement["Principal"] = "*"
        statement["Action"] = [a for a in statement["Action"] if "BucketPolicy" not in a]
    policy["Statement"] = denials
    connect(settings_of(rgw)).put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    return settings_of(rgw)


WRITERS = {"minio": writer_on_minio, "rgw": writer_on_rgw}


@pytest.fixture
def writer(request: pytest.FixtureRequest, server: S3Server, bucket: str) -> S3Store:
    settings = WRITERS[request.node.callspec.params["server"]](server, bucket)
    return S3Store(S3Address(bucket, "site-a"), settings)


def test_the_writer_can_make_backups(writer: S3Store) -> None:
    assert writer.abilities().versioned
    pack = writer.put("p/t/l/1", bytes(300_000))
    run = writer.put("x/t/l/1", b"run")
    writer.put("m/t/l/1", b"manifest", if_absent=True)
    assert writer.get("x/t/l/1", version=run) == b"run"
    assert writer.get("m/t/l/1") == b"manifest"
    assert [o.key for o in writer.list("m/t/l/", limit=1)] == ["m/t/l/1"]
    assert list(writer.folders("m/t/")) == ["l"]
    assert [v.version for v in writer.versions("p/t/l/1")] == [pack]
    with pytest.raises(ObjectMissingError):
        writer.get("x/t/l/none")


def test_the_writer_cannot_read_packs_nor_delete_anything(
    server: S3Server, bucket: str, writer: S3Store
) -> None:
    raw = connect(settings_of(server))
    for key in ("p/t/l/1", "m/t/l/1", "x/t/l/1"):
        version = writer.put(key, b"precious")
        deletes: list[Callable[[S3Store], object]] = [
            lambda store, key=key, version=version: store.delete(key, version=version),  # type: ignore[misc]
            lambda store, key=key: store.delete(key),  # type: ignore[misc]
        ]
        for act in deletes:
            error = refused(act, writer)
            assert "denies access" in error.message
            assert "docs/stores.md" in error.hint
        kept = [v.version for v in writer.versions(key)]
        assert kept == [version]
    for read in (ACTS["get"], ACTS["stat"]):
        writer.put("p/a", b"1")
        assert "denies access" in refused(read, writer).message
    seen = raw.list_object_versions(Bucket=bucket, Prefix="site-a/")
    assert len(seen["Versions"]) >= 5
    assert "DeleteMarkers" not in seen


@pytest.mark.parametrize("check", [c for _, c in CHECKS], ids=lambda check: check.__name__)
@pytest.mark.parametrize("server", ["minio"], indirect=True)
def test_the_writer_can_let_the_doctor_look(writer: S3Store, check: Check) -> None:
    check(writer)


def test_without_the_right_to_list_versions_plain_lists_do(rgw: S3Server) -> None:
    bucket = rgw.fresh_bucket()
    resource = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    denial = {"Effect": "Deny", "Principal": "*", "Action": "s3:ListBucketVersions"}
    policy = {"Version": "2012-10-17", "Statement": [{**denial, "Resource": resource}]}
    connect(settings_of(rgw)).put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    store = S3Store(S3Address(bucket), settings_of(rgw))
    for name in "abc":
        store.put(f"m/{name}/1", b"1")
    assert [o.key for o in store.list("m/", limit=2)] == ["m/a/1", "m/b/1"]
    assert [o.key for o in store.list("m/", after="m/a/1")] == ["m/b/1", "m/c/1"]
    assert list(store.folders("m/")) == ["a", "b", "c"]
    assert [v.key for v in store.versions("m/a/1")] == ["m/a/1"]
    with pytest.raises(ObjectMissingError):
        store.get("m/none")
