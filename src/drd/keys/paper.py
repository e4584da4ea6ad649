"""The recovery sheet ready to print: its text, and under it the same lines as a QR code.

The code is drawn in half blocks (U+2580, U+2584, U+2588), dark ink on white paper: one column and
half a row for each module, so that it keeps its shape in any font with fixed width.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import segno

from drd.core.sheet import WIDTH, Sheet, encode_sheet, qr_parts
from drd.keys.files import write_private

_BORDER: Final = 4
"""Quiet zone in modules: ISO/IEC 18004, 6.3.8."""

_MAX_SIZE: Final = WIDTH - 2 * _BORDER
_LEVELS: Final = ("m", "l")
"""Error correction: 15 % where it fits the page, else 7 %."""

_HALVES: Final = {(0, 0): " ", (1, 0): "\N{UPPER HALF BLOCK}", (0, 1): "\N{LOWER HALF BLOCK}"}
_FULL: Final = "\N{FULL BLOCK}"


def square_code(sheet: Sheet) -> segno.QRCode:
    """The QR code (ISO/IEC 18004) of a sheet, at most 70 modules wide.

    Addresses that are too long for the page are left out; :func:`drd.core.sheet.decode_sheet` then
    names their lines as missing.
    """
    letters, texts = qr_parts(sheet)
    for level in _LEVELS:
        # Two segments, each in the shortest mode that fits it; segno's type stubs know of one.
        parts: Any = [letters, texts]
        code = segno.make(parts, error=level, micro=False, boost_error=False)
        if len(code.matrix) <= _MAX_SIZE:
            return code
    return segno.make(letters, error=_LEVELS[0], micro=False)


def draw(code: segno.QRCode) -> str:
    """*code* with its quiet zone in half blocks, one line of text for two rows of modules."""
    width = len(code.matrix) + 2 * _BORDER
    blank = [0] * width
    side = [0] * _BORDER
    rows = (
        [blank] * _BORDER + [[*side, *row, *side] for row in code.matrix] + [blank] * (_BORDER + 1)
    )
    pairs = zip(rows[0::2], rows[1::2], strict=False)
    return "\n".join(
        "".join(
            _HALVES.get((upper, lower), _FULL) for upper, lower in zip(top, bottom, strict=True)
        )
        for top, bottom in pairs
    )


def print_sheet(sheet: Sheet, *, made_at: datetime) -> str:
    """The whole sheet as text.

    Raises:
        UsageError: an address is too long for a sheet.
    """
    return encode_sheet(sheet, made_at=made_at, square=draw(square_code(sheet)))


def write_sheet(path: Path, sheet: Sheet, *, made_at: datetime) -> None:
    """Write the sheet to a new file, 0600 and durable.

    Raises:
        UsageError: an address is too long for a sheet.
        RefusedError: something is there already.
        ConfigError: it cannot be written.
    """
    write_private(path, print_sheet(sheet, made_at=made_at), "recovery sheet")
