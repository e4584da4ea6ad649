"""Tables: the ``x/`` objects. Runs, shards, digest tables, item tables, pack tables and rolls.

All are sealed objects of one shape: a clear part (rows of packs, ordinals reached) that lets anybody
check, renew locks and compute reachability without a key, and sealed sections. Section 0 is an index
that says what each of the others speaks of.

Every ordinal reached by a manifest has exactly one row among the objects that the manifest names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from drd.core import seal
from drd.core.coding import Reader, Writer
from drd.core.columns import decode_column, encode_column
from drd.core.compress import Compressor, Decompressor
from drd.core.kinds import TableKind as TableKind  # noqa: PLC0414 - part of this module for others
from drd.core.pack import Epoch
from drd.core.seal import Opener, SealedHeader, SealOrder
from drd.core.sections import What
from drd.errors import IntegrityError
from drd.model import ID_BYTES, KEY_BYTES, Buffer

MAX_CLEAR: Final = 1 << 28


MAGIC: Final[Mapping[TableKind, bytes]] = {
    TableKind.RUN: b"run ",
    TableKind.SHARD: b"shrd",
    TableKind.DIGESTS: b"dgst",
    TableKind.ITEMS: b"item",
    TableKind.PACKS: b"pckt",
    TableKind.ROLL: b"roll",
}


@dataclass(frozen=True, slots=True)
class PackRow:
    """What anybody may know of a pack; *version* locates, *sha256* identifies."""

    ordinal: int
    pack_id: bytes
    generation: int
    size: int
    sha256: bytes
    version: str


@dataclass(frozen=True, slots=True)
class PackSecret:
    """What a holder of the metadata key knows of a pack."""

    ordinal: int
    epoch_id: bytes
    commitment: bytes
    header_hash: bytes
    frames: int


@dataclass(frozen=True, slots=True)
class PackRows:
    """Clear and sealed halves of the rows of packs, and the epochs that they were sealed in."""

    rows: tuple[PackRow, ...] = ()
    secrets: tuple[PackSecret, ...] = ()
    epochs: tuple[Epoch, ...] = ()

    def only(self, ordinals: frozenset[int] | set[int]) -> PackRows:
        """The rows of *ordinals*, with the epochs that they need."""
        secrets = tuple(secret for secret in self.secrets if secret.ordinal in ordinals)
        epochs = {secret.epoch_id for secret in secrets}
        return PackRows(
            tuple(row for row in self.rows if row.ordinal in ordinals),
            secrets,
            tuple(epoch for epoch in self.epochs if epoch.epoch_id in epochs),
        )

    @classmethod
    def join(cls, parts: Sequence[PackRows]) -> PackRows:
        """All rows of *parts* by ordinal, each epoch once.

        Raises:
            IntegrityError: two rows for one ordinal.
        """
        rows = sorted((row for part in parts for row in part.rows), key=lambda row: row.ordinal)
        secrets = sorted(
            (secret for part in parts for secret in part.secrets), key=lambda one: one.ordinal
        )
        epochs = {epoch.epoch_id: epoch for part in parts for epoch in part.epochs}
        ordinals = [row.ordinal for row in rows]
        if len(set(ordinals)) != len(ordinals):
            raise IntegrityError("a pack ordinal has two rows")
        return cls(tuple(rows), tuple(secrets), tuple(epochs.values()))


@dataclass(frozen=True, slots=True)
class Part:
    """One section of a table: what it speaks of, which window (or shard of items), its bytes."""

    what: What
    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TableHead:
    """The clear part of a table: sealed header, rows of packs, ordinals reached (ascending)."""

    kind: TableKind
    sealed: SealedHeader
    rows: tuple[PackRow, ...]
    reached: tuple[int, ...]


def _encode_clear(rows: Sequence[PackRow], reached: Sequence[int]) -> bytes:
    writer = Writer().u32(len(rows))
    for row in rows:
        writer.u32(row.ordinal).raw(row.pack_id).u32(row.generation).u64(row.size)
        writer.raw(row.sha256).text(row.version)
    column = encode_column(np.asarray(sorted(reached), dtype=np.uint32), delta=True)
    stored = Compressor(seal.SECTION_LEVEL).shrink(column)
    return bytes(writer.u32(len(column)).blob(stored))


def _decode_clear(clear: bytes) -> tuple[tuple[PackRow, ...], tuple[int, ...]]:
    reader = Reader(clear, "the clear part of a table")
    rows = []
    for _ in range(reader.u32()):
        ordinal = reader.u32()
        pack_id = reader.raw(ID_BYTES)
        generation = reader.u32()
        size = reader.u64()
        digest = reader.raw(KEY_BYTES)
        rows.append(PackRow(ordinal, pack_id, generation, size, digest, reader.text()))
    length = reader.u32()
    if length > MAX_CLEAR:
        raise IntegrityError("a table claims to reach an impossible number of packs")
    column = Decompressor().grow(reader.blob(), length)
    reader.end()
    column_reader = Reader(column, "the ordinals of a table")
    reached = decode_column(column_reader, delta=True)
    column_reader.end()
    if np.any(reached[1:] <= reached[:-1]):
        raise IntegrityError("the ordinals of a table are out of order")
    if any(a.ordinal >= b.ordinal for a, b in pairwise(rows)):
        raise IntegrityError("the pack rows of a table are out of order")
    return tuple(rows), tuple(int(ordinal) for ordinal in reached)


def encode_packs(rows: PackRows) -> bytes:
    """The sealed half of pack rows, as a section."""
    writer = Writer().u32(len(rows.epochs))
    index = {}
    for number, epoch in enumerate(rows.epochs):
        index[epoch.epoch_id] = number
        writer.raw(epoch.epoch_id).u32(epoch.generation).raw(epoch.public_hash)
        writer.blob(epoch.sealed_key)
    writer.u32(len(rows.secrets))
    for secret in rows.secrets:
        writer.u32(secret.ordinal).u32(index[secret.epoch_id])
        writer.raw(secret.commitment).raw(secret.header_hash).u32(secret.frames)
    return bytes(writer)


def decode_packs(data: bytes, rows: tuple[PackRow, ...]) -> PackRows:
    """Join the sealed half with the clear *rows* of the same table.

    Raises:
        IntegrityError: the halves do not speak of the same packs.
    """
    reader = Reader(data, "a pack section")
    epochs = []
    for _ in range(reader.u32()):
        epoch_id = reader.raw(ID_BYTES)
        generation = reader.u32()
        epochs.append(Epoch(epoch_id, generation, reader.raw(KEY_BYTES), reader.blob()))
    secrets = []
    for _ in range(reader.u32()):
        ordinal = reader.u32()
        number = reader.u32()
        if number >= len(epochs):
            raise IntegrityError("a pack row names an epoch that is not there")
        commitment = reader.raw(KEY_BYTES)
        header_hash = reader.raw(KEY_BYTES)
        epoch_id = epochs[number].epoch_id
        secrets.append(PackSecret(ordinal, epoch_id, commitment, header_hash, reader.u32()))
    reader.end()
    if [secret.ordinal for secret in secrets] != [row.ordinal for row in rows]:
        raise IntegrityError("clear and sealed pack rows do not match")
    return PackRows(rows, tuple(secrets), tuple(epochs))


def _encode_index(parts: Sequence[Part]) -> bytes:
    writer = Writer().u32(len(parts))
    for part in parts:
        writer.u8(part.what).u32(part.number)
    return bytes(writer)


def decode_index(data: bytes, sections: int) -> dict[tuple[What, int], int]:
    """Which section speaks of what: ``{(what, number): section}``.

    Raises:
        IntegrityError: it is damaged, names one thing twice, or not each section.
    """
    reader = Reader(data, "a table index")
    index: dict[tuple[What, int], int] = {}
    for section in range(1, reader.u32() + 1):
        try:
            what = What(reader.u8())
        except ValueError as error:
            raise IntegrityError("a table index names an unknown kind of section") from error
        key = (what, reader.u32())
        if key in index:
            raise IntegrityError("a table index names one section twice")
        index[key] = section
    reader.end()
    if len(index) != sections - 1:
        raise IntegrityError("a table index does not fit the number of sections")
    return index


def encode_table_sections(parts: Sequence[Part]) -> list[bytes]:
    """Index and data of *parts*: the sections of a table, or of a pack's footer."""
    return [_encode_index(parts), *(part.data for part in parts)]


def encode_table(
    kind: TableKind,
    order: SealOrder,
    table_id: bytes,
    *,
    rows: PackRows,
    reached: Sequence[int],
    parts: Sequence[Part],
) -> bytes:
    """Encode one table.

    Args:
        kind: what it is.
        order: metadata key, salt and place.
        table_id: 16 bytes, its name below ``x/``.
        rows: pack rows that it carries (their sealed half becomes a section).
        reached: ordinals of the packs that its map sections point to.
        parts: its sections, in ascending order of window.
    """
    sealed_parts = list(parts)
    if rows.rows:
        sealed_parts.insert(0, Part(What.PACKS, 0, encode_packs(rows)))
    sections = encode_table_sections(sealed_parts)
    clear = _encode_clear(rows.rows, reached)
    return seal.seal_object(MAGIC[kind], order, table_id, clear=clear, sections=sections)


def decode_head(data: Buffer, kind: TableKind) -> TableHead:
    """Decode the clear part at the start of *data*; needs no key.

    Raises:
        IntegrityError: it is no table of that kind, or is damaged.
    """
    sealed = seal.decode_header(data, kind=MAGIC[kind])
    rows, reached = _decode_clear(sealed.clear)
    if not sealed.lengths:
        raise IntegrityError("a table has no index")
    return TableHead(kind, sealed, rows, reached)


class OpenTable:
    """A table whose sections are opened as they are wanted, from ranges of the object."""

    def __init__(self, head: TableHead, key: bytes, index_section: Buffer) -> None:
        """Derive the key, compare the commitment, open the index."""
        self.head = head
        self._opener = Opener(head.sealed, key)
        plain = self._opener.section(0, index_section)
        self.index = decode_index(plain, len(head.sealed.lengths))

    def has(self, what: What, number: int) -> bool:
        """Whether there is such a section."""
        return (what, number) in self.index

    def numbers(self, what: What) -> list[int]:
        """Windows (or shards of items) that it has sections of that kind for, ascending."""
        return sorted(number for kind, number in self.index if kind is what)

    def where(self, what: What, number: int) -> tuple[int, int]:
        """Offset and length, within the object, of a section that is there."""
        return self.head.sealed.section_range(self.index[what, number])

    def plain_length(self, what: What, number: int) -> int:
        """Plain bytes of a section that is there."""
        return self.head.sealed.lengths[self.index[what, number]][1]

    def open(self, what: What, number: int, sealed: Buffer) -> bytes:
        """Plain bytes of a section, given its stored bytes.

        Raises:
            IntegrityError: they are not what was sealed.
        """
        return self._opener.section(self.index[what, number], sealed)
