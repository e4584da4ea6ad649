"""A repository of a simulated image of many TiB: real tables and manifests, packs without their data.

``SlimStore`` keeps of each pack what is metadata (header, footer, trailer) and drops the frames. Asked for
frames, it makes them again from what the source would have held, seals them with the pack's own key, and
so gives the very bytes that were put. What reads from it cannot tell, and a disk need not hold 410 GiB.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drd.core import hybrid, pack, seal
from drd.core.compress import Compressor
from drd.core.pack import TRAILER_BYTES
from drd.core.sections import What, decode_map
from drd.core.tables import decode_index
from drd.model import IMAGE_GEOMETRY, Buffer, ObjectVersion, StoreAbilities
from drd.stores.local import LocalStore
from drd.testing.fakes import MemoryRing
from drd.testing.repository import make_repository
from drd.work.lineagekeys import LineageKeys
from drd.work.repository import Repository, open_repository

PACKS = "p/"
KEPT = 8
Content = Callable[[int, int], Buffer]
"""Offset and length in the image to what the source held there."""


@dataclass(frozen=True, slots=True)
class _Frame:
    offset: int
    stored: int
    plain: int
    pieces: tuple[tuple[int, int, int], ...]
    """(byte of the frame, byte of the image, bytes)"""


class SlimStore:
    """See the module; ``content`` and ``keys`` are only needed to read frames."""

    def __init__(self, folder: Path) -> None:
        self._inner = LocalStore(folder, make=True)
        self.content: Content | None = None
        self.keys: LineageKeys | None = None
        self.pack_bytes = self.footer_bytes = self.table_bytes = 0
        self._open: OrderedDict[str, _SlimPack] = OrderedDict()
        self._lock = threading.Lock()
        self.abilities: Callable[[], StoreAbilities] = self._inner.abilities
        self.versions: Callable[[str], Sequence[ObjectVersion]] = self._inner.versions
        self.folders: Callable[[str], Iterator[str]] = self._inner.folders
        self.remains: Callable[[str], Sequence[str]] = self._inner.remains
        self.delete = self._inner.delete
        self.list = self._inner.list
        self.stat = self._inner.stat

    @property
    def url(self) -> str:
        """The folder's."""
        return self._inner.url

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """Put a table or a manifest whole, a pack without its frames."""
        view = memoryview(data).cast("B")
        if not key.startswith(PACKS):
            with self._lock:
                self.table_bytes += len(view)
            return self._inner.put(key, data, if_absent=if_absent)
        trailer = pack.decode_trailer(bytes(view[-TRAILER_BYTES:]))
        header = pack.decode_header(view[: 64 * 1024]).raw
        footer = view[trailer.footer_offset : trailer.footer_offset + trailer.footer_length]
        with self._lock:
            self.pack_bytes += len(view)
            self.footer_bytes += len(footer)
        slim = b"".join((len(header).to_bytes(4, "big"), header, footer, view[-TRAILER_BYTES:]))
        return self._inner.put(key, slim)

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """Read a table or a manifest; of a pack make the frames again that lie in the range."""
        if not key.startswith(PACKS):
            return self._inner.get(key, version=version, start=start, length=length)
        if length is None or self.content is None:
            raise NotImplementedError("only ranges of frames can be made again")
        return self._slim(key).sealed(self.content, start, length)

    def _slim(self, key: str) -> _SlimPack:
        with self._lock:
            found = self._open.get(key)
            if found is None:
                if self.keys is None:
                    raise NotImplementedError("frames cannot be made without keys")
                found = self._open[key] = _SlimPack(self._inner.get(key), self.keys)
                if len(self._open) > KEPT:
                    self._open.popitem(last=False)
            return found


class _SlimPack:
    """A pack of which the frames can be made again."""

    def __init__(self, slim: bytes, keys: LineageKeys) -> None:
        cut = 4 + int.from_bytes(slim[:4], "big")
        header = pack.decode_header(slim[4:cut])
        footer, scope, epoch = slim[cut:-TRAILER_BYTES], keys.scope, header.epoch
        info = pack.epoch_info(scope, epoch.generation, epoch.epoch_id)
        secret = hybrid.open_with(keys.private(epoch.generation), info, epoch.sealed_key)
        key, _ = pack.pack_secret(secret, scope, header.pack_id)
        self._cipher = AESGCM(key)
        self._hash = seal.sha256(header.raw)
        sealed = seal.decode_header(footer, kind=pack.FOOTER)
        sections = seal.open_object(footer, sealed, keys.metadata(epoch.generation))
        self._frames = _frames(sections)
        self._offsets = [frame.offset for frame in self._frames]

    def sealed(self, content: Content, start: int, length: int) -> bytes:
        """The bytes of that range of the pack, which begins and ends with a frame."""
        out = bytearray(length)
        number = bisect_right(self._offsets, start) - 1
        while number < len(self._frames) and self._frames[number].offset < start + length:
            frame = self._frames[number]
            last = number == len(self._frames) - 1
            aad = seal.place(self._hash, number, frame.plain, last=last)
            body = self._cipher.encrypt(seal.nonce(number), _stored(frame, content), aad)
            at = frame.offset - start
            out[at : at + frame.stored] = body
            number += 1
        return bytes(out)


def _stored(frame: _Frame, content: Content) -> Buffer:
    plain = bytearray(frame.plain)
    for at, offset, length in frame.pieces:
        plain[at : at + length] = content(offset, length)
    if frame.stored == frame.plain + seal.TAG_BYTES:
        return plain
    return Compressor(1).shrink(plain)


def _frames(sections: Sequence[bytes]) -> list[_Frame]:
    """The frames of a pack, by number, and what of the image lies in them."""
    geometry = IMAGE_GEOMETRY
    found: dict[int, _Frame] = {}
    for (what, window), section in decode_index(sections[0], len(sections)).items():
        if what is not What.MAP:
            continue
        piece = decode_map(
            sections[section], block=geometry.block, window_blocks=geometry.window_blocks
        )
        starts = piece.frames.starts(geometry.block).tolist()
        pieces: dict[int, list[tuple[int, int, int]]] = {}
        base = window * geometry.window_blocks
        for first, count, line in zip(
            piece.first.tolist(), piece.count.tolist(), piece.line.tolist(), strict=True
        ):
            _cut(pieces, starts, base + first, line=line, count=count)
        table = piece.frames
        columns = (table.frame, table.offset, table.stored, table.plain)
        for index, (number, offset, stored, plain) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            before = found[number].pieces if number in found else ()
            own = (*before, *pieces.get(index, ()))
            found[number] = _Frame(offset, stored, plain, own)
    return [found[number] for number in sorted(found)]


def _cut(
    pieces: dict[int, list[tuple[int, int, int]]],
    starts: list[int],
    first: int,
    *,
    line: int,
    count: int,
) -> None:
    """Cut an extent at the edges of frames; all in blocks, what is kept in bytes."""
    block = IMAGE_GEOMETRY.block
    while count:
        index = bisect_right(starts, line) - 1
        edge = starts[index + 1] if index + 1 < len(starts) else line + count
        taken = min(count, edge - line)
        own = ((line - starts[index]) * block, first * block, taken * block)
        pieces.setdefault(index, []).append(own)
        first, line, count = first + taken, line + taken, count - taken


def opened(store: SlimStore) -> Repository:
    """The repository in *store*, made if it is new."""
    ring = MemoryRing.make("benchmarks")
    if not any(store.list("format/")):
        return make_repository(store, ring)
    return open_repository(store, ring)
