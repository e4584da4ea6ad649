"""Images of a real pool that have odd names, are many, or go and come anew under their old name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from drd.ceph.bindings import bindings
from drd.ceph.cluster import Cluster
from drd.testing.fakes import seeded
from drd.wiring.clock import now
from lab.ceph import Ceph
from tests.daemon.service import Service, running, until
from tests.e2e.site import KIB, Site
from tests.integration.sources.conftest import Images, access_of
from tests.unit.work.effort import FACTOR

CONFIG = """
[policy.gold]
cron = "{minute} * * * *"
rpo = "3h"
[daemon]
metrics = ""
workers = 6
tick = "1s"
discover_every = "1s"
backoff = "1s"
drain = "10s"
"""
SIZE = 256 * KIB
MANY = 60 if FACTOR == 1 else 300
ODD = (
    *("with space", " spaces around ", "ümläut-日本-🦔", "a'b\"c`d", "-leading-dash", "--help"),
    *("$(reboot)", "[x]*?", "a\\b", "..", "two\nlines", "a\tb", "percent%20s%s", "a,b;c|d#e"),
    *(
        "db@17",
        "db@latest",
        "@",
        "a/b",
        "/",
    ),  # `rbd` takes them for more than a name, librbd does not
)


@dataclass
class Tenant:
    """A namespace of its own, all images of which are protected."""

    site: Site
    images: Images

    def make(self, name: str, seed: object = 0) -> bytes:
        """A new image; its bytes."""
        data = seeded(seed)(SIZE)
        self.images.make(name, SIZE)
        self.images.write(name, 0, data)
        return data

    def label(self, name: str) -> str:
        """What drd calls an image."""
        return f"vms/{self.images.namespace}/{name}"

    def restored(self, point: str) -> bytes:
        """The bytes of a point."""
        out = self.site.folder / "restored"
        out.unlink(missing_ok=True)
        answer = self.site.run("restore", point, "--to", f"file:{out}")
        assert answer.code == 0, answer.text
        return out.read_bytes()

    def states(self) -> dict[str, str]:
        """What ``drctl status`` says of each lineage, by its name and its identity."""
        rows = self.site.run("status").reply["lineages"]
        return {row["identity"]: row["state"] for row in rows}


@pytest.fixture
def tenant(ceph: Ceph, tmp_path: Path) -> Iterator[Tenant]:
    cluster = Cluster(access_of(ceph))
    space = f"tenant-{uuid4().hex[:8]}"
    with cluster.pool(ceph.pool) as ioctx:
        bindings().rbd.RBD().namespace_create(ioctx, space)
    images = Images(cluster, pool=ceph.pool, namespace=space)
    site = Site(tmp_path / "site")
    site.sources = (
        f'[source.vms]\ntype = "rbd"\nceph_conf = "{ceph.conf}"\npool = "{ceph.pool}"\n'
        f'namespaces = ["{space}"]\npolicy = "gold"\n'
    )
    minute = (now().minute + 30) % 60  # so no image is due a second time while a test lasts
    site.configure(extra=CONFIG.format(minute=minute))
    answer = site.run("init")
    assert answer.code == 0, answer.text
    yield Tenant(site, images)
    images.empty()
    images.close()
    cluster.close()


def points_of(drd: Service) -> list[str]:
    """Names of the images of which a point was made, one for each point."""
    return [one["image"] for one in drd.said("run_done") if one["kind"] == "backup"]


def test_whatever_rbd_takes_for_a_name_is_backed_up_and_restored(
    tenant: Tenant, tmp_path: Path
) -> None:
    data = {name: tenant.make(name, seed=name) for name in ODD}
    with running(tenant.site.config, tmp_path / "log") as drd:
        until(lambda: len(points_of(drd)) >= len(ODD), "a point of each")
        assert sorted(points_of(drd)) == sorted(tenant.label(name) for name in ODD)
        assert not drd.said("run_failed")
        assert tenant.site.run("status", "--check").code == 0
        name = ODD[-1]
        assert tenant.site.run("run", tenant.label(name), "--wait").code == 0
        assert drd.stop() == 0
    for name, held in data.items():
        assert tenant.restored(f"{tenant.label(name)}@latest") == held, name
    told = tenant.site.told("status").out.decode()
    assert "two\nlines" not in told, "a name makes no line of its own"


def test_an_image_that_is_made_anew_under_its_name_is_another_one(
    tenant: Tenant, tmp_path: Path
) -> None:
    old = tenant.make("vm", seed="old")
    with running(tenant.site.config, tmp_path / "log") as drd:
        (first,) = drd.wait_for("run_done", kind="backup")
        tenant.images.empty()
        new = tenant.make("vm", seed="new")
        second = drd.wait_for("run_done", 2, kind="backup")[-1]
        drd.wait_for("image_gone")
        assert second["lineage"] != first["lineage"], "no diff was made of two images"
        until(lambda: sorted(tenant.states().values()) == ["gone", "ok"], "one is gone")
        assert tenant.site.run("run", tenant.label("vm"), "--wait").code == 0
        assert drd.wait_for("run_done", 3, kind="backup")[-1]["lineage"] == second["lineage"]
        assert not drd.said("run_failed")
        assert drd.stop() == 0
    assert tenant.restored(f"{second['lineage']}@1") == new
    assert tenant.restored(first["lineage"]) == old
    assert tenant.site.run("verify", "--all", "--level", "2").code == 0


def test_many_images_that_are_due_at_once_each_have_one_point(
    tenant: Tenant, tmp_path: Path
) -> None:
    data = {f"vm-{number}": tenant.make(f"vm-{number}", seed=number) for number in range(MANY)}
    with running(tenant.site.config, tmp_path / "log") as drd:
        drd.wait_for("image_found", MANY)
        left = MANY
        while left:  # patience is for each of them
            drd.wait_for("run_done", MANY - left + 1, kind="backup")
            left = MANY - len(points_of(drd))
        assert sorted(points_of(drd)) == sorted(map(tenant.label, data))
        assert tenant.site.run("status", "--check").code == 0
        assert drd.stop() == 0
    for number in (0, MANY // 2, MANY - 1):
        assert tenant.restored(tenant.label(f"vm-{number}")) == data[f"vm-{number}"]
    assert tenant.site.run("verify", "--all", "--level", "1").code == 0
