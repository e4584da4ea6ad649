"""Hints that can be followed, and words that say what a command does."""

from __future__ import annotations

from pathlib import Path

from drd.cli.verify import GONE_HINT, hint_of
from drd.work.verify import Finding, Proof
from tests.e2e import drctl
from tests.e2e.known import image_of, note, watched

FOUND = (Finding("disks/a.img@3", "p/00", "is gone"),)


def test_damage_that_a_repair_may_heal_names_it_first() -> None:
    hint = hint_of(Proof("disks/a.img@3", 1, 0, 0, FOUND), repaired=False)
    assert hint.startswith("'drctl verify disks/a.img --all --repair --level 2'")
    assert "--best-effort" in hint


def test_a_repair_is_not_named_where_it_cannot_help() -> None:
    assert "--repair" not in hint_of(Proof("disks/a.img@3", 1, 0, 0, FOUND), repaired=True)
    assert "--repair" not in hint_of(Proof("disks/a.img@3", 4, 0, 0, FOUND), repaired=False)
    gone = Proof("disks/a.img@3", 1, 0, 0, FOUND, hint=GONE_HINT)
    assert hint_of(gone, repaired=False) == GONE_HINT


def test_logs_of_an_image_that_the_daemon_never_ran_say_so(tmp_path: Path) -> None:
    site = watched(tmp_path)
    note(site, image_of(site, "a"))
    assert "the daemon has made no run of it yet" in site.told("logs", "disks/a.img").text


def test_the_help_of_status_tells_the_codes_of_its_check() -> None:
    text = drctl.here("status", "--help").text
    assert "Exits with 0 whatever the states are" in " ".join(text.split())
