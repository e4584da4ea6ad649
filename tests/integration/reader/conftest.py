"""Repositories that the reader is let loose on, each written once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from drd.core.address import S3Address
from drd.stores.local import LocalStore
from drd.stores.s3 import S3Settings, S3Store
from tests.integration.reader.history import TIGHT, live
from tests.integration.reader.written import Written, bare_site


class S3Server(Protocol):
    """What the fixtures ``minio`` and ``rgw`` are."""

    endpoint: str
    access: str
    secret: str

    def fresh_bucket(self, *, versioned: bool = True, lock: bool = False) -> str:
        """Make a bucket and return its name."""
        ...


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages as on a bare machine: the reader's, and no drd."""
    return bare_site(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def in_folder(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A repository in a folder. Tests that damage it work on a copy."""
    folder = tmp_path_factory.mktemp("written")
    store = LocalStore(folder / "repository", make=True)
    written = Written(store, folder, (folder / "repository").as_uri(), knobs=TIGHT)
    live(written)
    return written


@pytest.fixture(scope="session", params=["minio", "minio-unversioned", "rgw"])
def in_bucket(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Written, dict[str, str]]:
    """A repository in a bucket of a real server, and the environment that reaches it."""
    name, _, unversioned = str(request.param).partition("-")
    server: S3Server = request.getfixturevalue(name)
    address = S3Address(server.fresh_bucket(versioned=not unversioned), "site-a")
    store = S3Store(address, S3Settings(server.endpoint, server.access, server.secret))
    folder = tmp_path_factory.mktemp("written")
    url = f"s3://{address.bucket}/{address.prefix}"
    written = Written(store, folder, url, endpoint=server.endpoint, knobs=TIGHT)
    live(written)
    secrets = {"AWS_ACCESS_KEY_ID": server.access, "AWS_SECRET_ACCESS_KEY": server.secret}
    return written, secrets
