"""Every exit code by a real cause: who is at fault, what about, what to do; and nothing changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drd.core import names
from drd.core.sheet import decode_sheet
from drd.core.trust import (
    FORMAT,
    decode_document,
    document_to_sign,
    encode_body,
    encode_document,
)
from drd.errors import RefusedError
from drd.keys.recovery import RootSigner
from drd.model import Json, Role
from drd.wiring import open_house
from drd.wiring.clock import now
from drd.work.backup import backup
from drd.work.bench import lease_name
from tests.e2e import drctl
from tests.e2e.drctl import Answer
from tests.e2e.site import Bucket, S3Server, Site, scatter, tree

READS = (("ls",), ("show", "disks/a.img"), ("verify",))
EVERY = (
    *READS,
    ("backup",),
    ("restore", "disks/a.img", "--to", "file:OUT"),
    ("snapshots",),
    ("catalogue", "rebuild"),
)


@pytest.fixture
def filled(site: Site) -> Site:
    """A site with one point."""
    site.image()
    site.backup()
    return site


def fails(site: Site, code: int, *commands: tuple[str, ...], about: str = "") -> Answer:
    """Each command fails with *code*, in JSON and for people, and changes nothing."""
    before = tree(site.repository), tree(site.images)
    last = None
    for command in commands:
        whole = [part.replace("OUT", str(site.folder / "out")) for part in command]
        last = site.run(*whole)
        assert last.code == code, (command, last.text)
        for error in last.reply["errors"]:
            assert error["message"]
            assert error["object"], command
            assert error["hint"], command
        assert about in " ".join(last.error.values())
        told = site.told(*whole)
        assert told.code == code
        assert without_numbers(last.error["message"]) in without_numbers(told.err)
        assert last.error["hint"] in told.err
    assert (tree(site.repository), tree(site.images)) == before
    assert not list(site.folder.glob("out*"))
    assert last is not None
    return last


def without_numbers(text: str) -> str:
    """Times, and how often something was tried, differ from run to run."""
    return re.sub(r"[0-9]+", "#", text)


# ── 2: configuration and secrets ────────────────────────────────────────────────────────────────
def test_an_unknown_key_names_the_nearest(filled: Site) -> None:
    filled.configure(extra='[source.more]\ntype = "device"\npathes = ["/x"]')
    assert "'paths'" in fails(filled, 2, *EVERY, ("init",), ("doctor",)).error["message"]
    filled.configure(extra='[repositery]\nurl = "x"')
    assert "'repository'" in fails(filled, 2, ("ls",)).error["message"]


@pytest.mark.parametrize(
    "broken", ["no toml at all", 'url = "x"', "[repository]\n", '[repository]\nurl = "ftp://x/y"\n']
)
def test_a_broken_configuration(site: Site, broken: str) -> None:
    site.config.write_text(broken)
    assert fails(site, 2, *EVERY).error["object"] == str(site.config)


def test_no_configuration(site: Site) -> None:
    site.config.unlink()
    assert fails(site, 2, *EVERY).error["object"] == str(site.config)


def test_a_key_file_that_others_can_read(filled: Site) -> None:
    for mode in (0o644, 0o640, 0o604):
        filled.key.chmod(mode)
        assert "chmod 600" in fails(filled, 2, *EVERY, about=str(filled.key)).error["hint"]
    filled.key.chmod(0o400)
    assert filled.run("ls").code == 0


def test_an_unreadable_secret(minio_site: Site) -> None:
    site = minio_site
    secret = site.folder / "s3.secret"
    for breaks in (
        lambda: secret.write_text(""),
        lambda: secret.write_text("two words"),
        secret.unlink,
        secret.mkdir,
    ):
        breaks()
        assert fails(site, 2, *EVERY, ("doctor",)).error["object"].startswith(str(site.folder))


def test_a_state_folder_that_cannot_be_used(filled: Site) -> None:
    """A backup goes on without its catalogue, each time more slowly: doctor is who tells."""
    (catalogue,) = filled.state.glob("*/catalogue.sqlite")
    catalogue.unlink()
    catalogue.mkdir()
    answer = filled.run("doctor")
    assert answer.code == 2
    assert [one["check"] for one in answer.reply["findings"] if not one["ok"]] == ["state"]
    assert "state_dir" in answer.error["hint"]
    catalogue.rmdir()
    assert filled.run("doctor").code == 0
    for mode in (0o500, 0):
        catalogue.parent.chmod(mode)
        answer = without_root(filled, "doctor")
        assert answer.code == 2
        assert str(catalogue.parent) in answer.error["object"]
        catalogue.parent.chmod(0o700)
    assert list(filled.state.rglob(".doctor*")) == []


# ── 10: not there ───────────────────────────────────────────────────────────────────────────────
def test_no_such_image_or_point(filled: Site) -> None:
    fails(filled, 10, ("backup", "disks/none.img"), about="disks/none.img")
    fails(filled, 10, ("ls", "disks/none.img"), about="disks/none.img")
    fails(filled, 10, ("verify", "nobody/*"), about="nobody/*")
    fails(filled, 10, ("snapshots", "--release", "nobody/x"), about="nobody")
    fails(filled, 10, ("snapshots", "--release", "disks/none"), about="disks/none")
    unknown = "0123456789abcdef" * 2
    fails(filled, 10, ("restore", unknown, "--to", "file:OUT"), about=unknown)


def test_an_image_file_that_is_gone(filled: Site) -> None:
    image = filled.images / "a.img"
    filled.configure(sources=f'[source.disks]\ntype = "device"\npaths = ["{image}"]\n')
    image.unlink()
    fails(filled, 10, ("backup",), about="a.img")


def test_no_repository_at_this_address(filled: Site, minio: S3Server) -> None:
    empty = filled.folder / "empty"
    empty.mkdir()
    filled.configure(url=empty.as_uri())
    assert "drctl init" in fails(filled, 10, *EVERY, about=empty.as_uri()).error["hint"]
    filled.configure(url=(filled.folder / "nowhere").as_uri())
    fails(filled, 10, *EVERY, about="nowhere")
    site = Site(filled.folder / "s3", Bucket.fresh(minio))
    shutil.copy(filled.key, site.key)
    site.configure()
    fails(site, 10, *EVERY, about=site.url)


def test_a_bucket_that_is_not_there(minio_site: Site) -> None:
    minio_site.configure(url="s3://no-such-bucket-here/site-a")
    fails(minio_site, 10, *EVERY, about="no-such-bucket-here")
    minio_site.key.unlink()
    minio_site.sheet.unlink()
    fails(minio_site, 10, ("init",), about="no-such-bucket-here")
    assert not minio_site.key.exists()


# ── 12: keys ────────────────────────────────────────────────────────────────────────────────────
def test_a_missing_key_file(filled: Site) -> None:
    filled.key.unlink()
    fails(filled, 12, *EVERY, about=str(filled.key))


@pytest.mark.parametrize("how", ["cut", "changed", "another file"])
def test_a_damaged_key_file(filled: Site, how: str) -> None:
    text = filled.key.read_text()
    filled.key.write_text(
        {
            "cut": text[:2000],
            "changed": text.replace("[sign]\nhost = ", "[sign]\nhost = ").replace("a", "b", 40),
            "another file": "hello",
        }[how]
    )
    fails(filled, 12, *EVERY, about=str(filled.key))


def test_the_key_file_of_another_repository(filled: Site) -> None:
    other = Site(filled.folder / "other").made()
    shutil.copy(other.key, filled.key)
    fails(filled, 12, *EVERY, about=filled.url)


def test_the_sheet_of_another_repository(filled: Site) -> None:
    other = Site(filled.folder / "other").made()
    to = ("restore", "disks/a.img", "--to", "file:OUT", "--sheet", str(other.sheet))
    fails(filled, 12, to, about=filled.url)


# ── 13: store ───────────────────────────────────────────────────────────────────────────────────
def test_a_store_that_cannot_be_reached(minio_site: Site) -> None:
    minio_site.s3_extra = "patience_s = 2.0\n"
    text = minio_site.configure().read_text()
    assert minio_site.bucket
    minio_site.config.write_text(text.replace(minio_site.bucket.endpoint, "http://127.0.0.1:9"))
    fails(minio_site, 13, ("ls",), about=minio_site.url)


@pytest.mark.parametrize("which", ["access", "secret"])
def test_wrong_keys_for_the_bucket(minio_site: Site, which: str) -> None:
    (minio_site.folder / f"s3.{which}").write_text("wrongwrongwrong")
    error = fails(minio_site, 13, *EVERY, about=minio_site.url).error
    assert f"{which}_key_file" in error["hint"] or which == "secret"
    assert "wrongwrongwrong" not in str(error)


def test_a_folder_that_may_not_be_written(filled: Site) -> None:
    scatter(filled.images / "a.img", 1)
    before = tree(filled.repository)
    locked = [filled.repository, *(path for path in filled.repository.rglob("*") if path.is_dir())]
    for path in locked:
        path.chmod(0o500)
    answer = without_root(filled, "backup")
    assert answer.code == 13
    assert answer.error["hint"]
    assert str(filled.repository) in answer.error["object"] or answer.error["object"]
    assert tree(filled.repository) == before
    assert without_root(filled, "ls").code == 0
    for path in locked:
        path.chmod(0o000)
    answer = without_root(filled, "ls")
    assert answer.code == 13
    assert answer.error["hint"]
    for path in locked:
        path.chmod(0o700)
    assert filled.run("backup").code == 0


def without_root(site: Site, *arguments: str) -> Answer:
    """Run ``drctl`` so that permissions count: root without the capabilities that pass over them."""
    bare = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    prefix = bare if os.geteuid() == 0 else []
    command = [*prefix, str(drctl.PROGRAM), "--config", str(site.config), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return Answer(done.returncode, done.stdout, done.stderr.decode())


# ── 14: source ──────────────────────────────────────────────────────────────────────────────────
def test_an_image_that_may_not_be_read(filled: Site) -> None:
    filled.image("b.img", seed="b")
    (filled.images / "a.img").chmod(0)
    answer = without_root(filled, "backup")
    assert answer.code == 3
    assert [one["name"] for one in answer.points] == ["disks/b.img"]
    assert answer.error["code"] == "source"
    assert "a.img" in answer.error["object"]
    assert answer.error["hint"]
    assert without_root(filled, "backup", "disks/a.img").code == 14


def test_a_folder_of_images_that_may_not_be_looked_into(filled: Site) -> None:
    """Taken for an empty one, its images would go unsaved, and nobody would know."""
    good = filled.folder / "more" / "b.img"
    good.parent.mkdir()
    shutil.copy(filled.image("b.img"), good)
    more = f'[source.more]\ntype = "device"\npaths = ["{good.parent}/*.img"]\n'
    filled.configure(extra=more)
    filled.images.chmod(0)
    try:
        answer = without_root(filled, "backup")
        looked = without_root(filled, "doctor")
        alone, other = (without_root(filled, "backup", name) for name in ("disks/*", "more/b.img"))
    finally:
        filled.images.chmod(0o700)
    assert [one["name"] for one in answer.points] == ["more/b.img"]
    assert answer.code == 3
    for failed in (answer, looked, alone):
        assert (failed.error["code"], failed.error["object"]) == ("source", str(filled.images))
        assert failed.error["hint"]
    assert (looked.code, alone.code, other.code) == (14, 14, 0)


def test_a_pattern_that_matches_nothing_is_a_warning(filled: Site) -> None:
    for pattern in (filled.folder / "unmounted" / "*.img", filled.images / "*.raw"):
        more = f'[source.more]\ntype = "device"\npaths = ["{pattern}"]\n'
        filled.configure(extra=more)
        for command in ("backup", "doctor"):
            answer = filled.run(command)
            assert answer.code == 0
            (warning,) = answer.reply["warnings"]
            assert str(pattern) in warning
        assert filled.run("backup", "disks/a.img").reply["warnings"] == []
    gone = filled.images / "gone.img"
    filled.configure(extra=f'[source.more]\ntype = "device"\npaths = ["{gone}"]\n')
    (warning,) = filled.run("doctor").reply["warnings"]
    assert str(gone) in warning


def test_a_target_folder_that_may_not_be_written(filled: Site) -> None:
    locked = filled.folder / "locked"
    locked.mkdir()
    for mode in (0o500, 0):
        locked.chmod(mode)
        for path in (f"{locked}/out", f"{locked}/deeper/out")[: 1 if mode else 2]:
            answer = without_root(filled, "restore", "disks/a.img", "--to", f"file:{path}")
            assert answer.code == 14
            assert answer.error["hint"]
    locked.chmod(0o700)
    assert list(locked.iterdir()) == []


# ── 15: refused ─────────────────────────────────────────────────────────────────────────────────
def test_the_bucket_of_another_repository(filled: Site) -> None:
    other = Site(filled.folder / "other").made()
    before = tree(other.repository)
    filled.configure(url=other.url)
    fails(filled, 15, *EVERY, about=other.url)
    assert tree(other.repository) == before


def newer_format(site: Site, change: Callable[[dict[str, Json]], None]) -> None:
    """Put a further format document that the root signed, as a later drd would."""
    sheet = decode_sheet(site.sheet.read_text())
    path = site.repository / names.format_key(1)
    body: dict[str, Json] = dict(decode_document(path.read_bytes(), FORMAT).body)
    change(body)
    encoded = encode_body(body)
    assert sheet.root_private
    signer = RootSigner(sheet.root_private)
    document = encode_document(FORMAT, encoded, *signer.sign(document_to_sign(FORMAT, encoded)))
    (site.repository / names.format_key(2)).write_bytes(document)


def test_a_newer_format(filled: Site) -> None:
    newer_format(filled, lambda body: body.update(version=2))
    error = fails(filled, 15, *EVERY, about=filled.url).error
    assert "newer" in error["message"] + error["hint"] or "2" in error["message"]


def test_a_feature_that_is_required_and_not_known(filled: Site) -> None:
    newer_format(filled, lambda body: body.update(required_features=["teleport"]))
    error = fails(filled, 15, *EVERY, about=filled.url).error
    assert "teleport" in error["message"] + error["hint"]


def test_an_optional_feature_is_none_of_our_business(filled: Site) -> None:
    newer_format(filled, lambda body: body.update(optional_features=["teleport"]))
    assert filled.run("backup").code == 0
    assert filled.run("verify", "--level", "2").code == 0


def test_a_clock_that_went_back(filled: Site) -> None:
    """The newest point is of tomorrow: made by a drctl whose clock was a day ahead."""
    house = open_house(str(filled.config))
    try:
        bench = house.bench(house.repository(Role.BACKUP))
        ahead = replace(bench, now=lambda: now() + timedelta(days=1))
        source = house.source("disks")
        (found,) = source.discover()
        assert backup(ahead, source, found).seq == 2
        with pytest.raises(RefusedError):
            backup(bench, source, found)
    finally:
        house.close()
    error = fails(filled, 15, ("backup",), about="disks/a.img").error
    assert "clock" in error["message"] + error["hint"]
    assert filled.run("restore", "disks/a.img", "--to", f"file:{filled.folder}/out").code == 0


def test_a_lineage_that_is_busy(filled: Site) -> None:
    filled.image("b.img", seed="b")
    house = open_house(str(filled.config))
    try:
        bench = house.bench(house.repository(Role.BACKUP))
        found = next(one for one in house.source("disks").discover() if one.label == "disks/a.img")
        with bench.lease.hold(lease_name(found.identity)):
            answer = filled.process("backup")
    finally:
        house.close()
    assert answer.code == 3
    assert [one["name"] for one in answer.points] == ["disks/b.img"]
    assert answer.error["code"] == "busy"
    assert answer.error["object"] == "disks/a.img"
    assert filled.run("backup").code == 0


# ── 1, 3: several ───────────────────────────────────────────────────────────────────────────────
def test_failures_of_several_causes_are_1(filled: Site) -> None:
    answer = filled.run("verify", "disks/none", "disks/a.img@7")
    assert answer.code == 10, "of one cause: its code"
    damaged = next(path for path in (filled.repository / "p").rglob("*") if path.is_file())
    damaged.unlink()
    answer = filled.run("verify", "disks/none", "disks/a.img")
    assert answer.code == 1
    assert {one["code"] for one in answer.reply["errors"]} == {"not-found", "damage"}


# ── 0 and a warning: garbage ────────────────────────────────────────────────────────────────────
def test_garbage_in_the_bucket_is_0_and_a_warning(filled: Site, tmp_path: Path) -> None:
    (tenant,) = (path.name for path in (filled.repository / "m").iterdir())
    (lineage,) = (path.name for path in (filled.repository / "m" / tenant).iterdir())
    place = f"{tenant}/{lineage}"
    garbage = [
        *("garbage.bin", "stuff/thing", "format/2", "format/readme", "trust/9"),
        *(f"m/{place}/{number}" for number in ("junk", "9999999990", "0000000000")),
        *(f"m/{tenant}/{'ab' * 16}/9999999998", "m/elsewhere"),
        *(f"p/{place}/junk", f"x/{place}/junk", f"k/{place}/junk", f"k/{place}/1.pub.old"),
        f"k/{place}/7.pub",
    ]
    for number, key in enumerate(garbage):
        path = filled.repository / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(100 * number))
    for command in (
        *(("ls",), ("show", "disks/a.img"), ("verify", "--level", "2"), ("backup",)),
        *(("verify", "--all"), ("catalogue", "rebuild"), ("doctor",), ("snapshots",)),
        ("restore", "disks/a.img", "--to", f"file:{tmp_path}/out"),
    ):
        answer = filled.run(*command)
        assert answer.code == 0, (command, answer.text)
        assert answer.reply["warnings"], command
    told = filled.told("verify")
    assert told.code == 0
    assert told.err.count("warning: ") >= 5
    warned = " ".join(filled.run("verify").reply["warnings"])
    for key in garbage:
        assert key in warned or key.startswith(("m/elsewhere", f"m/{tenant}/abab")), key
    assert (tmp_path / "out").read_bytes() == (filled.images / "a.img").read_bytes()
