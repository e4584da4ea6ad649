"""What a verify proved is in the bucket: ``ls`` and ``show`` tell it, and a lost disk does not lose it."""

from __future__ import annotations

import shutil

import pytest

from drd.keys.keyfile import decode_key_file, write_key_file
from drd.model import Role
from tests.e2e.drctl import Row
from tests.e2e.site import Site, files, scatter

POLICY = """
[policy.gold]
every = "1h"
verify = { level = 2, every = "1d", coverage = "5d" }

[policy.counted]
every = "1h"
verify = { level = 0, every = "1d", coverage = "5d" }
"""


def statements(site: Site) -> list[str]:
    return [str(path) for path in files(site.repository) if "/h/" in str(path)]


@pytest.fixture
def filled(site: Site) -> Site:
    """Three points of one image, which its source's policy verifies in turns."""
    path = site.image()
    site.configure(sources=site.sources + 'policy = "gold"\n', extra=POLICY)
    for _ in range(3):
        site.backup()
        scatter(path, 20)
    return site


def test_a_result_says_what_for_how_much_and_when(filled: Site) -> None:
    answer = filled.run("verify", "--level", "1", "--all")
    assert answer.code == 0, answer.text
    (result,) = answer.reply["results"]
    assert result["points"] == [1, 2, 3]
    assert (result["level"], result["ok"], result["findings"]) == (1, True, 0)
    assert result["packs"] == result["packs_needed"] == 3
    assert (result["covered"], result["recorded"]) == (1.0, True)
    assert len(statements(filled)) == 1
    (shown,) = filled.run("show", "disks/a.img@1").points
    assert [(one["level"], one["time"], one["ok"]) for one in shown["proofs"]] == [
        (1, result["time"], True)
    ]
    (row,) = filled.run("ls").reply["lineages"]
    assert [(one["level"], one["seq"]) for one in row["proven"]] == [(1, 3)]
    assert "level 1" in filled.told("ls").text


def test_a_lost_disk_learns_results_and_holds_again(filled: Site) -> None:
    filled.run("verify", "--level", "2")
    filled.run("hold", "add", "disks/a.img@1", "--why", "court")
    (before,) = filled.run("ls").reply["lineages"]
    assert before["held_points"] == 1
    assert before["proven"]
    shutil.rmtree(filled.state)
    assert filled.run("catalogue", "rebuild").code == 0
    (after,) = filled.run("ls").reply["lineages"]
    assert after == before


def test_nothing_is_written_where_that_is_asked(filled: Site) -> None:
    answer = filled.run("verify", "--no-record")
    assert answer.code == 0
    assert answer.reply["results"][0]["recorded"] is False
    assert statements(filled) == []


def test_damage_is_recorded_and_a_later_whole_look_outdoes_it(filled: Site) -> None:
    pack = max(files(filled.repository / "p"), key=lambda path: path.stat().st_size)
    whole = pack.read_bytes()
    pack.unlink()
    answer = filled.run("verify", "--level", "0")
    assert answer.code == 11
    (result,) = answer.reply["results"]
    assert (result["ok"], result["findings"], result["recorded"]) == (False, 1, True)
    assert "DAMAGED" in filled.told("ls").text
    shutil.rmtree(filled.state)
    filled.run("catalogue", "rebuild")
    assert "verify found damage" in "".join(filled.run("ls").reply["warnings"])
    pack.write_bytes(whole)
    assert filled.run("verify", "--level", "2").code == 0
    assert "DAMAGED" not in filled.told("ls").text


def test_turns_look_at_a_share_and_at_all_of_it_in_the_window(filled: Site) -> None:
    answer = filled.run("verify", "--rotate")
    assert answer.code == 0, answer.text
    (first,) = answer.reply["results"]
    assert first["level"] == 2
    assert first["points"] == [1, 2, 3]
    assert first["packs"] <= first["packs_needed"] == 3
    assert first["covered"] == 0.25
    (second,) = filled.run("verify", "--rotate", "disks/a.img").reply["results"]
    assert second["covered"] == pytest.approx(0.25, abs=0.01)
    assert len(statements(filled)) == 2
    (row,) = filled.run("ls").reply["lineages"]
    assert row["proven"][0]["covered"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    "arguments, code, told",
    [
        (("--rotate", "disks/a.img@2"), 2, "disks/a.img"),
        (("--rotate", "--level", "0"), 2, "--level 1 or 2"),
        (("--rotate", "--level", "4"), 2, "--level 1 or 2"),
        (("--rotate", "--policy", "golf"), 10, "gold"),
        (("--rotate", "--policy", "counted"), 2, "--level 2"),
        (("--policy", "gold"), 2, "--help"),
    ],
)
def test_what_does_not_go_together(
    filled: Site, arguments: tuple[str, ...], code: int, told: str
) -> None:
    answer = filled.run("verify", *arguments)
    assert answer.code == code
    assert told in answer.error["hint"]
    assert answer.reply["results"] == []


def test_all_are_looked_at_as_the_daemon_would_whatever_their_level(filled: Site) -> None:
    """A policy whose level knows no turns stops no other: its images are looked at whole."""
    other = filled.folder / "other"
    other.mkdir()
    (other / "b.img").write_bytes(b"b" * 65536)
    more = f'[source.others]\ntype = "device"\npaths = ["{other}/*.img"]\npolicy = "counted"\n'
    filled.configure(sources=filled.sources + 'policy = "gold"\n' + more, extra=POLICY)
    filled.backup("others/b.img")
    answer = filled.run("verify", "--rotate")
    assert answer.code == 0, answer.text
    told = {one["name"]: (one["level"], one["covered"]) for one in answer.reply["results"]}
    assert told == {"disks/a.img": (2, 0.25), "others/b.img": (0, 1.0)}
    assert filled.run("verify", "--rotate", "others/b.img").code == 2


def test_a_daemon_whose_keys_open_no_packs_is_told_to_leave_verify_to_others(filled: Site) -> None:
    def checked() -> tuple[list[Row], list[str]]:
        doctor = filled.run("doctor")
        rows = [one for one in doctor.reply["findings"] if one["check"] == "daemon: verify"]
        assert doctor.code == (0 if all(one["ok"] for one in rows) else 12), doctor.text
        online = filled.run("check-config", "--online")
        assert online.code == 0, "it runs all the same"
        return rows, [one["hint"] for one in online.reply["findings"] if "verify" in one["key"]]

    (row,), hints = checked()
    assert (row["ok"], row["detail"].partition(":")[0], hints) == (True, "level 0, 2", [])
    whole = decode_key_file(filled.key.read_text())
    filled.key.unlink()
    write_key_file(filled.key, whole.for_role(Role.BACKUP))
    (row,), (hint,) = checked()
    assert not row["ok"]
    assert "policy 'gold' wants a verify of level 2" in row["detail"]
    assert "verify = false below [daemon]" in hint
    filled.config.write_text(filled.config.read_text() + "\n[daemon]\nverify = false\n")
    assert checked() == ([], [])
