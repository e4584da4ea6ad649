"""The recovery sheet: secrets as numbered lines fit for paper, and back from whatever was re-typed.

Theory of operation:

1. Each line stands alone: ``NN: content check``. NN is two digits, the field and the line within
   it, so lines may come in any order, and a line that was cut off is known by its number.
2. Secrets are written in Crockford's base 32 (https://www.crockford.com/base32.html): digits and
   letters without I, L, O and U. I and L are read as 1, O as 0, U as V; case and spaces do not
   matter. A data line holds 16 bytes: 26 symbols and 6 of check, eight groups of four.
3. Addresses are written as they are, percent-encoded to printable ASCII without spaces; a backslash
   at the end says that the next line goes on.
4. The check is the BCH code of BIP 173 over GF(32) with the final constant of BIP 350, over the two
   digits of the line number and the symbols of the content (for text: of its UTF-8 bytes). It finds
   every error of up to four symbols in a line of up to 89 symbols, so any wrong character, any two
   exchanged ones, and a line under another's number. Its distance of 5 also tells where a single
   wrong character stands.
5. The root private key may be missing (cut off and kept elsewhere): a restore needs the fingerprint
   alone. The recovery key may be missing: ``init --no-recovery``.
6. The text of the QR code (``DRD1`` and the same lines) is itself a sheet that can be read.

``docs/keys.md`` describes the lines for those who write another reader.
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drd.core.hybrid import SEED_BYTES
from drd.core.seal import sha256
from drd.errors import KeyAccessError, UsageError
from drd.model import ID_BYTES, KEY_BYTES

WIDTH: Final = 78
"""Columns of a sheet: prints on A4 and Letter at ten characters an inch."""

QR_MARK: Final = "DRD1"

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RFC4648: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_CROCKFORD: Final = str.maketrans(_RFC4648, ALPHABET)
_FROM_CROCKFORD: Final = str.maketrans(ALPHABET, _RFC4648)
_LOOKS_LIKE: Final = str.maketrans("OILU", "011V")
_NOT_QUOTED: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "%\\")

_CHECK: Final = 6
_LINE_BYTES: Final = 16
_LINE_SYMBOLS: Final = 26
_GROUP: Final = 4
_TEXT_WIDTH: Final = 60
_MAX_TEXT_LINES: Final = 9
_NONE: Final = "-"
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
"""BIP 173: the generator polynomial times 1, 2, 4, 8 and 16, six symbols of five bits each."""
_FINAL: Final = 0x2BC830A3
"""BIP 350: with it, symbols inserted or left out before the check are found too."""

_ADDRESS, _ENDPOINT, _REGION = 1, 2, 3
_REPOSITORY, _FINGERPRINT, _RECOVERY, _ROOT = 4, 5, 6, 7
_TEXT_FIELDS: Final = (_ADDRESS, _ENDPOINT, _REGION)
_DATA_FIELDS: Final[Mapping[int, int]] = {
    _REPOSITORY: ID_BYTES,
    _FINGERPRINT: KEY_BYTES,
    _RECOVERY: SEED_BYTES,
    _ROOT: KEY_BYTES,
}
_LINE: Final = re.compile(r"\s*(?:([0-9OIL]{2})\s*:|([0-9]{2})\s)\s*(\S.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a recovery sheet says.

    ``address`` is the repository's URL, ``endpoint`` and ``region`` those of S3 (``""`` when there
    are none); ids and keys are raw bytes: 16 for the repository, 32 for the root's fingerprint
    (SHA-256 of its Ed25519 public key), 96 for the hybrid recovery private key, 32 for the root's
    Ed25519 seed.
    """

    address: str
    repository: bytes
    root_fingerprint: bytes
    recovery_private: bytes | None = field(default=None, repr=False)
    root_private: bytes | None = field(default=None, repr=False)
    endpoint: str = ""
    region: str = ""

    def __post_init__(self) -> None:
        """Check lengths, and that root key and fingerprint belong together.

        Raises:
            KeyAccessError: they do not.
        """
        for number, value in _data_of(self).items():
            if value is not None and len(value) != _DATA_FIELDS[number]:
                raise KeyAccessError("a recovery sheet holds a key or id of a wrong length")
        if self.root_private and fingerprint_of(self.root_private) != self.root_fingerprint:
            raise KeyAccessError(
                "lines 51-52 and 71-72 of the recovery sheet do not belong together",
                hint="the root key has another fingerprint: are these lines of two sheets?",
            )


def fingerprint_of(root_private: bytes) -> bytes:
    """SHA-256 of the Ed25519 public key (RFC 8032) of a 32-byte seed."""
    return sha256(
        Ed25519PrivateKey.from_private_bytes(root_private).public_key().public_bytes_raw()
    )


def _data_of(sheet: Sheet) -> dict[int, bytes | None]:
    return {
        _REPOSITORY: sheet.repository,
        _FINGERPRINT: sheet.root_fingerprint,
        _RECOVERY: sheet.recovery_private,
        _ROOT: sheet.root_private,
    }


# ── one line ────────────────────────────────────────────────────────────────────────────────────
def _multiples() -> Iterator[int]:
    for top in range(32):
        row = 0
        for bit, multiple in enumerate(_GENERATOR):
            row ^= multiple * (top >> bit & 1)
        yield row


_MULTIPLES: Final = tuple(_multiples())


def _remainder(symbols: Sequence[int]) -> int:
    """Remainder of *symbols*, led by a 1, modulo the generator: 30 bits."""
    rest = 1
    for symbol in symbols:
        rest = ((rest & 0x1FFFFFF) << 5) ^ symbol ^ _MULTIPLES[rest >> 25]
    return rest


def _symbols(data: bytes) -> list[int]:
    return [_RFC4648.index(letter) for letter in b32encode(data).decode().rstrip("=")]


def _number_symbols(number: int) -> list[int]:
    return [*divmod(number, 10)]


def _check_of(number: int, symbols: Sequence[int]) -> str:
    rest = _remainder([*_number_symbols(number), *symbols, *([0] * _CHECK)]) ^ _FINAL
    return "".join(ALPHABET[rest >> 5 * place & 31] for place in reversed(range(_CHECK)))


def _fits(number: int, symbols: Sequence[int], check: str) -> bool:
    return _check_of(number, symbols) == check


def _read_symbols(text: str) -> str:
    """Canonical symbols of what a person wrote; anything else is left in place."""
    return "".join(text.split()).replace("-", "").upper().translate(_LOOKS_LIKE)


def _data_lines(number: int, data: bytes) -> list[tuple[int, str]]:
    """Number and 32 symbols of each line of a field."""
    lines = []
    for place, start in enumerate(range(0, len(data), _LINE_BYTES), 1):
        chunk = data[start : start + _LINE_BYTES]
        plain = b32encode(chunk).decode().rstrip("=").translate(_TO_CROCKFORD)
        lines.append((number * 10 + place, plain + _check_of(number * 10 + place, _symbols(chunk))))
    return lines


def _text_lines(number: int, text: str) -> list[tuple[int, str, str]]:
    """Number, content and check of each line of a text field."""
    rest = quote(text, safe=_NOT_QUOTED, errors="surrogateescape")
    rest = {"": _NONE, _NONE: "%2D"}.get(rest, rest)
    lines = []
    for place in range(1, _MAX_TEXT_LINES + 1):
        cut = rest if len(rest) <= _TEXT_WIDTH else rest[: _TEXT_WIDTH - 1] + "\\"
        at = number * 10 + place
        lines.append((at, cut, _check_of(at, _symbols(cut.encode()))))
        rest = rest[len(cut) - cut.endswith("\\") :]
        if not rest:
            return lines
    raise UsageError("an address is too long for a recovery sheet", about=text[:_TEXT_WIDTH] + "…")


class _WrongLineError(Exception):
    """A line does not read; the text goes into the one error that names all of them."""


def _read_data_line(number: int, typed: str) -> bytes:
    """The 16 bytes of a data line."""
    if len(typed) != _LINE_SYMBOLS + _CHECK:
        raise _WrongLineError(f"has {len(typed)} characters instead of {_LINE_SYMBOLS + _CHECK}")
    strange = [letter for letter in typed if letter not in ALPHABET]
    if strange:
        raise _WrongLineError(f"holds {strange[0]!r}, which no line has")
    symbols = [ALPHABET.index(letter) for letter in typed[:_LINE_SYMBOLS]]
    if not _fits(number, symbols, typed[_LINE_SYMBOLS:]):
        raise _WrongLineError(f"does not match its check{_where(number, typed)}")
    data = b32decode(typed[:_LINE_SYMBOLS].translate(_FROM_CROCKFORD) + "======")
    if _symbols(data) != symbols:
        raise _WrongLineError("ends in bits that no line has")
    return data


def _where(number: int, typed: str) -> str:
    """Where the one wrong character stands, if it is one; never what it should be."""
    symbols = [ALPHABET.index(letter) for letter in typed]
    for place in range(len(symbols)):
        for other in range(32):
            trial = [*symbols[:place], other, *symbols[place + 1 :]]
            if _remainder([*_number_symbols(number), *trial]) == _FINAL:
                return f": look at group {place // _GROUP + 1}, character {place % _GROUP + 1}"
    return ""


def _read_text_line(number: int, content: str) -> str:
    """The text of a text line, still quoted."""
    text, check = content[:-_CHECK], content[-_CHECK:]
    if not text or not _fits(number, _symbols(text.encode(errors="replace")), check):
        raise _WrongLineError("does not match its check")
    return text


# ── a whole sheet ───────────────────────────────────────────────────────────────────────────────
def qr_parts(sheet: Sheet) -> tuple[str, str]:
    """What a QR code of the sheet says: letters for its alphanumeric mode, and text to go behind.

    Both together are a sheet for :func:`decode_sheet`. The fingerprint is left out where it follows
    from the root's key.
    """
    words = [QR_MARK]
    for number, data in _data_of(sheet).items():
        if data is not None and not (number == _FINGERPRINT and sheet.root_private):
            words += [f"{at}:{symbols}" for at, symbols in _data_lines(number, data)]
    texts = [
        f"{at}:{text}{check}"
        for number, value in _texts_of(sheet).items()
        for at, text, check in _text_lines(number, value)
    ]
    return " ".join(words), " " + " ".join(texts)


def _texts_of(sheet: Sheet) -> dict[int, str]:
    return {_ADDRESS: sheet.address, _ENDPOINT: sheet.endpoint, _REGION: sheet.region}


def encode_sheet(sheet: Sheet, *, made_at: datetime | None = None, square: str = "") -> str:
    """The sheet as text of at most 78 columns, plain ASCII but for *square*.

    Args:
        sheet: what to write.
        made_at: when it was made, for the title.
        square: the QR code, drawn in characters, for a second page; ``""`` for none.

    Raises:
        UsageError: an address is longer than a sheet can hold (about 530 characters).
    """
    made = f"made {made_at.astimezone(UTC):%Y-%m-%d}" if made_at else ""
    rule = "=" * WIDTH
    title = "DRD RECOVERY SHEET"
    words = _WHAT if sheet.recovery_private else _WHAT_ROOT_ALONE
    parts = [rule, title + made.rjust(WIDTH - len(title)), rule, "", words.strip("\n"), ""]
    if sheet.recovery_private:
        parts += [_AT_3_AM.strip("\n"), ""]
    parts += ["ROOT FINGERPRINT (hex; compare it with what drctl prints)"]
    parts += ["  " + " ".join(_cut(sheet.root_fingerprint.hex(), 8)), "", *_block(sheet)]
    if square:
        parts += ["\fTHE SAME AS A SQUARE CODE (scan it now, once, to see that it reads)"]
        parts += ["", square.strip("\n")]
    return "\n".join(line.rstrip() for line in "\n".join(parts).split("\n")) + "\n"


def _cut(text: str, length: int) -> list[str]:
    return [text[start : start + length] for start in range(0, len(text), length)]


def _block(sheet: Sheet) -> Iterator[str]:
    """The numbered lines with their headings."""
    yield from _LINES.strip("\n").split("\n")
    for number, text in _texts_of(sheet).items():
        yield _HEADINGS[number]
        for at, content, check in _text_lines(number, text):
            yield f"{at}: {content}  {check}"
    for number, data in _data_of(sheet).items():
        if data is not None:
            yield _HEADINGS[number]
            for at, symbols in _data_lines(number, data):
                yield f"{at}: {' '.join(_cut(symbols, _GROUP))}"


def decode_sheet(text: str, *, about: str = "") -> Sheet:
    """Read a sheet: a copy, a re-typed one, the text of its QR code, or a mixture.

    *about* is where it comes from, for messages.

    Raises:
        KeyAccessError: lines are missing or wrong; all of them are named by their numbers.
    """
    lines, wrong = _numbered(text)
    if not lines:
        raise KeyAccessError(
            "this is no recovery sheet: no line begins with two digits and a colon",
            about=about,
            hint="type the numbered lines of the sheet, or scan its square code",
        )
    texts = {number: _read_text(number, lines, wrong) for number in _TEXT_FIELDS}
    data = {number: _read_data(number, lines, wrong) for number in _DATA_FIELDS}
    for number in sorted(lines):
        wrong[number] = "is no line of a sheet"
    if data[_REPOSITORY] is None:
        wrong.setdefault(41, "is missing")
    if data[_FINGERPRINT] is None and data[_ROOT] is None:
        wrong.setdefault(51, "is missing")
    if wrong:
        told = "; ".join(f"line {number} {wrong[number]}" for number in sorted(wrong))
        raise KeyAccessError(
            f"the recovery sheet does not read: {told}",
            about=about,
            hint="compare these lines with the paper",
        )
    root = data[_ROOT]
    return Sheet(
        address=texts[_ADDRESS],
        endpoint=texts[_ENDPOINT],
        region=texts[_REGION],
        repository=data[_REPOSITORY] or b"",
        root_fingerprint=data[_FINGERPRINT] or fingerprint_of(root or b""),
        recovery_private=data[_RECOVERY],
        root_private=root,
    )


def _numbered(text: str) -> tuple[dict[int, str], dict[int, str]]:
    """Contents by line number, and numbers that stand twice with different contents."""
    lines: dict[int, str] = {}
    wrong: dict[int, str] = {}
    for line in _split(text):
        match = _LINE.match(line)
        if match is None:
            continue
        number = int((match[1] or match[2]).upper().translate(_LOOKS_LIKE))
        if number // 10 not in (*_TEXT_FIELDS, *_DATA_FIELDS):
            continue
        content = "".join(match[3].split())
        text = content[:-_CHECK] if number // 10 in _TEXT_FIELDS else ""
        content = text + _read_symbols(content[len(text) :])
        if lines.setdefault(number, content) != content:
            wrong[number] = "stands there twice, and differs"
    return lines, wrong


def _split(text: str) -> Iterator[str]:
    """Lines of a sheet; the text of a QR code is one line of words."""
    for line in text.lstrip("\ufeff").splitlines():
        words = line.split()
        if words and words[0].upper() == QR_MARK:
            yield from words[1:]
        else:
            yield line


def _read_text(number: int, lines: dict[int, str], wrong: dict[int, str]) -> str:
    """Take the lines of a text field out of *lines*; note in *wrong* what does not read."""
    chunks: dict[int, str] = {}
    for at in range(number * 10 + 1, number * 10 + 1 + _MAX_TEXT_LINES):
        if at in lines:
            try:
                chunks[at] = _read_text_line(at, lines.pop(at))
            except _WrongLineError as error:
                wrong.setdefault(at, str(error))
                chunks[at] = "\\"
    text = ""
    at = number * 10
    more = True
    while more:
        at += 1
        if at not in chunks:
            wrong.setdefault(at, "is missing")
            return ""
        chunk = chunks.pop(at)
        text += chunk.removesuffix("\\")
        more = chunk.endswith("\\") and not (at in wrong and at + 1 not in chunks)
    for left in chunks:
        wrong.setdefault(left, "does not belong to this sheet")
    return "" if text == _NONE else unquote(text, errors="surrogateescape")


def _read_data(number: int, lines: dict[int, str], wrong: dict[int, str]) -> bytes | None:
    """Take the lines of a data field out of *lines*; None when there is not one of them."""
    places = range(number * 10 + 1, number * 10 + 1 + _DATA_FIELDS[number] // _LINE_BYTES)
    if not any(at in lines for at in places):
        return None
    data = b""
    for at in places:
        if at not in lines:
            wrong.setdefault(at, "is missing")
            continue
        try:
            data += _read_data_line(at, lines.pop(at))
        except _WrongLineError as error:
            wrong.setdefault(at, str(error))
    return data


_HEADINGS: Final[Mapping[int, str]] = {
    _ADDRESS: "    repository address",
    _ENDPOINT: "    S3 endpoint (- for none)",
    _REGION: "    S3 region (- for none)",
    _REPOSITORY: "    repository id",
    _FINGERPRINT: "    root fingerprint",
    _RECOVERY: "    recovery private key: opens every backup",
    _ROOT: "    root private key: signs who may write; a restore does not need it",
}

_WHAT: Final = """
WHAT THIS IS
  The last key to the backups in the repository named below. Whoever holds
  this sheet can read all of them, and can sign who may write new ones. When
  the key file is lost too, nobody can read them without it: there is no other
  way in. Keep it on paper, in a safe, away from the machines it protects, and
  remove the file that it was printed from.
"""

_WHAT_ROOT_ALONE: Final = """
WHAT THIS IS
  The root of trust of the repository named below. It signs who may write new
  backups. It opens no backup: the repository was made without a recovery key,
  so the key file (and the age identities, if there are any) are the only way
  in. Keep copies of them. Keep this sheet on paper, in a safe, away from the
  machines it protects, and remove the file that it was printed from.
"""

_AT_3_AM: Final = """
WHAT TO DO AT 3 AM
  You need this sheet, the bucket, and a Linux machine with drd installed: no
  configuration, no key file, no daemon.
  1. Make a file of this sheet, say sheet.txt: copy it, or scan the square
     code and save its text, or type the numbered lines. Spaces and capitals
     do not matter in the groups of four; drctl names a line that is wrong.
  2. For s3:// set the bucket's own keys, which are not on this sheet:
       export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...
  3. See what there is:
       drctl ls --sheet sheet.txt
  4. Restore the newest point of an image, here to a file:
       drctl restore 'SOURCE/IMAGE' --to file:image.raw --sheet sheet.txt
     Older: 'SOURCE/IMAGE@2026-11-21T10:00:00Z'. To Ceph: --to rbd:POOL/IMAGE
  Without drd: reader/ in the bucket holds one Python file that lists and
  restores with this sheet alone; its first lines say how.
"""

_LINES: Final = """
THE NUMBERED LINES
  The last six characters of each are its check. In the groups of four there
  is no letter I, L, O or U: what looks like one is a 1 or a 0.
"""
