"""What this host knew of and the bucket does not have: told, and never called good."""

from __future__ import annotations

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
