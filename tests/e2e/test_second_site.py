"""drd-check as it is installed, on what drctl backed up: the promise of the policy, and its breach."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.minio import Minio
from tests.daemon.service import until
from tests.e2e.site import Bucket, Site, scatter

CHECK = Path(sys.executable).with_name("drd-check")
POLICY = '[policy.gold]\nevery = "{every}"\nrpo = "{rpo}"\n'
OK, WARNING, CRITICAL = range(3)


class Checked:
    """A site, and its second site."""

    def __init__(self, site: Site, *, every: str = "1h", rpo: str = "2h") -> None:
        self.site = site
        site.sources += 'policy = "gold"\n'
        site.configure(extra=POLICY.format(every=every, rpo=rpo))
        made = site.run("init")
        assert made.code == 0, made.text
        self.root = str(made.reply["root_fingerprint"])

    def look(self) -> tuple[int, dict[str, Any]]:
        """Exit code and reply of drd-check."""
        command: list[str | Path] = [CHECK, "--url", self.site.url, "--root", self.root, "--json"]
        command += ["--state", self.site.folder / "second.json"]
        if bucket := self.site.bucket:
            command += ["--endpoint", bucket.endpoint]
            for name in ("access", "secret"):
                command += [f"--{name}-key-file", self.site.folder / f"s3.{name}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not done.stderr
        reply: dict[str, Any] = json.loads(done.stdout)
        assert reply["exit"] == done.returncode
        return done.returncode, reply


@pytest.mark.parametrize("where", ["folder", "minio"])
def test_backups_of_drctl_keep_the_promise_of_their_policy(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bucket = None
    if where == "minio":
        minio: Minio = request.getfixturevalue("minio")
        bucket = Bucket.fresh(minio)
    checked = Checked(Site(tmp_path / "site", bucket))
    assert checked.look()[0] == WARNING, "nothing is there yet"
    image = checked.site.image()
    checked.site.image("b.img")
    checked.site.backup()
    scatter(image, 3)
    checked.site.backup("disks/a.img")

    code, reply = checked.look()
    assert code == OK
    rows = {one["lineage"]: one for one in reply["lineages"]}
    listed = checked.site.run("ls").reply["lineages"]
    assert {row["lineage"] for row in listed} == rows.keys()
    assert {row["name"]: rows[row["lineage"]]["seq"] for row in listed} == {
        "disks/a.img": 2,
        "disks/b.img": 1,
    }
    assert all(one["next_by"] for one in rows.values())


def test_a_promise_that_nobody_keeps(tmp_path: Path) -> None:
    checked = Checked(Site(tmp_path / "site"), every="1s", rpo="3s")
    checked.site.image()
    checked.site.backup()

    until(lambda: checked.look()[0] == CRITICAL, "the promise is over")
    (row,) = checked.look()[1]["lineages"]
    assert row["finding"] == "late"
    checked.site.backup()
    (row,) = checked.look()[1]["lineages"]
    assert row["seq"] == 2


def test_a_point_that_was_taken_away(tmp_path: Path) -> None:
    checked = Checked(Site(tmp_path / "site"))
    image = checked.site.image()
    checked.site.backup()
    scatter(image, 3)
    checked.site.backup()
    assert checked.look()[0] == OK
    newest = min(checked.site.repository.glob("m/*/*/*"))
    newest.unlink()

    code, reply = checked.look()
    assert code == CRITICAL
    assert reply["lineages"][0]["finding"] == "rollback"
