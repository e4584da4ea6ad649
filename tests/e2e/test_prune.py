"""``drctl prune`` in every kind of repository, with the keys that the documentation gives to whom."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import botocore.session
import pytest

from drd.stores.s3 import S3Settings
from drd.stores.s3_client import connect
from drd.testing.fakes import seeded
from tests.e2e.drctl import Answer, Row, started
from tests.e2e.site import Bucket, S3Server, Site, digest, scatter, tree

POLICY = '[policy.short]\nkeep = { last = 2 }\n[prune]\ngrace = "1s"\n'
COVERED = '[source.disks]\ntype = "device"\npaths = ["%s/*.img"]\npolicy = "short"\n'
NAME = "disks/a.img"
PATIENCE_S = 60.0
PAUSE_S = 0.1
BEYOND_READ_AHEAD = 128 * 1024 * 1024
"""More than a restore has in memory: the rest is fetched when the pipe takes what came before."""


def covered(site: Site, extra: str = "") -> Site:
    """The site with a policy that keeps two points."""
    site.sources = COVERED % site.images
    site.configure(extra=POLICY + extra)
    return site


def lineage(answer: Answer) -> Row:
    (row,) = answer.reply["lineages"]
    found: Row = row
    return found


def prune(site: Site, *arguments: str, code: int = 0) -> Row:
    answer = site.run("prune", *arguments)
    assert answer.code == code, answer.text
    return lineage(answer)


def tries() -> Iterator[None]:
    """Turns, a little apart, until patience is at its end: a count of them alone is over in no time
    where a prune is quick.
    """
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        yield
        Event().wait(PAUSE_S)


def until_swept(site: Site) -> Row:
    """Prune until the grace of a second is over."""
    row: Row = {}
    for _ in tries():
        row = prune(site)
        if row["deleted"]:
            return row
    raise AssertionError(f"the grace never ends: {row}")


def history(site: Site, image: Path, points: int, keep: dict[int, str]) -> None:
    for _ in range(points):
        scatter(image, 3)
        (point,) = site.backup()
        keep[point["seq"]] = digest(image)


def assert_restores(site: Site, keep: dict[int, str]) -> None:
    """Every point that is listed as good is what the image was then."""
    for point in site.run("ls", NAME).points:
        target = site.folder / f"out-{point['seq']}"
        answer = site.run("restore", f"{NAME}@{point['seq']}", "--to", f"file:{target}")
        if point["doomed"]:
            assert answer.code == 15, answer.text
            assert "doomed" in answer.error["message"]
            assert not target.exists()
            continue
        assert answer.code == 0, answer.text
        assert digest(target) == keep[point["seq"]]
        target.unlink()


@pytest.fixture(params=["folder", "minio", "rgw", "minio, not versioned"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    if request.param == "folder":
        return Site(tmp_path / "site").made()
    server: S3Server = request.getfixturevalue(str(request.param).partition(",")[0])
    versioned = "not" not in str(request.param)
    return Site(tmp_path / "site", Bucket.fresh(server, versioned=versioned)).made()


def test_two_phases_everywhere(place: Site) -> None:
    site = covered(place)
    image, keep = site.image(), dict[int, str]()
    history(site, image, 5, keep)
    told = prune(site, "--dry-run")
    assert (told["doomed"], told["points"]) == (3, 5)
    assert not any(point["doomed"] for point in site.run("ls", NAME).points)
    row = prune(site)
    assert (row["doomed"], row["deleted"], row["stopped"]) == (3, 0, None)
    assert [one["keep"] for one in row["decisions"]] == [False, False, False, True, True]
    assert all(one["reasons"] for one in row["decisions"])
    assert [point["doomed"] for point in site.run("ls", NAME).points].count(True) == 3
    assert_restores(site, keep)
    history(site, image, 1, keep)
    row = until_swept(site)
    assert row["deleted"] == 3
    assert [point["seq"] for point in site.run("ls", NAME).points] == [4, 5, 6]
    assert_restores(site, keep)
    for arguments in (("verify", "--all", "--level", "2"), ("verify", NAME), ("ls",), ("backup",)):
        answer = site.run(*arguments)
        assert answer.code == 0, answer.text
        assert answer.reply["warnings"] == []
    assert site.run("catalogue", "rebuild").code == 0
    assert site.run("verify", "--all").code == 0
    assert prune(site, "--orphans")["orphans"] == 0
    assert site.run("restore", f"{NAME}@1", "--to", f"file:{site.folder}/no").code == 10


def test_the_stand_alone_reader_does_not_mind(site: Site) -> None:
    covered(site)
    image, keep = site.image(), dict[int, str]()
    history(site, image, 4, keep)
    assert prune(site)["doomed"] == 2
    history(site, image, 1, keep)
    until_swept(site)
    for point in (3, 4, 5):
        out = site.folder / f"read-{point}"
        reader = Path(__file__).parents[2] / "reader/drd_reader.py"
        command = [sys.executable, str(reader), site.url, "--sheet", str(site.sheet)]
        subprocess.run([*command, f"{NAME}@{point}", str(out)], check=True, capture_output=True)
        assert digest(out) == keep[point]


def test_a_doomed_point_that_is_held_comes_back(site: Site) -> None:
    image, keep = site.image(), dict[int, str]()
    covered(site)
    history(site, image, 4, keep)
    assert prune(site)["doomed"] == 2
    assert site.run("hold", "add", f"{NAME}@1", "--why", "the auditor").code == 0
    history(site, image, 1, keep)
    row = until_swept(site)
    assert row["deleted"] == 1
    assert [point["seq"] for point in site.run("ls", NAME).points] == [1, 3, 4, 5]
    assert_restores(site, keep)


def test_a_point_without_a_policy_stays_and_that_is_said(site: Site) -> None:
    image, keep = site.image(), dict[int, str]()
    history(site, image, 3, keep)
    answer = site.run("prune")
    assert answer.code == 0
    assert lineage(answer)["doomed"] == 0
    assert any("no policy" in warning for warning in answer.reply["warnings"])


def test_a_foreign_object_stops_one_lineage_and_no_other(site: Site) -> None:
    covered(site)
    site.image("a.img")
    site.image("b.img", seed=1)
    for _ in range(4):
        site.backup()
    rows = {one["name"]: one for one in site.run("ls").reply["lineages"]}
    (folder,) = site.repository.glob(f"p/*/{rows[NAME]['lineage']}")
    (folder / "holiday.jpg").write_bytes(b"")
    answer = site.run("prune")
    assert answer.code == 3, answer.text
    assert "holiday.jpg" in answer.error["object"]
    by_name = {one["name"]: one for one in answer.reply["lineages"]}
    assert (by_name[NAME]["doomed"], by_name["disks/b.img"]["doomed"]) == (0, 2)
    assert by_name[NAME]["stopped"]
    assert site.run("prune", NAME).code == 15
    assert site.run("prune", "disks/none").code == 10


def test_a_dry_run_changes_nothing_in_the_repository(site: Site) -> None:
    covered(site)
    site.image()
    for _ in range(4):
        site.backup()
    before = tree(site.repository)
    assert prune(site, "--dry-run", "--orphans")["doomed"] == 2
    assert tree(site.repository) == before


# ── who may delete ──────────────────────────────────────────────────────────────────────────────

DOCUMENTED = re.compile(r"```json\n(.*?)\n```", re.DOTALL)


def policies(bucket: str) -> tuple[str, str]:
    """The writer's and the pruner's, as ``docs/stores.md`` has them."""
    page = Path(__file__).parents[2] / "docs/stores.md"
    writer, pruner = DOCUMENTED.findall(page.read_text().replace(":::drd", f":::{bucket}"))
    return writer, pruner


def keys_for(minio: S3Server, policy: str) -> dict[str, str]:
    """Keys that MinIO's token service cuts down to *policy*."""
    service: Any = botocore.session.Session().create_client(
        "sts",
        endpoint_url=minio.endpoint,
        region_name="us-east-1",
        aws_access_key_id=minio.access,
        aws_secret_access_key=minio.secret,
        verify=False,
    )
    made: dict[str, str] = service.assume_role(
        RoleArn="arn:aws:iam::000000000000:role/any",
        RoleSessionName="any",
        Policy=json.dumps(json.loads(policy)),
    )["Credentials"]
    return made


def named_keys(site: Site, who: str, keys: dict[str, str]) -> str:
    """Lines of the configuration that name *keys*."""
    files = {"access_key": "AccessKeyId", "secret_key": "SecretAccessKey"}
    lines = ""
    for name, field in (files | {"session_token": "SessionToken"}).items():
        (site.folder / f"{who}.{name}").write_text(keys[field])
        lines += f'{name}_file = "{who}.{name}"\n'
    return lines


def test_the_writer_never_deletes_and_the_pruner_does(tmp_path: Path, minio: S3Server) -> None:
    site = covered(Site(tmp_path / "site", Bucket.fresh(minio)).made())
    assert site.bucket
    writer, pruner = (keys_for(minio, one) for one in policies(site.bucket.name))
    endpoint = f'[repository.s3]\nendpoint = "{site.bucket.endpoint}"\n'
    mine = endpoint + named_keys(site, "writer", writer)
    theirs = "[repository.s3.pruner]\n" + named_keys(site, "pruner", pruner)
    text = site.config.read_text()
    start = text.index("[repository.s3]")
    end = text.index("[keys]")
    site.config.write_text(text[:start] + mine + text[end:])
    image, keep = site.image(), dict[int, str]()
    history(site, image, 5, keep)
    assert prune(site)["doomed"] == 3
    history(site, image, 1, keep)
    answer = next(one for one in (site.run("prune") for _ in tries()) if one.code != 0)
    assert answer.code == 13, answer.text
    assert "[repository.s3.pruner]" in answer.error["hint"]
    assert len(site.run("ls", NAME).points) == 6
    site.config.write_text(text[:start] + mine + theirs + text[end:])
    assert until_swept(site)["deleted"] == 3
    raw = connect(S3Settings(minio.endpoint, minio.access, minio.secret))
    seen = raw.list_object_versions(Bucket=site.bucket.name, Prefix="site-a/m/")
    assert len(seen["Versions"]) == 3
    assert "DeleteMarkers" not in seen
    site.config.write_text(text)
    assert_restores(site, keep)


def test_a_restore_that_is_held_up_keeps_its_point(tmp_path: Path) -> None:
    """Its reader takes nothing while prunes with a grace of a second go on; then it gets all of it."""
    site = covered(Site(tmp_path / "site").made())
    image, keep = site.image(), dict[int, str]()
    history(site, image, 4, keep)
    reader = started(["--config", str(site.config), "restore", f"{NAME}@1", "--to", "-"])
    try:
        assert reader.stdout is not None
        assert reader.stderr is not None
        taken = reader.stdout.read(1)  # so it is under way; what is not taken holds it up
        (row,) = site.run("hold", "ls").reply["holds"]
        assert (row["seq"], row["why"].partition(",")[0]) == (1, "restoring")
        assert row["until"] > row["at"]
        assert prune(site)["doomed"] == 1, "the second; the first is being restored"
        history(site, image, 1, keep)
        assert until_swept(site)["deleted"] == 1
        assert next(point["seq"] for point in site.run("ls", NAME).points) == 1
        restored = taken + reader.stdout.read()
        told = reader.stderr.read().decode()
        assert reader.wait(PATIENCE_S) == 0, told
    finally:
        reader.kill()
        reader.communicate()
    assert hashlib.sha256(restored).hexdigest() == keep[1]
    assert site.run("hold", "ls").reply["holds"] == []
    assert prune(site)["decisions"][0]["keep"] is False, "it goes as it would have gone"


def test_a_restore_whose_point_is_deleted_under_it_is_told_as_that(tmp_path: Path) -> None:
    """The sheet signs nothing, so nothing holds the point: a warning, and no word of damage."""
    site = covered(Site(tmp_path / "site").made())
    image, keep = site.image(size=BEYOND_READ_AHEAD), dict[int, str]()
    with image.open("r+b") as file:
        file.write(seeded("all")(BEYOND_READ_AHEAD))
    history(site, image, 3, keep)
    sheet = ["--sheet", str(site.sheet), "--json"]
    restore = ["restore", f"{NAME}@1", "--to", "-", *sheet]
    reader = started(["--config", str(site.config), *restore])
    try:
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdout.read(1)
        assert site.run("hold", "ls").reply["holds"] == []
        until_deleted(site, image, keep)
        shutil.rmtree(site.repository / "p")  # as a prune after the next merge, 32 points on
        reader.stdout.read()
        told = json.loads(reader.stderr.read().decode().splitlines()[-1])
        code = reader.wait(PATIENCE_S)
    finally:
        reader.kill()
        reader.communicate()
    (error,) = told["errors"]
    assert (code, error["code"], error["object"]) == (10, "not-found", f"{NAME}@1"), told
    assert "a prune deleted this point" in error["message"]
    assert [one for one in told["warnings"] if one.startswith("nothing holds")], told


def until_deleted(site: Site, image: Path, keep: dict[int, str]) -> None:
    """Prune and back up until the first point is gone."""
    for _ in tries():
        prune(site)
        history(site, image, 1, keep)
        if 1 not in [point["seq"] for point in site.run("ls", NAME).points]:
            return
    raise AssertionError("the first point is never deleted")


def test_what_another_host_backs_up_is_left_to_it(tmp_path: Path) -> None:
    """With leases that only one host sees; unless somebody names it. Where it was made it ages out, gone or
    not.
    """
    site = covered(Site(tmp_path / "site").made())
    history(site, site.image(), 4, dict[int, str]())
    other = covered_elsewhere(site)
    answer = site.run("--config", str(other), "prune")
    assert answer.code == 0, answer.text
    row = lineage(answer)
    assert (row["doomed"], row["stopped"], row["state"]) == (0, None, "left out")
    assert "another host made its newest point" in row["left_out"]
    assert "drctl prune NAME" in site.told("--config", str(other), "prune").out.decode()
    named = lineage(site.run("--config", str(other), "prune", NAME, "--dry-run"))
    assert (named["doomed"], named["state"], named["left_out"]) == (2, "done", None)
    (site.images / "a.img").unlink()
    assert lineage(site.run("prune"))["doomed"] == 2


def covered_elsewhere(site: Site) -> Path:
    """The configuration of another host: the same, with a state of its own."""
    config = site.folder / "other.toml"
    config.write_text(site.config.read_text().replace(str(site.state), str(site.folder / "else")))
    return config
