"""Manifests: what the signature covers, where they belong, who may sign them."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import manifest as manifests
from drd.core import seal
from drd.core.coding import Writer
from drd.core.manifest import Clear, Manifest, RollEntry, decode_roll, encode_roll
from drd.core.seal import Scope
from drd.core.tables import TableKind
from drd.core.trust import Trust
from drd.errors import IntegrityError
from drd.model import Json, PointKind
from drd.testing.fakes import START, MemoryRing
from tests.unit.core.adversary import (
    assert_refused,
    assert_sealed,
    assert_strict,
    exchanges,
    truncations,
)
from tests.unit.core.specimens import (
    ELSEWHERE,
    FACTS,
    METADATA_KEY,
    RING,
    SCOPE,
    SEQ,
    clear,
    manifest,
    noise,
    order,
    reference,
    signed_manifest,
    trust,
)

TRUST = trust()


def opened(data: bytes, *, scope: Scope = SCOPE, seq: int = SEQ, by: Trust = TRUST) -> object:
    """A manifest as every reader takes it: decode, place and signature, signer, facts."""
    decoded = manifests.decode_manifest(data)
    manifests.verify(decoded, scope=scope, seq=seq)
    manifests.check_signer(decoded, by)
    return decoded.clear, manifests.open_facts(decoded, METADATA_KEY)


def decoded(data: bytes) -> Manifest:
    return manifests.decode_manifest(data)


# ── as written ──────────────────────────────────────────────────────────────────────────────────

moments = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001  the strategy wants naive bounds
    timezones=st.just(UTC),
)
hashes = st.binary(min_size=32, max_size=32)
u32 = st.integers(0, (1 << 32) - 1)
u64 = st.integers(0, (1 << 64) - 1)
rolls = st.lists(
    st.builds(RollEntry, u64, hashes, st.sampled_from(PointKind), st.none() | moments),
    max_size=3,
)
clears = st.builds(
    Clear,
    scope=st.just(SCOPE),
    seq=u64,
    kind=st.sampled_from(PointKind),
    point_at=moments,
    committed_at=moments,
    next_by=st.none() | moments,
    protect_until=st.none() | moments,
    predecessor=st.none() | st.tuples(u64, hashes),
    generation=u32,
    trust=st.tuples(u32, hashes),
    ordinal=u32,
    references=st.lists(
        st.builds(reference, st.sampled_from(TableKind), u32, level=st.integers(0, 255)),
        max_size=3,
    ).map(tuple),
    roll=rolls.map(tuple),
)


@given(clears)
def test_the_clear_part_round_trips(one: Clear) -> None:
    assert manifests.decode_clear(manifests.encode_clear(one)) == one


@given(rolls)
def test_a_roll_round_trips_when_it_ascends(entries: list[RollEntry]) -> None:
    data = encode_roll(entries)
    seqs = [entry.seq for entry in entries]
    if all(a < b for a, b in itertools.pairwise(seqs)):
        assert list(decode_roll(data)) == entries
    else:
        assert_refused(decode_roll, [data])


def test_a_manifest_opens() -> None:
    assert opened(manifest(clear())) == (clear(), FACTS)


def test_names_stand_in_the_sealed_part_alone() -> None:
    assert "pool/ä".encode() not in manifest(clear())


def test_times_are_microseconds_since_1970_utc() -> None:
    assert manifests.micros(None) == 0
    assert manifests.micros(datetime(1970, 1, 1, 0, 0, 1, 5, UTC)) == 1_000_005
    east = timezone(timedelta(hours=2))
    assert manifests.micros(datetime(1970, 1, 1, 2, 0, 1, 5, east)) == 1_000_005
    assert manifests.moment(1_000_005) == datetime(1970, 1, 1, 0, 0, 1, 5, UTC)
    assert manifests.moment(0) is None
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)
    assert manifests.moment(manifests.micros(last)) == last


# ── damaged ─────────────────────────────────────────────────────────────────────────────────────


def test_a_manifest_in_any_other_shape_does_not_open() -> None:
    small = replace(clear(), references=(), roll=())
    assert_sealed(opened, manifest(small))


def test_a_damaged_clear_part_is_refused_or_another_one() -> None:
    def encode(value: object) -> bytes:
        assert isinstance(value, Clear)
        return manifests.encode_clear(value)

    data = manifests.encode_clear(clear())
    assert_strict(manifests.decode_clear, encode, data)


def test_a_damaged_roll_is_refused_or_another_one() -> None:
    def encode(value: object) -> bytes:
        assert isinstance(value, tuple)
        return encode_roll(value)

    entries = (clear().roll[0], replace(clear().roll[0], seq=SEQ + 1, protect_until=None))
    assert_strict(decode_roll, encode, encode_roll(entries))


@pytest.mark.parametrize(
    "flag, seq, digest",
    [(2, 0, bytes(32)), (0, 1, bytes(32)), (0, 0, noise(32))],
)
def test_a_predecessor_is_there_or_all_zero(flag: int, seq: int, digest: bytes) -> None:
    data = manifests.encode_clear(replace(clear(), predecessor=(SEQ - 1, noise(32, "p"))))
    at = data.index(noise(32, "p")) - 9
    wrong = data[:at] + bytes([flag]) + seq.to_bytes(8, "big") + digest + data[at + 41 :]
    with pytest.raises(IntegrityError, match="predecessor"):
        manifests.decode_clear(wrong)


@pytest.mark.parametrize("micros", [0, 253_402_300_800_000_000, (1 << 64) - 1])
def test_a_point_has_a_possible_time(micros: int) -> None:
    data = manifests.encode_clear(clear())
    at = 16 * 3 + 8 + 1
    with pytest.raises(IntegrityError, match="time"):
        manifests.decode_clear(data[:at] + micros.to_bytes(8, "big") + data[at + 8 :])


def test_the_parts_of_a_manifest_do_not_change_places() -> None:
    one = decoded(manifest(clear()))
    pieces = [
        bytes(Writer().blob(manifests.encode_clear(one.clear))),
        bytes(Writer().blob(one.sealed)),
        one.signer,
        one.signature,
    ]
    assert opened(b"drd1mani" + b"".join(pieces))
    assert_refused(lambda body: opened(b"drd1mani" + body), exchanges(pieces))


def test_clear_and_sealed_part_belong_together() -> None:
    """Parts of two manifests that both verify do not make a third."""
    mine, theirs = clear(), replace(clear(), ordinal=99)
    one, other = decoded(manifest(mine)), decoded(manifest(theirs))
    again = manifests.seal_facts(order(salt=b"another salt...."), SEQ, {"name": "other"})
    for sealed, signed_by in ((one.sealed, other), (again, one), (again, other)):
        data = manifests.encode_manifest(
            manifests.encode_clear(mine), sealed, signed_by.signer, signed_by.signature
        )
        assert_refused(opened, [data])


# ── elsewhere ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scope", ELSEWHERE, ids=["repository", "tenant", "lineage"])
def test_a_manifest_moved_elsewhere_does_not_verify(scope: Scope) -> None:
    assert_refused(lambda data: opened(data, scope=scope), [manifest(clear())])
    assert_refused(opened, [manifest(clear(scope=scope), scope=scope)])


def test_a_manifest_under_another_number_does_not_verify() -> None:
    assert_refused(lambda data: opened(data, seq=SEQ + 1), [manifest(clear())])


@pytest.mark.parametrize("scope", ELSEWHERE, ids=["repository", "tenant", "lineage"])
def test_a_sealed_part_of_elsewhere_is_refused(scope: Scope) -> None:
    """Even when a host signs it into its own manifest."""
    sealed = manifests.seal_facts(order(scope=scope), SEQ, FACTS)
    assert_refused(opened, [signed_manifest(clear(), sealed)])


def test_a_sealed_part_of_another_point_is_refused() -> None:
    sealed = manifests.seal_facts(order(), SEQ - 1, FACTS)
    assert_refused(opened, [signed_manifest(clear(), sealed)])


@pytest.mark.parametrize(
    "sections",
    [[], [b"{}", b"{}"], [b"[]"], [b"no JSON"], [b"\xff"], [b""], [b"[" * 100_000]],
)
def test_facts_are_one_json_object(sections: list[bytes]) -> None:
    sealed = seal.seal_object(
        b"mani", order(), SEQ.to_bytes(16, "big"), clear=b"", sections=sections
    )
    assert_refused(opened, [signed_manifest(clear(), sealed)])


def test_facts_survive_whatever_json_can_say() -> None:
    facts: dict[str, Json] = {"ä": [1, None, True, {"x": 1.5}], "": ""}
    sealed = manifests.seal_facts(order(), SEQ, facts)
    assert opened(signed_manifest(clear(), sealed)) == (clear(), facts)
    assert json.loads(json.dumps(facts)) == facts


# ── the chain ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("predecessor", [None, (SEQ - 2, bytes(32)), (SEQ, bytes(32))])
def test_numbers_go_up_by_one_from_the_predecessor(predecessor: tuple[int, bytes] | None) -> None:
    """Else one stolen host could use up all numbers with a single manifest."""
    assert_refused(opened, [manifest(replace(clear(), predecessor=predecessor))])


def test_the_first_number_is_one() -> None:
    first = replace(clear(1), predecessor=None)
    assert opened(manifest(first), seq=1) == (first, FACTS)
    for seq, predecessor in ((0, None), (1, (0, bytes(32)))):
        wrong = replace(clear(seq or 1), seq=seq, predecessor=predecessor)
        assert_refused(lambda data, seq=seq: opened(data, seq=seq), [manifest(wrong)])  # type: ignore[misc]


# ── signers ─────────────────────────────────────────────────────────────────────────────────────

COMMITTED = clear().committed_at
LAST = {"lineage": SCOPE.lineage.hex(), "seq": SEQ}


def test_only_a_host_that_trust_names_may_sign() -> None:
    stranger = MemoryRing.make("stranger")
    assert_refused(opened, [manifest(clear(), ring=stranger)])
    data = manifest(clear())
    for wrong in (trust(roles=["verify"]), trust(roles=[]), trust(tenants=[bytes(16).hex()])):
        assert_refused(lambda one, wrong=wrong: opened(one, by=wrong), [data])  # type: ignore[misc]


@pytest.mark.parametrize(
    "validity, holds",
    [
        ({"not_before": COMMITTED.isoformat()}, True),
        ({"not_after": COMMITTED.isoformat()}, True),
        ({"not_before": (COMMITTED + timedelta(seconds=1)).isoformat()}, False),
        ({"not_after": (COMMITTED - timedelta(seconds=1)).isoformat()}, False),
    ],
)
def test_a_key_signs_inside_its_validity(validity: dict[str, str], *, holds: bool) -> None:
    check(trust(**validity), holds=holds)


def check(by: Trust, *, holds: bool) -> None:
    data = manifest(clear())
    if holds:
        assert opened(data, by=by)
    else:
        assert_refused(lambda one: opened(one, by=by), [data])


def test_a_revoked_key_is_good_up_to_the_last_good_point() -> None:
    sha = decoded(manifest(clear())).sha256.hex()
    other = bytes(32).hex()
    at = START.isoformat()
    elsewhere = bytes(16).hex()
    for revoked, holds in (
        ([LAST | {"sha256": sha}], True),
        ([LAST | {"sha256": other}], False),
        ([LAST | {"seq": SEQ + 1, "sha256": other}], True),
        ([LAST | {"seq": SEQ - 1, "sha256": other}], False),
        ([LAST | {"lineage": elsewhere, "sha256": sha}], False),
        ([], False),
    ):
        by = trust(revoked_at=at, revoked=revoked)
        data = sealed_once()
        if holds:
            assert opened(data, by=by)
        else:
            assert_refused(lambda one, by=by: opened(one, by=by), [data])  # type: ignore[misc]


def sealed_once() -> bytes:
    """The specimen: sealing and signing are pure, so its SHA-256 is the same each time."""
    assert manifest(clear()) == manifest(clear())
    assert RING.host_public == decoded(manifest(clear())).signer
    return manifest(clear())


def test_a_truncated_manifest_is_refused_before_its_signature() -> None:
    assert_refused(decoded, truncations(manifest(clear())))
