"""What a restore with the sheet says of the hold that a sheet cannot sign."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.site import Site


def test_that_nothing_holds_the_point_is_told_in_words_for_an_operator(tmp_path: Path) -> None:
    site = Site(tmp_path / "site").made()
    site.image()
    site.backup()
    to = f"file:{tmp_path}/restored.img"
    answer = site.run("restore", "disks/a.img", "--to", to, "--sheet", str(site.sheet))
    assert answer.code == 0, answer.text
    (warning,) = [one for one in answer.reply["warnings"] if one.startswith("nothing holds")]
    assert warning.endswith(": a sheet signs no hold")
