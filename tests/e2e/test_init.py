"""An init that was killed half-way: what it left is called that, and what to do is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.site import Site, tree


@pytest.fixture
def begun(tmp_path: Path) -> Site:
    """A site on which init has come as far as the files of the host."""
    site = Site(tmp_path / "site").made()
    shutil.rmtree(site.repository)
    return site


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("left", [("key",), ("sheet",), ("key", "sheet")])
def test_files_that_an_init_left_are_told_from_those_that_are_needed(
    begun: Site, left: tuple[str, ...], *, empty: bool
) -> None:
    paths = {"key": begun.key, "sheet": begun.sheet}
    for name, path in paths.items():
        if name not in left:
            path.unlink()
        elif empty:
            path.write_bytes(b"")
    before = tree(begun.folder)
    answer = begun.run("init")
    assert answer.code == 15
    assert f"no repository is at {begun.url}" in answer.error["hint"]
    for name in left:
        assert str(paths[name]) in answer.error["hint"]
    assert tree(begun.folder) == before
    for name in left:
        paths[name].rename(f"{paths[name]}.away")
    assert begun.run("init").code == 0


def only_trust(site: Site) -> None:
    """What init has put when it is killed before its last object."""
    for path in site.repository.iterdir():
        if path.name not in ("trust", "reader"):
            shutil.rmtree(path)


def test_a_repository_that_never_was_is_not_called_damaged(tmp_path: Path) -> None:
    site = Site(tmp_path / "site").made()
    site.image()
    only_trust(site)
    for command in (("backup",), ("ls",), ("restore", "disks/a.img", "--to", "-"), ("init",)):
        answer = site.run(*command)
        assert answer.code == (15 if command == ("init",) else 10)
        reply = answer.reply_on_stderr if "-" in command else answer.reply
        (error,) = reply["errors"]
        assert "an init that did not end" in error["message"]
        assert "trust/1" in error["object"] + error["hint"]
        assert "run it again" in error["hint"]
    (site.repository / "trust" / "1").unlink()
    site.key.unlink()
    site.sheet.unlink()
    assert site.run("init").code == 0


def test_a_repository_that_was_is_damaged_without_its_format(tmp_path: Path) -> None:
    """By what this host knows, or by what else lies there."""
    site = Site(tmp_path / "site").made()
    site.image()
    site.backup()
    shutil.rmtree(site.repository / "format")
    shutil.rmtree(site.state)
    assert site.run("ls").code == 11
    other = Site(tmp_path / "other").made()
    assert other.run("ls").code == 0
    only_trust(other)
    answer = other.run("ls")
    assert answer.code == 11
    assert "put format/1 back" in answer.error["hint"]
