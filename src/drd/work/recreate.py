"""Put a pack together again, byte for byte: nothing less is accepted than the SHA-256 in its row.

A pack is a function of its header (in its row), its key (in its epoch), the plaintexts of its frames, the
level of zstd, and its footer. What is whole in any copy is taken from there; the plaintext of other frames
is read from the image's snapshot, where it may have changed since: the SHA-256 tells. What does not come
to it is thrown away: no nonce is ever seen with two plaintexts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drd.core import pack, seal
from drd.core.compress import Compressor
from drd.core.pack import Epoch, Trailer
from drd.core.seal import TAG_BYTES, Scope
from drd.core.sections import FrameTable
from drd.errors import IntegrityError
from drd.model import Geometry
from drd.work.footers import Contents, Footer
from drd.work.packkeys import OpenPack

LEVELS: Final = (1, 3, 2, *range(4, 20), *range(-1, -8, -1))
"""Levels of zstd that are tried, the default of drd first; the stored lengths of frames rule out most."""

Blocks = Callable[[Sequence[int]], dict[int, bytes]]
"""Reads blocks of the lineage's space from the source; those that it has no more are left out."""


@dataclass(frozen=True, slots=True)
class Mould:
    """What is known of a pack without any copy of it."""

    scope: Scope
    opened: OpenPack
    epoch: Epoch
    geometry: Geometry

    def header(self) -> bytes:
        """Its clear header.

        Raises:
            IntegrityError: it is not the one that its row names.
        """
        raw = pack.encode_header(self.scope, self.opened.row.pack_id, self.epoch)
        if seal.sha256(raw) != self.opened.secret.header_hash:
            raise IntegrityError("the row of a pack names another header", about=self.opened.name)
        return raw


def recreate(
    mould: Mould, copies: Sequence[bytes], footers: Iterable[Footer], read: Blocks
) -> bytes | None:
    """The bytes of a pack, with the SHA-256 that its row names; None where they are not to be had.

    Args:
        mould: what is known of the pack.
        copies: bytes of its versions, damaged as they may be.
        footers: candidates for its footer.
        read: where plaintexts are read that no copy has.
    """
    header = mould.header()
    bodies: list[bytes] | None = None
    for footer in footers:
        if not _fits(mould, header, footer):
            continue
        if bodies is None:  # all candidates have the same frames
            bodies = list(_bodies(mould, header, footer.contents, copies=copies, read=read))
        tail = _tail(mould, footer)
        for body in bodies:
            if _sha256(body, tail) == mould.opened.row.sha256:
                return body + tail
    return None


def whole_frames(mould: Mould, frames: FrameTable, copies: Sequence[bytes]) -> dict[int, bytes]:
    """Those of a pack's *frames*, sealed, by number, that open in one of *copies*."""
    opener, found = mould.opened.opener(), dict[int, bytes]()
    for number, offset, stored, plain in zip(
        frames.frame.tolist(),
        frames.offset.tolist(),
        frames.stored.tolist(),
        frames.plain.tolist(),
        strict=True,
    ):
        for data in copies:
            sealed = data[offset : offset + stored]
            try:
                opener.open(number, sealed, plain)
            except IntegrityError:
                continue
            found[number] = sealed
            break
    return found


def _fits(mould: Mould, header: bytes, footer: Footer) -> bool:
    """Whether header, frames and footer come to the length of the pack."""
    frames = footer.contents.frames
    if len(frames) != mould.opened.secret.frames or int(frames.offset[0]) != len(header):
        return False
    ends = frames.offset.astype(np.int64) + frames.stored
    if not np.array_equal(ends[:-1], frames.offset[1:]):
        return False
    return int(ends[-1]) + len(footer.raw) + pack.TRAILER_BYTES == mould.opened.row.size


def _tail(mould: Mould, footer: Footer) -> bytes:
    at = mould.opened.row.size - pack.TRAILER_BYTES - len(footer.raw)
    trailer = Trailer(at, len(footer.raw), mould.opened.secret.frames)
    return footer.raw + pack.encode_trailer(trailer)


def _sha256(body: bytes, tail: bytes) -> bytes:
    digest = hashlib.sha256(body)
    digest.update(tail)
    return digest.digest()


def _bodies(
    mould: Mould, header: bytes, contents: Contents, *, copies: Sequence[bytes], read: Blocks
) -> Iterator[bytes]:
    """Header and frames, as each level of zstd that fits would have them."""
    whole = whole_frames(mould, contents.frames, copies)
    frames, count = contents.frames, len(contents.frames)
    lost = [number for number in range(count) if number not in whole]
    plains = _plains(mould.geometry, contents, lost, read)
    if plains is None:
        return
    cipher, header_hash = AESGCM(mould.opened.key), mould.opened.secret.header_hash
    seen: set[bytes] = set()
    for level in LEVELS if lost else LEVELS[:1]:
        shrink, sealed = Compressor(level).shrink, dict(whole)
        for number in lost:
            plain = plains[number]
            packed = shrink(plain)
            if len(packed) + TAG_BYTES != int(frames.stored[number]):
                break
            aad = seal.place(header_hash, number, len(plain), last=number == count - 1)
            sealed[number] = cipher.encrypt(seal.nonce(number), packed, aad)
        if len(sealed) == count:
            body = b"".join([header, *(sealed[number] for number in range(count))])
            if (digest := seal.sha256(body)) not in seen:
                seen.add(digest)
                yield body


def _plains(
    geometry: Geometry, contents: Contents, lost: Sequence[int], read: Blocks
) -> dict[int, bytes] | None:
    """Plaintexts of the *lost* frames as the source has them; None where it lacks a block."""
    frames, block = contents.frames, geometry.block
    starts = frames.starts(block)
    wanted: dict[int, list[int]] = {}
    for number in lost:
        blocks = int(frames.plain[number]) // block
        low, high = np.searchsorted(contents.line, (starts[number], starts[number] + blocks))
        wanted[number] = contents.block[low:high].tolist()
        if len(wanted[number]) != blocks:
            return None
    if not wanted:
        return {}
    found = read([one for blocks in wanted.values() for one in blocks])
    if any(one not in found for blocks in wanted.values() for one in blocks):
        return None
    return {number: b"".join(found[one] for one in blocks) for number, blocks in wanted.items()}
