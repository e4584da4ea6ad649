"""What somebody with access to the bytes can do to them, and what a decoder may do in return.

A decoder may raise ``IntegrityError``. Where bytes are not authenticated it may also accept, but then
as something else: no two encodings mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import permutations
from typing import TypeAlias

from drd.errors import IntegrityError

Decode: TypeAlias = Callable[[bytes], object]

JUNK = (b"\0", b"\xff", b"\0" * 16, b"drd1", bytes(range(64)))


def truncations(data: bytes) -> Iterator[bytes]:
    """*data* cut off before each of its bytes, the first included."""
    for length in range(len(data)):
        yield data[:length]


def extensions(data: bytes) -> Iterator[bytes]:
    """*data* with something behind it, itself included."""
    for junk in (*JUNK, data):
        yield data + junk


def bit_flips(data: bytes) -> Iterator[bytes]:
    """*data* with each single bit turned over."""
    changed = bytearray(data)
    for at in range(len(data)):
        for bit in range(8):
            changed[at] ^= 1 << bit
            yield bytes(changed)
            changed[at] ^= 1 << bit


def missing_bytes(data: bytes) -> Iterator[bytes]:
    """*data* without each of its bytes."""
    for at in range(len(data)):
        yield data[:at] + data[at + 1 :]


def exchanges(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """*pieces* joined in every other order, and with each one missing, doubled or replaced."""
    right = b"".join(pieces)
    candidates = [b"".join(order) for order in permutations(pieces)]
    for at in range(len(pieces)):
        candidates.append(b"".join((*pieces[:at], *pieces[at + 1 :])))
        candidates.append(b"".join((*pieces[: at + 1], *pieces[at:])))
        candidates += [b"".join((*pieces[:at], one, *pieces[at + 1 :])) for one in pieces]
    yield from (one for one in dict.fromkeys(candidates) if one != right)


def accepted(decode: Decode, variants: Iterable[bytes]) -> list[tuple[bytes, object]]:
    """Variants that *decode* takes, with what it made of them; only IntegrityError may stop it."""
    taken = []
    for data in variants:
        try:
            taken.append((data, decode(data)))
        except IntegrityError:
            continue
    return taken


def assert_refused(decode: Decode, variants: Iterable[bytes]) -> None:
    """Each of *variants* (and there are some) is refused with IntegrityError."""
    tried = list(variants)
    assert tried
    taken = accepted(decode, tried)
    assert not taken, f"{len(taken)} of {len(tried)} were accepted, e.g. {taken[0][0].hex()}"


def assert_sealed(decode: Decode, data: bytes) -> None:
    """*data* opens as it is, and not in any other shape: for whatever is authenticated."""
    decode(data)
    assert_refused(decode, truncations(data))
    assert_refused(decode, extensions(data))
    assert_refused(decode, missing_bytes(data))
    assert_refused(decode, bit_flips(data))


def assert_strict(decode: Decode, encode: Callable[[object], bytes], data: bytes) -> None:
    """*data* is read to its last byte, and nothing else means the same: for what stands inside."""
    assert encode(decode(data)) == data
    assert_refused(decode, truncations(data))
    assert_refused(decode, extensions(data))
    others = [*bit_flips(data), *missing_bytes(data)]
    for other, value in accepted(decode, others):
        assert encode(value) == other
