"""One object of each kind flipped, cut short or gone: verify and restore name it, no data is wrong.

The repository has seen 71 points, so that it has every kind of object: two merges of 32 runs and some
runs beside, a roll, tables of packs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from drd.core.tables import TableKind
from drd.model import Role
from drd.wiring import open_house
from drd.work import listing
from drd.work.restore import OpenedPoint
from drd.work.verify import needed
from tests.e2e.drctl import Answer
from tests.e2e.site import MIB, Site, digest, scatter, tree

MADE = 71
NEEDED = ("format", "trust", "public half", "pack", "run", "shard", "digests", "items", "packs")
"""Without it a restore cannot be had."""
BESIDES = ("reader", "roll")
"""A restore does without, and a verify tells all the same."""


@dataclass(frozen=True)
class Weathered:
    """A repository that has seen some points, what its image holds, and a key of each kind."""

    site: Site
    image: str
    before: str
    keys: dict[str, str]


@pytest.fixture(scope="module")
def weathered(tmp_path_factory: pytest.TempPathFactory) -> Weathered:
    site = Site(tmp_path_factory.mktemp("weathered") / "site").made()
    image = site.image(size=4 * MIB)
    before = ""
    for number in range(MADE):
        before = digest(image)
        if number:
            scatter(image, 2, seed=number)
        (point,) = site.backup()
        assert point["seq"] == number + 1
    return Weathered(site, digest(image), before, keys_by_kind(site))


def keys_by_kind(site: Site) -> dict[str, str]:
    """One object of each kind that the newest point needs."""
    house = open_house(str(site.config))
    try:
        repository = house.repository(Role.VERIFY, cached=False)
        newest = listing.full_points(listing.known_points(repository, None))[-1]
        opened = OpenedPoint(repository, *listing.open_full(repository, newest))
        found = {"manifest": newest.manifest_key}
        for one in opened.map.references:
            found[one.kind.name.lower()] = opened.shelf.key(one)
        found["pack"] = next(one.key for one in needed(opened) if one.row is not None)
    finally:
        house.close()
    for key in tree(site.repository):
        top, _, _ = key.partition("/")
        name = key.rpartition("/")[2]
        if top in ("format", "trust", "reader"):
            found[top] = key
        elif top == "k":
            found["public half" if name.endswith(".pub") else name.partition("-")[0]] = key
    return found


@pytest.fixture
def site(weathered: Weathered, tmp_path: Path) -> Site:
    """A copy of it, on a host that knows nothing of it yet; the images stay where they are."""
    shutil.copytree(weathered.site.folder, tmp_path / "site")
    shutil.rmtree(tmp_path / "site" / "state")
    copied = Site(tmp_path / "site")
    copied.configure(sources=weathered.site.sources)
    return copied


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 0x04
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def remove(path: Path) -> None:
    path.unlink()


HOW: dict[str, Callable[[Path], None]] = {"flipped": flip, "cut": cut, "gone": remove}
each_way = pytest.mark.parametrize("how", HOW.values(), ids=list(HOW))


def restored(site: Site, *more: str) -> tuple[Answer, Path]:
    """The answer of a restore, and its target."""
    target = site.folder / "out.img"
    return site.run("restore", "disks/a.img", "--to", f"file:{target}", *more), target


def told(answer: Answer) -> str:
    """Every object that an answer names."""
    named = [one["object"] for one in answer.reply["errors"]]
    named += [one["object"] for one in answer.reply.get("findings", [])]
    return " ".join(named)


def test_each_kind_of_object_is_there(weathered: Weathered) -> None:
    slots = {"1.keyfile", "m1.keyfile", "1.recovery", "m1.recovery"}
    assert set(weathered.keys) == {*NEEDED, *BESIDES, *slots, "manifest"}
    assert {kind.name.lower() for kind in TableKind} <= set(weathered.keys)


@each_way
@pytest.mark.parametrize("kind", NEEDED)
def test_what_is_needed_is_11_and_named(
    site: Site, weathered: Weathered, kind: str, how: Callable[[Path], None]
) -> None:
    key = weathered.keys[kind]
    how(site.repository / key)
    part = key.rpartition("/")[0] if kind == "public half" else key
    for level in ("1", "2"):
        answer = site.run("verify", "--level", level)
        assert answer.code == 11
        assert part in told(answer)
    answer, target = restored(site)
    assert answer.code == 11
    assert part in told(answer)
    assert all(one["hint"] for one in answer.reply["errors"])
    assert not target.exists()


@each_way
@pytest.mark.parametrize("kind", BESIDES)
def test_what_is_not_needed_is_told_all_the_same(
    site: Site, weathered: Weathered, kind: str, how: Callable[[Path], None]
) -> None:
    key = weathered.keys[kind]
    how(site.repository / key)
    answer = site.run("verify")
    assert answer.code == 11
    assert key in told(answer)
    answer, target = restored(site)
    assert answer.code == 0
    assert digest(target) == weathered.image


@pytest.mark.parametrize("how", [flip, cut], ids=["flipped", "cut"])
def test_a_damaged_manifest_is_not_passed_over(
    site: Site, weathered: Weathered, how: Callable[[Path], None]
) -> None:
    """Who asks for the newest point learns that it is damaged, and which one is before it."""
    key = weathered.keys["manifest"]
    how(site.repository / key)
    answer, target = restored(site)
    assert answer.code == 11
    assert key in told(answer)
    assert f"disks/a.img@{MADE - 1}" in answer.error["hint"]
    assert not target.exists()
    assert site.run("verify").code == 11
    to = ("restore", f"disks/a.img@{MADE - 1}", "--to", f"file:{target}")
    assert site.run(*to).code == 0
    assert digest(target) == weathered.before


def test_a_manifest_that_is_gone_is_told_by_who_knew_it(site: Site, weathered: Weathered) -> None:
    """A host that never saw it cannot know: it gets the point before it, "freshness unproven"."""
    answer, target = restored(site, "--dry-run")
    assert answer.code == 0, "now this host knows"
    remove(site.repository / weathered.keys["manifest"])
    assert restored(site)[0].code == 15
    shutil.rmtree(site.state)
    answer, target = restored(site)
    assert answer.code == 0
    assert "unproven" in answer.reply["freshness"]
    assert digest(target) == weathered.before


def test_a_manifest_in_the_middle_is_missed_by_the_roll(site: Site, weathered: Weathered) -> None:
    newest = site.repository / weathered.keys["manifest"]
    middle = sorted(newest.parent.iterdir())[MADE // 2]
    remove(middle)
    answer = site.run("verify")
    assert answer.code == 11
    assert middle.name in told(answer)
    answer, target = restored(site)
    assert answer.code == 0
    assert digest(target) == weathered.image


# ── key slots ───────────────────────────────────────────────────────────────────────────────────
@each_way
@pytest.mark.parametrize("kind", ["1.keyfile", "m1.keyfile"])
def test_a_slot_of_the_key_file_is_12_and_the_sheet_still_opens(
    site: Site, weathered: Weathered, kind: str, how: Callable[[Path], None]
) -> None:
    key = weathered.keys[kind]
    how(site.repository / key)
    for level in ("0", "1", "2"):
        answer = site.run("verify", "--all", "--level", level)
        assert answer.code == 12, level
        assert key in answer.text or key.split("/")[2] in told(answer)
        assert answer.error["hint"], "one error, however many points it is about"
    answer, target = restored(site)
    assert answer.code == 12
    assert "sheet" in answer.error["hint"]
    assert not target.exists()
    assert restored(site, "--sheet", str(site.sheet))[0].code == 0
    assert digest(target) == weathered.image


@pytest.mark.parametrize("how", [cut, remove], ids=["cut", "gone"])
@pytest.mark.parametrize("kind", ["1.recovery", "m1.recovery"])
def test_a_slot_of_the_sheet_is_missed_before_it_is_needed(
    site: Site, weathered: Weathered, kind: str, how: Callable[[Path], None]
) -> None:
    how(site.repository / weathered.keys[kind])
    answer = site.run("verify")
    assert answer.code == 0
    assert weathered.keys[kind] in " ".join(answer.reply["warnings"])
    assert restored(site, "--sheet", str(site.sheet))[0].code == 12
    assert restored(site)[0].code == 0


SLOTS = ("1.keyfile", "1.recovery", "m1.recovery")


@pytest.mark.parametrize("kind", SLOTS)
def test_a_slot_that_is_gone_is_told_by_each_backup_and_at_level_0(
    site: Site, weathered: Weathered, kind: str
) -> None:
    """A backup opens no data, and goes on: who reads its warnings has time to put the slot back."""
    key = weathered.keys[kind]
    assert site.run("backup").reply["warnings"] == []
    slot = (site.repository / key).read_bytes()
    remove(site.repository / key)
    for _ in range(2):
        answer = site.run("backup")
        assert answer.code == 0
        (warning,) = answer.reply["warnings"]
        assert key in warning
    answer = site.run("verify", "--level", "0")
    assert answer.code == (12 if kind == "1.keyfile" else 0)
    assert any(key in one and "missing" in one for one in answer.reply["warnings"])
    (site.repository / key).write_bytes(slot)
    assert site.run("backup").reply["warnings"] == []


def test_what_nobody_can_open_any_more_is_not_called_good(site: Site, weathered: Weathered) -> None:
    remove(site.repository / weathered.keys["1.keyfile"])
    flip(site.repository / weathered.keys["1.recovery"])
    for level in ("0", "1", "2"):
        assert site.run("verify", "--all", "--level", level).code == 12


def test_damage_that_was_seen_once_is_told_by_each_backup_since(
    site: Site, weathered: Weathered
) -> None:
    """No backup heals it, and none looks for it: who saw it must not be told that all is well."""
    key = weathered.keys["pack"]
    data = (site.repository / key).read_bytes()
    flip(site.repository / key)
    assert site.run("backup").reply["warnings"] == [], "nobody has looked yet"
    assert site.run("verify", "--level", "2").code == 11
    (warning,) = site.run("backup").reply["warnings"]
    assert "verify found damage" in warning
    assert key in warning
    for listed in (site.run("ls"), site.run("ls", "disks/a.img")):
        (told,) = listed.reply["warnings"]
        assert key in told, "a point that is listed need not restore"
    (site.repository / key).write_bytes(data)
    assert site.run("verify", "--level", "2").code == 0
    assert site.run("backup").reply["warnings"] == []


# ── what is good in spite of it ─────────────────────────────────────────────────────────────────
@each_way
def test_best_effort_writes_what_is_good_and_says_3(
    site: Site, weathered: Weathered, how: Callable[[Path], None]
) -> None:
    how(site.repository / weathered.keys["pack"])
    answer, target = restored(site)
    assert answer.code == 11
    (left,) = site.folder.glob("out.img*")
    assert str(left) in answer.error["hint"]
    assert not target.exists()
    left.unlink()
    answer, target = restored(site, "--best-effort")
    assert answer.code == 3
    assert str(target) in answer.error["hint"], "that is where the good bytes are now"
    whole = (weathered.site.images / "a.img").read_bytes()
    lost = sorted((one["offset"], one["length"]) for one in answer.reply["findings"])
    assert 0 < sum(length for _, length in lost) < len(whole)
    at, written = 0, target.read_bytes()
    assert len(written) == len(whole)
    for offset, length in [*lost, (len(whole), 0)]:
        assert written[at:offset] == whole[at:offset], "outside of what is named nothing is wrong"
        at = min(len(whole), offset + length)
        assert not any(written[offset:at]), "what is lost is zero, and nothing made up"
    assert all(f"disks/a.img@{MADE}" in one["points"] for one in answer.reply["findings"])


def test_a_pipe_ends_where_the_damage_begins(site: Site, weathered: Weathered) -> None:
    flip(site.repository / weathered.keys["pack"])
    whole = (weathered.site.images / "a.img").read_bytes()
    answer = site.process("restore", "disks/a.img", "--to", "-")
    assert answer.code == 11
    assert answer.reply_on_stderr["exit"] == 11
    assert len(answer.out) < len(whole)
    assert whole.startswith(answer.out)
    answer = site.process("restore", "disks/a.img", "--to", "-", "--best-effort")
    assert answer.code == 3
    assert len(answer.out) == len(whole)
