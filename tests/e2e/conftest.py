"""Places to work in, for the tests of ``drctl``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.folder import Lab
from tests.e2e.cloud import Cloud
from tests.e2e.site import Bucket, S3Server, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The embedded default: image files, a repository in a folder, a key file."""
    return Site(tmp_path / "site").made()


@pytest.fixture
def minio_site(tmp_path: Path, minio: S3Server) -> Site:
    """Image files, and a repository in a bucket of MinIO."""
    return Site(tmp_path / "site", Bucket.fresh(minio)).made()


@pytest.fixture
def cloud(tmp_path: Path, breakable: Lab) -> Iterator[Cloud]:
    """An image of a real pool and a repository in a bucket, with short patience.

    The image stays: its lab is this session's own, and a client that was killed watches it for 30 s.
    """
    made = Cloud(tmp_path / "site", breakable, op_timeout_s=2.0, patience_s=3.0)
    made.made()
    yield made
    breakable.start_minio()
    breakable.ceph.resume()
