"""How drd lays out columns of numbers: the rules of ``core.coding``, and one more.

Columns hold unsigned 32-bit numbers, optionally as differences, cut into four byte planes. zstd then
finds the runs of zeros by itself; a reader needs neither numpy nor a varint loop.

Apart from ``core.coding``, because numpy takes a tenth of a second to load and ``drctl ls`` needs none.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from drd.core.coding import Reader

U32: Final = np.dtype("<u4")
U64: Final = np.dtype("<u8")
Column = npt.NDArray[np.uint32]
Wide = npt.NDArray[np.uint64]

_U32: Final = struct.Struct(">I")


def encode_column(values: Column, *, delta: bool = False) -> bytes:
    """Encode numbers as byte planes: ``u32 count ‖ plane 0 (lowest bytes) ‖ … ‖ plane 3``.

    With *delta* each value is replaced by its difference to the one before, modulo 2^32.
    """
    column = np.ascontiguousarray(values, dtype=U32)
    if delta and len(column):
        column = np.diff(column, prepend=np.uint32(0)).astype(U32)
    planes = column.view(np.uint8).reshape(-1, 4).T
    return _U32.pack(len(column)) + planes.tobytes()


def decode_column(reader: Reader, *, delta: bool = False) -> Column:
    """Decode one column; the inverse of :func:`encode_column`."""
    count = reader.u32()
    planes = np.frombuffer(reader.view(count * 4), dtype=np.uint8).reshape(4, count)
    column = np.ascontiguousarray(planes.T).view(U32).reshape(count)
    if delta:
        column = np.cumsum(column, dtype=np.uint32)
    return column.astype(np.uint32, copy=False)


def encode_wide(values: Wide) -> bytes:
    """Encode 64-bit numbers: ``u32 count ‖ little-endian values``."""
    return _U32.pack(len(values)) + np.ascontiguousarray(values, dtype=U64).tobytes()


def decode_wide(reader: Reader) -> Wide:
    """Decode what :func:`encode_wide` made."""
    count = reader.u32()
    return np.frombuffer(reader.view(count * 8), dtype=U64).astype(np.uint64, copy=False)
