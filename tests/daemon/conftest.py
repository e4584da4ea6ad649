"""Places to work in, and daemons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.folder import Lab
from tests.e2e.cloud import Cloud
from tests.e2e.site import Site

POLICY = """
[policy.gold]
every = "{every}"
rpo = "1h"
[daemon]
metrics = ""
tick = "1s"
discover_every = "1s"
backoff = "1s"
drain = "10s"
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Image files, a repository in a folder, and a policy that wants a point each hour."""
    made = Site(tmp_path / "site")
    made.sources += 'policy = "gold"\n'
    made.configure(extra=POLICY.format(every="1h"))
    answer = made.run("init")
    assert answer.code == 0, answer.text
    return made


@pytest.fixture
def guarded(tmp_path: Path, fragile: Lab) -> Iterator[Cloud]:
    """An image of a real pool, a bucket of MinIO and a policy, with short patience; servers may break."""
    made = Cloud(tmp_path / "site", fragile, op_timeout_s=2.0, patience_s=2.0, policy="gold")
    made.configure(extra=POLICY.format(every="1h"))
    answer = made.run("init")
    assert answer.code == 0, answer.text
    yield made
    fragile.ceph.resume()
    fragile.minio.server.resume()
    fragile.start_minio()
