"""Places to work in, for the tests of ``drctl``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.folder import Lab
from tests.e2e.cloud import Cloud
from tests.e2e.site import Bucket, S3Server, Site

ROOT = Path(__file__).parents[2]
GONE_S = 60.0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The embedded default: image files, a repository in a folder, a key file."""
    return Site(tmp_path / "site").made()


@pytest.fixture
def minio_site(tmp_path: Path, minio: S3Server) -> Site:
    """Image files, and a repository in a bucket of MinIO."""
    return Site(tmp_path / "site", Bucket.fresh(minio)).made()


@pytest.fixture(scope="session")
def breakable(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Ceph and MinIO that may be stopped and killed: never those of a lab that is left running."""
    if not os.environ.get("DRD_LAB"):
        own: Lab = request.getfixturevalue("lab")
        own.start_ceph()
        own.start_minio()
        yield own
        return
    base = os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108 - mkdtemp makes a private one in it
    own = Lab(Path(tempfile.mkdtemp(prefix="drdlab-", dir=base)))
    command = [sys.executable, "-m", "lab", "guard", str(own.folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True
    ) as guard:
        own.up(rgw=False)
        yield own
        guard.communicate(timeout=GONE_S)


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
