"""The command line as section 7 of the contract has it: commands, options, JSON, exit codes."""

from __future__ import annotations

import json
import re
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from drd.core.sheet import decode_sheet
from drd.daemon.__main__ import drd
from drd.errors import EXIT_CODES
from tests.e2e import drctl
from tests.e2e.site import MIB, Site, digest, scatter, tree

ID = re.compile(r"[0-9a-f]{32}")
RFC3339_Z = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
NUMBERS = (
    *("seq", "bytes_logical", "bytes_changed", "bytes_refilled", "bytes_read", "bytes_uploaded"),
    "objects_put",
)

COMMANDS = {
    "init": ("--sheet", "--no-recovery"),
    "backup": (),
    "ls": (),
    "show": (),
    "restore": (
        *("--to", "--overwrite", "--dry-run", "--best-effort", "--sheet", "--expect-head"),
    ),
    "verify": ("--level", "--all"),
    "policy preview": ("--keep", "--times", "--now"),
    "doctor": (),
    "snapshots": ("--release",),
    "catalogue rebuild": (),
    "status": ("--check", "--watch"),
    "logs": ("--limit",),
    "run": (),
    "hold add": ("--why",),
    "hold ls": (),
    "hold rm": (),
    "prune": ("--dry-run", "--orphans"),
    "check-config": (),
}


def moment(text: str) -> datetime:
    assert RFC3339_Z.fullmatch(text)
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_every_option_and_every_exit_code(command: str) -> None:
    answer = drctl.here(*command.split(), "--help")
    assert answer.code == 0
    for option in (*COMMANDS[command], "--config", "--json"):
        assert option in answer.text
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^ *{code}  {re.escape(meaning[:20])}", answer.text, re.MULTILINE)


def test_help_of_the_program_names_every_command() -> None:
    answer = drctl.process("--help")
    assert answer.code == 0
    for command in COMMANDS:
        assert command.split()[0] in answer.text


def test_help_of_the_daemon_keeps_its_lines() -> None:
    answer = CliRunner().invoke(drd, ["--help"])
    assert answer.exit_code == 0
    assert re.search(r"^  SIGHUP   read .+\n  SIGUSR1  make ", answer.output, re.MULTILINE)
    assert "\\b" not in answer.output


# ── init ────────────────────────────────────────────────────────────────────────────────────────
def test_init_makes_repository_key_file_and_sheet(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure()
    answer = site.process("init")
    assert answer.code == 0
    assert answer.reply["url"] == site.url
    assert stat.S_IMODE(site.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.sheet.stat().st_mode) == 0o600
    assert site.sheet.parent == site.key.parent
    sheet = decode_sheet(site.sheet.read_text())
    assert sheet.address == site.url
    assert sheet.repository.hex() == answer.reply["repository"]
    assert sheet.recovery_private
    assert "\u2580" in site.sheet.read_text(), "a QR code"
    assert answer.reply["recovery_key"] is True
    kinds = {path.name for path in site.repository.iterdir()}
    assert {"format", "trust", "reader"} <= kinds
    (reader,) = (site.repository / "reader").iterdir()
    assert digest(reader) == reader.name


def test_init_says_to_move_the_sheet_off_the_host(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure()
    told = site.told("init")
    assert told.code == 0
    assert "off this host" in told.text
    assert str(site.sheet) in told.text


def test_init_puts_the_sheet_where_it_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure()
    elsewhere = tmp_path / "a stick" / "sheet.txt"
    elsewhere.parent.mkdir()
    answer = site.run("init", "--sheet", str(elsewhere))
    assert answer.code == 0
    assert answer.reply["sheet"] == str(elsewhere)
    assert elsewhere.exists()
    assert not site.sheet.exists()


def test_init_without_recovery_makes_a_sheet_that_opens_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure()
    assert "no recovery key" in site.told("init", "--no-recovery").text
    site.image()
    site.backup()
    answer = site.run(
        "restore", "disks/a.img", "--to", f"file:{tmp_path}/out", "--sheet", str(site.sheet)
    )
    assert answer.code == 12
    assert "no recovery key" in answer.error["message"]
    assert "--no-recovery" in answer.error["hint"]
    assert not (tmp_path / "out").exists()


def test_init_never_touches_what_is_there(site: Site) -> None:
    before = tree(site.folder)
    answer = site.run("init")
    assert answer.code == 15
    assert site.url in answer.error["object"]
    assert tree(site.folder) == before


@pytest.mark.parametrize("there", ["key", "sheet"])
def test_init_overwrites_no_key_and_no_sheet(tmp_path: Path, there: str) -> None:
    site = Site(tmp_path)
    site.configure()
    path = site.key if there == "key" else site.sheet
    path.write_text("precious")
    answer = site.run("init")
    assert answer.code == 15
    assert str(path) in answer.error["object"]
    assert path.read_text() == "precious"
    assert not (site.repository / "format").exists()
    path.unlink()
    assert site.run("init").code == 0


# ── backup ──────────────────────────────────────────────────────────────────────────────────────
def test_a_point_of_backup_has_every_field(site: Site) -> None:
    image = site.image(size=3 * MIB)
    before = datetime.now(UTC)  # noqa: TID251 - what the program said is compared with the clock
    (point,) = site.backup()
    assert ID.fullmatch(point["lineage"])
    assert point["name"] == "disks/a.img"
    assert point["kind"] == "full"
    assert all(isinstance(point[name], int) and point[name] >= 0 for name in NUMBERS)
    assert isinstance(point["seconds"], float)
    assert abs(moment(point["time"]) - before) < timedelta(minutes=1)
    assert point["seq"] == 1
    assert point["bytes_logical"] == image.stat().st_size == 3 * MIB
    assert 0 < point["bytes_changed"] <= point["bytes_read"] <= 3 * MIB
    assert point["bytes_uploaded"] > MIB
    assert point["objects_put"] >= 3


def test_a_second_backup_uploads_what_changed(site: Site) -> None:
    image = site.image(size=8 * MIB)
    (first,) = site.backup()
    (still,) = site.backup()
    scatter(image, 3)
    (second,) = site.backup()
    assert [first["seq"], still["seq"], second["seq"]] == [1, 2, 3]
    assert first["lineage"] == second["lineage"]
    assert still["bytes_changed"] == 0
    assert still["bytes_uploaded"] < 16 * 1024
    # A file keeps no base to compare blocks with, so whole cells of 64 KiB are put.
    assert 64 * 1024 <= second["bytes_changed"] <= 3 * 64 * 1024
    assert second["bytes_uploaded"] < 256 * 1024
    assert moment(first["time"]) < moment(second["time"])


def test_backup_of_names_and_patterns(site: Site) -> None:
    for name in ("a.img", "b.img", "c1.img", "c2.img"):
        site.image(name, size=64 * 1024, seed=name)
    assert [one["name"] for one in site.backup("disks/b.img")] == ["disks/b.img"]
    assert [one["name"] for one in site.backup("disks/c*")] == ["disks/c1.img", "disks/c2.img"]
    both = site.backup("disks/a.img", "disks/c1.img", "disks/c?.img")
    assert [one["name"] for one in both] == ["disks/a.img", "disks/c1.img", "disks/c2.img"]
    assert len(site.backup()) == 4
    assert len(site.backup("*")) == 4


def test_backup_with_nothing_to_back_up(site: Site) -> None:
    answer = site.run("backup")
    assert answer.code == 10
    assert answer.points == []


def test_backup_names_every_pattern_that_hits_nothing(site: Site) -> None:
    site.image()
    answer = site.run("backup", "disks/x*", "nobody/y", "disks/a.img")
    assert answer.code == 3
    assert [one["name"] for one in answer.points] == ["disks/a.img"]
    assert [one["object"] for one in answer.reply["errors"]] == ["disks/x*", "nobody/y"]
    answer = site.run("backup", "disks/x*", "nobody/y")
    assert answer.code == 10
    assert answer.points == []


def test_what_is_wrong_with_a_source_is_told_once(site: Site) -> None:
    """Not for each of its images: what is to be done about it is one thing."""
    for name in ("a.img", "b.img"):
        site.image(name, size=64 * 1024, seed=name)
    site.backup()
    (site.images / "more").mkdir()
    shutil.copy(site.images / "a.img", site.images / "more" / "a.img")
    paths = f'paths = ["{site.images}/*.img", "{site.images}/*/*.img"]'
    site.configure(sources=f'[source.disks]\ntype = "device"\n{paths}\n')
    for command in (("backup",), ("verify", "--level", "4"), ("doctor",)):
        answer = site.run(*command)
        assert answer.code == 2
        assert "two images would be called disks/a.img" in answer.error["message"]


# ── ls, show ────────────────────────────────────────────────────────────────────────────────────
def test_ls_lists_lineages_and_points(site: Site) -> None:
    assert site.run("ls").reply["lineages"] == []
    image = site.image()
    site.image("b.img", size=64 * 1024, seed="b")
    made = site.backup()
    scatter(image, 1)
    made += site.backup("disks/a.img")
    lineages = site.run("ls").reply["lineages"]
    assert [(one["name"], one["points"], one["seq"]) for one in lineages] == [
        ("disks/a.img", 2, 2),
        ("disks/b.img", 1, 1),
    ]
    assert {one["lineage"] for one in lineages} == {one["lineage"] for one in made}
    points = site.run("ls", "disks/a.img").points
    assert [(one["seq"], one["time"]) for one in points] == [
        (1, made[0]["time"]),
        (2, made[2]["time"]),
    ]
    assert all(one["kind"] == "full" and one["name"] == "disks/a.img" for one in points)
    assert site.run("ls", made[0]["lineage"]).points == points


def test_show_tells_one_point_in_full(site: Site) -> None:
    site.image()
    (made,) = site.backup()
    (point,) = site.run("show", "disks/a.img@1").points
    for name in ("lineage", "name", "seq", "time", "kind", "bytes_logical", "bytes_changed"):
        assert point[name] == made[name]
    text = json.dumps(point)
    assert "digest_key" not in text
    assert point["facts"]["image"]["path"].endswith("a.img")
    told = site.told("show", "disks/a.img")
    assert made["lineage"] in told.text


# ── before and after COMMAND ────────────────────────────────────────────────────────────────────
def test_shared_options_stand_before_or_behind_the_command(site: Site) -> None:
    site.image()
    site.backup()
    config = str(site.config)
    expected = site.run("ls").reply
    for arguments in (
        ("--config", config, "--json", "ls"),
        ("ls", "--config", config, "--json"),
        ("--json", "ls", "--config", config),
        ("--config", config, "ls", "--json"),
        ("ls", "disks/a.img", f"--config={config}", "--json"),
    ):
        reply = drctl.here(*arguments).reply
        assert reply["ok"]
        if "disks/a.img" not in arguments:
            assert reply == expected
    for nested in (
        ("--config", config, "--json", "catalogue", "rebuild"),
        ("catalogue", "--config", config, "rebuild", "--json"),
        ("catalogue", "--json", "rebuild", "--config", config),
    ):
        assert drctl.here(*nested).reply["ok"]


def test_the_environment_names_the_configuration(site: Site) -> None:
    site.image()
    site.backup()
    env = {"DRD_CONFIG": str(site.config)}
    assert drctl.process("ls", "--json", env=env).reply["lineages"]
    wrong = {"DRD_CONFIG": "/nowhere/drd.toml"}
    assert drctl.process("ls", "--json", env=wrong).code == 2
    given = drctl.process("ls", "--json", "--config", str(site.config), env=wrong)
    assert given.reply["lineages"]


# ── for people ──────────────────────────────────────────────────────────────────────────────────
def test_people_get_tables_on_stdout(site: Site) -> None:
    site.image()
    told = site.told("backup")
    assert told.code == 0
    assert told.err == ""
    head, line = told.text.splitlines()
    assert head.split()[:2] == ["point", "time"]
    assert line.split()[0] == "disks/a.img@1"
    at = line.split()[1]
    assert site.run("show", f"disks/a.img@{at}").points[0]["seq"] == 1, "a time can be pasted"
    for command in (("ls",), ("ls", "disks/a.img"), ("verify",), ("doctor",)):
        told = site.told(*command)
        assert told.code == 0
        assert len(told.text.splitlines()) >= 2


def test_people_get_errors_on_stderr(site: Site) -> None:
    told = site.told("show", "disks/none")
    assert told.code == 10
    assert told.out == b""
    assert "error: " in told.err
    assert "disks/none" in told.err


def test_wrong_usage_is_told_like_every_other_error(site: Site) -> None:
    for arguments in (
        ("frobnicate",),
        ("ls", "--frob"),
        ("restore",),
        ("restore", "disks/a.img"),
        ("verify", "--level", "3"),
        ("restore", "disks/a.img", "--to", "nonsense"),
        ("restore", "disks/a.img", "--to", "rbd:onlyimage"),
        ("restore", "disks/a.img", "--to", "file:x", "--expect-head", "many"),
        ("restore", "disks/a.img", "--to", "file:x", "--sheet", ""),
        ("restore", "disks/a.img", "--to", "file://x"),
        ("init", "--sheet", ""),
        (),
    ):
        answer = site.run(*arguments)
        assert answer.code == 2, arguments
        assert answer.error["hint"]
        told = site.told(*arguments)
        assert told.code == 2
        assert told.out == b""
        assert told.err


def test_failures_have_their_lists_too(tmp_path: Path) -> None:
    config = ("--config", str(tmp_path / "none.toml"), "--json")
    lists = {
        ("backup",): "points",
        ("ls",): "lineages",
        ("ls", "x"): "points",
        ("show", "x"): "points",
        ("restore", "x", "--to", "file:y"): "points",
        ("verify",): "findings",
        ("doctor",): "findings",
    }
    for command, name in lists.items():
        reply = drctl.here(*config, *command).reply
        assert reply["exit"] == 2
        assert reply[name] == []
    keep = ("policy", "preview", "--keep", "bogus", "--times", "/dev/null", "--json")
    assert drctl.here(*keep).reply["decisions"] == []


# ── the page of exit codes ──────────────────────────────────────────────────────────────────────
def test_the_page_of_exit_codes_has_each_code_and_tests_that_exist() -> None:
    page = (Path(__file__).parents[2] / "docs/exit-codes.md").read_text()
    codes = re.findall(r"^\| (\d+) \| (?:`|any|\|)", page, re.MULTILINE)
    assert {int(code) for code in codes} == set(EXIT_CODES)
    here = Path(__file__).parent
    known = "\n".join(path.read_text() for path in here.parent.rglob("test_*.py"))
    for test in re.findall(r"`(test_\w+)`", page):
        assert f"def {test}(" in known, test
    for name in re.findall(r"`(test_\w+\.py)`", page):
        assert (here / name).exists(), name
