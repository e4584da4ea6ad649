"""Whom the reader believes: whom the root on the sheet names, in the newest document, and nobody else."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drd.core.trust import (
    FORMAT,
    TRUST,
    decode_document,
    document_to_sign,
    encode_body,
    encode_document,
)
from drd.stores.local import LocalStore
from drd.testing.fakes import SteppingClock, seeded
from drd.testing.sources import SimulatedSource
from drd.work.backup import backup
from tests.integration.reader.written import Made, Written, run_reader

GOOD = 6
"""Number of the last point before the host was stolen."""


@pytest.fixture
def copy(in_folder: Written, tmp_path: Path) -> Path:
    return Path(shutil.copytree(in_folder.folder / "repository", tmp_path / "copy"))


def trusted(copy: Path) -> dict[str, Any]:
    """The body of the trust document that ``init`` wrote."""
    return dict(decode_document((copy / "trust" / "1").read_bytes(), TRUST).body)


def write_trust(written: Written, copy: Path, number: int, body: dict[str, Any]) -> None:
    """Another trust document, signed by the root."""
    text = encode_body(body | {"n": number})
    signed = written.sign(document_to_sign(TRUST, text))
    (copy / "trust" / str(number)).write_bytes(encode_document(TRUST, text, *signed))


def listed(site: Path, written: Written, copy: Path, *point: str) -> list[tuple[str, int]]:
    """Lineage and number of what the reader lists."""
    read = run_reader(site, copy, *point, "--sheet", written.sheet)
    assert read.code in {0, 10}, read.said
    lines = read.out.splitlines()
    return [(line.split()[0], int(line.rpartition("@")[2])) for line in lines]


def host_entry(body: dict[str, Any]) -> dict[str, Any]:
    (entry,) = (one for one in body["keys"] if one["roles"] == ["host"])
    return dict(entry)


def test_a_revoked_key_is_good_up_to_the_point_that_trust_names(
    site: Path, in_folder: Written, copy: Path
) -> None:
    lineage = in_folder.results[0].lineage.hex()
    (manifest,) = copy.glob(f"m/*/{lineage}/{9999999999 - GOOD:010}")
    body = trusted(copy)
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    last = {"lineage": lineage, "seq": GOOD, "sha256": digest}
    stolen = {"revoked_at": "2026-06-01T00:00:00Z", "revoked": [last]}
    write_trust(in_folder, copy, 2, body | {"keys": [host_entry(body) | stolen]})

    assert listed(site, in_folder, copy, lineage)[0] == (lineage, GOOD)
    assert {one for one, _ in listed(site, in_folder, copy)} == {lineage}

    last["sha256"] = hashlib.sha256(b"another manifest of that number").hexdigest()
    write_trust(in_folder, copy, 2, body | {"keys": [host_entry(body) | stolen]})
    assert listed(site, in_folder, copy, lineage)[0] == (lineage, GOOD - 1)


@pytest.mark.parametrize(
    "change",
    [
        {"roles": ["verifier"]},
        {"tenants": ["00" * 16]},
        {"not_after": "2025-12-31T23:59:59Z"},
        {"not_before": "2026-06-01T00:00:00+02:00"},
        {"revoked_at": "2026-06-01T00:00:00Z"},
    ],
    ids=json.dumps,
)
def test_who_may_not_sign_for_this(
    site: Path, in_folder: Written, copy: Path, change: dict[str, Any]
) -> None:
    body = trusted(copy)
    write_trust(in_folder, copy, 2, body | {"keys": [host_entry(body) | change]})

    assert listed(site, in_folder, copy) == []


def test_an_old_trust_under_a_new_number_is_none(
    site: Path, in_folder: Written, copy: Path
) -> None:
    body = trusted(copy)
    write_trust(in_folder, copy, 2, body | {"keys": []})
    shutil.copy(copy / "trust" / "1", copy / "trust" / "3")

    assert listed(site, in_folder, copy) == []


def test_a_stranger_changes_nothing(site: Path, in_folder: Written, copy: Path) -> None:
    before = listed(site, in_folder, copy)
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    text = encode_body(trusted(copy) | {"n": 2, "keys": []})
    signature = stranger.sign(document_to_sign(TRUST, text))
    public = stranger.public_key().public_bytes_raw()
    (copy / "trust" / "2").write_bytes(encode_document(TRUST, text, public, signature))
    deep = b"[" * 100_000  # more than Python's own reader of JSON goes down
    for kind in (FORMAT, TRUST):
        signature = stranger.sign(document_to_sign(kind, deep))
        (copy / kind / "3").write_bytes(encode_document(kind, deep, public, signature))

    assert before
    assert listed(site, in_folder, copy) == before


def test_a_trust_document_cannot_be_hidden(site: Path, in_folder: Written, copy: Path) -> None:
    """A point that was signed under trust 2 shows that there is one, so without it the point is none."""
    before = listed(site, in_folder, copy)
    write_trust(in_folder, copy, 2, trusted(copy))
    clock = SteppingClock(datetime(2027, 1, 1, tzinfo=UTC))
    source = SimulatedSource("later", clock)
    source.add("image", 1 << 16).write(0, b"something")
    made = Made(LocalStore(copy), in_folder.keys, seeded("later"), clock)
    result = backup(made.bench(), source, source.found("image"))
    with_trust = listed(site, in_folder, copy)
    (copy / "trust" / "2").unlink()

    assert set(with_trust) == {*before, (result.lineage.hex(), 1)}
    assert listed(site, in_folder, copy) == before
