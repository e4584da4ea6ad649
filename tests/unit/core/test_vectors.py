"""Golden vectors: sealing is a pure function, and its bytes are for ever.

Each vector is also made again from the words of docs/format.md with HMAC, AES-GCM and BLAKE3 alone:
none of drd's own code stands between the page and the bytes.
"""

from __future__ import annotations

import hashlib
import hmac

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drd.core import pack, seal
from drd.core.digest import DigestKeys, cell_digest, root_term, size_term
from drd.core.pack import Epoch, Frame
from drd.core.seal import Scope, SealOrder

REPOSITORY, TENANT, LINEAGE = (bytes(range(at, at + 16)) for at in (0, 16, 32))
SCOPE = Scope(REPOSITORY, TENANT, LINEAGE)
TABLE_ID, EPOCH_ID, PACK_ID = (bytes(range(at, at + 16)) for at in (48, 64, 80))
KEY = bytes(range(100, 132))
SALT = bytes(range(200, 216))

RUN = bytes.fromhex(
    "6472643172756e200000009c000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021"
    "22232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f00000003c8c9cacbcccdcecfd0d1d2d3"
    "d4d5d6d79faa575a84c84f5f8a8a5ecdbe691bf00ab2b0854a0969f9abcd6e7fffca470f00000003000000150000"
    "00050000001000000000000000180000000800000008696e20636c65617203632d6ef97669acea7e5007b2fb3a32"
    "8ee1e040a320dfce6c7c719984c431d1f09ac83822bf6737c0d9f693d7a89a9d40b535c89c66424ef621833ae9"
)
PACK = bytes.fromhex(
    "647264317061636b00000088000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021"
    "22232425262728292a2b2c2d2e2f505152535455565758595a5b5c5d5e5f00000003000102030405060708090a0b"
    "0c0d0e0f101112131415161718191a1b1c1d1e1f404142434445464748494a4b4c4d4e4f000000107365616c6564"
    "2065706f6368206b657902e47d4cda3c106f92d9d368a1adebe4600a33b7fad736bc48d29fa62aeb0abadeca8051"
    "2297e32a211e687d72ba9406d4ba4f1db7"
)
COMMITMENT = bytes.fromhex("811077926dda3661349d1711a0a388e8a6fb305cae27ca6578092e6094924cb4")
CELL_DIGEST = 0x4657DF6037EDA5B5
ROOT_TERM = 0x47299AE44304D1F26AA457107C99F208A63708411E383F9CF246EB67EDBDEB81
SIZE_TERM = 0xB112D0CA3C1FE4052046D9518599988301DB61316A66DA2ABABC2F3F40171126


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def lengths_and(*parts: bytes) -> bytes:
    return b"".join(u32(len(part)) + part for part in parts)


def hkdf(secret: bytes, salt: bytes, info: bytes) -> tuple[bytes, bytes]:
    """RFC 5869 with SHA-256, two blocks."""
    prk = hmac.digest(salt, secret, "sha256")
    first = hmac.digest(prk, info + b"\1", "sha256")
    return first, hmac.digest(prk, first + info + b"\2", "sha256")


def frame(key: bytes, header: bytes, number: int, piece: tuple[bytes, int], *, last: bool) -> bytes:
    stored, plain_length = piece
    aad = hashlib.sha256(header).digest() + u32(number) + u32(plain_length) + bytes([last])
    return AESGCM(key).encrypt(number.to_bytes(12, "big"), stored, aad)


def test_a_sealed_object_is_made_of_these_bytes() -> None:
    order = SealOrder(SCOPE, 3, KEY, SALT)
    sections = [b"first", b"", b"the last"]
    made = seal.seal_object(b"run ", order, TABLE_ID, clear=b"in clear", sections=sections)
    assert made == RUN


def test_a_sealed_object_is_made_as_the_page_says() -> None:
    info = lengths_and(b"drd1 run ", REPOSITORY, TENANT, LINEAGE)
    key, commitment = hkdf(KEY, SALT, info)
    body = REPOSITORY + TENANT + LINEAGE + TABLE_ID + u32(3) + SALT + commitment
    body += u32(3) + b"".join(u32(plain + 16) + u32(plain) for plain in (5, 0, 8))
    header = b"drd1run " + lengths_and(body + lengths_and(b"in clear"))
    sections = [(b"first", 5), (b"", 0), (b"the last", 8)]
    pieces = [frame(key, header, n, one, last=n == 2) for n, one in enumerate(sections)]
    assert header + b"".join(pieces) == RUN


def test_a_pack_is_made_of_these_bytes() -> None:
    epoch = Epoch(EPOCH_ID, 3, bytes(range(32)), b"sealed epoch key")
    header = pack.encode_header(SCOPE, PACK_ID, epoch)
    key, commitment = pack.pack_secret(KEY, SCOPE, PACK_ID)
    room = bytearray(1000)
    frames = [Frame(b"raw as it is", 12), Frame(b"zstd, say", 4096)]
    used = pack.seal_frames(header, key, frames, memoryview(room))
    assert bytes(room[:used]) == PACK
    assert commitment == COMMITMENT


def test_a_pack_is_made_as_the_page_says() -> None:
    key, commitment = hkdf(KEY, PACK_ID, lengths_and(b"drd1 pack", REPOSITORY, TENANT, LINEAGE))
    body = REPOSITORY + TENANT + LINEAGE + PACK_ID + u32(3) + bytes(range(32)) + EPOCH_ID
    header = b"drd1pack" + lengths_and(body + lengths_and(b"sealed epoch key"))
    first = frame(key, header, 0, (b"raw as it is", 12), last=False)
    assert header + first + frame(key, header, 1, (b"zstd, say", 4096), last=True) == PACK
    assert commitment == COMMITMENT


def test_digests_are_these_numbers() -> None:
    keys = DigestKeys.derive(bytes(range(32)), SCOPE)
    assert cell_digest(keys.cell, b"cell" * 16) == CELL_DIGEST
    assert root_term(keys.root, 7, 9, 0x1122334455667788) == ROOT_TERM
    assert size_term(keys.root, 7, 1000) == SIZE_TERM


def test_digests_are_made_as_the_page_says() -> None:
    info = lengths_and(b"drd1 digest", REPOSITORY, TENANT, LINEAGE)
    cell_key, root_key = hkdf(bytes(range(32)), LINEAGE, info)
    first = blake3(b"cell" * 16, key=cell_key).digest()[:8]
    assert int.from_bytes(first, "little") == CELL_DIGEST
    term = u32(7) + (9).to_bytes(8, "big") + bytes.fromhex("1122334455667788")
    assert int.from_bytes(blake3(term, key=root_key).digest(32), "big") == ROOT_TERM
    size = u32(7) + b"\xff" * 8 + (1000).to_bytes(8, "big")
    assert int.from_bytes(blake3(size, key=root_key).digest(32), "big") == SIZE_TERM
