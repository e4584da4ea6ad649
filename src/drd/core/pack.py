"""Packs: clear header ‖ frames ‖ sealed footer ‖ trailer. One PUT, never changed, never half known.

- The header carries the epoch key sealed to the public half of the lineage's generation: to write a
  pack no secret is needed but the epoch key, which is at most a day old and only in memory.
- Frames are AES-256-GCM(zstd(plaintext)) or of the plaintext where that is smaller; no nonce is stored.
- The footer repeats, sealed with the metadata key, what the run says of this pack, so that a lost
  run can be built again from packs alone.
- The commitment C of the pack's key stands in the pack's row of the run, not here: HPKE's base mode
  proves nothing about the sender, the signed manifest that names the run does.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drd.core import seal
from drd.core.coding import Reader, Writer
from drd.core.compress import Decompressor
from drd.core.seal import TAG_BYTES, Scope
from drd.errors import IntegrityError
from drd.model import ID_BYTES, KEY_BYTES, Buffer

MAGIC: Final = b"drd1pack"
TRAILER_MAGIC: Final = b"drd1tail"
FOOTER: Final = b"foot"
_TRAILER: Final = struct.Struct(">QII8s")
TRAILER_BYTES: Final = _TRAILER.size
MAX_FRAME: Final = 1 << 20
"""Largest plaintext of a frame; drd writes 256 KiB unless `frame_size` says otherwise."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """A data key as it lies in the bucket: sealed to the public half of *generation*."""

    epoch_id: bytes
    generation: int
    public_hash: bytes
    sealed_key: bytes


@dataclass(frozen=True, slots=True)
class PackHeader:
    """The clear header; ``raw`` is its exact encoding."""

    scope: Scope
    pack_id: bytes
    epoch: Epoch
    raw: bytes


@dataclass(frozen=True, slots=True)
class Trailer:
    """Where the footer lies, and how many frames there are."""

    footer_offset: int
    footer_length: int
    frames: int


def epoch_info(scope: Scope, generation: int, epoch_id: bytes) -> bytes:
    """HPKE info under which an epoch key is sealed."""
    return scope.info(b"drd1 epoch") + Writer().u32(generation).blob(epoch_id).__bytes__()


def encode_header(scope: Scope, pack_id: bytes, epoch: Epoch) -> bytes:
    """The clear header of a pack."""
    body = Writer()
    body.raw(scope.repository).raw(scope.tenant).raw(scope.lineage).raw(pack_id)
    body.u32(epoch.generation).raw(epoch.public_hash).raw(epoch.epoch_id).blob(epoch.sealed_key)
    return bytes(Writer().raw(MAGIC).blob(bytes(body)))


def decode_header(data: Buffer) -> PackHeader:
    """Decode the header at the start of *data* (which may hold more).

    Raises:
        IntegrityError: it is none, or is damaged.
    """
    reader = Reader(data, "a pack header")
    reader.expect(MAGIC, "magic")
    body = Reader(reader.view(reader.u32()), "a pack header")
    scope = Scope(body.raw(ID_BYTES), body.raw(ID_BYTES), body.raw(ID_BYTES))
    pack_id = body.raw(ID_BYTES)
    generation = body.u32()
    public_hash = body.raw(KEY_BYTES)
    epoch = Epoch(body.raw(ID_BYTES), generation, public_hash, body.blob())
    body.end()
    raw = bytes(memoryview(data).cast("B")[: reader.at])
    return PackHeader(scope=scope, pack_id=pack_id, epoch=epoch, raw=raw)


def pack_secret(epoch_key: bytes, scope: Scope, pack_id: bytes) -> tuple[bytes, bytes]:
    """Key and commitment of one pack."""
    return seal.derive(epoch_key, salt=pack_id, info=scope.info(b"drd1 pack"))


def encode_trailer(trailer: Trailer) -> bytes:
    """The last 24 bytes of a pack."""
    return _TRAILER.pack(
        trailer.footer_offset, trailer.footer_length, trailer.frames, TRAILER_MAGIC
    )


def decode_trailer(data: Buffer) -> Trailer:
    """Decode the last 24 bytes of a pack.

    Raises:
        IntegrityError: they are no trailer.
    """
    if len(data) != TRAILER_BYTES:
        raise IntegrityError("a pack trailer has a wrong length")
    offset, length, frames, magic = _TRAILER.unpack(data)
    if magic != TRAILER_MAGIC:
        raise IntegrityError("a pack trailer has a wrong magic")
    return Trailer(offset, length, frames)


@dataclass(frozen=True, slots=True)
class Frame:
    """One compressed frame on its way into a pack: stored bytes and length of its plaintext."""

    stored: Buffer
    plain_length: int


@dataclass(frozen=True, slots=True)
class FrameRow:
    """Where a frame lies in its pack: offset and stored length (tag included), plain length."""

    offset: int
    stored: int
    plain: int


def frame_rows(header_length: int, frames: Sequence[Frame]) -> list[FrameRow]:
    """Where *frames* will lie in a pack whose header has *header_length* bytes."""
    rows = []
    at = header_length
    for frame in frames:
        stored = len(frame.stored) + TAG_BYTES
        rows.append(FrameRow(at, stored, frame.plain_length))
        at += stored
    return rows


def seal_frames(header: bytes, key: bytes, frames: Sequence[Frame], room: memoryview) -> int:
    """Write *header* and the sealed *frames* into *room*; return the bytes used.

    Args:
        header: encoded pack header.
        key: the pack's AES-256 key.
        frames: in order; the last is sealed as the last.
        room: writable, large enough for header, frames and a tag each.
    """
    room[: len(header)] = header
    header_hash = seal.sha256(header)
    cipher = AESGCM(key)
    at = len(header)
    for number, frame in enumerate(frames):
        end = at + len(frame.stored) + TAG_BYTES
        aad = seal.place(header_hash, number, frame.plain_length, last=number == len(frames) - 1)
        cipher.encrypt_into(seal.nonce(number), frame.stored, aad, room[at:end])
        at = end
    return at


class FrameOpener:
    """Opens frames of one pack; not for two threads at once (it holds a zstd context).

    The commitment is compared before anything is decrypted.
    """

    def __init__(self, key: bytes, header_hash: bytes, frames: int) -> None:
        self._cipher = AESGCM(key)
        self._hash = header_hash
        self._frames = frames
        self._grow = Decompressor().grow

    def open(self, number: int, sealed: Buffer, plain_length: int) -> Buffer:
        """The plaintext of frame *number*.

        Raises:
            IntegrityError: it is not what was sealed.
        """
        if plain_length > MAX_FRAME:
            raise IntegrityError(f"frame {number} claims an impossible length")
        aad = seal.place(self._hash, number, plain_length, last=number == self._frames - 1)
        packed = seal.open_piece(self._cipher, number, sealed, aad)
        return self._grow(packed, plain_length)
