"""How drd lays out bytes: big-endian integers, length-prefixed strings (columns: ``core.columns``).

Rules, and why:

1. Everything that is hashed, signed or authenticated is length-prefixed, so that no two different
   lists of fields give the same bytes.
2. A decoder consumes its input to the last byte; what is left over is damage, not room for growth
   (growth goes through features of the format object).
3. Whatever a decoder meets, it raises :class:`IntegrityError` and nothing else.
"""

from __future__ import annotations

import struct
from typing import Final

from drd.errors import IntegrityError
from drd.model import Buffer

_U8: Final = struct.Struct(">B")
_U32: Final = struct.Struct(">I")
_U64: Final = struct.Struct(">Q")


def lp(*parts: Buffer) -> bytes:
    """Concatenate *parts*, each behind its length (u32): rule 1."""
    return b"".join(_U32.pack(len(part)) + bytes(part) for part in parts)


class Writer:
    """Collects fields in order; ``bytes(writer)`` is the encoding."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def __bytes__(self) -> bytes:
        """All that was written."""
        return b"".join(self._parts)

    def u8(self, value: int) -> Writer:
        """One byte."""
        self._parts.append(_U8.pack(value))
        return self

    def u32(self, value: int) -> Writer:
        """Four bytes."""
        self._parts.append(_U32.pack(value))
        return self

    def u64(self, value: int) -> Writer:
        """Eight bytes."""
        self._parts.append(_U64.pack(value))
        return self

    def raw(self, value: Buffer) -> Writer:
        """Bytes of a length that both sides know."""
        self._parts.append(bytes(value))
        return self

    def blob(self, value: Buffer) -> Writer:
        """Bytes behind their length (u32)."""
        return self.u32(len(value)).raw(value)

    def text(self, value: str) -> Writer:
        """UTF-8 behind its length (u32)."""
        return self.blob(value.encode())


class Reader:
    """Takes fields in order out of *data*; raises ``IntegrityError`` for whatever does not fit."""

    def __init__(self, data: Buffer, what: str) -> None:
        self._view = memoryview(data).cast("B")
        self._at = 0
        self._what = what

    @property
    def at(self) -> int:
        """Offset of the next field."""
        return self._at

    @property
    def left(self) -> int:
        """Bytes not yet taken."""
        return len(self._view) - self._at

    def view(self, length: int) -> memoryview:
        """The next *length* bytes, not copied."""
        if length > self.left:
            raise IntegrityError(f"{self._what} is cut short")
        taken = self._view[self._at : self._at + length]
        self._at += length
        return taken

    def raw(self, length: int) -> bytes:
        """The next *length* bytes."""
        return bytes(self.view(length))

    def u8(self) -> int:
        """One byte."""
        return self.view(1)[0]

    def u32(self) -> int:
        """Four bytes."""
        value: int = _U32.unpack(self.view(4))[0]
        return value

    def u64(self) -> int:
        """Eight bytes."""
        value: int = _U64.unpack(self.view(8))[0]
        return value

    def blob(self) -> bytes:
        """Bytes behind their length."""
        return self.raw(self.u32())

    def text(self) -> str:
        """UTF-8 behind its length."""
        try:
            return self.blob().decode()
        except UnicodeDecodeError as error:
            raise IntegrityError(f"{self._what} holds text that is not UTF-8") from error

    def expect(self, value: bytes, name: str) -> None:
        """Take ``len(value)`` bytes, which must be *value*."""
        if self.raw(len(value)) != value:
            raise IntegrityError(f"{self._what} has a wrong {name}")

    def end(self) -> None:
        """Nothing may be left: rule 2."""
        if self.left:
            raise IntegrityError(f"{self._what} has {self.left} bytes too many")
