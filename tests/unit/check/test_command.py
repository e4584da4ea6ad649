"""drd-check as Nagios, node_exporter and systemd use it: exit codes, the line, files, the environment."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from drd.wiring import clock
from tests.integration.reader.written import ALONE, bare_site
from tests.unit.check.second import CRITICAL, OK, UNKNOWN, Second, look, samples

CHECK = Path(__file__).parents[3] / "check" / "drd_check.py"
LINE = re.compile(r"DRD (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+ \| ([^|\n]+)\n")


@pytest.fixture
def second(tmp_path: Path) -> Second:
    made = Second(tmp_path / "site")
    made.back_up("a")
    return made


def test_one_line_with_performance_data(second: Second) -> None:
    said = look("--url", second.repository, "--root", second.root)

    line = LINE.fullmatch(said.out)
    assert line, said.out
    assert (said.code, line[1]) == (OK, "OK")
    data = dict(one.split("=") for one in line[2].split())
    assert data["ok"] == "1"
    assert data["late"] == "0"
    assert re.fullmatch("[0-9]+s;93600;180000", data["age"])


def test_a_long_list_is_cut_and_the_worst_come_first(tmp_path: Path) -> None:
    made = Second(tmp_path / "site", at=clock.now() - timedelta(hours=30))
    for image in range(7):
        made.back_up(f"old-{image}", promise=None)
    late = made.back_up("late", promise=timedelta(hours=1))
    said = look("--url", made.repository, "--root", made.root)

    assert said.code == CRITICAL
    assert f"as promised; {late}: late: " in said.out
    assert said.out.count(": old: ") == 4
    assert "and 3 more" in said.out


def test_it_needs_cryptography_and_nothing_of_drd(second: Second, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    site = bare_site(tmp_path / "bare")
    for stranger in ("zstandard", "blake3"):
        (site / stranger).unlink()
    command = [sys.executable, "-I", "-S", ALONE, site, CHECK]
    command += ["--url", second.repository, "--root", second.root]
    done = subprocess.run(
        list(map(str, command)), env={}, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (OK, "")
    assert LINE.fullmatch(done.stdout)


def test_the_fingerprint_as_the_sheet_has_it_or_in_a_file(second: Second, tmp_path: Path) -> None:
    spaced = " ".join(re.findall("........", second.root)).upper()
    (tmp_path / "root").write_text(f"  {spaced}\n")

    assert look("--url", second.repository, "--root", spaced).code == OK
    assert look("--url", second.repository, "--root", tmp_path / "root").code == OK


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--url", "/x"],
        ["--url", "/x", "--root", "123"],
        ["--url", "/x", "--root", "/no/such/file"],
        ["--url", "/x", "--root", "0" * 64, "--warning", "soon"],
        ["--url", "/x", "--root", "0" * 64, "--colour"],
    ],
    ids=str,
)
def test_wrong_usage_is_unknown_and_no_alarm(arguments: list[str]) -> None:
    said = look(*arguments)

    assert said.code == UNKNOWN
    assert said.out.startswith("DRD UNKNOWN - usage: ")


def test_no_repository_is_an_alarm(tmp_path: Path) -> None:
    for url in (tmp_path, tmp_path / "none", (tmp_path / "none").as_uri()):
        said = look("--url", url, "--root", "0" * 64)
        assert said.code == CRITICAL
        assert "there is no format/ in it" in said.out


def test_a_folder_that_cannot_be_read_is_unknown(second: Second) -> None:
    shutil.rmtree(second.repository / "trust")
    (second.repository / "trust").write_text("in the way")
    said = look("--url", second.repository, "--root", second.root)

    assert said.code == UNKNOWN
    assert "cannot be read" in said.out


# ── the textfile ────────────────────────────────────────────────────────────────────────────────
def test_the_textfile_has_all_that_the_alerts_ask_for(second: Second, tmp_path: Path) -> None:
    path = tmp_path / "drd-check.prom"
    second.check("--textfile", path)
    found = {(name, labels): value for name, labels, value in samples(path.read_text())}

    url = f'url="{second.repository}"'
    (lineage,) = second.check().findings
    tenant = second.written.keys.tenant.hex()
    mine = f'{url},tenant="{tenant}",lineage="{lineage}"'
    assert found["drd_check_status", url] == OK
    assert found["drd_check_lineages", f'{url},finding="ok"'] == 1
    assert found["drd_check_lineages", f'{url},finding="late"'] == 0
    assert found["drd_check_lineage_status", mine] == OK
    point = found["drd_check_recovery_point_timestamp_seconds", mine]
    assert found["drd_check_promised_timestamp_seconds", mine] == point + 7200
    last = found["drd_check_last_run_timestamp_seconds", url]
    assert abs(last - clock.now().timestamp()) < 600
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert not list(tmp_path.glob(".drd-check.prom.*"))


def test_the_textfile_tells_of_a_check_that_could_not_look(tmp_path: Path) -> None:
    path = tmp_path / "drd-check.prom"
    said = look("--url", tmp_path / "none", "--root", "0" * 64, "--textfile", path)

    assert said.code == CRITICAL
    found = {name: value for name, _, value in samples(path.read_text())}
    assert found["drd_check_status"] == CRITICAL
    assert "drd_check_recovery_point_timestamp_seconds" not in found


def test_the_textfile_is_promtools(second: Second, tmp_path: Path) -> None:
    path = tmp_path / "drd-check.prom"
    second.check("--textfile", path)
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=path.read_text(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_textfile_that_cannot_be_written_is_told(second: Second) -> None:
    said = second.check("--textfile", second.folder / "no" / "x.prom")

    assert said.code == UNKNOWN
    assert "--textfile" in said.words


# ── the state ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("text", ["{", "[]", "null", '{"lineages": 3}', '{"trust": {}}'])
def test_a_state_that_cannot_be_used_is_told_and_kept(second: Second, text: str) -> None:
    second.state.write_text(text)
    said = second.check()

    assert said.code == UNKNOWN
    assert f"--state {second.state}" in said.words
    assert second.state.read_text() == text


def test_the_state_is_private_and_whole(second: Second) -> None:
    second.check()

    assert stat.S_IMODE(second.state.stat().st_mode) == 0o600
    kept = json.loads(second.state.read_text())
    ((name, mark),) = kept["lineages"].items()
    assert name.endswith(next(iter(second.check().findings)))
    assert (mark["seq"], kept["trust"]["n"]) == (1, 1)


def test_the_state_of_another_repository_is_an_alarm(second: Second, tmp_path: Path) -> None:
    second.check()
    other = Second(tmp_path / "other", seed="other")
    other.back_up("a")

    said = other.check("--state", second.state)
    assert said.code == CRITICAL
    assert "another repository than before" in said.words


def test_systemd_names_the_folder_for_both_files(second: Second, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    done = subprocess.run(
        [sys.executable, CHECK, "--url", second.repository, "--root", second.root],
        env={"STATE_DIRECTORY": str(state)},
        capture_output=True,
        check=False,
    )

    assert done.returncode == OK
    assert {one.name for one in state.iterdir()} == {"state.json", "drd-check.prom"}
