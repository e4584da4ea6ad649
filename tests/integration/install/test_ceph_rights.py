"""The Ceph user of docs/install.md: enough for backups, and not a byte of an image more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from drd.testing.fakes import seeded
from lab.ceph import Ceph
from lab.failure import LabError
from tests.e2e.site import MIB, Site
from tests.integration.install.ceph_user import documented

SIZE = 8 * MIB


@dataclass(frozen=True)
class User:
    """A Ceph user with the documented capabilities, and an image that it may back up."""

    ceph: Ceph
    name: str
    keyring: Path
    image: str
    data_pool: str | None

    def info(self) -> list[str]:
        """What rbd says of the image, line by line."""
        return self.ceph.rbd("info", self.spec).splitlines()

    @property
    def spec(self) -> str:
        return f"rbd/{self.image}"

    def rbd(self, *arguments: str, stdin: bytes = b"") -> bytes:
        who = ("--name", self.name, "--keyring", str(self.keyring))
        return self.ceph.run("rbd", *who, *arguments, stdin=stdin)


@pytest.fixture(params=["rbd", "ecdata"])
def user(request: pytest.FixtureRequest, ceph: Ceph, tmp_path: Path) -> Iterator[User]:
    name = f"client.drd-{uuid4().hex[:8]}"
    mon, osd = documented()
    keyring = tmp_path / "keyring"
    keyring.write_text(ceph.command("auth", "get-or-create", name, "mon", mon, "osd", osd))
    image = f"vm-{uuid4().hex[:8]}"
    data = () if request.param == "rbd" else ("--data-pool", request.param)
    ceph.rbd("create", "--size", f"{SIZE}B", *data, f"rbd/{image}")
    yield User(ceph, name, keyring, image, request.param if data else None)
    ceph.rbd("snap", "purge", f"rbd/{image}")
    ceph.rbd("rm", f"rbd/{image}")
    ceph.command("auth", "rm", name)


def write(user: User, offset: int, data: bytes) -> None:
    """Change the image as its guest would, as client.admin."""
    user.ceph.run(
        *("rbd", "import-diff", "--no-progress", "-", user.spec), stdin=change(offset, data)
    )


def change(offset: int, data: bytes) -> bytes:
    sizes = offset.to_bytes(8, "little") + len(data).to_bytes(8, "little")
    return b"rbd diff v1\nw" + sizes + data + b"e"


def site_of(user: User, folder: Path) -> Site:
    site = Site(folder)
    told = {
        "type": "rbd",
        "ceph_conf": str(user.ceph.conf),
        "client": user.name,
        "keyring": str(user.keyring),
        "pool": "rbd",
        "images": [user.image],
    }
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())
    site.sources = f"[source.vms]\n{lines}"
    return site.made()


def test_the_documented_user_backs_up_and_proves(user: User, tmp_path: Path) -> None:
    site = site_of(user, tmp_path / "site")
    write(user, 0, seeded("first")(2 * MIB))
    (first,) = site.backup()
    write(user, 5 * MIB, seeded("second")(4096))
    (second,) = site.backup()
    assert second["bytes_changed"] < first["bytes_changed"]
    snapshots = json.loads(user.ceph.rbd("snap", "ls", user.spec, "--format", "json"))
    assert len(snapshots) == 1, "the snapshot of the point before is gone"
    proven = site.run("verify", "--level", "4")
    assert proven.code == 0, proven.text


def test_the_documented_user_cannot_change_an_image(user: User) -> None:
    write(user, 0, seeded("precious")(MIB))
    before = user.ceph.export(user.spec)
    # rbd's cache takes the bytes, is refused later, and rbd says 0 all the same: the image tells.
    with suppress(LabError):
        user.rbd("import-diff", "--no-progress", "-", user.spec, stdin=change(0, b"forged" * 4096))
    assert user.ceph.export(user.spec) == before
    (data,) = {line.split()[-1] for line in user.info() if "block_name_prefix" in line}
    pool = "rbd" if user.data_pool is None else user.data_pool
    who = ("--name", user.name, "--keyring", str(user.keyring), "--pool", pool)
    first = f"{data}.{0:016x}"
    for words in (("rm", first), ("truncate", first, "0")):
        with pytest.raises(LabError, match="not permitted"):
            user.ceph.run("rados", *who, *words)
    for made in (("rm", "--no-progress", user.spec), ("create", "--size", "4M", "rbd/of-a-thief")):
        with pytest.raises(LabError, match="not permitted"):
            user.rbd(*made)
    assert user.ceph.export(user.spec) == before


def test_a_user_that_may_only_read_is_refused_with_what_to_do(user: User, tmp_path: Path) -> None:
    """The capabilities are least: without those for headers there is no snapshot."""
    mon, _ = documented()
    user.ceph.command("auth", "caps", user.name, "mon", mon, "osd", "allow rx pool=rbd")
    site = site_of(user, tmp_path / "site")
    answer = site.run("backup")
    assert answer.code != 0
    assert answer.error["hint"]
