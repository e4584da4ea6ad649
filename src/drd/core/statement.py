"""Statements: what people and processes say of a lineage, signed: holds, results, doomed lists, deletions.

Layout: ``"drd1stmt" ‖ blob(clear) ‖ blob(sealed object "stmt") ‖ public key ‖ Ed25519 signature``.

1. The signature (RFC 8032) covers lp("drd1 statement", clear, SHA-256(sealed part)), as a manifest's
   does: neither part can be exchanged, and no other signed thing can be passed off as a statement.
2. The clear part has kind, place, number, tag and time in fixed fields, and a JSON object: what a
   process without keys must know (numbers, ids, hashes). The sealed part has what people wrote.
3. Kind, number and tag make the name of the object, so a statement that was copied under another
   name (a release of one hold put in the place of another's) does not verify.
4. A signer whose key is revoked is believed only where believing keeps more: a hold, or that a
   doomed point is spared. What a thief signs may cost room, never a point.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drd.core import names, seal
from drd.core.coding import Reader, Writer, lp
from drd.core.manifest import SIGNATURE_BYTES, micros, moment
from drd.core.seal import Scope, SealOrder
from drd.core.trust import Trust, may_sign, verify_signature
from drd.errors import IntegrityError
from drd.model import ID_BYTES, KEY_BYTES, Buffer, Json

MAGIC: Final = b"drd1stmt"
SEALED: Final = b"stmt"
DOMAIN: Final = b"drd1 statement"
HOST: Final = "host"
PRUNER: Final = "pruner"
VERIFIER: Final = "verifier"
RESULT: Final = "result"
KEEPING: Final = frozenset({"hold", "spared"})
"""Kinds that can only keep data (rule 4)."""
_KIND_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing said of a lineage.

    ``kind`` is one of ``names.JOURNAL_KINDS`` (``number`` is the journal's, from 1, and there is no
    ``tag``) or ``names.STATEMENT_KINDS`` (``number`` is the seq of the point meant, ``tag`` 8 bytes that
    tell several statements about one point apart; a release has the tag of its hold). ``at`` is UTC,
    by the signer's clock. ``clear`` anybody may read, ``sealed`` holders of the metadata key.
    """

    kind: str
    scope: Scope
    number: int
    at: datetime
    clear: Mapping[str, Json]
    sealed: Mapping[str, Json]
    tag: bytes = b""

    @property
    def key(self) -> str:
        """Its name in the bucket (rule 3)."""
        return names.statement_key(
            self.scope.tenant, self.scope.lineage, self.kind, self.number, tag=self.tag
        )


@dataclass(frozen=True, slots=True)
class Shut:
    """A decoded statement whose sealed part is still shut; its signature is checked by :func:`verify`.

    ``statement.sealed`` is empty. ``generation`` is that of the metadata key that opens the rest.
    """

    statement: Statement
    generation: int
    sealed: bytes
    signer: bytes
    signature: bytes
    signed: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Unsigned:
    """Both parts of a statement; ``to_sign`` is what the ring signs."""

    clear: bytes
    sealed: bytes

    @property
    def to_sign(self) -> bytes:
        """What is signed (rule 1)."""
        return _to_sign(self.clear, self.sealed)

    def encode(self, signer: bytes, signature: bytes) -> bytes:
        """The whole object."""
        writer = Writer().raw(MAGIC).blob(self.clear).blob(self.sealed)
        return bytes(writer.raw(signer).raw(signature))


def _to_sign(clear: bytes, sealed: bytes) -> bytes:
    return lp(DOMAIN, clear, seal.sha256(sealed))


def _json(value: Mapping[str, Json]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _object_id(kind: str, number: int) -> bytes:
    return kind.encode().ljust(_KIND_BYTES, b"\0") + number.to_bytes(ID_BYTES - _KIND_BYTES, "big")


def encode(statement: Statement, order: SealOrder) -> Unsigned:
    """Seal and lay out *statement*; ``order.scope`` must be its own.

    Raises:
        IntegrityError: kind, number and tag make no name.
    """
    scope = statement.scope
    names.statement_key(
        scope.tenant, scope.lineage, statement.kind, statement.number, tag=statement.tag
    )
    writer = Writer().raw(scope.repository).raw(scope.tenant).raw(scope.lineage)
    writer.text(statement.kind).u64(statement.number).blob(statement.tag)
    writer.u64(micros(statement.at)).blob(_json(statement.clear))
    object_id = _object_id(statement.kind, statement.number)
    sealed = seal.seal_object(
        SEALED, order, object_id, clear=b"", sections=[_json(statement.sealed)]
    )
    return Unsigned(bytes(writer), sealed)


def _object(text: bytes, what: str) -> dict[str, Json]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{what} of a statement is no JSON") from error
    if not isinstance(parsed, dict):
        raise IntegrityError(f"{what} of a statement is no JSON object")
    return parsed


def _decode_clear(data: bytes) -> Statement:
    reader = Reader(data, "a statement")
    scope = Scope(reader.raw(ID_BYTES), reader.raw(ID_BYTES), reader.raw(ID_BYTES))
    kind = reader.text()
    number = reader.u64()
    tag = reader.blob()
    at = moment(reader.u64())
    clear = _object(reader.blob(), "the clear part")
    reader.end()
    if at is None:
        raise IntegrityError("a statement lacks its time")
    names.statement_key(scope.tenant, scope.lineage, kind, number, tag=tag)
    return Statement(kind, scope, number, at, clear, {}, tag)


def decode(data: Buffer) -> Shut:
    """Take a statement apart; its signature is not yet checked.

    Raises:
        IntegrityError: it is none, or is damaged.
    """
    reader = Reader(data, "a statement")
    reader.expect(MAGIC, "magic")
    clear = reader.blob()
    sealed = reader.blob()
    signer = reader.raw(KEY_BYTES)
    signature = reader.raw(SIGNATURE_BYTES)
    reader.end()
    header = seal.decode_header(sealed, kind=SEALED)
    return Shut(
        statement=_decode_clear(clear),
        generation=header.generation,
        sealed=sealed,
        signer=signer,
        signature=signature,
        signed=_to_sign(clear, sealed),
        sha256=seal.sha256(data),
    )


def verify(shut: Shut, trust: Trust, *, scope: Scope, key: str) -> None:
    """Check that the statement stands where it belongs (*key* of *scope*), and that its signer may say it.

    Raises:
        IntegrityError: it belongs elsewhere, the signature is wrong, or trust does not name the signer.
    """
    statement = shut.statement
    if statement.scope != scope or statement.key != key:
        raise IntegrityError("a statement lies under another name than its own", about=key)
    verify_signature(shut.signer, shut.signed, shut.signature)
    role = VERIFIER if _by_verifier(trust, shut) else role_of(trust, statement)
    by = may_sign(trust, shut.signer, role, scope.tenant)
    if not by.valid_at(statement.at):
        raise IntegrityError("a statement was signed outside its key's time of validity", about=key)
    if by.revoked_at is not None and statement.kind not in KEEPING:
        raise IntegrityError("a statement was signed by a revoked key", about=key)


def _by_verifier(trust: Trust, shut: Shut) -> bool:
    """Results are said by who verified: a key of role ``verifier``, or a host's."""
    signer = trust.keys.get(shut.signer)
    return shut.statement.kind == RESULT and signer is not None and VERIFIER in signer.roles


def role_of(trust: Trust, statement: Statement) -> str:
    """The role that must sign *statement*: ``host``, and for the journal ``pruner`` where trust has one.

    From the moment (``not_before``) at which the first key of role ``pruner`` is valid for the tenant,
    hosts say nothing in the journal any more; what they said before stands.
    """
    if statement.kind not in names.JOURNAL_KINDS:
        return HOST
    begun = [
        key.not_before
        for key in trust.keys.values()
        if PRUNER in key.roles and statement.scope.tenant in key.tenants
    ]
    if any(when is None or when <= statement.at for when in begun):
        return PRUNER
    return HOST


def open_sealed(shut: Shut, key: bytes) -> dict[str, Json]:
    """What people wrote.

    Raises:
        IntegrityError: it was not sealed with the metadata key *key* for this statement.
    """
    statement = shut.statement
    header = seal.decode_header(shut.sealed, kind=SEALED)
    expected = _object_id(statement.kind, statement.number)
    if header.scope != statement.scope or header.object_id != expected:
        raise IntegrityError("the sealed part of a statement belongs to another one")
    sections = seal.open_object(shut.sealed, header, key)
    if len(sections) != 1:
        raise IntegrityError("the sealed part of a statement has a wrong number of sections")
    return _object(sections[0], "the sealed part")
