"""Keys of a lineage: slots before the public half, and every way to shadow one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from typing_extensions import override

from drd.core import hybrid, names
from drd.core.seal import sha256
from drd.core.trust import GENERATION, TRUST, document_to_sign, encode_body, encode_document
from drd.errors import IntegrityError, KeyAccessError, RefusedError, StoreError
from drd.model import Buffer, Json, Role
from drd.testing.fakes import START, MemoryHolder, MemoryRing, seeded
from drd.testing.mortal import Life, MortalStore
from drd.testing.repository import host_key, make_repository, root_document, trust_body
from drd.testing.stores import FaultyStore, MemoryStore
from drd.work.lineagekeys import (
    LineageKeys,
    decode_slot,
    encode_slot,
    load_keys,
    make_generation,
    metadata_check,
    slot_context,
)
from drd.work.repository import Repository, open_repository
from tests.unit.core.adversary import assert_refused, assert_sealed
from tests.unit.core.specimens import SEQ, clear, noise, signed_manifest

RING = MemoryRing.make("keys")
LINEAGE = b"lineage of tests"
SLOT = RING.holder.slot


@dataclass
class Made:
    """A repository with one generation of one lineage."""

    store: MemoryStore
    repository: Repository
    keys: LineageKeys

    def again(self, role: Role = Role.RESTORE) -> LineageKeys:
        repository = open_repository(self.store, RING.with_role(role))
        return load_keys(repository, LINEAGE)

    def prefix(self, *, metadata: bool) -> str:
        return names.slot_prefix(RING.tenant, LINEAGE, 1, slot=SLOT, metadata=metadata)


@pytest.fixture
def made() -> Made:
    store = MemoryStore()
    repository = make_repository(store, RING)
    return Made(
        store,
        repository,
        make_generation(repository, LINEAGE, 1, random=seeded("keys"), now=START),
    )


PUBLIC_KEY = names.public_key(RING.tenant, LINEAGE, 1)

# ── making ──────────────────────────────────────────────────────────────────────────────────────


def test_slots_are_there_before_the_public_half() -> None:
    """Whatever a crash leaves: no public half without the slots that open its data."""
    life = Life()
    store = MemoryStore()
    make_repository(store, RING)
    repository = open_repository(MortalStore(store, life), RING)
    make_generation(repository, LINEAGE, 1, random=seeded("keys"), now=START)
    order = [word.removeprefix("put ") for word in life.effects]
    assert len(order) == 3
    assert order[-1] == PUBLIC_KEY
    assert all(SLOT in key for key in order[:2])


class Forgetful(MemoryStore):
    """Says that it wrote a slot, and holds something else."""

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        other = bytes(data)[:-1] + b"?" if SLOT in key else data
        return super().put(key, other, if_absent=if_absent)


def test_a_slot_that_reads_back_differently_stops_everything() -> None:
    store = Forgetful()
    repository = make_repository(store, RING)
    with pytest.raises(IntegrityError, match="reads back"):
        make_generation(repository, LINEAGE, 1, random=seeded("keys"), now=START)
    assert not list(store.list(PUBLIC_KEY))


@dataclass(frozen=True)
class Careless:
    """A holder whose wrapping nobody can open."""

    slot: str

    def wrap(self, context: bytes, secret: bytes) -> bytes:
        return context + secret


@dataclass(frozen=True)
class CarelessRing(MemoryRing):
    """Wraps with :class:`Careless` alone."""

    @override
    def holders(self) -> Sequence[MemoryHolder]:
        return [Careless(self.holder.slot)]  # type: ignore[list-item]


def test_a_slot_that_does_not_open_stops_everything() -> None:
    """It is test-opened before the public half is signed."""
    store = MemoryStore()
    make_repository(store, RING)
    ring = CarelessRing(RING.repository, RING.tenant, RING.holder, RING.host, RING.root)
    with pytest.raises(KeyAccessError):
        make_generation(open_repository(store, ring), LINEAGE, 1, random=seeded("keys"), now=START)
    assert not list(store.list(PUBLIC_KEY))


def test_the_backup_role_needs_to_open_no_data() -> None:
    store = MemoryStore()
    make_repository(store, RING)
    repository = open_repository(store, RING.with_role(Role.BACKUP))
    keys = make_generation(repository, LINEAGE, 1, random=seeded("keys"), now=START)
    assert keys.metadata(1)
    with pytest.raises(KeyAccessError):
        keys.private(1)


def test_two_hosts_do_not_make_one_generation(made: Made) -> None:
    with pytest.raises(RefusedError, match="another host"):
        make_generation(made.repository, LINEAGE, 1, random=seeded("other"), now=START)


def test_a_lost_answer_to_the_public_half_is_not_another_host() -> None:
    store = MemoryStore()
    make_repository(store, RING)
    twice = _Twice(store)
    make_generation(open_repository(twice, RING), LINEAGE, 1, random=seeded("keys"), now=START)
    assert len(store.versions(PUBLIC_KEY)) == 1


class _Twice(FaultyStore):
    """Each write reaches the store twice: the first answer was lost below."""

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        super().put(key, data, if_absent=if_absent)
        return super().put(key, data, if_absent=if_absent)


def test_a_store_that_fails_leaves_no_public_half() -> None:
    store = MemoryStore()
    make_repository(store, RING)
    for at in range(2):
        repository = open_repository(FaultyStore(store, "ok " * at + "denied"), RING)
        with pytest.raises(StoreError):
            make_generation(repository, LINEAGE, 1, random=seeded(at), now=START)
        assert not list(store.list(PUBLIC_KEY))


# ── opening ─────────────────────────────────────────────────────────────────────────────────────


def test_keys_are_found_again(made: Made) -> None:
    again = made.again()
    assert again.metadata(1) == again.metadata(1) == made.keys.metadata(1)
    assert again.private(1) == again.private(1) == made.keys.private(1)
    assert again.current.number == 1
    assert hybrid.public_of(again.private(1)) == again.current.public


def wrapped(made: Made, secret: bytes, *, metadata: bool, generation: int = 1) -> bytes:
    """A slot as somebody who knows the holder's public half can make it."""
    context = slot_context(made.keys.scope, generation, metadata=metadata)
    return encode_slot(context, SLOT, RING.holder.wrap(context, secret))


@pytest.mark.parametrize("metadata", [False, True])
def test_a_newer_slot_that_does_not_fit_is_passed_over(made: Made, *, metadata: bool) -> None:
    """Only a private key that yields the signed public half is taken; and the next is tried."""
    right = made.keys.metadata(1) if metadata else made.keys.private(1)
    stranger = noise(len(right), "stranger")
    prefix = made.prefix(metadata=metadata)
    made.store.put(f"{prefix}2", wrapped(made, stranger, metadata=metadata))
    made.store.put(f"{prefix}10", b"garbage")
    made.store.put(f"{prefix}9", wrapped(made, b"short", metadata=metadata))
    made.store.put(f"{prefix}8", wrapped(made, right, metadata=not metadata))
    made.store.put(f"{prefix}7", wrapped(made, right, metadata=metadata, generation=2))
    again = made.again()
    assert (again.metadata(1) if metadata else again.private(1)) == right
    assert len(again.repository.warnings) == 5


@pytest.mark.parametrize("metadata", [False, True])
def test_a_rotated_slot_is_taken_first(made: Made, *, metadata: bool) -> None:
    """From the highest number down, as numbers: 10 is newer than 9."""
    right = made.keys.metadata(1) if metadata else made.keys.private(1)
    prefix = made.prefix(metadata=metadata)
    for number in (9, 10):
        made.store.put(f"{prefix}{number}", wrapped(made, right, metadata=metadata))
    for key in (f"{prefix}1", f"{prefix}9"):
        made.store.damage(key, b"garbage")
    again = made.again()
    assert (again.metadata(1) if metadata else again.private(1)) == right
    assert again.repository.warnings == []


@pytest.mark.parametrize("metadata", [False, True])
def test_a_version_put_over_a_slot_does_not_shadow_it(made: Made, *, metadata: bool) -> None:
    key = f"{made.prefix(metadata=metadata)}1"
    for junk in (b"garbage", wrapped(made, noise(32, "s"), metadata=metadata)):
        made.store.put(key, junk)
    again = made.again()
    assert again.metadata(1) == made.keys.metadata(1)
    assert again.private(1) == made.keys.private(1)


def test_without_a_slot_that_opens_it_is_a_key_that_is_missing(made: Made) -> None:
    for metadata in (False, True):
        made.store.damage(f"{made.prefix(metadata=metadata)}1", b"garbage")
    again = made.again()
    with pytest.raises(KeyAccessError, match="metadata key"):
        again.metadata(1)
    with pytest.raises(KeyAccessError, match="data key"):
        again.private(1)


def test_a_slot_that_is_gone_is_missed_by_its_name(made: Made) -> None:
    """By the role that opens no data, and without a request."""
    assert made.again(Role.BACKUP).lacking() == []
    for gone, metadata in enumerate((False, True), 1):
        made.store._objects.pop(f"{made.prefix(metadata=metadata)}1")
        told = made.again(Role.BACKUP).lacking()
        assert len(told) == gone
        assert any(made.prefix(metadata=metadata) in one for one in told)


def test_a_generation_that_nobody_signed_opens_nothing(made: Made) -> None:
    for take in (made.keys.metadata, made.keys.private):
        with pytest.raises(IntegrityError, match="no signed public half"):
            take(2)


# ── the public half ─────────────────────────────────────────────────────────────────────────────


def published(ring: MemoryRing = RING, **fields: Json) -> bytes:
    body: dict[str, Json] = {
        "repository": RING.repository.hex(),
        "tenant": RING.tenant.hex(),
        "lineage": LINEAGE.hex(),
        "generation": 1,
        "public": MemoryHolder(noise(96, "thief")).public.hex(),
        "metadata_check": metadata_check(bytes(32)).hex(),
    }
    encoded = encode_body(body | fields)
    signer, signature = ring.sign(document_to_sign(GENERATION, encoded))
    return encode_document(GENERATION, encoded, signer, signature)


def test_the_oldest_public_half_that_verifies_counts(made: Made) -> None:
    """A stolen host may sign a further version: data would be sealed to its own key."""
    made.store.put(PUBLIC_KEY, published())
    made.store.put(PUBLIC_KEY, b"garbage")
    assert made.again().current == made.keys.current


def test_a_deleted_public_half_is_read_below_its_marker(made: Made) -> None:
    made.store.mark_deleted(PUBLIC_KEY)
    assert made.again().current == made.keys.current


@pytest.mark.parametrize(
    "document",
    [
        b"garbage",
        published(MemoryRing.make("stranger")),
        published(generation=2),
        published(repository="00" * 16),
        published(tenant="00" * 16),
        published(lineage="00" * 16),
        published(public="00"),
        published(metadata_check="00"),
        published(generation="1"),
    ],
    ids=lambda value: str(len(value)),
)
def test_a_public_half_of_elsewhere_is_none(made: Made, document: bytes) -> None:
    made.store.damage(PUBLIC_KEY, document)
    again = made.again()
    assert again.generations == {}
    assert again.repository.warnings


def test_the_newest_generation_is_the_current_one(made: Made) -> None:
    keys = make_generation(made.repository, LINEAGE, 2, random=seeded("second"), now=START)
    again = made.again()
    assert again.current == keys.current
    assert again.metadata(1) == made.keys.metadata(1) != again.metadata(2)
    assert again.private(2) == keys.private(2)


# ── a signer that lost the right to ─────────────────────────────────────────────────────────────


def says(made: Made, **fields: Json) -> None:
    """The root says something more of the host's key."""
    body = trust_body(RING, number=2, keys=[host_key(RING, **fields)])
    made.store.put(names.trust_key(2), root_document(RING, TRUST, body))


REVOKED_AT = (START + timedelta(days=1)).isoformat()


def vouched(made: Made, *, generation: int) -> Json:
    """The last good point of the lineage, in the bucket: as trust names it."""
    what = replace(clear(), scope=made.keys.scope, generation=generation)
    data = signed_manifest(what, b"", ring=RING)
    made.store.put(names.manifest_key(RING.tenant, LINEAGE, SEQ), data)
    return [{"lineage": LINEAGE.hex(), "seq": SEQ, "sha256": sha256(data).hex()}]


def test_nothing_is_sealed_to_what_a_revoked_host_made_later(made: Made) -> None:
    """Who stole a host's key can sign a generation 2 whenever he likes, dated as he likes."""
    key = names.public_key(RING.tenant, LINEAGE, 2)
    for created_at in (START, START + timedelta(days=2)):
        made.store.put(key, published(generation=2, created_at=created_at.isoformat()))
    says(made, revoked_at=REVOKED_AT, revoked=vouched(made, generation=1))
    again = made.again()
    assert again.current == made.keys.current
    assert any(key in one and "revoked" in one for one in again.repository.warnings)


def test_a_lineage_whose_maker_is_revoked_opens_and_is_not_written(made: Made) -> None:
    says(made, revoked_at=REVOKED_AT)
    again = made.again()
    assert again.private(1) == made.keys.private(1)
    assert again.metadata(1) == made.keys.metadata(1)
    with pytest.raises(RefusedError, match="revoked"):
        _ = again.current


def test_other_bytes_than_the_last_good_point_vouch_for_nothing(made: Made) -> None:
    says(made, revoked_at=REVOKED_AT, revoked=vouched(made, generation=1))
    other = signed_manifest(replace(clear(), scope=made.keys.scope), b"other", ring=RING)
    made.store.damage(names.manifest_key(RING.tenant, LINEAGE, SEQ), other)
    with pytest.raises(RefusedError, match="revoked"):
        _ = made.again().current


@pytest.mark.parametrize(
    "limits, counts",
    [
        ({"not_before": START.isoformat()}, True),
        ({"not_after": START.isoformat()}, True),
        ({"not_before": (START + timedelta(seconds=1)).isoformat()}, False),
        ({"not_after": (START - timedelta(seconds=1)).isoformat()}, False),
    ],
)
def test_a_public_half_is_signed_inside_the_validity_of_its_key(
    made: Made, limits: dict[str, Json], *, counts: bool
) -> None:
    says(made, **limits)
    made.store.put(names.public_key(RING.tenant, LINEAGE, 2), published(generation=2))  # undated
    assert list(made.again().generations) == ([1] if counts else [])


def test_what_is_no_key_is_named_and_does_no_harm(made: Made) -> None:
    folder = names.key_folder(RING.tenant, LINEAGE)
    for name in ("readme", "1.keyfile-00.x", "0.pub"):
        made.store.put(f"{folder}{name}", b"garbage")
    again = made.again()
    assert again.metadata(1) == made.keys.metadata(1)
    assert len(again.repository.warnings) == 3


# ── slots as bytes ──────────────────────────────────────────────────────────────────────────────


def test_a_slot_in_any_other_shape_is_refused_or_does_not_open(made: Made) -> None:
    context = slot_context(made.keys.scope, 1, metadata=True)
    data = made.store.get(f"{made.prefix(metadata=True)}1")

    def opened(one: bytes) -> bytes:
        try:
            return RING.unwrap(SLOT, context, decode_slot(one, context, SLOT), generation=False)
        except KeyAccessError as error:
            raise IntegrityError(error.message) from error

    assert_sealed(opened, data)


def test_a_slot_of_elsewhere_is_refused(made: Made) -> None:
    context = slot_context(made.keys.scope, 1, metadata=True)
    scope = made.keys.scope
    others = [
        slot_context(made.keys.scope, 1, metadata=False),
        slot_context(made.keys.scope, 2, metadata=True),
        slot_context(replace(scope, repository=bytes(16)), 1, metadata=True),
        slot_context(replace(scope, tenant=bytes(16)), 1, metadata=True),
        slot_context(replace(scope, lineage=bytes(16)), 1, metadata=True),
    ]
    assert len({context, *others}) == 6
    slots = [encode_slot(other, SLOT, b"x") for other in others]
    assert_refused(lambda one: decode_slot(one, context, SLOT), slots)
    other_holder = encode_slot(context, "keyfile-0", b"x")
    assert_refused(lambda one: decode_slot(one, context, SLOT), [other_holder])
