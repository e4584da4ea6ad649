"""Statements: what the signature covers, under which name they lie, who may say what."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from drd.core import names, seal
from drd.core import statement as statements
from drd.core.seal import Scope
from drd.core.statement import Shut, Statement
from drd.core.trust import Trust, decode_document, read_trust
from drd.errors import IntegrityError
from drd.model import Json
from drd.testing.fakes import START, MemoryRing
from drd.testing.repository import root_document, trust_body
from tests.unit.core.adversary import assert_refused, assert_sealed, exchanges
from tests.unit.core.specimens import ELSEWHERE, METADATA_KEY, RING, SCOPE, noise, order, trust

TAG = noise(8, "tag")
HOLD = Statement("hold", SCOPE, 7, START, {"seq": 7}, {"why": "ä trial"}, TAG)
DOOMED = Statement("doomed", SCOPE, 3, START, {"points": [[1, "ab"]]}, {})
TRUST = trust()


def written(
    what: Statement = HOLD, *, ring: MemoryRing = RING, sealed_in: Scope | None = None
) -> bytes:
    unsigned = statements.encode(what, order(scope=sealed_in or what.scope))
    return unsigned.encode(*ring.sign(unsigned.to_sign))


def opened(
    data: bytes, *, key: str = HOLD.key, by: Trust = TRUST, scope: Scope = SCOPE
) -> Statement:
    """As every reader takes it: decode, place, signature and signer, sealed part."""
    shut = statements.decode(data)
    statements.verify(shut, by, scope=scope, key=key)
    return replace(shut.statement, sealed=statements.open_sealed(shut, METADATA_KEY))


def with_pruner(ring: MemoryRing, **fields: Json) -> Trust:
    """Trust that names the host of ``RING`` and the host key of *ring* as pruner."""
    body = trust_body(RING)
    keys = body["keys"]
    assert isinstance(keys, list)
    one: dict[str, Json] = {
        "key": ring.host_public.hex(),
        "roles": ["pruner"],
        "tenants": [RING.tenant.hex()],
        **fields,
    }
    body["keys"] = [*keys, one]
    document = decode_document(root_document(RING, "trust", body), "trust")
    return read_trust(document, document.signer)


@pytest.mark.parametrize("what", [HOLD, DOOMED], ids=["hold", "doomed"])
def test_a_statement_says_what_was_said(what: Statement) -> None:
    data = written(what)
    assert opened(data, key=what.key) == what
    assert statements.decode(data).sha256 == seal.sha256(data)


@pytest.mark.parametrize("what", [HOLD, DOOMED], ids=["hold", "doomed"])
def test_a_statement_in_any_other_shape_does_not_open(what: Statement) -> None:
    assert_sealed(lambda data: opened(data, key=what.key), written(what))


def test_words_that_are_no_text_are_said_as_they_are() -> None:
    strange = replace(HOLD, sealed={"why": "\ud800"})
    assert opened(written(strange)) == strange


def test_the_parts_do_not_change_places() -> None:
    unsigned = statements.encode(HOLD, order())
    signer, signature = RING.sign(unsigned.to_sign)
    length = [len(one).to_bytes(4, "big") for one in (unsigned.clear, unsigned.sealed)]
    pieces = [length[0] + unsigned.clear, length[1] + unsigned.sealed, signer, signature]
    assert opened(statements.MAGIC + b"".join(pieces)) == HOLD
    assert_refused(lambda body: opened(statements.MAGIC + body), exchanges(pieces))


def test_clear_and_sealed_part_belong_together() -> None:
    one = statements.encode(HOLD, order())
    other = statements.encode(replace(HOLD, sealed={"why": "other"}), order(salt=b"salt" * 4))
    mixed = statements.Unsigned(one.clear, other.sealed)
    assert_refused(opened, [mixed.encode(*RING.sign(one.to_sign))])


@pytest.mark.parametrize("scope", ELSEWHERE, ids=["repository", "tenant", "lineage"])
def test_a_statement_of_elsewhere_is_refused(scope: Scope) -> None:
    moved = replace(HOLD, scope=scope)
    assert_refused(opened, [written(moved)])
    assert_refused(lambda data: opened(data, key=moved.key), [written(moved)])
    assert_refused(opened, [written(HOLD, sealed_in=scope)])


def test_a_statement_under_another_name_is_refused() -> None:
    """A release of one hold is no release of another, and a journal's number is used once."""
    names_of_others = (
        replace(HOLD, number=8),
        replace(HOLD, tag=noise(8, "other tag")),
        replace(HOLD, kind="release"),
        DOOMED,
    )
    for other in names_of_others:
        assert_refused(lambda data, key=other.key: opened(data, key=key), [written()])  # type: ignore[misc]
    assert_refused(lambda data: opened(data, key=replace(DOOMED, number=4).key), [written(DOOMED)])


def test_the_sealed_part_of_another_statement_is_refused() -> None:
    """Even when a host signs it into its own."""
    for other in (replace(HOLD, number=8), replace(HOLD, kind="release")):
        sealed = statements.encode(other, order()).sealed
        mixed = statements.Unsigned(statements.encode(HOLD, order()).clear, sealed)
        assert_refused(opened, [mixed.encode(*RING.sign(mixed.to_sign))])


@pytest.mark.parametrize(
    "kind, number, tag",
    [
        ("hold", 7, b""),
        ("hold", 0, TAG),
        ("hold", names.MAX_SEQ + 1, TAG),
        ("doomed", 1, TAG),
        ("doomed", 0, b""),
        ("rumour", 1, b""),
        ("", 1, TAG),
    ],
)
def test_what_makes_no_name_is_no_statement(kind: str, number: int, tag: bytes) -> None:
    with pytest.raises(IntegrityError):
        statements.encode(replace(HOLD, kind=kind, number=number, tag=tag), order())


@pytest.mark.parametrize(
    "sections", [[], [b"{}", b"{}"], [b"[]"], [b"no JSON"], [b"\xff"], [b""], [b"[" * 100_000]]
)
def test_the_sealed_part_is_one_json_object(sections: list[bytes]) -> None:
    one = statements.encode(HOLD, order())
    object_id = b"hold\0\0\0\0" + (7).to_bytes(8, "big")
    sealed = seal.seal_object(b"stmt", order(), object_id, clear=b"", sections=sections)
    mixed = statements.Unsigned(one.clear, sealed)
    assert_refused(opened, [mixed.encode(*RING.sign(mixed.to_sign))])


@pytest.mark.parametrize("text", [b"[]", b"no JSON", b"\xff", b"", b"[" * 100_000])
def test_the_clear_part_holds_one_json_object(text: bytes) -> None:
    one = statements.encode(replace(HOLD, clear={}), order())
    assert one.clear.endswith(b"\0\0\0\x02{}")
    clear = one.clear[:-6] + len(text).to_bytes(4, "big") + text
    mixed = statements.Unsigned(clear, one.sealed)
    assert_refused(opened, [mixed.encode(*RING.sign(mixed.to_sign))])


@pytest.mark.parametrize("micros", [0, 253_402_300_800_000_000])
def test_a_statement_has_a_possible_time(micros: int) -> None:
    one = statements.encode(replace(HOLD, clear={}), order())
    at = len(one.clear) - 6 - 8
    clear = one.clear[:at] + micros.to_bytes(8, "big") + one.clear[at + 8 :]
    mixed = statements.Unsigned(clear, one.sealed)
    assert_refused(opened, [mixed.encode(*RING.sign(mixed.to_sign))])


# ── signers ─────────────────────────────────────────────────────────────────────────────────────


def read(what: Statement, by: Trust, ring: MemoryRing = RING) -> Shut:
    shut = statements.decode(written(what, ring=ring))
    statements.verify(shut, by, scope=SCOPE, key=what.key)
    return shut


@pytest.mark.parametrize("what", [HOLD, DOOMED], ids=["hold", "doomed"])
def test_only_who_trust_names_may_say_it(what: Statement) -> None:
    assert read(what, TRUST).signer == RING.host_public
    for wrong in (trust(roles=["verify"]), trust(roles=[]), trust(tenants=[bytes(16).hex()])):
        with pytest.raises(IntegrityError, match="trust does not name"):
            read(what, wrong)
    with pytest.raises(IntegrityError, match="trust does not name"):
        read(what, TRUST, MemoryRing.make("stranger"))


def test_a_key_speaks_inside_its_validity() -> None:
    late = START + timedelta(seconds=1)
    at = START.isoformat()
    assert read(HOLD, trust(not_before=at, not_after=at)).signer == RING.host_public
    for validity in ({"not_before": late.isoformat()}, {"not_after": "2000-01-01T00:00:00+00:00"}):
        with pytest.raises(IntegrityError, match="validity"):
            read(HOLD, trust(**validity))


def test_a_revoked_key_is_believed_only_where_that_keeps_more() -> None:
    revoked = trust(revoked_at=START.isoformat())
    for kind in ("hold", "spared"):
        what = replace(DOOMED, kind=kind) if kind == "spared" else HOLD
        assert read(what, revoked).signer == RING.host_public
    for kind in ("release", "result"):
        with pytest.raises(IntegrityError, match="revoked"):
            read(replace(HOLD, kind=kind), revoked)
    for kind in ("doomed", "deleted"):
        with pytest.raises(IntegrityError, match="revoked"):
            read(replace(DOOMED, kind=kind), revoked)


def test_where_trust_names_a_pruner_hosts_write_the_journal_no_more() -> None:
    pruner = MemoryRing.make("pruner")
    now = with_pruner(pruner)
    assert read(DOOMED, now, pruner).signer == pruner.host_public
    with pytest.raises(IntegrityError, match="trust does not name"):
        read(DOOMED, now)
    assert read(HOLD, now).signer == RING.host_public
    with pytest.raises(IntegrityError, match="trust does not name"):
        read(HOLD, now, pruner)
    later = with_pruner(pruner, not_before=(START + timedelta(days=1)).isoformat())
    assert read(DOOMED, later).signer == RING.host_public
    elsewhere = with_pruner(pruner, tenants=[bytes(16).hex()])
    assert read(DOOMED, elsewhere).signer == RING.host_public


# ── names ───────────────────────────────────────────────────────────────────────────────────────


def test_names_of_statements_are_known_and_read_back() -> None:
    assert names.is_known(HOLD.key)
    assert names.parse_statement_key(HOLD.key) == ("hold", 7, TAG)
    assert HOLD.key.startswith(names.statement_folder(SCOPE.tenant, SCOPE.lineage, "hold"))
    assert HOLD.key.startswith(names.statement_folder(SCOPE.tenant, SCOPE.lineage))
    assert names.is_known(DOOMED.key)
    assert names.journal_number(DOOMED.key) == 3
    for strange in (DOOMED.key + "x", HOLD.key, DOOMED.key[:-1] + "03", ""):
        assert names.journal_number(strange) is None
    for strange in (HOLD.key + "0", DOOMED.key, HOLD.key.replace("hold", "rumour")):
        assert names.parse_statement_key(strange) is None
    assert not names.is_known(HOLD.key + "0")
    assert not names.is_known(DOOMED.key + "x")
