"""What this host knew of and the bucket does not have: told, and never called good."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from drd.testing.fakes import seeded
from tests.e2e.site import Site, scatter


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A host that made three points of one image, and one of another."""
    made = Site(tmp_path / "site").made()
    image = made.image()
    made.image("b.img", seed="b")
    made.backup()
    for seed in range(2):
        scatter(image, 3, seed=seed)
        made.backup("disks/a.img")
    return made


def lineage(site: Site, name: str = "disks/a.img") -> str:
    rows = site.run("ls").reply["lineages"]
    return next(str(row["lineage"]) for row in rows if row["name"] == name)


def manifests(site: Site, name: str = "disks/a.img") -> list[Path]:
    """Newest first, as their names sort."""
    return sorted(site.repository.glob(f"m/*/{lineage(site, name)}/*"))


# ── the catalogue itself ────────────────────────────────────────────────────────────────────────
def random_bytes(path: Path) -> None:
    path.write_bytes(seeded("no catalogue")(9999))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


VERBS = ("ls", "show disks/a.img", "backup", "verify", "doctor", "catalogue rebuild")


@pytest.mark.parametrize("harm", [random_bytes, emptied, cut])
@pytest.mark.parametrize("verb", VERBS)
def test_a_damaged_catalogue_is_told_for_with_it_goes_what_finds_a_hidden_point(
    site: Site, harm: Callable[[Path], None], verb: str
) -> None:
    (catalogue,) = site.state.glob("*/catalogue.sqlite")
    newest = manifests(site)[0]
    harm(catalogue)
    newest.unlink()
    answer = site.run(*verb.split())
    assert answer.code == 0
    told = [one for one in answer.reply["warnings"] if "freshness is unproven" in one]
    assert len(told) == 1
    assert str(catalogue.with_suffix("")) in told[0]
    assert not [one for one in site.run("ls").reply["warnings"] if "unproven" in one]


# ── a bucket that has less than it had ──────────────────────────────────────────────────────────
def without_newest(site: Site) -> None:
    manifests(site)[0].unlink()


def without_lineage(site: Site) -> None:
    one = lineage(site)
    for folder in site.repository.glob(f"[mpxk]/*/{one}"):
        shutil.rmtree(folder)


def without_manifests(site: Site) -> None:
    shutil.rmtree(site.repository / "m")


HARMS = (without_newest, without_lineage, without_manifests)


@pytest.mark.parametrize("harm", HARMS)
def test_a_newest_point_that_is_gone_is_a_finding_and_11(
    site: Site, harm: Callable[[Site], None]
) -> None:
    one, newest = lineage(site), manifests(site)[0].name
    harm(site)
    for asked in ("--all", "", "disks/a.img", "disks/*", one, "disks/a.img@3"):
        for level in ("0", "2"):
            answer = site.run("verify", "--level", level, *([asked] if asked else []))
            assert answer.code == 11, (asked, level)
            found = {row["point"]: row for row in answer.reply["findings"]}["disks/a.img@3"]
            assert one in found["object"]
            assert newest in found["object"]
            assert one in found["message"]
            proven = {(row["lineage"], row["seq"]): row["ok"] for row in answer.points}
            assert proven[one, 3] is False
            assert {error["code"] for error in answer.reply["errors"]} == {"damage"}
    assert site.run("backup").code != 0
    assert site.run("verify").code == 11, "what a refused backup learnt forgets nothing"


def test_what_is_not_meant_is_not_asked_for(site: Site) -> None:
    """A point that is there is proven by itself, and so is another image."""
    without_newest(site)
    for asked in ("disks/b.img", "disks/a.img@2", "disks/a.img@1"):
        assert site.run("verify", asked).code == 0, asked
    assert site.run("verify", "disks/c.img").code == 10
    assert site.run("verify", "disks/a.img@7").code == 10


def test_an_older_image_of_the_name_does_not_stand_in_for_one_that_is_gone(site: Site) -> None:
    before, other = lineage(site), site.images / "anew"
    other.mkdir()
    (site.images / "a.img").rename(other / "a.img")
    site.configure(sources=site.sources.replace("*.img", "anew/*.img"))
    (point,) = site.backup()
    assert point["lineage"] != before
    (folder,) = (site.repository / "m").glob(f"*/{point['lineage']}")
    shutil.rmtree(folder)
    answer = site.run("verify", "disks/a.img")
    assert answer.code == 11
    assert point["lineage"] in answer.reply["findings"][0]["object"]
    assert site.run("verify", before).code == 0


def test_older_points_that_are_gone_may_have_expired(site: Site) -> None:
    """Of the one that is on the newest roll the roll tells; nothing else does."""
    middle = manifests(site, "disks/a.img")[1]
    middle.unlink()
    answer = site.run("verify", "--all")
    assert {one["point"] for one in answer.reply["findings"]} == {"disks/a.img@3"}
    assert "on the roll" in answer.reply["findings"][0]["message"]


def test_without_a_catalogue_nothing_is_known(site: Site) -> None:
    without_newest(site)
    shutil.rmtree(site.state)
    assert site.run("verify", "--all").code == 0


def test_what_the_operator_accepts_is_asked_for_no_more(site: Site) -> None:
    without_newest(site)
    assert site.run("verify").code == 11
    assert site.run("catalogue", "rebuild").code == 0
    assert site.run("verify").code == 0
    site.backup()
