"""Signed documents: format, trust, generations. What is not signed by the right key is nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from drd.core import trust as trusts
from drd.core.coding import Writer
from drd.core.trust import (
    FORMAT,
    TRUST,
    Document,
    decode_document,
    document_to_sign,
    encode_document,
    last_good,
    may_sign,
    read_format,
    read_trust,
)
from drd.errors import IntegrityError, RefusedError
from drd.model import Json
from drd.testing.fakes import MemoryRing
from drd.testing.repository import format_body, host_key, root_document, trust_body
from tests.unit.core.adversary import assert_refused, assert_sealed, exchanges
from tests.unit.core.specimens import RING, root_signed

ROOT = RING.sign_as_root(b"")[0]
GOOD = bytes(16).hex()


def format_with(**fields: Json) -> Document:
    return root_signed(FORMAT, {**format_body(RING), **fields})


def trust_with(**fields: Json) -> Document:
    return root_signed(TRUST, {**trust_body(RING), **fields})


def key_with(**fields: Json) -> Document:
    return root_signed(TRUST, dict(trust_body(RING, keys=[host_key(RING, **fields)])))


# ── documents ───────────────────────────────────────────────────────────────────────────────────


def test_a_document_in_any_other_shape_does_not_verify() -> None:
    data = root_document(RING, FORMAT, {"version": 1})
    assert_sealed(lambda one: decode_document(one, FORMAT), data)


def test_the_parts_of_a_document_do_not_change_places() -> None:
    data = root_document(RING, FORMAT, {"version": 1})
    body = data[8 + 4 + 6 : -96]
    pieces = [data[8:18], body, data[-96:-64], data[-64:]]
    assert b"drd1sign" + b"".join(pieces) == data
    assert_refused(lambda one: decode_document(b"drd1sign" + one, FORMAT), exchanges(pieces))


def test_a_document_of_one_kind_does_not_pass_for_another() -> None:
    data = root_document(RING, FORMAT, {"version": 1})
    assert_refused(lambda one: decode_document(one, TRUST), [data])
    document = decode_document(data, FORMAT)
    renamed = encode_document(TRUST, b'{\n "version": 1\n}', document.signer, data[-64:])
    assert_refused(lambda one: decode_document(one, TRUST), [renamed])


def test_what_is_signed_is_kind_and_body() -> None:
    assert document_to_sign("format", b"{}") == bytes(Writer().blob(b"drd1 format").blob(b"{}"))


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"\xff", b"1"])
def test_a_signed_document_holds_a_json_object(body: bytes) -> None:
    signer, signature = RING.sign_as_root(document_to_sign(FORMAT, body))
    assert_refused(
        lambda one: decode_document(one, FORMAT),
        [encode_document(FORMAT, body, signer, signature)],
    )


def test_a_public_key_that_is_none_verifies_nothing() -> None:
    with pytest.raises(IntegrityError):
        trusts.verify_signature(b"short", b"message", bytes(64))


# ── format ──────────────────────────────────────────────────────────────────────────────────────


def test_a_format_is_understood() -> None:
    known = read_format(format_with(optional_features=["shiny", "logs"]))
    assert known.repository == RING.repository
    assert known.root == ROOT
    assert known.reader_sha256 == bytes(32)
    assert known.optional_features == ("shiny", "logs")


def test_unknown_optional_features_and_fields_are_ignored() -> None:
    document = format_with(optional_features=["unheard of"], how_to_restore="by hand")
    assert read_format(document).repository == RING.repository


@pytest.mark.parametrize(
    "fields", [{"version": 2}, {"version": 0}, {"required_features": ["unheard of"]}]
)
def test_what_is_newer_is_refused_not_guessed(fields: dict[str, Json]) -> None:
    with pytest.raises(RefusedError):
        read_format(format_with(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"version": None},
        {"version": "1"},
        {"version": True},
        {"version": -1},
        {"version": 1.0},
        {"required_features": "logs"},
        {"required_features": [1]},
        {"optional_features": {"a": 1}},
        {"root": None},
        {"root": 5},
        {"root": "zz"},
        {"root": "00"},
        {"root": bytes(32).hex()},
        {"repository": "00" * 15},
        {"repository": None},
        {"reader": "00"},
    ],
)
def test_a_damaged_format_is_damage(fields: dict[str, Json]) -> None:
    with pytest.raises(IntegrityError):
        read_format(format_with(**fields))


def test_a_format_is_signed_by_the_root_that_it_names() -> None:
    other = MemoryRing.make("other")
    document = decode_document(root_document(other, FORMAT, format_body(RING)), FORMAT)
    with pytest.raises(IntegrityError, match="root"):
        read_format(document)


# ── trust ───────────────────────────────────────────────────────────────────────────────────────


def test_trust_is_understood() -> None:
    moment = "2026-01-02T03:04:05+00:00"
    document = key_with(
        not_before=moment,
        revoked_at=moment,
        revoked=[{"lineage": GOOD, "seq": 3, "sha256": bytes(32).hex()}],
    )
    known = read_trust(document, ROOT)
    assert (known.number, known.repository, known.recovery) == (1, RING.repository, None)
    assert known.tenants == (RING.tenant,)
    key = known.keys[RING.host_public]
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (key.not_before, key.not_after, key.revoked_at) == (when, None, when)
    assert key.revoked == {bytes(16): (3, bytes(32))}
    assert read_trust(trust_with(recovery="00ff"), ROOT).recovery == b"\x00\xff"


def test_the_last_good_points_are_those_of_revoked_keys_in_that_lineage() -> None:
    moment = "2026-01-02T03:04:05+00:00"
    line: dict[str, Json] = {"lineage": GOOD, "seq": 3, "sha256": bytes(32).hex()}
    elsewhere = line | {"lineage": "01" * 16, "seq": 4}
    entries = [
        host_key(RING, revoked_at=moment, revoked=[line, elsewhere]),
        host_key(RING, key="01" * 32, revoked_at=moment, revoked=[line | {"seq": 7}]),
        host_key(RING, key="02" * 32, revoked_at=moment),
        host_key(RING, key="03" * 32, revoked=[line | {"seq": 9}]),
    ]
    body = trust_body(RING, keys=entries)
    known = read_trust(decode_document(root_document(RING, TRUST, body), TRUST), ROOT)
    assert last_good(known, bytes(16)) == {3, 7}
    assert last_good(known, b"\x01" * 16) == {4}
    assert last_good(known, b"\x02" * 16) == frozenset()


def test_trust_is_signed_by_the_root() -> None:
    other = MemoryRing.make("other")
    document = decode_document(root_document(other, TRUST, trust_body(RING)), TRUST)
    with pytest.raises(IntegrityError, match="root"):
        read_trust(document, ROOT)


DAMAGED: list[Callable[[], Document]] = [
    lambda: trust_with(n=None),
    lambda: trust_with(n=-1),
    lambda: trust_with(repository="00"),
    lambda: trust_with(tenants="00"),
    lambda: trust_with(tenants=["zz"]),
    lambda: trust_with(recovery="zz"),
    lambda: trust_with(recovery=5.5),
    lambda: trust_with(keys="none"),
    lambda: trust_with(keys=["none"]),
    lambda: key_with(key="00"),
    lambda: key_with(key=None),
    lambda: key_with(roles="host"),
    lambda: key_with(tenants=["zz"]),
    lambda: key_with(not_before="yesterday"),
    lambda: key_with(not_before="2026-01-02T03:04:05"),
    lambda: key_with(not_after=7),
    lambda: key_with(revoked="all"),
    lambda: key_with(revoked=[{"lineage": GOOD, "seq": -1, "sha256": bytes(32).hex()}]),
    lambda: key_with(revoked=[{"lineage": "00", "seq": 1, "sha256": bytes(32).hex()}]),
    lambda: key_with(revoked=[{"lineage": GOOD, "seq": 1, "sha256": "00"}]),
]


@pytest.mark.parametrize("document", DAMAGED)
def test_damaged_trust_is_damage(document: Callable[[], Document]) -> None:
    made = document()
    with pytest.raises(IntegrityError):
        read_trust(made, ROOT)


def test_a_key_signs_only_for_its_roles_and_tenants() -> None:
    known = read_trust(key_with(roles=["host", "verify"]), ROOT)
    assert may_sign(known, RING.host_public, "host", RING.tenant).public == RING.host_public
    assert may_sign(known, RING.host_public, "verify", RING.tenant).tenants == {RING.tenant}
    for signer, role, tenant in (
        (bytes(32), "host", RING.tenant),
        (RING.host_public, "prune", RING.tenant),
        (RING.host_public, "host", bytes(16)),
    ):
        with pytest.raises(IntegrityError):
            may_sign(known, signer, role, tenant)
