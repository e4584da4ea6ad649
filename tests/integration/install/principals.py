"""The principals of docs/install.md and docs/stores.md, as real servers know them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import botocore.session

from drd.keys.keyfile import decode_key_file, write_key_file
from drd.model import Role
from drd.stores.s3 import S3Settings
from drd.stores.s3_client import connect
from lab.minio import Minio
from lab.rgw import Rgw
from tests.e2e.site import Bucket, Site

DOCS: Final = Path(__file__).parents[3] / "docs"
WRITER, READER, PRUNER = "writer", "reader", "pruner"
NAMES: Final = (WRITER, READER, PRUNER)
BLOCK: Final = re.compile(r"```json\n(.*?)\n```", re.DOTALL)

Policy = dict[str, Any]


def documented(name: str, bucket: str) -> Policy:
    """The policy of a principal as the pages have it, for *bucket*."""
    page, heading = ("install.md", f"### {name.title()}\n")
    if name == WRITER:
        page, heading = "stores.md", "### Least rights"
    text = (DOCS / page).read_text()
    found = BLOCK.search(text, text.index(heading))
    assert found, name
    policy: Policy = json.loads(found[1].replace(":::drd", f":::{bucket}"))
    return policy


@dataclass(frozen=True)
class Keys:
    """What a principal shows to the server."""

    access: str
    secret: str
    token: str = ""


def on_minio(minio: Minio, bucket: str) -> dict[str, Keys]:
    """Keys that MinIO's token service cuts down to the documented policies."""
    session = botocore.session.Session()
    service: Any = session.create_client(
        "sts",
        endpoint_url=minio.endpoint,
        region_name="us-east-1",
        aws_access_key_id=minio.access,
        aws_secret_access_key=minio.secret,
        verify=False,
    )
    made = {}
    for name in NAMES:
        given = service.assume_role(
            RoleArn=f"arn:aws:iam::000000000000:role/{name}",
            RoleSessionName=name,
            Policy=json.dumps(documented(name, bucket)),
        )["Credentials"]
        made[name] = Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    return made


def on_rgw(rgw: Rgw, bucket: str) -> dict[str, Keys]:
    """Users of their own, and one bucket policy with the statements of all, as the page says."""
    made, statements = {}, []
    for name in NAMES:
        user = f"{name}-{uuid4().hex[:8]}"
        keys = Keys(uuid4().hex[:20], uuid4().hex)
        rgw.ceph.run(
            *("radosgw-admin", "user", "create", f"--uid={user}", f"--display-name={user}"),
            *(f"--access-key={keys.access}", f"--secret-key={keys.secret}"),
        )
        made[name] = keys
        for statement in documented(name, bucket)["Statement"]:
            principal = {"AWS": [f"arn:aws:iam:::user/{user}"]}
            sid = f"{name.title()}{statement['Sid']}"
            statements.append({**statement, "Sid": sid, "Principal": principal})
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    owner = S3Settings(rgw.endpoint, rgw.access, rgw.secret)
    connect(owner).put_bucket_policy(Bucket=bucket, Policy=policy)
    return made


def host_of(site: Site, name: str, keys: Keys, *, role: Role | None = None) -> Site:
    """A further host of *site*'s repository: other S3 keys, and a key file with *role*'s part alone."""
    assert site.bucket
    bucket = Bucket(site.bucket.endpoint, site.bucket.name, keys.access, keys.secret)
    host = Site(site.folder.with_name(name), bucket)
    host.sources = site.sources
    host.key = host.folder / "drd.key"
    whole = decode_key_file(site.key.read_text())
    write_key_file(host.key, whole if role is None else whole.for_role(role))
    if keys.token:
        (host.folder / "s3.token").write_text(keys.token)
        host.s3_extra = 'session_token_file = "s3.token"\n'
    host.configure()
    return host


def settings_of(host: Site) -> S3Settings:
    """The keys of a host, for requests of one's own."""
    assert host.bucket
    token = host.folder / "s3.token"
    return S3Settings(
        host.bucket.endpoint,
        host.bucket.access,
        host.bucket.secret,
        session_token=token.read_text() if token.exists() else "",
    )
