"""``drctl hold``: what is held, why, and by whom."""

from __future__ import annotations

import shutil

import pytest

from drd.core import names
from tests.e2e.site import Site, files, scatter


def made(site: Site, count: int = 3) -> None:
    path = site.image()
    for _ in range(count):
        site.backup()
        scatter(path, 1)


def test_a_hold_is_listed_until_it_is_released(site: Site) -> None:
    made(site)
    answer = site.run(
        "hold", "add", "disks/a.img@2", "--why", "case 4711,  until the court says so"
    )
    assert answer.code == 0, answer.text
    (held,) = answer.reply["holds"]
    assert set(held) == {"point", "lineage", "name", "seq", "time", "why", "by", "at"}
    assert (held["name"], held["seq"]) == ("disks/a.img", 2)
    assert held["why"] == "case 4711, until the court says so"
    assert "@" in held["by"]
    assert site.run("hold", "ls").reply["holds"] == [held]
    assert site.run("hold", "ls", "disks/a.img").reply["holds"] == [held]
    ended = site.run("hold", "rm", "disks/a.img@2", "--why", "the case is closed")
    assert ended.code == 0
    assert ended.reply["holds"] == [held]
    assert site.run("hold", "ls").reply["holds"] == []
    again = site.run("hold", "rm", "disks/a.img@2", "--why", "once more")
    assert again.code == 10
    assert again.reply["holds"] == []


def test_two_people_hold_one_point_and_each_is_listed(site: Site) -> None:
    made(site, 1)
    for why in ("audit", "court"):
        assert site.run("hold", "add", "disks/a.img", "--why", why).code == 0
    assert [one["why"] for one in site.run("hold", "ls").reply["holds"]] == ["audit", "court"]
    assert len(site.run("hold", "rm", "disks/a.img", "--why", "all done").reply["holds"]) == 2


def test_words_of_people_are_sealed(site: Site) -> None:
    made(site, 1)
    site.run("hold", "add", "disks/a.img", "--why", "Kafkaesque proceedings")
    for path in files(site.repository):
        assert b"Kafkaesque" not in path.read_bytes()


def test_a_point_that_is_held_says_so(site: Site) -> None:
    made(site)
    site.run("hold", "add", "disks/a.img@1", "--why", "court")
    points = site.run("ls", "disks/a.img").points
    assert [one["held"] for one in points] == [True, False, False]
    (shown,) = site.run("show", "disks/a.img@1").points
    assert [one["why"] for one in shown["holds"]] == ["court"]
    assert "held" in site.told("ls", "disks/a.img").text
    decisions = site.run("policy", "preview", "disks/a.img", "--keep", "last=1").reply["decisions"]
    assert decisions[0]["reasons"] == ["held"]


@pytest.mark.parametrize(
    "point, code, told",
    [
        ("disks/b.img", 10, "nearest: disks/a.img"),
        ("disk/a.img@1", 10, "nearest: disks/a.img"),
        ("elsewhere/zz@1", 10, "nearest: disks/a.img"),
        ("disks/a.img@9", 10, "nearest: @1"),
        ("disks/a.img@2020-01-01T00:00:00Z", 10, "the first is @1"),
    ],
)
def test_what_is_not_there_cannot_be_held(site: Site, point: str, code: int, told: str) -> None:
    made(site, 1)
    for verb in ("add", "rm"):
        answer = site.run("hold", verb, point, "--why", "x")
        assert answer.code == code
        assert told in answer.error["hint"]
        assert answer.reply["holds"] == []
    assert not (site.repository / "h").exists()


def test_a_reason_is_needed(site: Site) -> None:
    made(site, 1)
    for why in ([], ["--why", " "], ["--why", "x" * 1001]):
        answer = site.run("hold", "add", "disks/a.img", *why)
        assert answer.code == 2
        assert answer.reply["holds"] == []


def test_garbage_among_holds_is_told_and_stops_no_hold(site: Site) -> None:
    made(site, 2)
    (row,) = site.run("hold", "add", "disks/a.img@1", "--why", "court").reply["holds"]
    (key,) = [path for path in files(site.repository) if "/h/" in str(path)]
    place = names.parse_statement_key(str(key.relative_to(site.repository)))
    assert place is not None
    garbage = key.with_name("hold-0000000002-0123456789abcdef")
    garbage.write_bytes(b"garbage")
    (key.parent / "note.txt").write_bytes(b"hello")
    copied = key.with_name(f"release-{place[1]:010d}-{place[2].hex()}")
    copied.write_bytes(key.read_bytes())
    answer = site.run("hold", "ls")
    assert answer.code == 0
    assert answer.reply["holds"] == [row]
    told = "\n".join(answer.reply["warnings"])
    for path in (garbage, key.parent / "note.txt", copied):
        assert path.name in told
    assert site.run("hold", "add", "disks/a.img@2", "--why", "too").code == 0
    assert len(site.backup()) == 1


def test_a_point_that_is_doomed_already_is_held_and_spared(site: Site) -> None:
    made(site)
    policy = '[policy.gold]\nevery = "1h"\nkeep = { last = 1 }\n'
    site.configure(sources=site.sources + 'policy = "gold"\n', extra=policy)
    assert site.run("prune").code == 0
    assert [one["doomed"] for one in site.run("ls", "disks/a.img").points] == [True, True, False]
    answer = site.run("hold", "add", "disks/a.img@1", "--why", "court")
    assert answer.code == 0
    assert any("spared" in one for one in answer.reply["warnings"])
    assert site.run("prune").code == 0
    points = site.run("ls", "disks/a.img").points
    assert [(one["doomed"], one["held"]) for one in points] == [
        (False, True),
        (True, False),
        (False, False),
    ]
    assert site.run("restore", "disks/a.img@1", "--to", f"file:{site.folder}/back").code == 0


def test_in_a_bucket_with_versions(minio_site: Site) -> None:
    """Holds, releases and results through a real store; the catalogue is lost in between."""
    made(minio_site, 2)
    for why in ("court", "audit"):
        assert minio_site.run("hold", "add", "disks/a.img@1", "--why", why).code == 0
    assert minio_site.run("verify", "--level", "2").reply["results"][0]["recorded"] is True
    shutil.rmtree(minio_site.state)
    assert minio_site.run("catalogue", "rebuild").code == 0
    (row,) = minio_site.run("ls").reply["lineages"]
    assert row["held_points"] == 1
    assert [one["level"] for one in row["proven"]] == [2]
    assert len(minio_site.run("hold", "rm", "disks/a.img@1", "--why", "over").reply["holds"]) == 2
    assert minio_site.run("hold", "ls").reply["holds"] == []
