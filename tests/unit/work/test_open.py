"""Opening a repository: what it is, whose it is, whom it trusts; and what somebody can put in the way."""

from __future__ import annotations

import pytest

from drd.core import names
from drd.core.seal import sha256
from drd.core.trust import FORMAT, TRUST, check_signature, document_to_sign, encode_document
from drd.errors import IntegrityError, NotFoundError, RefusedError
from drd.model import Json
from drd.testing.fakes import BareRing, MemoryRing
from drd.testing.repository import (
    format_body,
    host_key,
    make_repository,
    root_document,
    trust_body,
)
from drd.testing.stores import MemoryStore
from drd.work.repository import Repository, open_repository

RING = MemoryRing.make("ours")
THIEF = MemoryRing.make("theirs")


def made() -> MemoryStore:
    store = MemoryStore()
    make_repository(store, RING)
    return store


def signed(kind: str, /, ring: MemoryRing = RING, **fields: Json) -> bytes:
    body = format_body(ring) if kind == FORMAT else trust_body(ring)
    return root_document(ring, kind, {**body, **fields})


def test_a_repository_opens() -> None:
    repository = open_repository(made(), RING)
    assert repository.format.repository == RING.repository
    assert repository.trust.number == 1
    assert repository.tenant == RING.tenant
    assert repository.warnings == []
    scope = repository.scope(b"l" * 16)
    assert (scope.repository, scope.tenant, scope.lineage) == (
        RING.repository,
        RING.tenant,
        b"l" * 16,
    )


def test_an_empty_place_is_no_repository() -> None:
    with pytest.raises(NotFoundError):
        open_repository(MemoryStore(), RING)
    store = MemoryStore()
    store.put("format/1", b"garbage")
    store.put("format/readme", b"garbage")
    with pytest.raises(NotFoundError):
        open_repository(store, RING)


def test_the_newest_format_and_trust_count() -> None:
    store = made()
    store.put(names.format_key(10), signed(FORMAT, optional_features=["new"]))
    store.put(names.trust_key(10), signed(TRUST, n=10, tenants=[RING.tenant.hex(), "00" * 16]))
    repository = open_repository(store, RING)
    assert repository.format.optional_features == ("new",)
    assert repository.trust.number == 10


@pytest.mark.parametrize(
    "newer", [signed(FORMAT, version=2), signed(FORMAT, required_features=["logs"])]
)
def test_a_newer_format_is_refused_even_beside_an_older_one(newer: bytes) -> None:
    store = made()
    store.put(names.format_key(2), newer)
    with pytest.raises(RefusedError, match="this drd"):
        open_repository(store, RING)


def test_keys_of_another_repository_are_refused() -> None:
    store = made()
    other = MemoryRing(bytes(16), RING.tenant, RING.holder, RING.host, RING.root)
    with pytest.raises(RefusedError, match="another repository"):
        open_repository(store, other)
    with pytest.raises(RefusedError, match="signed by the root"):
        open_repository(store, THIEF)


def test_trust_of_another_repository_is_damage() -> None:
    store = made()
    store.put(names.trust_key(2), signed(TRUST, n=2, repository="00" * 16))
    with pytest.raises(IntegrityError, match="another repository"):
        open_repository(store, RING)


def test_a_repository_without_trust_is_damaged() -> None:
    store = MemoryStore()
    store.put(names.format_key(1), signed(FORMAT))
    with pytest.raises(IntegrityError, match="no trust"):
        open_repository(store, RING)


def test_garbage_is_warned_of_and_does_no_harm() -> None:
    store = made()
    for key in ("format/7", "format/readme.txt", "trust/7", "trust/x"):
        store.put(key, b"garbage")
    warnings = open_repository(store, RING).warnings
    assert len(warnings) == 4
    assert all(
        word.split(" ")[0] in {"format/7", "format/readme.txt", "trust/7", "trust/x"}
        for word in warnings
    )


# ── somebody who may add versions, and sign with a key of his own ───────────────────────────────


def opened_as_before(store: MemoryStore) -> Repository:
    repository = open_repository(store, RING)
    assert repository.format.repository == RING.repository
    assert RING.host_public in repository.trust.keys
    assert THIEF.host_public not in repository.trust.keys
    return repository


@pytest.mark.parametrize("number", [1, 2])
def test_a_document_of_another_root_neither_shadows_nor_replaces(number: int) -> None:
    store = made()
    store.put(names.format_key(number), signed(FORMAT, THIEF))
    opened_as_before(store)
    stolen = root_document(THIEF, TRUST, trust_body(RING, number=9, keys=[host_key(THIEF)]))
    store.put(names.trust_key(number), stolen)
    store.put(names.trust_key(number), b"garbage")
    store.put(names.format_key(number), b"garbage")
    opened_as_before(store)


def test_an_older_trust_does_not_come_back_under_a_newer_number() -> None:
    """It would undo a revocation."""
    store = made()
    old = store.get(names.trust_key(1))
    store.put(names.trust_key(2), signed(TRUST, n=2))
    for number in (2, 3):
        store.put(names.trust_key(number), old)
    assert open_repository(store, RING).trust.number == 2


DEEP = b"[" * 100_000


def stranger(kind: str, body: bytes) -> bytes:
    signer, signature = THIEF.sign_as_root(document_to_sign(kind, body))
    return encode_document(kind, body, signer, signature)


@pytest.mark.parametrize("kind", [FORMAT, TRUST])
def test_bytes_that_a_stranger_chose_are_not_even_read(kind: str) -> None:
    """One small object must not stop every verb: JSON nested so deep is more than Python reads."""
    store = made()
    store.put(f"{kind}/2", stranger(kind, DEEP))
    assert any(f"{kind}/2" in warning for warning in opened_as_before(store).warnings)


def test_what_cannot_be_read_is_damage_whoever_signed_it() -> None:
    signed_deep = check_signature(stranger(FORMAT, DEEP), FORMAT)
    with pytest.raises(IntegrityError, match="no JSON"):
        signed_deep.read()
    store = made()
    store.put("format/2", stranger(FORMAT, DEEP))
    assert open_repository(store, BareRing(RING)).format.repository == RING.repository


def test_a_deleted_document_is_read_below_its_marker() -> None:
    store = made()
    store.mark_deleted(names.format_key(1))
    store.mark_deleted(names.trust_key(1))
    opened_as_before(store)


# ── keys that say less ──────────────────────────────────────────────────────────────────────────


def test_without_a_fingerprint_the_root_is_taken_as_found() -> None:
    assert open_repository(made(), BareRing(RING)).format.root == RING.sign_as_root(b"")[0]


def test_a_root_taken_as_found_is_told_with_its_fingerprint() -> None:
    (warning,) = open_repository(made(), BareRing(RING)).warnings
    assert sha256(RING.sign_as_root(b"")[0]).hex() in warning


def test_the_only_tenant_is_meant_when_keys_name_none() -> None:
    assert open_repository(made(), BareRing(RING)).tenant == RING.tenant


def test_of_several_tenants_one_must_be_named() -> None:
    store = made()
    store.put(names.trust_key(2), signed(TRUST, n=2, tenants=[RING.tenant.hex(), "00" * 16]))
    with pytest.raises(RefusedError, match="several tenants"):
        open_repository(store, BareRing(RING))
