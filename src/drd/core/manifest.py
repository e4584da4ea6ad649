"""The manifest: the commit point. A backup exists when its manifest does.

Layout: ``"drd1mani" ‖ blob(clear) ‖ blob(sealed object "mani") ‖ public key ‖ Ed25519 signature``.

1. The signature (RFC 8032) covers lp("drd1 manifest", clear, SHA-256(sealed part)): the clear part
   and the sealed part belong to each other, and nothing else can be passed off as a manifest.
2. No fact that a later point needs stands only here: expiry deletes manifests. What is needed
   (digest key, item table, rows of packs) is copied or referenced again by each successor.
3. A manifest names every object that its map needs, with SHA-256; the packs stand in the rows that
   those objects carry.
4. ``ordinal`` is the next pack ordinal of the lineage; ordinals are never used twice.
5. The roll tells which manifests are retained: an ``x/`` object (the base) and the changes since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from drd.core import seal
from drd.core.coding import Reader, Writer, lp
from drd.core.kinds import TableKind
from drd.core.seal import Scope, SealOrder
from drd.core.trust import Trust, may_sign, verify_signature
from drd.errors import IntegrityError
from drd.model import ID_BYTES, KEY_BYTES, Buffer, Json, PointKind

MAGIC: Final = b"drd1mani"
SEALED: Final = b"mani"
DOMAIN: Final = b"drd1 manifest"
SIGNATURE_BYTES: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_MICROS: Final = 253_402_300_799_999_999  # the last microsecond of year 9999


@dataclass(frozen=True, slots=True)
class Reference:
    """An ``x/`` object that the map of this point needs.

    ``number`` is the window (shard, digests) or the shard of items; runs and pack tables have their
    ``level``. ``through`` is the newest seq whose changes the object holds: a run whose ``through``
    is not above that of a window's shard (or digest table) is not painted in that window.
    *version* locates, *sha256* identifies.
    """

    kind: TableKind
    number: int
    level: int
    through: int
    table_id: bytes
    size: int
    sha256: bytes
    version: str


@dataclass(frozen=True, slots=True)
class RollEntry:
    """One retained manifest of the lineage."""

    seq: int
    sha256: bytes
    kind: PointKind
    protect_until: datetime | None


@dataclass(frozen=True, slots=True)
class Clear:
    """What anybody may read. Times are UTC; None where there is none.

    ``predecessor`` is (seq, SHA-256) of the manifest that this map derives from. ``next_by`` tells a
    checker without keys when the next point is promised.
    """

    scope: Scope
    seq: int
    kind: PointKind
    point_at: datetime
    committed_at: datetime
    next_by: datetime | None
    protect_until: datetime | None
    predecessor: tuple[int, bytes] | None
    generation: int
    trust: tuple[int, bytes]
    ordinal: int
    references: tuple[Reference, ...]
    roll: tuple[RollEntry, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A decoded manifest; ``sealed`` is still shut, the signature checked by :func:`verify`."""

    clear: Clear
    sealed: bytes
    signer: bytes
    signature: bytes
    signed: bytes
    sha256: bytes


def micros(moment: datetime | None) -> int:
    """Microseconds since 1970 UTC; 0 for None."""
    if moment is None:
        return 0
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(value: int) -> datetime | None:
    """The inverse of :func:`micros`."""
    if value > _MAX_MICROS:
        raise IntegrityError("a manifest holds an impossible time")
    return _EPOCH + timedelta(microseconds=value) if value else None


def _moment(value: int) -> datetime:
    when = moment(value)
    if when is None:
        raise IntegrityError("a manifest lacks a time")
    return when


def _encode_reference(writer: Writer, reference: Reference) -> None:
    writer.u8(reference.kind).u32(reference.number).u8(reference.level)
    writer.u64(reference.through)
    writer.raw(reference.table_id).u64(reference.size).raw(reference.sha256)
    writer.text(reference.version)


def _decode_reference(reader: Reader) -> Reference:
    try:
        kind = TableKind(reader.u8())
    except ValueError as error:
        raise IntegrityError("a manifest references an unknown kind of object") from error
    number = reader.u32()
    level = reader.u8()
    through = reader.u64()
    table_id = reader.raw(ID_BYTES)
    size = reader.u64()
    digest = reader.raw(KEY_BYTES)
    version = reader.text()
    return Reference(kind, number, level, through, table_id, size, digest, version)


def encode_roll_entry(writer: Writer, entry: RollEntry) -> None:
    """Append one entry of a roll."""
    writer.u64(entry.seq).u8(entry.kind).raw(entry.sha256).u64(micros(entry.protect_until))


def _kind(value: int) -> PointKind:
    try:
        return PointKind(value)
    except ValueError as error:
        raise IntegrityError("a manifest is of an unknown kind") from error


def decode_roll_entry(reader: Reader) -> RollEntry:
    """Take one entry of a roll."""
    seq = reader.u64()
    kind = _kind(reader.u8())
    digest = reader.raw(KEY_BYTES)
    return RollEntry(seq, digest, kind, moment(reader.u64()))


def encode_clear(clear: Clear) -> bytes:
    """Encode the clear part."""
    scope = clear.scope
    writer = Writer().raw(scope.repository).raw(scope.tenant).raw(scope.lineage)
    writer.u64(clear.seq).u8(clear.kind)
    writer.u64(micros(clear.point_at)).u64(micros(clear.committed_at))
    writer.u64(micros(clear.next_by)).u64(micros(clear.protect_until))
    seq, digest = clear.predecessor or (0, bytes(KEY_BYTES))
    writer.u8(clear.predecessor is not None).u64(seq).raw(digest)
    writer.u32(clear.generation).u32(clear.trust[0]).raw(clear.trust[1]).u32(clear.ordinal)
    writer.u32(len(clear.references))
    for reference in clear.references:
        _encode_reference(writer, reference)
    writer.u32(len(clear.roll))
    for entry in clear.roll:
        encode_roll_entry(writer, entry)
    return bytes(writer)


def _decode_predecessor(reader: Reader) -> tuple[int, bytes] | None:
    flag = reader.u8()
    seq, digest = reader.u64(), reader.raw(KEY_BYTES)
    if flag not in (0, 1) or (not flag and (seq or any(digest))):
        raise IntegrityError("a manifest has a damaged predecessor")
    return (seq, digest) if flag else None


def decode_clear(data: bytes) -> Clear:
    """Decode the clear part.

    Raises:
        IntegrityError: it is damaged.
    """
    reader = Reader(data, "a manifest")
    scope = Scope(reader.raw(ID_BYTES), reader.raw(ID_BYTES), reader.raw(ID_BYTES))
    seq = reader.u64()
    kind = _kind(reader.u8())
    point_at, committed_at = _moment(reader.u64()), _moment(reader.u64())
    next_by, protect_until = moment(reader.u64()), moment(reader.u64())
    predecessor = _decode_predecessor(reader)
    generation = reader.u32()
    trust = (reader.u32(), reader.raw(KEY_BYTES))
    ordinal = reader.u32()
    references = tuple(_decode_reference(reader) for _ in range(reader.u32()))
    roll = tuple(decode_roll_entry(reader) for _ in range(reader.u32()))
    reader.end()
    return Clear(
        scope=scope,
        seq=seq,
        kind=kind,
        point_at=point_at,
        committed_at=committed_at,
        next_by=next_by,
        protect_until=protect_until,
        predecessor=predecessor,
        generation=generation,
        trust=trust,
        ordinal=ordinal,
        references=references,
        roll=roll,
    )


def _object_id(seq: int) -> bytes:
    """Binds the sealed part to its place; the signature binds it to the rest."""
    return seq.to_bytes(ID_BYTES, "big")


def to_sign(clear: bytes, sealed: bytes) -> bytes:
    """What is signed (rule 1)."""
    return lp(DOMAIN, clear, seal.sha256(sealed))


def seal_facts(order: SealOrder, seq: int, facts: Mapping[str, Json]) -> bytes:
    """Seal what only holders of the metadata key may read: JSON, so that facts can be added."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return seal.seal_object(SEALED, order, _object_id(seq), clear=b"", sections=[text.encode()])


def encode_manifest(clear: bytes, sealed: bytes, signer: bytes, signature: bytes) -> bytes:
    """Put the parts together."""
    return bytes(Writer().raw(MAGIC).blob(clear).blob(sealed).raw(signer).raw(signature))


def decode_manifest(data: Buffer) -> Manifest:
    """Take a manifest apart; its signature is not yet checked.

    Raises:
        IntegrityError: it is none, or is damaged.
    """
    reader = Reader(data, "a manifest")
    reader.expect(MAGIC, "magic")
    clear = reader.blob()
    sealed = reader.blob()
    signer = reader.raw(KEY_BYTES)
    signature = reader.raw(SIGNATURE_BYTES)
    reader.end()
    return Manifest(
        clear=decode_clear(clear),
        sealed=sealed,
        signer=signer,
        signature=signature,
        signed=to_sign(clear, sealed),
        sha256=seal.sha256(data),
    )


def verify(manifest: Manifest, *, scope: Scope, seq: int) -> None:
    """Check that the manifest stands where it belongs and was signed by ``manifest.signer``.

    Whether that signer may sign is for :mod:`drd.core.trust`.

    Raises:
        IntegrityError: it belongs elsewhere, the signature is wrong, or its number is not that of
            its predecessor plus one (a stolen host could else use up all numbers with one point).
    """
    clear = manifest.clear
    if clear.scope != scope or clear.seq != seq:
        raise IntegrityError("a manifest lies under another name than its own")
    before = clear.predecessor[0] if clear.predecessor else 0
    if seq != before + 1 or (clear.predecessor is not None and not before):
        raise IntegrityError("a manifest does not follow its predecessor")
    verify_signature(manifest.signer, manifest.signed, manifest.signature)


def check_signer(manifest: Manifest, trust: Trust) -> None:
    """Whether the signer was allowed to sign this manifest, validity and revocation included.

    Raises:
        IntegrityError: it was not.
    """
    clear = manifest.clear
    key = may_sign(trust, manifest.signer, "host", clear.scope.tenant)
    if not key.valid_at(clear.committed_at):
        raise IntegrityError("a manifest was signed outside its key's time of validity")
    if key.revoked_at is None:
        return
    last = key.revoked.get(clear.scope.lineage)
    if last is None or clear.seq > last[0] or (clear.seq == last[0] and manifest.sha256 != last[1]):
        raise IntegrityError("a manifest was signed by a revoked key")


def open_facts(manifest: Manifest, key: bytes) -> dict[str, Json]:
    """Open the sealed part.

    Raises:
        IntegrityError: it was not sealed with *key* for this place.
    """
    header = seal.decode_header(manifest.sealed, kind=SEALED)
    if header.scope != manifest.clear.scope or header.object_id != _object_id(manifest.clear.seq):
        raise IntegrityError("the sealed part of a manifest belongs to another one")
    sections = seal.open_object(manifest.sealed, header, key)
    if len(sections) != 1:
        raise IntegrityError("the sealed part of a manifest has a wrong number of sections")
    try:
        facts = json.loads(sections[0])
    except (ValueError, RecursionError) as error:
        raise IntegrityError("the sealed part of a manifest is no JSON") from error
    if not isinstance(facts, dict):
        raise IntegrityError("the sealed part of a manifest is no JSON object")
    return facts


def encode_roll(entries: Sequence[RollEntry]) -> bytes:
    """The section of a roll object."""
    writer = Writer().u32(len(entries))
    for entry in entries:
        encode_roll_entry(writer, entry)
    return bytes(writer)


def decode_roll(data: bytes) -> tuple[RollEntry, ...]:
    """Decode the section of a roll object.

    Raises:
        IntegrityError: it is damaged or out of order.
    """
    reader = Reader(data, "a roll")
    entries = tuple(decode_roll_entry(reader) for _ in range(reader.u32()))
    reader.end()
    if any(a.seq >= b.seq for a, b in pairwise(entries)):
        raise IntegrityError("a roll is out of order")
    return entries
