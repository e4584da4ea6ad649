"""drd-check on real buckets, with keys that may do what docs/second-site.md allows and nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import botocore.session
import pytest

from drd.core.address import S3Address
from drd.errors import StoreError
from drd.stores.s3 import S3Settings, S3Store
from drd.stores.s3_client import connect
from lab.minio import Minio
from lab.rgw import Rgw
from tests.unit.check.second import CRITICAL, LAST_SEQ, OK, UNKNOWN, Said, Second, look

PAGE = Path(__file__).parents[3] / "docs" / "second-site.md"
POLICY = re.compile(r"```json\n(.*?)\n```", re.DOTALL)
READER = "drd-check"


def documented(bucket: str) -> dict[str, Any]:
    """The policy of the page, for this bucket."""
    found = POLICY.search(PAGE.read_text("utf-8"))
    assert found
    return cast("dict[str, Any]", json.loads(found[1].replace(":::drd", f":::{bucket}")))


def reader_on_minio(minio: Minio, bucket: str) -> S3Settings:
    """Keys that MinIO's token service cuts down to the documented policy."""
    service: Any = botocore.session.Session().create_client(
        "sts",
        endpoint_url=minio.endpoint,
        region_name="us-east-1",
        aws_access_key_id=minio.access,
        aws_secret_access_key=minio.secret,
        verify=False,
    )
    keys = service.assume_role(
        RoleArn="arn:aws:iam::000000000000:role/reader",
        RoleSessionName="reader",
        Policy=json.dumps(documented(bucket)),
    )["Credentials"]
    return S3Settings(
        minio.endpoint,
        keys["AccessKeyId"],
        keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
    )


def reader_on_rgw(rgw: Rgw, bucket: str) -> S3Settings:
    """Another user than the bucket's owner, to whom its policy allows what the documented one does."""
    access, secret = "reader", "reader-secret"
    if not (rgw.ceph.folder / "reader.made").exists():
        keys = (f"--access-key={access}", f"--secret-key={secret}")
        rgw.ceph.run(
            *("radosgw-admin", "user", "create", f"--uid={READER}", "--display-name=reader"), *keys
        )
        (rgw.ceph.folder / "reader.made").touch()
    policy = documented(bucket)
    for statement in policy["Statement"]:
        statement["Principal"] = {"AWS": [f"arn:aws:iam:::user/{READER}"]}
    owner = connect(S3Settings(rgw.endpoint, rgw.access, rgw.secret))
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    return S3Settings(rgw.endpoint, access, secret)


@dataclass
class Site:
    """A repository in a bucket, its owner's client, and the reader's keys."""

    second: Second
    store: S3Store
    owner: Any
    bucket: str
    own: S3Settings
    reader: S3Settings

    def check(self, *more: object, keys: S3Settings | None = None, bucket: str = "") -> Said:
        """drd-check with the keys of the reader."""
        used = keys or self.reader
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", used.access_key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", used.secret_key)
            patch.setenv("AWS_SESSION_TOKEN", used.session_token)
            return look(
                *("--url", f"s3://{bucket or self.bucket}/site-a", "--root", self.second.root),
                *("--endpoint", self.reader.endpoint, "--state", self.second.state, "--json"),
                *more,
            )

    def newest(self, lineage: str) -> str:
        """Key of the newest manifest in the bucket."""
        tenant = self.second.written.keys.tenant.hex()
        listed = self.store.list(f"m/{tenant}/{lineage}/", limit=1)
        return "site-a/" + next(iter(listed)).key


@pytest.fixture(params=["minio", "minio-unversioned", "rgw", "rgw-unversioned"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    name, _, unversioned = str(request.param).partition("-")
    server: Minio | Rgw = request.getfixturevalue(name)
    bucket = server.fresh_bucket(versioned=not unversioned)
    settings = S3Settings(server.endpoint, server.access, server.secret)
    store = S3Store(S3Address(bucket, "site-a"), settings)
    second = Second(tmp_path / "site", store=store)
    make = reader_on_minio if isinstance(server, Minio) else reader_on_rgw
    reader = make(cast("Any", server), bucket)
    return Site(second, store, connect(settings), bucket, settings, reader)


def test_a_bucket_is_looked_at_with_rights_to_read_manifests_alone(site: Site) -> None:
    lineages = {site.second.back_up(image) for image in ("a", "b", "b")}

    said = site.check()
    assert said.code == OK, said.out
    assert said.findings == dict.fromkeys(lineages, "ok")
    assert abs(said.reply["skew_seconds"]) < 300
    reader = S3Store(S3Address(site.bucket, "site-a"), site.reader)
    pack = next(iter(site.store.list("p/")))
    for act in (
        lambda: reader.put("m/x", b""),
        lambda: reader.get(pack.key),
        lambda: reader.delete(pack.key),
        lambda: list(reader.list("p/")),
    ):
        with pytest.raises(StoreError):
            act()


def test_what_somebody_with_keys_of_the_store_does(site: Site) -> None:
    site.second.back_up("a")
    lineage = site.second.back_up("a")
    key = site.newest(lineage)
    assert site.check().code == OK
    versioned = site.store.abilities().versioned

    site.owner.put_object(Bucket=site.bucket, Key=key, Body=b"garbage")
    over = site.check()
    if versioned:  # the first version that verifies counts
        assert (over.code, over.findings[lineage]) == (OK, "ok")
    else:
        assert (over.code, over.findings[lineage]) == (CRITICAL, "damaged")
    site.owner.delete_object(Bucket=site.bucket, Key=key)
    marked = site.check()
    expected = (OK, "ok") if versioned else (CRITICAL, "rollback")  # a mark hides nothing
    assert (marked.code, marked.findings[lineage]) == expected


def test_a_point_of_which_all_versions_are_gone(site: Site) -> None:
    site.second.back_up("a")
    lineage = site.second.back_up("a")
    assert site.check().code == OK
    key = site.newest(lineage)
    listed = site.owner.list_object_versions(Bucket=site.bucket, Prefix=key)
    for one in listed["Versions"]:
        site.owner.delete_object(Bucket=site.bucket, Key=key, VersionId=one["VersionId"])

    said = site.check()
    assert (said.code, said.findings[lineage]) == (CRITICAL, "rollback")


def test_many_lineages_and_many_strangers(site: Site) -> None:
    """More names than a page of the list has."""
    lineage = site.second.back_up("a")
    folder = site.newest(lineage).rpartition("/")[0]
    for number in range(60):
        site.owner.put_object(Bucket=site.bucket, Key=f"{folder}/!{number}", Body=b"")
    for number in range(5):
        site.owner.put_object(
            Bucket=site.bucket, Key=f"{folder}/{LAST_SEQ - 9 - number:010}", Body=b"garbage"
        )

    said = site.check()
    assert (said.code, said.findings[lineage]) == (CRITICAL, "damaged")
    (row,) = said.reply["lineages"]
    assert row["seq"] == 1


def test_what_cannot_be_looked_at_is_unknown_and_no_bucket_an_alarm(site: Site) -> None:
    site.second.back_up("a")
    strange = S3Settings(site.reader.endpoint, "nobody", "wrong-secret")

    denied = site.check(keys=strange)
    assert denied.code == UNKNOWN
    assert "wrong-secret" not in denied.out
    assert site.check("--endpoint", "http://127.0.0.1:9").code == UNKNOWN
    gone = site.check(keys=site.own, bucket="no-such-bucket")
    assert gone.code == CRITICAL
    assert "no bucket" in gone.out
