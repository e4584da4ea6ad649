"""A repository that is not mounted: nobody is led to a new, empty one in its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.site import Site, tree


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A host that backed up, and whose repository's disk is elsewhere now."""
    made = Site(tmp_path / "site").made()
    made.image()
    made.backup()
    made.repository.rename(tmp_path / "unmounted")
    return made


def known(site: Site) -> str:
    (file,) = site.state.glob("*/repository")
    return file.read_text().strip()


@pytest.mark.parametrize("empty", [False, True], ids=["gone", "empty"])
def test_who_forgot_to_mount_is_not_sent_to_init(site: Site, *, empty: bool) -> None:
    if empty:
        site.repository.mkdir()
    for verb in ("backup", "ls", "verify"):
        answer = site.run(verb)
        assert answer.code == 10, answer.text
        assert known(site) in answer.error["message"]
        assert "mount its disk" in answer.error["hint"]
        assert "init" not in answer.error["hint"]


@pytest.mark.parametrize("empty", [False, True], ids=["gone", "empty"])
@pytest.mark.parametrize("keys", [False, True], ids=["no key file", "key file"])
def test_init_makes_no_repository_in_the_place_of_another(
    site: Site, *, empty: bool, keys: bool
) -> None:
    if empty:
        site.repository.mkdir()
    if not keys:
        site.key.rename(f"{site.key}.away")
        site.sheet.rename(f"{site.sheet}.away")
    before, repository = tree(site.folder), known(site)
    answer = site.run("init")
    assert answer.code == 15, answer.text
    assert repository in answer.error["message"]
    assert "did not end" not in answer.error["hint"]
    (folder,) = (path.parent for path in site.state.glob("*/repository"))
    assert str(folder) in answer.error["hint"], "what to do where it really is wanted"
    assert tree(site.folder) == before
    assert site.repository.exists() is empty
    shutil.rmtree(folder)
    for path in (site.key, site.sheet):
        path.unlink(missing_ok=True)
    assert site.run("init").code == 0


def test_a_repository_that_is_here_is_told_as_that(site: Site, tmp_path: Path) -> None:
    (tmp_path / "unmounted").rename(site.repository)
    answer = site.run("init")
    assert answer.code == 15
    assert "there is a repository here already" in answer.error["message"]


def test_before_init_the_missing_key_file_names_init(tmp_path: Path) -> None:
    site = Site(tmp_path / "new")
    site.configure()
    site.image()
    answer = site.run("backup")
    assert answer.code == 12
    assert "'drctl init'" in answer.error["hint"]
    assert site.url not in answer.text
    tried = site.run("check-config", "--online")
    assert tried.code == 2
    rows = [
        (one["level"], one["key"]) for one in tried.reply["findings"] if one["level"] == "error"
    ]
    assert rows == [("error", "keys.file")], "the url is not to blame for it"
    (bare,) = [one for one in tried.reply["findings"] if "without a policy" in one["message"]]
    assert "metadata" not in bare["hint"], "a file has none"
    made = Site(tmp_path / "made").made()
    made.image()
    made.backup()
    made.key.unlink()
    assert "init" not in made.run("backup").error["hint"]
