"""Places to work in, for the tests of ``drctl``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.site import Bucket, S3Server, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The embedded default: image files, a repository in a folder, a key file."""
    return Site(tmp_path / "site").made()


@pytest.fixture
def minio_site(tmp_path: Path, minio: S3Server) -> Site:
    """Image files, and a repository in a bucket of MinIO."""
    return Site(tmp_path / "site", Bucket.fresh(minio)).made()
