"""What a window of a map needs of packs, as a look for sparse packs remembers it for the next one.

It follows from the tables that speak of the window, and a table never changes. So it is remembered under
their ids: where nothing was written since, neither the tables are read again nor the window is painted.
A memory that is lost, or of another host, costs a painting; one that is of other tables is never met.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from drd.core import seal
from drd.core.coding import Reader, Writer
from drd.core.columns import U32, Column, decode_column, encode_column
from drd.core.compress import Compressor, Decompressor
from drd.errors import IntegrityError

KEY_BYTES: Final = 16
"""Of a SHA-256, as many as an id has: keys are of random ids, nobody chooses them."""
LAYOUT: Final = 1
MOST_BYTES: Final = 1 << 30
"""Of a memory, plain; some 80 million entries: 4 TiB in packs of 32 MiB, each of them in 600 windows."""


@dataclass(frozen=True, slots=True, eq=False)
class Needs:
    """Of one window: the packs (ordinals, ascending) that its shard lists or that anything is painted from;
    the bytes, as stored, that are painted from each (0: only listed); whether the shard lists it.
    """

    packs: Column
    painted: npt.NDArray[np.int64]
    listed: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls, packs: npt.NDArray[np.uint32], painted: npt.NDArray[np.int64], listed: Iterable[int]
    ) -> Needs:
        """From *packs* in any order, with the bytes that are *painted* from each, and those *listed*."""
        shard = np.fromiter(listed, np.uint32)
        both, place = np.unique(np.concatenate((packs, shard)), return_inverse=True)
        total = np.zeros(len(both), np.int64)
        np.add.at(total, place[: len(packs)], painted)
        flags = np.zeros(len(both), np.bool_)
        flags[place[len(packs) :]] = True
        return cls(both.astype(np.uint32), total, flags)


def key(window: int, tables: Iterable[bytes]) -> bytes:
    """Under what the needs of *window* are remembered: by the ids of the *tables* that speak of it."""
    return seal.sha256(b"".join((window.to_bytes(4, "big"), *tables)))[:KEY_BYTES]


def encode(known: Mapping[bytes, Needs]) -> bytes:
    """A memory as bytes: needs by :func:`key`; empty where it is too large to be remembered."""
    some = list(known.values())
    columns = (
        np.asarray([len(one.packs) for one in some], U32),
        _joined([one.packs for one in some]),
        _joined([one.painted for one in some]),
        _joined([one.listed for one in some]),
    )
    _, packs, painted, listed = columns
    plain = b"".join(
        (
            encode_column(columns[0]),
            encode_column(packs, delta=True),
            encode_column(painted),
            encode_column(listed),
        )
    )
    if len(plain) > MOST_BYTES:
        return b""
    stored = Compressor(seal.SECTION_LEVEL).shrink(plain)
    writer = Writer().u8(LAYOUT).blob(b"".join(known)).u32(len(plain))
    return bytes(writer.blob(stored))


def decode(data: bytes) -> dict[bytes, Needs]:
    """The inverse of :func:`encode`; nothing where it is empty, or another drd laid it out.

    Raises:
        IntegrityError: it is damaged.
    """
    if not data or data[0] != LAYOUT:
        return {}
    reader = Reader(data, "remembered needs")
    reader.u8()
    keys, length = reader.blob(), reader.u32()
    if length > MOST_BYTES:
        raise IntegrityError("remembered needs claim an impossible length")
    plain = Reader(Decompressor().grow(reader.blob(), length), "remembered needs")
    reader.end()
    counts = decode_column(plain).astype(np.int64)
    packs, painted = decode_column(plain, delta=True), decode_column(plain).astype(np.int64)
    listed = decode_column(plain).astype(np.bool_)
    plain.end()
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    if len(keys) != KEY_BYTES * len(counts) or {len(packs), len(painted), len(listed)} != {total}:
        raise IntegrityError("remembered needs have columns of different lengths")
    return {
        keys[at * KEY_BYTES : (at + 1) * KEY_BYTES]: Needs(
            packs[end - count : end], painted[end - count : end], listed[end - count : end]
        )
        for at, (count, end) in enumerate(zip(counts.tolist(), ends.tolist(), strict=True))
    }


def _joined(columns: list[npt.NDArray[np.generic]]) -> Column:
    """No pack has more bytes than 32 bits count: its frames have offsets of 32 bits."""
    return np.concatenate([np.zeros(0, U32), *columns]).astype(U32)
