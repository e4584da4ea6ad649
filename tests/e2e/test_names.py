"""What an operator may write for an image and for a point."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.e2e.site import Site, digest, scatter

ODD = ["with space.img", "ümläut-日本.img", "at@home.img", "db@17.img", "a'b\"c.img", "[x]*?.img"]


def three_points(site: Site) -> list[datetime]:
    """Three points of ``disks/a.img``; their times."""
    image = site.image()
    times = []
    for _ in range(3):
        (point,) = site.backup()
        times.append(datetime.fromisoformat(point["time"]))
        scatter(image, 1)
    return times


def seq_of(site: Site, point: str) -> int:
    (row,) = site.run("show", point).points
    seq: int = row["seq"]
    return seq


def test_every_form_of_a_point(site: Site) -> None:
    first, second, third = three_points(site)
    lineage = site.run("ls").reply["lineages"][0]["lineage"]
    tick = timedelta(microseconds=1)
    for name in ("disks/a.img", lineage):
        assert seq_of(site, name) == 3
        assert seq_of(site, f"{name}@latest") == 3
        assert seq_of(site, f"{name}@2") == 2
        assert seq_of(site, f"{name}@002") == 2
        assert seq_of(site, f"{name}@{second.isoformat()}") == 2
        assert seq_of(site, f"{name}@{(second - tick).isoformat()}") == 1
        assert seq_of(site, f"{name}@{(third - tick).isoformat().replace('+00:00', 'Z')}") == 2
        assert seq_of(site, f"{name}@2999-01-01T00:00:00Z") == 3
        east = first.astimezone(timezone(timedelta(hours=5, minutes=30)))
        assert seq_of(site, f"{name}@{east.isoformat()}") == 1


@pytest.mark.parametrize(
    "suffix, code",
    [
        ("99", 10),
        ("0", 10),
        ("2020-01-01T00:00:00Z", 10),
        ("2026-11-21T10:00:00", 2),
        ("2026-11-21", 2),
        ("2026-13-41T10:00:00Z", 2),
        ("99999999999999999999", 2),
    ],
)
def test_points_that_are_none(site: Site, tmp_path: Path, suffix: str, code: int) -> None:
    site.image()
    site.backup()
    target = tmp_path / "out.img"
    for command in (("show",), ("restore", "--to", f"file:{target}")):
        answer = site.run(*command, f"disks/a.img@{suffix}")
        assert answer.code == code
        assert "disks/a.img" in answer.error["object"] + answer.error["message"] or code == 2
        assert answer.error["hint"] or code == 2
    assert not target.exists()


def test_a_time_before_the_first_point_names_the_first(site: Site) -> None:
    site.image()
    (point,) = site.backup()
    answer = site.run("show", "disks/a.img@2020-01-01T00:00:00Z")
    assert answer.code == 10
    assert point["time"] in answer.error["hint"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_go_through_everything(site: Site, tmp_path: Path, name: str) -> None:
    image = site.image(name, size=300_000, seed=name)
    label = f"disks/{name}"
    (point,) = site.backup(label)
    assert point["name"] == label
    assert [one["name"] for one in site.run("ls").reply["lineages"]] == [label]
    assert site.run("ls", label).points[0]["seq"] == 1
    assert seq_of(site, f"{label}@1") == 1
    assert seq_of(site, f"{label}@latest") == 1
    assert site.run("verify", label, "--level", "2").points[0]["ok"]
    target = tmp_path / f"back {name}"
    assert site.run("restore", label, "--to", f"file:{target}").code == 0
    assert digest(target) == digest(image)


def test_the_last_at_splits_only_before_a_point(site: Site) -> None:
    """An image that is called like a point is reached with ``@latest``."""
    plain = site.image("db", size=100_000, seed="plain")
    odd = site.image("db@1", size=200_000, seed="odd")
    site.configure(sources=site.sources.replace("*.img", "*"))
    assert len(site.backup()) == 2
    rows = [site.run("show", name).points[0] for name in ("disks/db", "disks/db@1")]
    assert [row["bytes_logical"] for row in rows] == [plain.stat().st_size] * 2
    (row,) = site.run("show", "disks/db@1@latest").points
    assert row["bytes_logical"] == odd.stat().st_size
    (row,) = site.run("show", "disks/db@1@1").points
    assert row["bytes_logical"] == odd.stat().st_size
    assert site.run("ls", "disks/db@1").points[0]["bytes_logical"] == odd.stat().st_size


def test_another_image_of_a_name_takes_it_over(site: Site, tmp_path: Path) -> None:
    """The old lineage stays reachable by its id."""
    old = site.image(seed="old")
    (first,) = site.backup()
    elsewhere = site.folder / "moved"
    elsewhere.mkdir()
    new = old.rename(elsewhere / "a.img")
    scatter(new, 4)
    replaced = site.image(seed="new")
    old_digest = digest(replaced)
    replaced.rename(elsewhere / "a.img")
    site.configure(sources=site.sources.replace(str(site.images), str(elsewhere)))
    (second,) = site.backup()
    assert second["name"] == first["name"]
    assert second["lineage"] != first["lineage"]
    lineages = site.run("ls").reply["lineages"]
    assert [(one["lineage"], one["current"]) for one in lineages] == [
        (second["lineage"], True),
        (first["lineage"], False),
    ]
    assert site.run("ls", "disks/a.img").points[0]["lineage"] == second["lineage"]
    target = tmp_path / "new.img"
    assert site.run("restore", "disks/a.img", "--to", f"file:{target}").code == 0
    assert digest(target) == old_digest
    for point in (first["lineage"], f"{first['lineage']}@1"):
        assert site.run("show", point).points[0]["lineage"] == first["lineage"]
        assert site.run("verify", point, "--level", "2").points[0]["ok"]


def test_two_images_of_one_base_name_are_refused(site: Site) -> None:
    site.image()
    other = site.folder / "other"
    other.mkdir()
    (other / "a.img").write_bytes(b"another")
    site.configure(
        sources=f'[source.disks]\ntype = "device"\npaths = ["{site.images}/*", "{other}/*"]\n'
    )
    answer = site.run("backup")
    assert answer.code == 2
    assert "disks/a.img" in answer.error["message"]
    assert answer.error["hint"]
    assert site.run("ls").reply["lineages"] == []


def test_verify_takes_points_names_patterns_and_all(site: Site) -> None:
    three_points(site)
    site.image("b.img", size=64 * 1024, seed="b")
    site.backup("disks/b.img")

    def proven(*arguments: str) -> list[str]:
        answer = site.run("verify", *arguments)
        assert answer.code == 0
        assert answer.reply["findings"] == []
        assert {one["level"] for one in answer.points} == {1}
        return [one["point"] for one in answer.points]

    assert proven() == ["disks/a.img@3", "disks/b.img@1"]
    assert proven("disks/a.img") == ["disks/a.img@3"]
    assert proven("disks/a.img", "--all") == [f"disks/a.img@{seq}" for seq in (1, 2, 3)]
    assert proven("disks/*") == ["disks/a.img@3", "disks/b.img@1"]
    assert proven("disks/a.img@2", "disks/b.img") == ["disks/a.img@2", "disks/b.img@1"]
    assert len(proven("--all")) == 4
    answer = site.run("verify", "disks/none", "disks/a.img")
    assert answer.code == 3
    assert [one["point"] for one in answer.points] == ["disks/a.img@3"]
    assert site.run("verify", "disks/none").code == 10


@pytest.mark.parametrize("level", ["0", "1", "2", "4"])
def test_verify_says_what_it_proved(site: Site, level: str) -> None:
    site.image()
    site.backup()
    answer = site.run("verify", "disks/a.img", "--level", level)
    (row,) = answer.points
    assert row["level"] == int(level)
    assert row["ok"]
    assert row["proven"]
    assert row["objects"] > 0
    assert (row["bytes"] > 0) == (level != "0"), "at level 0 no byte is looked at"


def test_level_4_needs_the_snapshot_of_the_point(site: Site) -> None:
    image = site.image()
    site.backup()
    scatter(image, 1)
    answer = site.run("verify", "disks/a.img", "--level", "4")
    assert answer.code == 10
    assert "disks/a.img" in answer.error["object"]
    site.backup()
    assert site.run("verify", "disks/a.img", "--level", "4").code == 0
    assert site.run("verify", "disks/a.img@1", "--level", "4").code == 10
    image.unlink()
    assert site.run("verify", "disks/a.img", "--level", "4").code == 10


def test_the_clock_of_a_point_is_utc(site: Site) -> None:
    (first, *_) = three_points(site)
    assert first.tzinfo == UTC


def test_a_name_that_is_not_utf8_is_refused_and_the_others_are_backed_up(site: Site) -> None:
    for name in (b"a.img", b"b\xff.img", b"c.img"):
        Path(os.fsdecode(os.fsencode(site.images) + b"/" + name)).write_bytes(b"x" * 4096)
    answer = site.run("backup")
    assert answer.code == 3
    assert [point["name"] for point in answer.points] == ["disks/a.img", "disks/c.img"]
    assert (answer.error["code"], answer.error["object"]) == ("refused", "disks/b\\xff.img")
    assert "rename" in answer.error["hint"]
    assert site.run("backup", answer.error["object"].replace("\\", "[\\]")).code == 15
