"""Restore into files, devices and pipes: what comes back, what is refused, what is planned."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from tests.e2e import drctl
from tests.e2e.site import MIB, Bucket, Site, allocated, digest, scatter, tree


@pytest.fixture
def source(site: Site) -> Path:
    """An image with one point of what it holds."""
    path = site.image(size=6 * MIB + 5)
    site.backup()
    return path


def test_a_file_comes_back_bit_for_bit_and_sparse(site: Site, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.img"
    answer = site.process("restore", "disks/a.img", "--to", f"file:{target}")
    assert answer.code == 0
    (row,) = answer.points
    assert row["proven"] is True
    assert row["target"] == f"file:{target}"
    assert row["left_at"] is None
    assert digest(target) == digest(source)
    assert allocated(target) <= allocated(source) + 64 * 1024
    assert allocated(target) < source.stat().st_size * 3 // 4
    assert [path.name for path in tmp_path.iterdir() if "drd" in path.name] == []


def test_each_point_is_what_the_image_was(site: Site, tmp_path: Path) -> None:
    image = site.image(size=3 * MIB)
    expected = []
    for number in range(5):
        expected.append(digest(image))
        site.backup()
        scatter(image, 20, seed=number)
        if number == 2:
            with image.open("r+b") as file:
                file.truncate(4 * MIB)
        if number == 3:
            with image.open("r+b") as file:
                file.truncate(2 * MIB + 77)
    for seq, wanted in enumerate(expected, 1):
        target = tmp_path / f"{seq}.img"
        assert site.run("restore", f"disks/a.img@{seq}", "--to", f"file:{target}").code == 0
        assert digest(target) == wanted


def test_a_pipe_gets_the_data_and_stderr_the_rest(site: Site, source: Path) -> None:
    data = source.read_bytes()
    told = drctl.process("restore", "disks/a.img", "--to", "-", "--config", str(site.config))
    assert told.code == 0
    assert told.out == data
    assert "proven" in told.err
    answer = site.process("restore", "disks/a.img", "--to", "-")
    assert answer.code == 0
    assert answer.out == data
    assert answer.reply_on_stderr["points"][0]["bytes_logical"] == len(data)


@pytest.mark.parametrize(
    "arguments, code",
    [
        (("disks/none", "--to", "-"), 10),
        (("disks/a.img", "--to", "-", "--frob"), 2),
        (("disks/a.img@2026-11-21T10:00:00", "--to=-"), 2),
        (("disks/a.img", "--to", "-", "--expect-head", "9"), 15),
    ],
)
def test_a_pipe_gets_nothing_when_it_fails(
    site: Site, source: Path, arguments: tuple[str, ...], code: int
) -> None:
    assert source.exists()
    answer = site.run("restore", *arguments)
    assert answer.code == code
    assert answer.out == b""
    assert answer.reply_on_stderr["points"] == []


def test_a_pipe_whose_reader_goes_is_no_success(site: Site, tmp_path: Path) -> None:
    site.image(size=8 * MIB)
    site.backup()
    with drctl.started(
        ["restore", "disks/a.img", "--to", "-", "--config", str(site.config)]
    ) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.read(100)
        running.stdout.close()
        words = running.stderr.read().decode()
        assert running.wait(timeout=60) == 14
    assert "Traceback" not in words
    assert "pipe" in words
    assert list(tmp_path.glob("*.drd*")) == []


def test_a_file_that_exists_is_refused_and_kept(site: Site, source: Path, tmp_path: Path) -> None:
    assert source.exists()
    target = tmp_path / "precious"
    target.write_text("precious")
    answer = site.run("restore", "disks/a.img", "--to", f"file:{target}")
    assert answer.code == 15
    assert str(target) in answer.error["object"]
    assert "--overwrite" in answer.error["hint"]
    assert target.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "site"]


def test_overwrite_replaces_a_file_at_the_end(site: Site, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "old.img"
    target.write_bytes(b"old" * MIB)
    target.chmod(0o640)
    assert site.run("restore", "disks/a.img", "--to", f"file:{target}", "--overwrite").code == 0
    assert digest(target) == digest(source)
    assert target.stat().st_mode & 0o777 == 0o640


def test_what_was_overwritten_is_kept_and_named_also_where_the_new_one_is_damaged(
    site: Site, source: Path, tmp_path: Path
) -> None:
    """A restore of what is damaged, or of the wrong point, must not cost the last good copy."""
    target = tmp_path / "old.img"
    target.write_bytes(b"the last good copy")
    next(path for path in (site.repository / "p").rglob("*") if path.is_file()).unlink()
    to = ("restore", "disks/a.img", "--to", f"file:{target}", "--overwrite")
    assert site.run(*to).code == 11
    assert target.read_bytes() == b"the last good copy"
    answer = site.run(*to, "--best-effort")
    assert answer.code == 3
    assert target.stat().st_size == source.stat().st_size
    (kept,) = tmp_path.glob("old.img.drd-replaced-*")
    assert kept.read_bytes() == b"the last good copy"
    assert any(str(kept) in warning for warning in answer.reply["warnings"])


def test_no_folder_no_restore(site: Site, source: Path, tmp_path: Path) -> None:
    assert source.exists()
    answer = site.run("restore", "disks/a.img", "--to", f"file:{tmp_path}/none/out.img")
    assert answer.code == 10
    assert not (tmp_path / "none").exists()


def test_a_device_is_written_in_place_when_that_is_meant(
    site: Site, source: Path, tmp_path: Path
) -> None:
    """A file stands for the device; it is as large as the image, or larger."""
    device = tmp_path / "device"
    device.write_bytes(b"\xff" * (source.stat().st_size + 4096))
    before = digest(device)
    to = ("restore", "disks/a.img", "--to", f"device:{device}")
    answer = site.run(*to)
    assert answer.code == 15
    assert "--overwrite" in answer.error["hint"]
    assert digest(device) == before
    answer = site.run(*to, "--overwrite")
    assert answer.code == 0
    assert answer.reply["warnings"], "the last bytes stay as they are"
    size = source.stat().st_size
    written = device.read_bytes()
    assert written[:size] == source.read_bytes()
    assert written[size:] == b"\xff" * 4096


def test_a_device_that_is_too_small_is_refused(site: Site, source: Path, tmp_path: Path) -> None:
    device = tmp_path / "device"
    device.write_bytes(b"\xff" * (source.stat().st_size - 1))
    before = digest(device)
    answer = site.run("restore", "disks/a.img", "--to", f"device:{device}", "--overwrite")
    assert answer.code == 15
    assert str(source.stat().st_size) in answer.error["message"]
    assert digest(device) == before
    missing = site.run("restore", "disks/a.img", "--to", f"device:{tmp_path}/none", "--overwrite")
    assert missing.code == 10


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    site: Site, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.img"
    before = tree(tmp_path)
    to = ("restore", "disks/a.img", "--to", f"file:{target}", "--dry-run")
    answer = site.run(*to)
    assert answer.code == 0
    plan = answer.reply["plan"]
    assert plan["bytes_logical"] == source.stat().st_size
    assert 0 < plan["bytes_data"] <= plan["bytes_logical"]
    assert 0 < plan["bytes_stored"] <= plan["bytes_data"]
    assert plan["requests"] >= plan["packs"] >= 1
    assert plan["keys"]
    told = site.told(*to)
    assert told.code == 0
    for word in ("requests", "packs", "keys", "nothing was written"):
        assert word in told.text
    assert not target.exists()
    kept = {name: found for name, found in tree(tmp_path).items() if "/state/" not in f"/{name}"}
    assert kept.items() <= before.items()


def test_a_dry_run_into_a_pipe_writes_no_byte_to_it(site: Site, source: Path) -> None:
    assert source.exists()
    answer = site.run("restore", "disks/a.img", "--to", "-", "--dry-run")
    assert answer.code == 0
    assert answer.out == b""
    assert answer.reply_on_stderr["plan"]["packs"] == 1


# ── freshness ───────────────────────────────────────────────────────────────────────────────────
def test_the_catalogue_or_the_operator_confirms_the_head(
    site: Site, source: Path, tmp_path: Path
) -> None:
    def freshness(*more: str) -> str:
        to = ("restore", "disks/a.img", "--to", f"file:{tmp_path}/x", "--dry-run")
        reply = site.run(*to, *more).reply
        assert reply["newest_seq"] == 1
        assert 0 <= reply["newest_age_s"] < 60
        told: str = reply["freshness"]
        return told

    assert source.exists()
    assert "unproven" not in freshness()
    shutil.rmtree(site.state)
    for _ in range(2):  # what was learnt from the bucket the first time proves nothing of it
        assert "freshness unproven" in freshness()
    assert site.run("catalogue", "rebuild").code == 0
    assert "freshness unproven" in freshness()
    shutil.rmtree(site.state)
    assert "unproven" not in freshness("--expect-head", "1")
    shutil.rmtree(site.state)
    assert "freshness unproven" in freshness("--expect-head", "0")


def test_a_head_that_is_not_there_is_refused(site: Site, source: Path, tmp_path: Path) -> None:
    assert source.exists()
    target = tmp_path / "out"
    to = ("restore", "disks/a.img", "--to", f"file:{target}")
    answer = site.run(*to, "--expect-head", "2")
    assert answer.code == 15
    assert answer.error["hint"]
    assert not target.exists()


def test_a_bucket_that_hides_its_newest_point_is_caught(
    site: Site, source: Path, tmp_path: Path
) -> None:
    scatter(source, 1)
    site.backup()
    newest = min((site.repository / "m").glob("*/*/*"))
    hidden = tmp_path / "hidden"
    newest.rename(hidden)
    to = ("restore", "disks/a.img", "--to", f"file:{tmp_path}/out")
    for _ in range(2):  # listing what is left must not make this host forget
        assert site.run(*to).code == 15
        assert site.run("backup").code == 15
        listed = site.run("ls", "disks/a.img")
        assert [one["seq"] for one in listed.points] == [1]
        assert any("gone from the bucket" in one for one in listed.reply["warnings"])
    assert site.run("catalogue", "rebuild").code == 0
    assert site.run(*to).code == 0
    hidden.rename(newest)
    assert [one["seq"] for one in site.run("ls", "disks/a.img").points] == [1, 2]


def test_a_bucket_that_hides_a_newer_image_of_this_name_is_caught(
    site: Site, source: Path, tmp_path: Path
) -> None:
    """The old image of the name is still there, and its newest point is one that this host made."""
    (old,) = site.run("ls").reply["lineages"]
    other = site.images / "anew"
    other.mkdir()
    source.rename(other / source.name)
    scatter(other / source.name, 1)
    site.configure(sources=site.sources.replace("*.img", "anew/*.img"))
    (point,) = site.backup()
    (folder,) = (site.repository / "m").glob(f"*/{point['lineage']}")
    folder.rename(tmp_path / "hidden")
    to = ("--to", f"file:{tmp_path}/out")
    for _ in range(2):
        answer = site.run("restore", "disks/a.img", *to)
        assert answer.code == 15
        assert point["lineage"] in answer.error["message"]
        assert old["lineage"] in answer.error["hint"]
    assert not (tmp_path / "out").exists()
    assert site.run("restore", old["lineage"], *to, "--dry-run").code == 0
    assert site.run("catalogue", "rebuild").code == 0
    answer = site.run("restore", "disks/a.img", *to)
    assert answer.code == 0
    assert "freshness unproven" in answer.reply["freshness"]


def test_a_damaged_catalogue_stops_nothing(site: Site, source: Path, tmp_path: Path) -> None:
    commands = (
        *(("backup",), ("ls",), ("verify",), ("snapshots",), ("catalogue", "rebuild")),
        ("restore", "disks/a.img", "--to", f"file:{tmp_path}/out"),
    )
    (catalogue,) = site.state.glob("*/catalogue.sqlite")
    for command in commands:
        with closing(sqlite3.connect(catalogue)) as db:
            db.execute("UPDATE point SET facts = '{'")
            db.commit()
        answer = site.run(*command)
        assert answer.code == 0, (command, answer.text)
    assert digest(tmp_path / "out") == digest(source)


# ── with the sheet alone ────────────────────────────────────────────────────────────────────────
def test_bucket_and_sheet_alone_restore(site: Site, source: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.txt"
    site.sheet.rename(sheet)
    for path in (site.key, site.config):
        path.unlink()
    shutil.rmtree(site.state)
    target = tmp_path / "out.img"
    bare = {"DRD_CONFIG": "", "HOME": str(tmp_path)}
    listed = drctl.process("ls", "--sheet", str(sheet), "--json", env=bare)
    assert [one["name"] for one in listed.reply["lineages"]] == ["disks/a.img"]
    to = ("restore", "disks/a.img", "--to", f"file:{target}", "--sheet", str(sheet), "--json")
    answer = drctl.process(*to, env=bare, cwd=tmp_path)
    assert answer.code == 0, answer.text
    assert "freshness unproven" in answer.reply["freshness"]
    assert digest(target) == digest(source)


def test_bucket_and_sheet_alone_restore_from_s3(minio_site: Site, tmp_path: Path) -> None:
    site = minio_site
    source = site.image()
    site.backup()
    sheet = tmp_path / "sheet.txt"
    site.sheet.rename(sheet)
    for path in (site.key, site.config, site.folder / "s3.access", site.folder / "s3.secret"):
        path.unlink()
    assert site.bucket
    target = tmp_path / "out.img"
    to = ("restore", "disks/a.img", "--to", f"file:{target}", "--sheet", str(sheet), "--json")
    without = drctl.process(*to, env={"DRD_CONFIG": ""})
    assert without.code == 2
    assert "AWS_ACCESS_KEY_ID" in without.error["hint"]
    keys = {
        "AWS_ACCESS_KEY_ID": site.bucket.access,
        "AWS_SECRET_ACCESS_KEY": site.bucket.secret,
        "DRD_CONFIG": "",
    }
    answer = drctl.process(*to, env=keys)
    assert answer.code == 0, answer.text
    assert digest(target) == digest(source)


def test_the_sheet_opens_beside_a_configuration_without_a_key_file(
    site: Site, source: Path, tmp_path: Path
) -> None:
    site.key.unlink()
    target = tmp_path / "out.img"
    to = ("restore", "disks/a.img", "--to", f"file:{target}")
    assert site.run(*to).code == 12
    assert site.run(*to, "--sheet", str(site.sheet)).code == 0
    assert digest(target) == digest(source)


@pytest.fixture
def moved(site: Site, source: Path, tmp_path: Path) -> Path:
    """A copy of the repository, while the one of the configuration is gone."""
    assert source.exists()
    return site.repository.rename(tmp_path / "copy of it")


def test_an_address_on_the_command_line_goes_before_the_configuration(
    site: Site, source: Path, moved: Path, tmp_path: Path
) -> None:
    """Its catalogue, too, is not the one of the configured place."""
    to = ("restore", "disks/a.img", "--to", f"file:{tmp_path}/out", "--sheet", str(site.sheet))
    assert site.run(*to).code == 10
    answer = site.run(*to, "--url", moved.as_uri())
    assert answer.code == 0, answer.text
    assert digest(tmp_path / "out") == digest(source)
    assert "unproven" in answer.reply["freshness"]
    listed = site.run("ls", "--sheet", str(site.sheet), "--url", moved.as_uri())
    assert [one["name"] for one in listed.reply["lineages"]] == ["disks/a.img"]


def test_an_address_that_is_nowhere_is_not_passed_over(
    site: Site, source: Path, tmp_path: Path
) -> None:
    assert source.exists()
    to = ("restore", "disks/a.img", "--to", f"file:{tmp_path}/out", "--sheet", str(site.sheet))
    answer = site.run(*to, "--url", "file:///nonexistent/at-all")
    assert answer.code == 10
    assert "/nonexistent/at-all" in answer.error["object"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [("--url", "file:///x"), ("--endpoint", "http://127.0.0.1:9")])
def test_an_address_without_a_sheet_is_wrong_usage(
    site: Site, source: Path, tmp_path: Path, option: tuple[str, str]
) -> None:
    assert source.exists()
    to = ("restore", "disks/a.img", "--to", f"file:{tmp_path}/out", *option)
    for command in (to, ("ls", *option)):
        answer = site.run(*command)
        assert answer.code == 2
        assert "--sheet" in answer.error["hint"]
    assert not (tmp_path / "out").exists()


def test_an_endpoint_on_the_command_line_goes_before_the_configuration(
    minio_site: Site, tmp_path: Path
) -> None:
    site = minio_site
    source = site.image()
    site.backup()
    assert site.bucket
    text = site.config.read_text()
    site.config.write_text(text.replace(site.bucket.endpoint, "http://127.0.0.1:9"))
    to = ("restore", "disks/a.img", "--to", f"file:{tmp_path}/out", "--sheet", str(site.sheet))
    answer = site.run(*to, "--endpoint", site.bucket.endpoint)
    assert answer.code == 0, answer.text
    assert digest(tmp_path / "out") == digest(source)


def temporary_keys(bucket: Bucket) -> dict[str, str]:
    """Keys of MinIO's token service, good for an hour, and their token."""
    service: Any = botocore.session.Session().create_client(
        "sts",
        endpoint_url=bucket.endpoint,
        region_name="us-east-1",
        aws_access_key_id=bucket.access,
        aws_secret_access_key=bucket.secret,
    )
    role = "arn:aws:iam::000000000000:role/drd"
    keys = service.assume_role(RoleArn=role, RoleSessionName="drd")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }


def test_temporary_keys_do_with_the_sheet_and_with_a_configuration(
    minio_site: Site, tmp_path: Path
) -> None:
    site = minio_site
    source = site.image()
    site.backup()
    assert site.bucket
    keys = temporary_keys(site.bucket)
    words = ("s3.access", "s3.secret", "s3.token")
    for name, value in zip(words, keys.values(), strict=True):
        (site.folder / name).write_text(value)
    before = site.config.read_text()
    assert site.run("ls").code == 13, "without their token they are no keys"
    line = 'secret_key_file = "s3.secret"\n'
    site.config.write_text(before.replace(line, f'{line}session_token_file = "s3.token"\n'))
    assert site.run("ls").code == 0

    sheet = site.sheet.rename(tmp_path / "sheet.txt")
    site.config.unlink()
    to = ("restore", "disks/a.img", "--to", f"file:{tmp_path}/out", "--sheet", str(sheet), "--json")
    answer = drctl.process(*to, env=keys | {"DRD_CONFIG": ""})
    assert answer.code == 0, answer.text
    assert digest(tmp_path / "out") == digest(source)


def test_a_sheet_that_was_copied_wrongly_is_told_by_its_line(
    site: Site, source: Path, tmp_path: Path
) -> None:
    assert source.exists()
    sheet = tmp_path / "sheet.txt"
    to = ("restore", "disks/a.img", "--to", f"file:{tmp_path}/out", "--sheet", str(sheet))
    missing = site.run(*to)
    assert missing.code == 12
    assert str(sheet) in missing.error["object"]
    text = site.sheet.read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("62: "))
    wrong = line[:4] + ("7" if line[4] != "7" else "8") + line[5:]
    sheet.write_text(text.replace(line, wrong))
    answer = site.run(*to)
    assert answer.code == 12
    assert "62" in answer.error["message"] + answer.error["hint"]
    assert not (tmp_path / "out").exists()
