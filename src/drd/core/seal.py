"""Sealing: one fresh key per object, counter nonces inside it, the place authenticated, a commitment.

The rules, and the way to lose data or secrecy that each one closes:

1. Every object gets its own key from HKDF (RFC 5869) with a random salt (a pack: its id). So nonces
   may count from 0 and never repeat under a key: no birthday bound, no state to lose.
2. HKDF's info names kind, repository, tenant and lineage: an object moved elsewhere does not open.
3. AAD = SHA-256(clear header) ‖ number ‖ plain length ‖ last?: sections cannot be swapped,
   shortened, extended or cut off at the end, and no field of the header can be changed.
4. HKDF also yields a commitment C that is compared before any decryption: AES-GCM alone lets one
   ciphertext open under two keys. For packs C stands in the pack's row, for sealed objects in their
   own header.
5. Sealing is a pure function of its arguments, so there are golden vectors.

AES-GCM is NIST SP 800-38D with 96-bit nonces and 128-bit tags.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from drd.core.coding import Reader, Writer, lp
from drd.core.compress import Compressor, Decompressor
from drd.errors import IntegrityError
from drd.model import ID_BYTES, KEY_BYTES, Buffer

TAG_BYTES: Final = 16
SALT_BYTES: Final = 16
MAX_SECTION: Final = 1 << 30
MAX_SECTIONS: Final = 1 << 20
_AAD: Final = struct.Struct(">32sIIB")
_PREFIX: Final = 12  # magic and header length


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an object belongs: repository, tenant and lineage, 16 bytes each."""

    repository: bytes
    tenant: bytes
    lineage: bytes

    def info(self, purpose: bytes) -> bytes:
        """HKDF info or HPKE info for *purpose* in this place (rule 2)."""
        return lp(purpose, self.repository, self.tenant, self.lineage)


def sha256(data: Buffer) -> bytes:
    """SHA-256 (FIPS 180-4) of *data*."""
    return hashlib.sha256(data).digest()


def derive(secret: bytes, *, salt: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and commitment, 32 bytes each (rules 1 and 4)."""
    okm = HKDF(algorithm=SHA256(), length=2 * KEY_BYTES, salt=salt, info=info).derive(secret)
    return okm[:KEY_BYTES], okm[KEY_BYTES:]


def nonce(number: int) -> bytes:
    """Counter nonce: 96 bits, big-endian."""
    return number.to_bytes(12, "big")


def place(header_hash: bytes, number: int, plain_length: int, *, last: bool) -> bytes:
    """Associated data of one frame or section (rule 3)."""
    return _AAD.pack(header_hash, number, plain_length, last)


def open_piece(cipher: AESGCM, number: int, sealed: Buffer, aad: bytes) -> bytes:
    """Decrypt one frame or section.

    Raises:
        IntegrityError: the tag does not match.
    """
    if len(sealed) < TAG_BYTES:
        raise IntegrityError(f"piece {number} is shorter than its tag")
    try:
        return cipher.decrypt(nonce(number), sealed, aad)
    except InvalidTag as error:
        raise IntegrityError(f"piece {number} does not authenticate") from error


@dataclass(frozen=True, slots=True)
class SealedHeader:
    """The clear header of a sealed object, and where its sections lie.

    ``lengths`` has (stored, plain) bytes per section; ``clear`` is the kind's own clear part;
    ``raw`` the header's exact bytes, from the magic on.
    """

    kind: bytes
    scope: Scope
    object_id: bytes
    generation: int
    salt: bytes
    commitment: bytes
    lengths: tuple[tuple[int, int], ...]
    clear: bytes
    raw: bytes

    def section_range(self, number: int) -> tuple[int, int]:
        """Offset and stored length of section *number* within the object."""
        if not 0 <= number < len(self.lengths):
            raise IntegrityError(f"there is no section {number}")
        before = sum(stored for stored, _ in self.lengths[:number])
        return len(self.raw) + before, self.lengths[number][0]

    @property
    def size(self) -> int:
        """Bytes of the whole object."""
        return len(self.raw) + sum(stored for stored, _ in self.lengths)


def header_length(prefix: Buffer) -> int:
    """Length of the clear header of an object, from its first 12 bytes.

    Raises:
        IntegrityError: fewer than 12 bytes.
    """
    reader = Reader(prefix, "a sealed object")
    reader.raw(8)
    return _PREFIX + reader.u32()


def decode_header(data: Buffer, *, kind: bytes) -> SealedHeader:
    """Decode the clear header at the start of *data* (which may hold more).

    Raises:
        IntegrityError: it is no header of that kind, or is damaged.
    """
    what = f"a sealed object ({kind.decode(errors='replace').strip()})"
    reader = Reader(data, what)
    reader.expect(b"drd1" + kind, "magic")
    length = reader.u32()
    body = Reader(reader.view(length), what)
    scope = Scope(body.raw(ID_BYTES), body.raw(ID_BYTES), body.raw(ID_BYTES))
    object_id = body.raw(ID_BYTES)
    generation = body.u32()
    salt = body.raw(SALT_BYTES)
    commitment = body.raw(KEY_BYTES)
    count = body.u32()
    if count > MAX_SECTIONS or count * 8 > body.left:
        raise IntegrityError(f"{what} names too many sections")
    lengths = tuple((body.u32(), body.u32()) for _ in range(count))
    for stored, plain in lengths:
        if not TAG_BYTES <= stored <= plain + TAG_BYTES or plain > MAX_SECTION:
            raise IntegrityError(f"{what} has a section of an impossible length")
    clear = body.blob()
    body.end()
    raw = bytes(memoryview(data).cast("B")[: reader.at])
    return SealedHeader(
        kind=kind,
        scope=scope,
        object_id=object_id,
        generation=generation,
        salt=salt,
        commitment=commitment,
        lengths=lengths,
        clear=clear,
        raw=raw,
    )


@dataclass(frozen=True, slots=True)
class SealOrder:
    """What a sealed object is sealed with: the metadata key of *generation* and a fresh salt."""

    scope: Scope
    generation: int
    key: bytes
    salt: bytes


def seal_object(
    kind: bytes, order: SealOrder, object_id: bytes, *, clear: bytes, sections: Sequence[bytes]
) -> bytes:
    """Seal *sections* (each zstd'ed where that helps) behind a clear header.

    Args:
        kind: four bytes, e.g. ``b"run "``.
        order: key, salt and place.
        object_id: 16 bytes, also the object's name.
        clear: what anybody may read.
        sections: plain sections in order.
    """
    shrink = Compressor(SECTION_LEVEL).shrink
    stored = [shrink(section) for section in sections]
    key, commitment = derive(order.key, salt=order.salt, info=order.scope.info(b"drd1 " + kind))
    body = Writer()
    body.raw(order.scope.repository).raw(order.scope.tenant).raw(order.scope.lineage)
    body.raw(object_id).u32(order.generation).raw(order.salt).raw(commitment)
    body.u32(len(sections))
    for plain, packed in zip(sections, stored, strict=True):
        body.u32(len(packed) + TAG_BYTES).u32(len(plain))
    body.blob(clear)
    header = bytes(Writer().raw(b"drd1" + kind).blob(bytes(body)))
    header_hash = sha256(header)
    cipher = AESGCM(key)
    pieces = [header]
    for number, (plain, packed) in enumerate(zip(sections, stored, strict=True)):
        last = number == len(sections) - 1
        aad = place(header_hash, number, len(plain), last=last)
        pieces.append(cipher.encrypt(nonce(number), packed, aad))
    return b"".join(pieces)


class Opener:
    """Opens the sections of one sealed object; the commitment was compared before (rule 4)."""

    def __init__(self, header: SealedHeader, key: bytes) -> None:
        """Derive the object's key.

        Raises:
            IntegrityError: the commitment is of another key.
        """
        info = header.scope.info(b"drd1 " + header.kind)
        sealed_with, commitment = derive(key, salt=header.salt, info=info)
        if not hmac.compare_digest(commitment, header.commitment):
            raise IntegrityError("a sealed object was not sealed with this metadata key")
        self.header = header
        self._cipher = AESGCM(sealed_with)
        self._hash = sha256(header.raw)

    def section(self, number: int, sealed: Buffer) -> bytes:
        """The plain bytes of section *number*, given its stored bytes.

        Raises:
            IntegrityError: they are not what was sealed.
        """
        stored, plain = self.header.lengths[number]
        if len(sealed) != stored:
            raise IntegrityError(f"section {number} is cut short")
        last = number == len(self.header.lengths) - 1
        aad = place(self._hash, number, plain, last=last)
        packed = open_piece(self._cipher, number, sealed, aad)
        return bytes(Decompressor().grow(packed, plain))


def open_object(data: Buffer, header: SealedHeader, key: bytes) -> list[bytes]:
    """All sections of a whole object.

    Raises:
        IntegrityError: anything differs from what was sealed, bytes left over included.
    """
    if len(data) != header.size:
        raise IntegrityError("a sealed object has another length than its header says")
    opener = Opener(header, key)
    view = memoryview(data).cast("B")
    plain = []
    for number in range(len(header.lengths)):
        start, length = header.section_range(number)
        plain.append(opener.section(number, view[start : start + length]))
    return plain


SECTION_LEVEL: Final = 3
"""zstd level of sections: they are small, so 3 costs nothing and saves a tenth over 1."""
