"""Digests: is a cell really unchanged, and is a whole point really what was backed up?

- A *cell digest* is the first 64 bits (little-endian) of keyed BLAKE3 over the cell's bytes. The last
  cell of an item is padded with zeros to its full size. A cell of zeros has digest 0; any other
  whose digest comes out as 0 has 1.
- **A stored digest is the digest of what the map restores**, not of what the source holds.
- The *root digest* of a point is the sum, modulo 2^256, of keyed BLAKE3-256(item ‖ cell ‖ digest) over
  all cells that are not zero, plus for each item keyed BLAKE3-256(item ‖ 2^64-1 ‖ size). A sum can be
  carried on: subtract a cell's old term, add its new one. So its cost follows change, and order does
  not matter. With keyed terms nobody without the key can aim at a collision.

Both keys come by HKDF from the digest key of the lineage, which is made once and outlives rotations.
BLAKE3: https://github.com/BLAKE3-team/BLAKE3-specs
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from drd.core import seal
from drd.core.seal import Scope
from drd.model import Buffer

ROOT_MODULUS: Final = 1 << 256
SIZE_CELL: Final = (1 << 64) - 1
_TERM: Final = struct.Struct(">IQQ")
_U64: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class DigestKeys:
    """Keys for cell digests and for the terms of root digests."""

    cell: bytes
    root: bytes

    @classmethod
    def derive(cls, digest_key: bytes, scope: Scope) -> DigestKeys:
        """The two keys of a lineage."""
        cell, root = seal.derive(digest_key, salt=scope.lineage, info=scope.info(b"drd1 digest"))
        return cls(cell, root)


def cell_digest(key: bytes, cell: Buffer) -> int:
    """64-bit digest of a whole cell that is *not* all zeros."""
    value: int = _U64.unpack(blake3(cell, key=key).digest(8))[0]
    return value or 1


def root_term(key: bytes, item: int, cell: int, digest: int) -> int:
    """What one cell (or, with ``SIZE_CELL``, one size) adds to the root digest."""
    return int.from_bytes(blake3(_TERM.pack(item, cell, digest), key=key).digest(), "big")


def size_term(key: bytes, item: int, size: int) -> int:
    """What an item's size (bytes) adds to the root digest."""
    return root_term(key, item, SIZE_CELL, size)


def root_bytes(root: int) -> bytes:
    """32 bytes, big-endian."""
    return root.to_bytes(32, "big")
