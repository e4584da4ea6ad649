"""Leases on a real cluster."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from drd.ceph.cluster import CephAccess
from drd.leases.rados import PREFIX, RadosLease, Terms
from lab.ceph import Ceph
from lab.folder import Lab
from tests.integration.leases.nodes import TwoNodes
from tests.lab.holders import OtherProcess, holder

TTL_S = 5.0


class Leases:
    """Makes leases in one pool, and does what else happens to them."""

    def __init__(self, ceph: Ceph, *, ttl_s: float = TTL_S) -> None:
        self.ceph = ceph
        self.ttl_s = ttl_s
        self.pool = ceph.pool

    def lease(
        self, *, who: str = "node-a, process 1", pool: str = "", client: str = "client.admin"
    ) -> RadosLease:
        access = CephAccess(conf=str(self.ceph.conf), client=client)
        terms = Terms(pool or self.pool, self.ttl_s, who)
        return RadosLease(access, terms, random=os.urandom, timer=time.monotonic)

    def elsewhere(self, name: str) -> AbstractContextManager[OtherProcess]:
        how = {"conf": str(self.ceph.conf), "pool": self.pool, "ttl": str(self.ttl_s)}
        return holder(how, name)

    def rados(self, *args: str) -> str:
        """As an operator would."""
        return self.ceph.run("rados", "-p", self.pool, *args).decode()

    def break_lock(self, name: str) -> None:
        """As an operator would: by what ``rados lock info`` says."""
        told = json.loads(self.rados("--format", "json", "lock", "info", PREFIX + name, "drd"))
        for locker in told["lockers"]:
            self.rados(
                "lock",
                "break",
                PREFIX + name,
                "drd",
                locker["name"],
                "--lock-cookie",
                locker["cookie"],
            )

    def objects(self) -> list[str]:
        return [one for one in self.rados("ls").split() if one.startswith(PREFIX)]


@pytest.fixture
def leases(ceph: Ceph) -> Leases:
    made = Leases(ceph)
    for left in made.objects():  # by holders that tests before killed
        made.rados("rm", left)
    return made


@pytest.fixture
def cloud(tmp_path: Path, breakable: Lab) -> Iterator[TwoNodes]:
    """Its images are read with a long patience: only the lease tells that the cluster was away."""
    breakable.start_ceph()
    breakable.start_minio()
    made = TwoNodes(tmp_path / "site", breakable, op_timeout_s=100.0, patience_s=10.0)
    made.made()
    yield made
    breakable.ceph.resume()
