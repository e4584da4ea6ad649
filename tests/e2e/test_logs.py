"""``drctl logs``: what verifies and prunes did of one image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drd.model import Deed, Json, Outcome
from tests.e2e.known import backed_up, failed, house_of, image_of, note_failure, watched
from tests.e2e.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return watched(tmp_path)


def test_the_verifies_and_prunes_of_an_image(site: Site) -> None:
    backed_up(site, "a")
    (row,) = site.run("status").reply["lineages"]
    begun = failed(image_of(site, "a"), "", run="c" * 16, subject=row["lineage"], label="")
    done = replace(
        begun, source="", lineage=row["lineage"], outcome=Outcome.DONE, exit_code=0, code=""
    )
    found: dict[str, Json] = {"level": 2, "points": 3, "findings": 0, "covered": 0.5}
    pruned: dict[str, Json] = {
        "points": 3,
        "doomed": 1,
        "deleted": 2,
        "spared": 0,
        "bytes_freed": 1 << 20,
    }
    bad = replace(
        done, outcome=Outcome.FAILED, exit_code=11, code="damage", message="a pack is gone"
    )
    with house_of(site) as house:
        diary = house.diary()
        diary.note_deed(Deed(replace(done, kind="verify", seq=7), found))
        diary.note_deed(Deed(replace(done, kind="prune"), pruned))
        diary.note_deed(Deed(replace(bad, kind="verify", hint="repair it"), {"level": 2}))
        diary.note_deed(Deed(replace(bad, kind="verify", subject="0b" * 16), {"level": 2}))
    wrong, prune, verify = site.run("logs", "disks/a.img").reply["runs"]
    for one in (wrong, prune, verify):
        assert (one["run"], one["name"], one["source"]) == ("c" * 16, "disks/a.img", "disks")
        assert one["ended"]
    assert (verify["kind"], verify["outcome"], verify["seq"]) == ("verify", "done", 7)
    assert {name: verify[name] for name in found} == found
    assert verify["deleted"] is None
    assert {name: prune[name] for name in pruned} == pruned
    assert prune["level"] is None
    assert (wrong["exit"], wrong["code"], wrong["hint"]) == (11, "damage", "repair it")
    told = site.told("logs", "disks/a.img").text
    assert "level 2: 0 findings in 3 points" in told
    assert "1 doomed, 2 deleted, 1.0 MiB freed" in told
    assert told.splitlines()[-1] == "what to do: repair it"


def test_a_verify_that_failed_before_it_came_to_an_image_is_told(site: Site) -> None:
    backed_up(site, "a")
    away = failed(image_of(site, "a"), "the bucket is away", run="1" * 16, label="")
    verify = replace(away, kind="verify", subject="plain")
    runs = [
        verify,
        replace(verify, run="2" * 16, message="damage elsewhere"),
        replace(verify, run="3" * 16, message="", outcome=Outcome.DONE),
        replace(verify, run="4" * 16, subject="gold", message="of another policy"),
        replace(verify, run="5" * 16, message="killed", outcome=Outcome.STALLED, code="stalled"),
        replace(away, run="6" * 16, kind="prune", subject="bucket", message="no prune"),
    ]
    for one in runs:
        note_failure(site, one)
    with house_of(site) as house:
        for number in "25":
            elsewhere = replace(verify, run=number * 16, subject="0b" * 16, lineage="0b" * 16)
            house.diary().note_deed(Deed(elsewhere, {"level": 2}))
    told = site.run("logs", "disks/a.img").reply["runs"]
    assert {one["message"] for one in told} == {"the bucket is away", "killed", "no prune"}
