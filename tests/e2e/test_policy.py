"""``drctl policy preview``: which times would be kept, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drd.core.sheet import decode_sheet
from drd.core.trust import (
    TRUST,
    decode_document,
    document_to_sign,
    encode_body,
    encode_document,
)
from drd.model import Json
from tests.e2e import drctl
from tests.e2e.drctl import Answer
from tests.e2e.site import Site, scatter

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


def preview(tmp_path: Path, keep: str, times: list[str], *more: str) -> Answer:
    path = tmp_path / "times"
    path.write_text("\n".join(times))
    arguments = ("policy", "preview", "--keep", keep, "--times", str(path), "--json")
    return drctl.here(*arguments, *(more or ("--now", NOW.isoformat())))


def test_a_decision_has_time_keep_and_reasons(tmp_path: Path) -> None:
    hours = [NOW - timedelta(hours=number) for number in range(100)]
    answer = preview(tmp_path, "hourly=24,daily=7", [one.isoformat() for one in hours])
    assert answer.code == 0
    decisions = answer.reply["decisions"]
    assert len(decisions) == 100
    for one in decisions:
        assert set(one) == {"time", "keep", "reasons"}
        assert one["time"].endswith("Z")
        assert isinstance(one["keep"], bool)
        assert one["reasons"]
        assert all(isinstance(reason, str) for reason in one["reasons"])
    kept = {datetime.fromisoformat(one["time"]) for one in decisions if one["keep"]}
    assert set(hours[:24]) <= kept
    days = {one.date() for one in kept}
    assert len(days) == 5
    assert len(kept) == 24 + 3 + 1  # and the oldest: daily has found five of its seven


def test_it_needs_no_configuration_and_the_clock_is_the_default(tmp_path: Path) -> None:
    past = preview(tmp_path, "last=1", ["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"], "--json")
    assert [one["keep"] for one in past.reply["decisions"]] == [False, True]


def test_times_with_any_offset(tmp_path: Path) -> None:
    answer = preview(tmp_path, "daily=1", ["2026-11-20T23:30:00-02:00", "2026-11-21T00:30:00Z", ""])
    assert [one["time"] for one in answer.reply["decisions"]] == [
        "2026-11-21T00:30:00Z",
        "2026-11-21T01:30:00Z",
    ]


@pytest.mark.parametrize(
    "keep, times, now",
    [
        ("hourly=x", ["2026-11-21T00:30:00Z"], "2026-11-21T10:00:00Z"),
        ("hourlie=3", ["2026-11-21T00:30:00Z"], "2026-11-21T10:00:00Z"),
        ("hourly=3", ["2026-11-21T00:30:00"], "2026-11-21T10:00:00Z"),
        ("hourly=3", ["yesterday"], "2026-11-21T10:00:00Z"),
        ("hourly=3", ["2026-11-21T00:30:00Z"], "2026-11-21T10:00:00"),
    ],
)
def test_wrong_input_is_usage(tmp_path: Path, keep: str, times: list[str], now: str) -> None:
    answer = preview(tmp_path, keep, times, "--now", now)
    assert answer.code == 2
    assert answer.error["hint"]
    assert answer.reply["decisions"] == []


def test_an_unknown_rule_names_the_nearest(tmp_path: Path) -> None:
    error = preview(tmp_path, "hourlie=3", []).error
    assert "hourly" in error["message"] + error["hint"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "none")
    answer = drctl.here("policy", "preview", "--keep", "last=1", "--times", path, "--json")
    assert answer.code == 2
    assert answer.error["object"] == path


def test_for_people(tmp_path: Path) -> None:
    path = tmp_path / "times"
    path.write_text("2026-11-21T00:30:00Z\n")
    answer = drctl.here("policy", "preview", "--keep", "daily=7", "--times", str(path))
    assert answer.code == 0
    assert "2026-11-21T00:30:00Z" in answer.text
    assert "newest" in answer.text


# ── policies of the configuration, points of an image ───────────────────────────────────────────
GOLD = """
[policy.gold]
every = "1h"
timezone = "Europe/Stockholm"
keep = { hourly = 2, daily = -1 }
min_points = 2

[policy.archive]
every = "1d"
"""


def test_the_rules_and_the_zone_of_a_policy(site: Site) -> None:
    site.configure(extra=GOLD)
    times = site.folder / "times"
    # 22:30Z and 23:30Z are two days of Stockholm, and one of UTC; so are the hours.
    times.write_text(
        "2026-11-19T22:30:00Z\n2026-11-19T23:30:00Z\n2026-11-20T10:00:00Z\n2026-11-20T11:00:00Z\n"
    )
    asked = ("policy", "preview", "--policy", "gold", "--times", str(times))
    decisions = site.run(*asked).reply["decisions"]
    assert [one["keep"] for one in decisions] == [True, False, True, True]
    assert decisions[0]["reasons"] == ["daily 2026-11-19 (2 of all)"]
    decisions = site.run(*asked, "--timezone", "UTC").reply["decisions"]
    assert [one["keep"] for one in decisions] == [True, True, True, True]
    assert decisions[0]["reasons"] == ["daily: oldest, with room (2 of all)"]
    decisions = site.run(*asked, "--now", "2026-11-19T22:30:00Z").reply["decisions"]
    assert decisions[-1]["reasons"] == ["in the future"]


def test_a_policy_without_rules_keeps_all(site: Site) -> None:
    site.configure(extra=GOLD)
    times = site.folder / "times"
    times.write_text("2026-11-19T22:30:00Z\n2026-11-20T10:00:00Z\n")
    answer = site.run("policy", "preview", "--policy", "archive", "--times", str(times))
    assert {tuple(one["reasons"]) for one in answer.reply["decisions"]} == {
        ("the policy has no keep rules",)
    }


def test_the_points_of_an_image(site: Site) -> None:
    site.configure(extra=GOLD)
    path = site.image()
    made = []
    for _ in range(3):
        made += site.backup()
        scatter(path, 1)
    answer = site.run("policy", "preview", "disks/a.img", "--keep", "last=1,minimum=2")
    assert answer.code == 0, answer.text
    assert [(one["seq"], one["keep"]) for one in answer.reply["decisions"]] == [
        (1, False),
        (2, True),
        (3, True),
    ]
    assert [one["time"] for one in answer.reply["decisions"]] == [one["time"] for one in made]
    assert answer.reply["decisions"][1]["reasons"] == ["minimum of 2"]
    told = site.told("policy", "preview", "disks/a.img", "--policy", "gold")
    assert told.code == 0
    assert "newest, hourly" in told.text


def test_an_image_is_judged_by_the_policy_that_covers_it(site: Site) -> None:
    path = site.image()
    for _ in range(3):
        site.backup()
        scatter(path, 1)
    plain = site.sources
    asked = ("policy", "preview", "disks/a.img")
    site.configure(sources=plain + 'policy = "gold"\n', extra=GOLD)
    answer = site.run(*asked)
    assert answer.reply["policy"] == "gold"
    assert answer.reply["decisions"] == site.run(*asked, "--policy", "gold").reply["decisions"]
    assert "by policy gold" in site.told(*asked).text
    site.configure(sources=plain + 'policy = "archive"\n', extra=GOLD)
    told = site.run(*asked)
    assert (told.reply["policy"], told.reply["decisions"][0]["keep"]) == ("archive", True)
    assert site.run(*asked, "--keep", "last=1").reply["policy"] is None


def test_an_image_that_no_policy_covers_has_to_be_given_one(site: Site) -> None:
    site.image()
    site.backup()
    asked, plain = ("policy", "preview", "disks/a.img"), site.sources
    site.configure(extra=GOLD)
    answer = site.run(*asked)
    assert answer.code == 2
    assert "no policy covers it" in answer.error["message"]
    assert answer.error["object"] == "disks/a.img"
    assert 'policy = "archive" below [source.disks]' in answer.error["hint"]
    assert "--policy archive" in answer.error["hint"]
    site.configure(sources=plain.replace("[source.disks]", "[source.disk]"), extra=GOLD)
    assert "nearest is 'disk'" in site.run(*asked).error["hint"]


def root_says(site: Site, *keys: Json) -> None:
    """Another trust document, as no verb writes it yet: what the first says, and *keys* besides."""
    private = decode_sheet(site.sheet.read_text()).root_private
    assert private is not None
    root = Ed25519PrivateKey.from_private_bytes(private)
    body = decode_document((site.repository / "trust" / "1").read_bytes(), TRUST).body
    assert isinstance(body["keys"], list)
    text = encode_body(dict(body) | {"n": 2, "keys": [*body["keys"], *keys]})
    public, signature = (
        root.public_key().public_bytes_raw(),
        root.sign(document_to_sign(TRUST, text)),
    )
    (site.repository / "trust" / "2").write_bytes(encode_document(TRUST, text, public, signature))


def test_the_last_good_point_of_a_revoked_key_says_why_it_stays(site: Site) -> None:
    rules = GOLD.replace("hourly = 2, daily = -1", "last = 1").replace("= 2", "= 1")
    site.configure(sources=site.sources + 'policy = "gold"\n', extra=rules)
    path = site.image()
    made = []
    for _ in range(3):
        made += site.backup()
        scatter(path, 1)
    (manifest,) = (site.repository / "m").glob(f"*/*/{9999999999 - 1:010}")
    good: Json = {
        "lineage": made[0]["lineage"],
        "seq": 1,
        "sha256": sha256(manifest.read_bytes()).hexdigest(),
    }
    when = "2026-01-01T00:00:00Z"
    thief: Json = {
        "key": "00" * 32,
        "roles": ["host"],
        "tenants": [],
        "revoked_at": when,
        "revoked": [good],
    }
    root_says(site, thief)
    why = "trust names it as the last good point of a revoked key"
    answer = site.run("policy", "preview", "disks/a.img", "--keep", "last=1")
    assert answer.code == 0, answer.text
    assert [(one["keep"], one["reasons"][0]) for one in answer.reply["decisions"]] == [
        (True, why),
        (False, "no rule keeps it"),
        (True, "newest"),
    ]
    told = site.told("prune", "--dry-run", "disks/a.img").text
    (line,) = [one for one in told.splitlines() if one.startswith("disks/a.img@1 ")]
    assert line.endswith(f"keep: {why}"), told


@pytest.mark.parametrize(
    "arguments, code, told",
    [
        (("--policy", "golf", "--times", "-"), 10, "gold"),
        (("--policy", "gold", "--keep", "last=1", "--times", "-"), 2, "--keep or --policy"),
        (("--times", "-"), 2, "--keep or --policy"),
        (("--policy", "gold"), 2, "--times"),
        (("disks/a.img", "--times", "-", "--policy", "gold"), 2, "--times"),
        (("disks/b.img", "--policy", "gold"), 10, "drctl ls"),
        (("--policy", "gold", "--times", "-", "--timezone", "Europe/Stokholm"), 2, "Stockholm"),
        (("--keep", "last=-2", "--times", "-"), 2, "from -1"),
    ],
)
def test_what_cannot_be_previewed(
    site: Site, arguments: tuple[str, ...], code: int, told: str
) -> None:
    site.configure(extra=GOLD)
    answer = site.run("policy", "preview", *arguments)
    assert answer.code == code
    assert told in answer.error["message"] + answer.error["hint"]
    assert answer.reply["decisions"] == []
