"""What drd-check says of a repository in a folder: each finding, and none without a cause."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from check import drd_check
from drd.core.trust import (
    FORMAT,
    TRUST,
    decode_document,
    document_to_sign,
    encode_body,
    encode_document,
)
from drd.model import Json
from drd.wiring import clock
from tests.unit.check.second import (
    CRITICAL,
    LAST_SEQ,
    OK,
    RPO,
    UNKNOWN,
    WARNING,
    Second,
    look,
)

DAY = timedelta(days=1)


@pytest.fixture
def second(tmp_path: Path) -> Second:
    """Two images, the second with two points."""
    made = Second(tmp_path / "site")
    made.back_up("a")
    made.back_up("b")
    made.back_up("b")
    return made


def lineage(second: Second, image: str) -> str:
    return next(
        one.lineage.hex() for one in reversed(second.written.results) if one.name == f"sim/{image}"
    )


def found(second: Second, image: str, *more: object) -> tuple[int, str]:
    """Exit code, and the finding of the image."""
    said = second.check(*more)
    return said.code, said.findings[lineage(second, image)]


# ── times ───────────────────────────────────────────────────────────────────────────────────────
def test_points_that_are_as_promised(second: Second) -> None:
    said = second.check()

    assert said.code == OK
    assert set(said.findings.values()) == {"ok"}
    assert {one["seq"] for one in said.reply["lineages"]} == {1, 2}
    assert said.reply["message"] == "2 of 2 lineages are as promised"


def test_a_promise_that_was_not_kept(tmp_path: Path) -> None:
    late = Second(tmp_path / "late", at=clock.now() - RPO - timedelta(minutes=10))
    late.back_up("a")

    assert found(late, "a") == (CRITICAL, "late")
    assert "was promised by" in late.check().words


def test_a_promise_counts_whatever_the_ages_say(tmp_path: Path) -> None:
    slow = Second(tmp_path / "slow", at=clock.now() - 9 * DAY)
    slow.back_up("a", promise=10 * DAY)

    assert found(slow, "a") == (OK, "ok")


@pytest.mark.parametrize(
    "age, code, finding",
    [(25, OK, "ok"), (27, WARNING, "old"), (51, CRITICAL, "late")],
)
def test_ages_count_where_nothing_is_promised(
    tmp_path: Path, age: int, code: int, finding: str
) -> None:
    made = Second(tmp_path / "site", at=clock.now() - timedelta(hours=age))
    made.back_up("a", promise=None)

    assert found(made, "a") == (code, finding)
    assert found(made, "a", "--warning", "3d", "--critical", "4d") == (OK, "ok")
    assert found(made, "a", "--warning", "1h", "--critical", "2h") == (CRITICAL, "late")


def test_a_point_in_the_future_is_no_comfort(tmp_path: Path) -> None:
    made = Second(tmp_path / "site", at=clock.now() + timedelta(minutes=20))
    made.back_up("a")

    assert found(made, "a") == (WARNING, "future")


def test_partial_points_keep_no_promise(tmp_path: Path) -> None:
    made = Second(tmp_path / "site", at=clock.now() - timedelta(hours=3))
    made.back_up("a", promise=timedelta(hours=2))
    made.clock.at = clock.now() - timedelta(minutes=5)
    made.partial("a")

    said = made.check()
    (row,) = said.reply["lineages"]
    assert (said.code, row["finding"]) == (CRITICAL, "late")
    assert row["seq"] > 1
    assert row["point_at"] < str(clock.now() - timedelta(hours=2))


def test_an_empty_repository_is_told(tmp_path: Path) -> None:
    said = Second(tmp_path / "site").check()

    assert said.code == WARNING
    assert "no lineage" in said.words


# ── damage, and who takes points away ───────────────────────────────────────────────────────────
def test_garbage_under_the_name_of_the_next_point(second: Second) -> None:
    folder = second.manifests(lineage(second, "b"))[0].parent
    (folder / f"{LAST_SEQ - 3:010}").write_bytes(b"garbage")

    said = second.check()
    assert (said.code, said.findings[lineage(second, "b")]) == (CRITICAL, "damaged")
    assert "point 3 does not verify" in said.words
    assert said.findings[lineage(second, "a")] == "ok"


@given(data=st.data())
def test_no_bit_of_a_manifest_can_be_changed(specimen: Specimen, data: st.DataObject) -> None:
    place, trust = specimen.place, specimen.trust
    at = data.draw(st.integers(0, 8 * len(specimen.manifest) - 1))
    changed = bytearray(specimen.manifest)
    changed[at // 8] ^= 1 << at % 8

    assert drd_check.manifest(specimen.manifest, place, 1, trust).is_full
    with pytest.raises((ValueError, LookupError)):
        drd_check.manifest(bytes(changed), place, 1, trust)


@given(length=st.integers(0, 500))
def test_no_manifest_is_shorter_than_itself(specimen: Specimen, length: int) -> None:
    assert length < len(specimen.manifest)
    with pytest.raises((ValueError, LookupError)):
        drd_check.manifest(specimen.manifest[:length], specimen.place, 1, specimen.trust)


def test_a_manifest_of_another_place_is_none(second: Second) -> None:
    mine, other = (second.manifests(lineage(second, image))[0] for image in "ab")
    shutil.copy(other, mine.parent / other.name)

    assert found(second, "a") == (CRITICAL, "damaged")


def test_a_point_that_was_taken_away(second: Second) -> None:
    assert second.check().code == OK
    remembered = second.state.read_text()
    second.manifests(lineage(second, "b"))[0].unlink()

    for _ in range(2):  # what was seen once is not forgotten
        assert found(second, "b") == (CRITICAL, "rollback")
        assert second.state.read_text() == remembered


def test_without_a_state_nobody_knows_of_it(second: Second) -> None:
    second.manifests(lineage(second, "b"))[0].unlink()

    assert found(second, "b") == (OK, "ok")


def test_a_point_that_became_another(tmp_path: Path) -> None:
    """Two histories of one repository, both signed by its host; the store shows now one, now the other."""
    begin = clock.now() - timedelta(minutes=30)
    one, two = Second(tmp_path / "one", at=begin), Second(tmp_path / "two", at=begin)
    name = one.back_up("a")
    two.clock.at += timedelta(seconds=1)
    assert two.back_up("a") == name
    assert one.check().code == two.check().code == OK

    said = two.check("--state", one.state)
    assert (said.code, said.findings[name]) == (CRITICAL, "rollback")
    assert "another one than before" in said.words


def test_a_lineage_that_is_gone(second: Second) -> None:
    assert second.check().code == OK
    shutil.rmtree(second.manifests(lineage(second, "b"))[0].parent)

    assert found(second, "b") == (CRITICAL, "missing")
    said = second.check("--ignore", lineage(second, "b"))
    assert (said.code, set(said.findings)) == (OK, {lineage(second, "a")})


def test_all_that_is_remembered_is_raised_by_what_verifies_alone(second: Second) -> None:
    assert second.check().code == OK
    folder = second.manifests(lineage(second, "b"))[0].parent
    (folder / f"{LAST_SEQ - 9:010}").write_bytes(b"garbage")
    assert second.check().code == CRITICAL
    (folder / f"{LAST_SEQ - 9:010}").unlink()

    assert second.check().code == OK


# ── trust ───────────────────────────────────────────────────────────────────────────────────────
def test_another_root_is_nobody(second: Second, tmp_path: Path) -> None:
    other = Second(tmp_path / "other", seed="other")
    said = look("--url", second.repository, "--root", other.root)

    assert said.code == CRITICAL
    assert "no format/ in it is signed by the root with this fingerprint" in said.out


@pytest.mark.parametrize(
    "change",
    [
        {"roles": ["verifier"]},
        {"tenants": ["00" * 16]},
        {"not_after": "2020-12-31T23:59:59Z"},
        {"not_before": "2100-06-01T00:00:00+02:00"},
        {"revoked_at": "2026-06-01T00:00:00Z"},
    ],
    ids=json.dumps,
)
def test_who_may_not_sign_for_this(second: Second, change: dict[str, Any]) -> None:
    second.trust(2, second.with_host(**change))

    said = second.check()
    assert said.code == CRITICAL
    assert set(said.findings.values()) == {"damaged"}


def test_a_revoked_key_is_good_up_to_the_point_that_trust_names(second: Second) -> None:
    name = lineage(second, "b")
    newest = second.manifests(name)[0]
    last = {
        "lineage": name,
        "seq": 2,
        "sha256": hashlib.sha256(newest.read_bytes()).hexdigest(),
    }
    second.trust(2, second.with_host(revoked_at="2026-06-01T00:00:00Z", revoked=[last]))

    assert second.check().findings == {name: "ok", lineage(second, "a"): "damaged"}
    second.trust(
        2, second.with_host(revoked_at="2026-06-01T00:00:00Z", revoked=[last | {"seq": 1}])
    )
    assert second.check("--state", second.folder / "other").findings[name] == "damaged"


def test_a_trust_that_is_hidden_again(second: Second) -> None:
    newer = second.trust(2, second.trusted())
    assert second.check().code == OK
    newer.unlink()

    said = second.check()
    assert said.code == CRITICAL
    assert "trust went back: 1 is the newest, 2 was here" in said.words


def test_a_trust_that_a_point_names_cannot_be_hidden(second: Second) -> None:
    """Without any state: the manifest itself says under which trust it was signed."""
    newer = second.trust(2, second.trusted())
    name = second.back_up("b")
    assert second.check().code == OK
    newer.unlink()

    said = second.check("--state", second.folder / "empty.json")
    assert (said.code, said.findings[name]) == (CRITICAL, "damaged")
    assert "under a trust that is hidden" in said.words


def test_a_stranger_changes_nothing(second: Second) -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public = stranger.public_key().public_bytes_raw()
    text = encode_body(second.trusted() | {"n": 2, "keys": []})
    for kind, body in ((TRUST, text), (FORMAT, b"[" * 100_000)):
        signature = stranger.sign(document_to_sign(kind, body))
        (second.repository / kind / "2").write_bytes(encode_document(kind, body, public, signature))
    (second.repository / "m" / ("00" * 16) / ("00" * 16)).mkdir(parents=True)

    assert second.check().code == OK


def test_a_newer_format_is_not_guessed_at(second: Second) -> None:
    path = second.repository / "format" / "2"
    body = decode_document((second.repository / "format/1").read_bytes(), FORMAT).body
    changes: list[dict[str, Json]] = [{"version": 2}, {"required_features": ["wings"]}]
    for change in changes:
        text = encode_body({**body, **change})
        signed = second.written.sign(document_to_sign(FORMAT, text))
        path.write_bytes(encode_document(FORMAT, text, *signed))
        assert second.check().code == UNKNOWN


@dataclass
class Specimen:
    """One manifest, its place, and who may sign it."""

    manifest: bytes
    place: bytes
    trust: dict[str, Any]


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    """Made once for all examples."""
    made = Second(tmp_path_factory.mktemp("bits") / "site")
    name = made.back_up("a")
    (path,) = made.manifests(name)
    keys = made.written.keys
    digest = hashlib.sha256((made.repository / "trust/1").read_bytes()).hexdigest()
    trust = {"n": 1, "sha256": digest, "keys": made.trusted()["keys"]}
    return Specimen(path.read_bytes(), keys.repository + keys.tenant + bytes.fromhex(name), trust)
