"""What patterns find, what they overlook, and that a folder nobody may read is not an empty one."""

from __future__ import annotations

import errno
import glob
import os
from pathlib import Path

import pytest

from drd.config import load_config
from drd.errors import NotFoundError, SourceError
from drd.sources.patterns import matching
from drd.wiring.adapters import make_source
from tests.unit.sources.test_device import image, labels, source

TREE = ("a.img", ".hidden.img", "b/a.img", "b/c[1].img", "b/.h/x.img", "c/d/e.img", "we[ird]/a.img")


@pytest.mark.parametrize(
    "pattern",
    [
        *("*.img", "*/*.img", ".*.img", "?.img", "[ab].img", "[!a]*/*.img", "b/*", "b/../*.img"),
        *("*/a.img", "c/*/e.img", "nowhere/*.img", "a.img/*", "we[[]ird]/*.img", "b/c[[]1].img"),
    ],
)
def test_it_finds_what_glob_finds(tmp_path: Path, pattern: str) -> None:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        image(tmp_path / name)
    told: list[str] = []
    found = matching(f"{tmp_path}/{pattern}", lambda folder, _error: told.append(folder))
    assert found == sorted(glob.glob(f"{tmp_path}/{pattern}"))  # noqa: PTH207 - the pattern is absolute
    assert told == []


def test_a_folder_that_fails_is_told_and_hides_no_other(tmp_path: Path) -> None:
    """A name that is too long fails for everybody, also for root, who may read every folder."""
    image(tmp_path / "a.img")
    long = tmp_path / ("x" * 300)
    some = source(long / "*.img", tmp_path / "*.img", tmp_path / "none*")
    assert labels(some.discover()) == ["disks/a.img"]
    refused, unmatched = some.overlooked()
    assert isinstance(refused, SourceError)
    assert isinstance(unmatched, NotFoundError)
    assert unmatched.about == f"{tmp_path}/none*"
    assert refused.about == str(tmp_path)
    assert all(one.hint and "disks" in one.hint for one in (refused, unmatched))
    told: list[int | None] = []
    matching(f"{long}/*.img", lambda _folder, error: told.append(error.errno))
    assert told == [errno.ENAMETOOLONG]


def test_what_was_overlooked_is_of_the_last_look(tmp_path: Path) -> None:
    some = source(tmp_path / "*.img")
    assert not some.overlooked()
    some.discover()
    assert len(some.overlooked()) == 1
    image(tmp_path / "a.img")
    some.discover()
    assert not some.overlooked()


def test_a_file_that_a_restore_left_is_no_match(tmp_path: Path) -> None:
    image(tmp_path / "a.img.drd-restoring-00ff00ff")
    some = source(tmp_path / "*.img*")
    assert labels(some.discover()) == []
    assert len(some.overlooked()) == 1


def test_a_path_without_wildcards_that_leads_nowhere_is_doubted(tmp_path: Path) -> None:
    some = source(image(tmp_path / "a.img"), tmp_path / "gone.img")
    (doubt,) = some.doubts()
    assert str(tmp_path / "gone.img") in doubt
    some.discover()
    assert not some.overlooked(), "freeze tells of it"


@pytest.mark.parametrize("written", ["images/*.img", "images/a.img", "*/a.img"])
def test_the_folder_of_the_configuration_is_no_part_of_a_pattern(
    tmp_path: Path, written: str
) -> None:
    folder = tmp_path / "we[ird]* ?"
    (folder / "images").mkdir(parents=True)
    image(folder / "images" / "a.img")
    path = folder / "drd.toml"
    path.write_text(
        '[repository]\nurl = "file:///srv/drd"\n[keys]\nfile = "k"\n'
        f'[source.disks]\ntype = "device"\npaths = ["{written}"]\n'
    )
    config = load_config(path)
    assert config.keys.file == folder / "k", "a path is none that is written in letters of patterns"
    (found,) = make_source("disks", config.source["disks"]).discover()
    assert found.identity == f"device:{os.path.realpath(folder)}/images/a.img"
