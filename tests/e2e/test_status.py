"""``drctl status``, its check, and ``drctl logs``: what this host knows, for people and for programs."""

from __future__ import annotations

import re
import socket
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from drd.model import Damage, Hold, Outcome, Proven
from drd.wiring.clock import now
from drd.wiring.standing import PRUNE, RELOAD
from tests.daemon.service import running, until
from tests.e2e.known import (
    HOUR,
    POLICIES,
    backed_up,
    failed,
    house_of,
    image_of,
    note,
    note_failure,
    watched,
)
from tests.e2e.site import Site

PLUGIN = re.compile(r"DRD (OK|WARNING|CRITICAL|UNKNOWN) - [^|]+( \| [^|]+)?")
NUMBER = re.compile(r"[a-z_]+=(\d+s?|U)(;\d*){0,4}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return watched(tmp_path)


def states(site: Site) -> dict[str, str]:
    answer = site.run("status")
    assert answer.code == 0, answer.text
    return {row["name"]: row["state"] for row in answer.reply["lineages"]}


# ── for a person and in JSON ────────────────────────────────────────────────────────────────────


def test_a_host_that_knows_nothing_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.configure(extra=POLICIES)
    answer = site.run("status")
    assert answer.code == 0
    assert answer.reply["lineages"] == []
    assert "knows nothing" in answer.reply["warnings"][0]
    assert not site.state.exists()


def test_the_fields_of_the_contract(site: Site) -> None:
    backed_up(site, "a")
    note_failure(site, replace(failed(image_of(site, "a")), outcome=Outcome.DONE, message=""))
    reply = site.run("status").reply
    (row,) = reply["lineages"]
    (lineage,) = site.run("ls").reply["lineages"]
    assert row == {
        "name": "disks/a.img",
        "source": "disks",
        "policy": "plain",
        "state": "ok",
        "point": lineage["time"],
        "age_s": row["age_s"],
        "rpo_s": 7200,
        "next_run": row["next_run"],
        "points": 1,
        "size": lineage["bytes_logical"],
        "verified": [],
        "failures": 2,
        "last_run": {
            "outcome": "done",
            "code": "store",
            "message": "",
            "ended": row["last_run"]["ended"],
        },
        "first_seen": row["first_seen"],
        "lineage": lineage["lineage"],
        "identity": lineage["identity"],
        "message": "",
    }
    assert 0 < row["age_s"] < 600
    assert now() < datetime.fromisoformat(row["next_run"]) <= now() + HOUR
    assert reply["summary"]["ok"] == 1
    assert sum(reply["summary"].values()) == 1
    assert reply["ticked"] <= reply["as_of"]
    assert reply["warnings"] == []


def test_it_needs_no_key_no_bucket_and_no_image(site: Site) -> None:
    backed_up(site, "a")
    site.key.unlink()
    site.repository.rename(site.folder / "away")
    (site.images / "a.img").unlink()
    assert states(site) == {"disks/a.img": "ok"}


def test_the_worst_comes_first(site: Site) -> None:
    backed_up(site, "a", "b", "c", "d")
    images = {name: image_of(site, name) for name in "abcdefg"}
    old = now() - 9 * HOUR
    with house_of(site) as house:
        catalogue, tenant = house.catalogue(), house.tenant()
        assert tenant
        heads = {head.name: head for head in catalogue.heads(tenant)}
        lineage = heads["disks/d.img"].lineage
        catalogue.note_damage(tenant, lineage, Damage(1, 2, now(), "p/1: gone"))
        catalogue.learn(
            replace(point, point_at=old)
            for point in catalogue.points_of(tenant, heads["disks/c.img"].lineage)
        )
    note_failure(site, failed(images["b"]))
    note(
        site,
        replace(images["e"], first_seen=old),
        replace(images["f"], policy=""),
        images["g"],
    )
    note(site, replace(images["a"], gone_at=now()))
    assert list(states(site).items()) == [
        ("disks/c.img", "late"),
        ("disks/e.img", "never"),
        ("disks/d.img", "damaged"),
        ("disks/b.img", "failing"),
        ("disks/f.img", "unprotected"),
        ("disks/a.img", "gone"),
        ("disks/g.img", "waiting"),
    ]
    told = site.told("status").text.splitlines()
    assert re.match(r"name +point +age +next run +verified +state +why$", told[0])
    assert re.match(r"disks/c\.img +\S+ \S+Z +9h / 2h +now +- +late +the newest point", told[1])
    assert "no route to host" in told[4]
    assert told[-1].startswith(
        "7 lineages: 1 late, 1 never, 1 damaged, 1 failing, 1 unprotected, 1"
    )
    assert "\x1b" not in site.told("status").text


def test_names_patterns_and_ids(site: Site) -> None:
    backed_up(site, "a", "b")
    rows = site.run("status").reply["lineages"]
    for name in ("disks/b.img", "disks/b*", rows[1]["lineage"], rows[1]["identity"]):
        assert site.run("status", name).reply["lineages"][0]["name"] == "disks/b.img"
    answer = site.run("status", "disks/bb.img")
    assert answer.code == 10
    assert "disks/b.img" in answer.error["hint"]


def test_verifies_and_damage_are_told(site: Site) -> None:
    backed_up(site, "a")
    with house_of(site) as house:
        tenant = house.tenant()
        assert tenant
        (head,) = house.catalogue().heads(tenant)
        proof = Proven(head.lineage, 2, 1, now() - 3 * HOUR, ok=True, covered=0.5)
        house.catalogue().note_proven(tenant, [proof])
        house.catalogue().note_holds(tenant, head.lineage, [Hold(head.lineage, 1, now(), "w", "b")])
    (row,) = site.run("status").reply["lineages"]
    (result,) = row["verified"]
    assert result | {"time": ""} == {
        "level": 2,
        "time": "",
        "seq": 1,
        "ok": True,
        "findings": 0,
        "covered": 0.5,
    }
    assert "L2 3h ago" in site.told("status").text


def test_a_file_that_cannot_be_read_is_2_and_is_left_alone(site: Site) -> None:
    backed_up(site, "a")
    (file,) = site.state.glob("*/catalogue.sqlite")
    for beside in file.parent.glob("catalogue.sqlite-*"):
        beside.unlink()
    file.write_bytes(b"no database" * 1000)
    answer = site.run("status")
    assert answer.code == 2
    assert answer.error["object"] == str(file)
    assert file.read_bytes() == b"no database" * 1000


def test_a_silent_daemon_is_a_warning(site: Site) -> None:
    backed_up(site, "a")
    note(site, ticked=now() - timedelta(minutes=6))
    (warning,) = site.run("status").reply["warnings"]
    assert "silent for 6m" in warning


@pytest.mark.parametrize("kind, subject", [PRUNE, RELOAD])
def test_a_prune_that_fails_and_a_refused_reload_are_told_until_one_succeeds(
    site: Site, kind: str, subject: str
) -> None:
    backed_up(site, "a")
    bad = replace(failed(image_of(site, "a"), "not so"), kind=kind, subject=subject, label="")
    first = replace(bad, run="cd" * 8, started_at=bad.started_at - 3 * HOUR)
    note_failure(site, first)
    note_failure(site, bad)
    (warning,) = site.run("status").reply["warnings"]
    assert "not so" in warning
    assert ("nothing is deleted" in warning) == (kind == "prune")
    since = first if kind == "prune" else bad
    assert f"{since.started_at:%Y-%m-%dT%H:%M:%S}" in warning
    code, line = check(site)
    assert code == 1
    assert "not so" in line
    note_failure(site, replace(bad, run="ef" * 8, outcome=Outcome.DONE, message=""))
    assert site.run("status").reply["warnings"] == []
    assert check(site)[0] == 0


def test_a_daemon_that_ended_is_told_of_at_once_and_runs_nothing(site: Site) -> None:
    backed_up(site, "a")
    run = replace(failed(image_of(site, "a")), ended_at=None, outcome=None)
    with house_of(site) as house:
        house.diary().begin_run(run)
    assert states(site) == {"disks/a.img": "running"}
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(site.state / "control.sock"))
        left.listen()
        assert states(site) == {"disks/a.img": "running"}
        assert site.run("status").reply["warnings"] == []
    reply = site.run("status").reply
    assert [row["state"] for row in reply["lineages"]] == ["ok"]
    assert "no daemon runs on this host" in reply["warnings"][0]
    code, line = check(site)
    assert code == 0, "a restart raises no alarm"
    assert "no daemon runs on this host" in line


# ── the check ───────────────────────────────────────────────────────────────────────────────────


def check(site: Site, *arguments: str) -> tuple[int, str]:
    """Exit code and first line, which has the form that Nagios wants."""
    answer = site.told("status", "--check", *arguments)
    first, *rest = answer.text.splitlines()
    assert PLUGIN.fullmatch(first), first
    word = first.split()[1]
    assert ("OK", "WARNING", "CRITICAL", "UNKNOWN").index(word) == answer.code
    assert not any("|" in line for line in rest)
    assert answer.err == ""
    _, _, numbers = first.partition(" | ")
    for number in numbers.split():
        assert NUMBER.fullmatch(number), number
    as_json = site.run("status", "--check", *arguments)
    assert as_json.code == answer.code
    assert as_json.reply["check"]["status"] == word
    return answer.code, first


def test_all_is_well(site: Site) -> None:
    backed_up(site, "a", "b")
    code, first = check(site)
    assert code == 0
    assert " lineages=2;" in first


@pytest.mark.parametrize("state", ["late", "never", "damaged"])
def test_what_was_missed_is_critical_even_when_the_daemon_is_silent(site: Site, state: str) -> None:
    backed_up(site, "a", "b")
    old = now() - 9 * HOUR
    if state == "never":
        note(site, image_of(site, "e|vil", first_seen=old))
    with house_of(site) as house:
        catalogue, tenant = house.catalogue(), house.tenant()
        assert tenant
        head = catalogue.heads(tenant)[0]
        if state == "damaged":
            catalogue.note_damage(tenant, head.lineage, Damage(1, 2, now(), "p/1: gone"))
        if state == "late":
            points = catalogue.points_of(tenant, head.lineage)
            catalogue.learn(replace(point, point_at=old) for point in points)
    code, first = check(site)
    assert code == 2
    assert f"1 {state} (disks/" in first
    assert f" {state}=1;;0;0" in first
    note(site, ticked=old)
    assert check(site)[0] == 2


def test_what_may_be_missed_soon_is_a_warning(site: Site) -> None:
    backed_up(site, "a", "b")
    note(site, image_of(site, "c", policy=""))
    code, first = check(site)
    assert code == 1
    assert "1 unprotected (disks/c.img)" in first
    assert check(site, "disks/a.img")[0] == 0, "only what is asked for"
    note_failure(site, failed(image_of(site, "a")))
    code, first = check(site, "disks/a.img")
    assert code == 1
    assert "1 failing" in first
    assert "no route to host" in site.told("status", "--check").text


def test_an_overdue_verify_is_a_warning(site: Site) -> None:
    backed_up(site, "a")
    with house_of(site) as house:
        (image,) = house.diary().images()
        house.diary().drop_images([image.identity])
        gold = replace(image, policy="gold", first_seen=now() - 50 * HOUR)
        house.diary().note_images([gold])
        tenant = house.tenant()
        assert tenant
        (head,) = house.catalogue().heads(tenant)
        house.catalogue().note_proven(tenant, [], whole=True)
    code, first = check(site)
    assert code == 1
    assert "1 verify overdue" in first
    assert "verify_overdue=1;" in first
    with house_of(site) as house:
        house.catalogue().note_proven(tenant, [Proven(head.lineage, 2, 1, now(), ok=True)])
    assert check(site)[0] == 0


def test_a_verify_is_not_called_overdue_before_the_results_were_learnt(site: Site) -> None:
    """A catalogue that was lost knows the images again, and their points, before it knows the results."""
    backed_up(site, "a")
    with house_of(site) as house:
        (image,) = house.diary().images()
        house.diary().drop_images([image.identity])
        house.diary().note_images([replace(image, policy="gold", first_seen=now() - 50 * HOUR)])
    code, first = check(site)
    assert code == 3
    assert "1 verify unknown" in first
    assert "verify_overdue=U;" in first
    assert "overdue" not in first.partition(" | ")[0]
    assert " unknown " in site.told("status").text
    assert site.run("catalogue", "rebuild").code == 0
    code, first = check(site)
    assert code == 1
    assert "1 verify overdue" in first
    note(site, image_of(site, "c", policy=""))
    with house_of(site) as house:
        catalogue, tenant = house.catalogue(), house.tenant()
        assert tenant
        points = catalogue.points(tenant)
        catalogue.clear()
        catalogue.learn(points)
    code, first = check(site)
    assert code == 1, "what is wrong for sure counts more"
    assert "1 unprotected (disks/c.img), 1 verify unknown" in first


@pytest.mark.parametrize(
    "why", ["no daemon", "silent", "clock set back", "no file", "damaged file", "no config"]
)
def test_what_cannot_be_known_is_unknown(site: Site, why: str) -> None:
    site.image("a.img")
    site.backup()
    if why == "silent":
        note(site, image_of(site, "a"), ticked=now() - timedelta(minutes=6))
    elif why == "clock set back":
        note(site, image_of(site, "a"), ticked=now() + HOUR)
    elif why != "no daemon":
        note(site, image_of(site, "a"))
    (file,) = site.state.glob("*/catalogue.sqlite")
    if why == "no file":
        file.unlink()
    if why == "damaged file":
        file.write_bytes(b"no database" * 1000)
    if why == "no config":
        site.config.write_text("[repository")
    assert check(site)[0] == 3


@pytest.mark.parametrize("arguments", [("--wrong",), ("--watch=1",), ("disks/none.img",)])
def test_a_check_that_is_called_wrongly_is_unknown_too(
    site: Site, arguments: tuple[str, ...]
) -> None:
    backed_up(site, "a")
    answer = site.told("status", "--check", *arguments)
    assert answer.code == 3
    assert PLUGIN.fullmatch(answer.text.splitlines()[0])


# ── logs ────────────────────────────────────────────────────────────────────────────────────────


def test_the_last_runs_of_an_image_and_what_to_do(site: Site) -> None:
    image = image_of(site, "a")
    note(site, image)
    for number in range(3):
        note_failure(site, failed(image, f"try {number}", run=f"{number:016x}"))
    done = failed(image, "", run="f" * 16, seq=7, bytes_read=1 << 20, seconds=61.5)
    note_failure(site, replace(done, outcome=Outcome.DONE, exit_code=0, code=""))
    answer = site.run("logs", "disks/a.img", "--limit", "3")
    assert answer.code == 0
    newest, *others = answer.reply["runs"]
    assert [one["message"] for one in others] == ["try 2", "try 1"]
    assert newest["outcome"] == "done"
    assert newest["seq"] == 7
    assert newest["hint"] == ""
    assert (newest["bytes_read"], newest["seconds"]) == (1 << 20, 61.5)
    for one in others:
        assert one["outcome"] == "failed"
        assert (one["exit"], one["code"]) == (13, "store")
        assert "drctl doctor" in one["hint"]
        assert one["ended"]
    note_failure(site, failed(image, "again", run="e" * 16))
    told = site.told("logs", "disks/a.img").text
    assert len(told.splitlines()) == 1 + 5 + 1
    assert "1m 2s" in told
    assert told.splitlines()[-1].startswith("what to do: 'drctl doctor'")


def test_runs_of_a_lineage_a_source_and_a_renamed_image(site: Site) -> None:
    backed_up(site, "a")
    note(site, image_of(site, "a", label="disks/new.img", renamed_from="disks/a.img"))
    (row,) = site.run("status").reply["lineages"]
    image = image_of(site, "a")
    note_failure(site, failed(image, "of the image"))
    verify = failed(image, "of the lineage", run="c" * 16, kind="verify", subject=row["lineage"])
    note_failure(site, verify)
    look = failed(image, "of the source", run="d" * 16, kind="discover", subject="disks")
    note_failure(site, look)
    for name in ("disks/new.img", "disks/a.img", row["lineage"], row["identity"]):
        runs = site.run("logs", name).reply["runs"]
        assert [one["message"] for one in runs] == ["of the lineage", "of the image"]
    assert [one["message"] for one in site.run("logs", "disks").reply["runs"]] == ["of the source"]


def test_a_name_that_is_none_names_the_nearest(site: Site) -> None:
    backed_up(site, "a")
    answer = site.run("logs", "disks/aa.img")
    assert answer.code == 10
    assert "disks/a.img" in answer.error["hint"]
    assert answer.reply["runs"] == []


# ── with a real daemon ──────────────────────────────────────────────────────────────────────────


def test_what_a_daemon_does_is_what_status_and_logs_tell(site: Site, tmp_path: Path) -> None:
    site.image("a.img")
    with running(site.config, tmp_path / "log") as drd:
        (done,) = drd.wait_for("run_done", kind="backup")
        assert drd.stop() == 0
    (row,) = site.run("status").reply["lineages"]
    assert (row["name"], row["state"], row["points"]) == ("disks/a.img", "ok", 1)
    assert row["last_run"]["outcome"] == "done"
    (run,) = site.run("logs", "disks/a.img").reply["runs"]
    assert run["seq"] == done["seq"] == 1
    assert check(site)[0] == 0


def test_a_daemon_learns_what_others_made_and_proved(site: Site, tmp_path: Path) -> None:
    """Another node's points, and what the verify role found: with a state folder, or a disk, of its own."""
    backed_up(site, "a")
    assert site.run("hold", "add", "disks/a.img", "--why", "case 4711").code == 0
    assert site.run("verify", "disks/a.img", "--level", "2").code == 0
    site.state.rename(tmp_path / "another host")

    def learnt() -> bool:
        rows = site.run("status").reply["lineages"]
        return bool(rows) and bool(rows[0]["verified"])

    with running(site.config, tmp_path / "log") as drd:
        until(learnt, "it knows of the verify")
        assert drd.stop() == 0
    (row,) = site.run("status").reply["lineages"]
    assert (row["state"], row["points"], row["verified"][0]["level"]) == ("ok", 1, 2)
    with house_of(site) as house:
        assert [one.why for one in house.catalogue().holds(house.tenant() or b"")] == ["case 4711"]
