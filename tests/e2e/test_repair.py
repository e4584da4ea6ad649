"""``drctl verify --repair``, as an operator types it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from drd.wiring import open_house
from tests.e2e.cloud import Cloud
from tests.e2e.site import MIB, Site, digest, scatter
from tests.e2e.test_damage import HOW, flip

NAME = "disks/a.img"
RESTORED = "out.img"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path / "site").made()
    made.image("a.img", size=8 * MIB)
    made.backup()
    return made


def packs(site: Site) -> list[Path]:
    """Packs, the oldest first."""
    found = [one for one in (site.repository / "p").rglob("*") if one.is_file()]
    return sorted(found, key=lambda one: one.stat().st_mtime_ns)


def restored(site: Site, point: str = NAME) -> str:
    target = site.folder / RESTORED
    target.unlink(missing_ok=True)
    answer = site.run("restore", point, "--to", f"file:{target}")
    assert answer.code == 0, answer.text
    return digest(target)


@pytest.mark.parametrize("how", HOW.values(), ids=list(HOW))
def test_a_damaged_pack_comes_back_as_it_was(site: Site, how: Callable[[Path], None]) -> None:
    (pack,) = packs(site)
    good = pack.read_bytes()
    how(pack)
    assert site.run("verify", "--level", "2").code == 11
    answer = site.run("verify", NAME, "--repair", "--level", "2")
    assert answer.code == 0, answer.text
    (row,) = answer.reply["repairs"]
    assert (row["how"], row["ranges"]) == ("recreated", [])
    assert row["object"].endswith(pack.name)
    assert pack.read_bytes() == good
    assert [one["ok"] for one in answer.reply["results"]] == [True]
    assert restored(site) == digest(site.images / "a.img")


def test_without_damage_there_is_nothing_to_do(site: Site) -> None:
    answer = site.run("verify", "--repair")
    assert (answer.code, answer.reply["repairs"]) == (0, [])


def test_what_is_lost_is_named_and_the_next_backup_needs_it_no_more(site: Site) -> None:
    image = site.images / "a.img"
    first = digest(image)
    scatter(image, 3, seed="changed")
    site.backup()
    old, _ = packs(site)
    scatter(image, 1, seed="since")  # a file keeps only its present state
    old.unlink()
    answer = site.run("verify", NAME, "--repair")
    assert answer.code == 11
    (row,) = answer.reply["repairs"]
    assert (row["how"], row["points"]) == ("none", [f"{NAME}@1", f"{NAME}@2"])
    target = f"file:{site.folder / RESTORED}"
    found = site.run("restore", f"{NAME}@2", "--to", target, "--best-effort").reply["findings"]
    named = [(one["offset"], one["length"]) for one in row["ranges"] if one["point"] == f"{NAME}@2"]
    assert named == [(one["offset"], one["length"]) for one in found]
    assert named
    (made,) = site.backup()
    assert made["bytes_uploaded"] > MIB, "what the lost pack held was put again"
    assert site.run("verify", NAME, "--level", "2").code == 0
    assert restored(site) == digest(image) != first
    (line,) = site.run("status").reply["lineages"]
    assert line["state"] != "damaged"
    (made,) = site.backup()
    assert made["bytes_uploaded"] < MIB, "once"
    assert site.run("verify", f"{NAME}@1").code == 11, "earlier points stay as they are"


def test_healed_in_part_is_3(site: Site) -> None:
    image = site.images / "a.img"
    scatter(image, 200, seed="changed")
    site.backup()
    old, new = packs(site)
    old.unlink()
    flip(new)
    answer = site.run("verify", "--all", "--repair", "--level", "2")
    assert answer.code == 3, answer.text
    assert sorted(one["how"] for one in answer.reply["repairs"]) == ["none", "recreated"]


def test_it_does_not_go_with_turns_or_the_source(site: Site) -> None:
    for more in (["--rotate"], ["--level", "4"]):
        assert site.run("verify", "--repair", *more).code == 2


def test_of_a_real_image_in_a_bucket_with_versions(cloud: Cloud) -> None:
    """Packs of the newest content come back from the image's snapshot, while the image goes on changing."""
    cloud.make(24 * MIB, 18 * MIB)  # a pack for each 4 MiB
    cloud.backup()
    cloud.write([(22 * MIB, b"second" * 700)])
    cloud.backup()
    second = cloud.digest()
    with closing(open_house(str(cloud.config))) as house:
        store = house.store(cached=False)
        listed = list(store.list("p/"))
        good = {one.key: store.get(one.key) for one in listed}
        for one in listed[:3]:
            store.delete(one.key, version=one.version)
        store.put(listed[0].key, b"garbage")
        cloud.write([(9 * MIB, b"since" * 700)])  # the snapshot knows nothing of it
        answer = cloud.run("verify", "--all", "--repair", "--level", "2")
        assert answer.code == 0, answer.text
        assert [one["how"] for one in answer.reply["repairs"]] == ["recreated"] * 3
        assert {key: store.get(key) for key in good} == good
        assert len(store.versions(listed[0].key)) == 2, "nothing was taken away"
        assert restored(cloud, f"{cloud.label}@2") == second
        cloud.backup()
        for one in (one for key in good for one in store.versions(key)):
            store.delete(one.key, version=one.version)
        answer = cloud.run("verify", "--all", "--repair", "--level", "2")
        assert answer.code == 3, answer.text
        (lost,) = (one for one in answer.reply["repairs"] if one["how"] == "none")
        assert {key for key in good if store.versions(key)} == good.keys() - {lost["object"]}
    ranges = [one for one in lost["ranges"] if one["point"] == f"{cloud.label}@3"]
    assert lost["points"] == [f"{cloud.label}@{seq}" for seq in (1, 2, 3)]
    changed = (9 * MIB, 9 * MIB + 4096)
    assert [(one["offset"], one["length"]) for one in ranges] == [
        (8 * MIB, MIB),
        (changed[1], 3 * MIB - 4096),
    ], "what was written since is in a pack of its own"
    cloud.backup()
    assert cloud.run("verify", "--level", "2").code == 0
    assert restored(cloud, cloud.label) == cloud.digest()
    assert cloud.run("verify", "--level", "4").code == 0
