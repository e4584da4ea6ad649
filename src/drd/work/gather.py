"""Gather the plaintext of frames, many requests at a time, and remember frames that slices share.

No byte leaves here that did not authenticate. A range that does not open is tried again from every
other version of the pack (a copied bucket must restore, and who may only add versions must not be
able to shadow); what then still does not open is damage, and is named, frame by frame.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from drd.core.sections import MapPiece
from drd.errors import IntegrityError, ObjectMissingError
from drd.model import Buffer
from drd.ports import Store
from drd.work.packkeys import OpenPack, PackKeys
from drd.work.slices import Fetch

_KEEP_BYTES = 96 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """Frames of one fetch: plaintexts by index, and why others did not open."""

    plain: dict[int, Buffer]
    damaged: dict[int, str]


class Gatherer:
    """Fetches and opens frames; safe for several threads. One for the map of one window."""

    def __init__(self, store: Store, packs: PackKeys, piece: MapPiece, kept: KeptFrames) -> None:
        self._store = store
        self._packs = packs
        self.frames = piece.frames
        self._kept = kept

    def gather(self, fetch: Fetch) -> Opened:
        """The frames of *fetch*: from memory what is there, the rest with one request."""
        plain: dict[int, Buffer] = {}
        wanted = []
        for index in fetch.frames:
            held = self._kept.get(fetch.ordinal, int(self.frames.frame[index]))
            if held is None:
                wanted.append(index)
            else:
                plain[index] = held
        damaged: dict[int, str] = {}
        if wanted:
            self._fetch(fetch.ordinal, wanted, plain, damaged)
        return Opened(plain, damaged)

    def _fetch(
        self, ordinal: int, wanted: list[int], plain: dict[int, Buffer], damaged: dict[int, str]
    ) -> None:
        try:
            pack = self._packs.open(ordinal)
        except IntegrityError as error:
            damaged.update(dict.fromkeys(wanted, error.message))
            return
        missing = dict.fromkeys(wanted, "the pack is missing")
        for version in self._versions(pack):
            start = int(self.frames.offset[min(missing)])
            end = max(int(self.frames.offset[i]) + int(self.frames.stored[i]) for i in missing)
            try:
                data = self._store.get(pack.name, version=version, start=start, length=end - start)
            except ObjectMissingError:
                continue
            self._open(pack, data, start, plain=plain, missing=missing)
            if not missing:
                return
        damaged.update(missing)

    def _versions(self, pack: OpenPack) -> Iterator[str]:
        """The pinned version, the newest, then every other one (asked for only when needed)."""
        tried = list(dict.fromkeys((pack.row.version, "")))
        yield from tried
        for other in self._store.versions(pack.name):
            if other.version not in tried:
                yield other.version

    def _open(
        self,
        pack: OpenPack,
        data: bytes,
        start: int,
        *,
        plain: dict[int, Buffer],
        missing: dict[int, str],
    ) -> None:
        view = memoryview(data)
        opener = pack.opener()
        frames = self.frames
        for index in list(missing):
            at = int(frames.offset[index]) - start
            sealed = view[at : at + int(frames.stored[index])]
            number = int(frames.frame[index])
            try:
                opened = opener.open(number, sealed, int(frames.plain[index]))
            except IntegrityError as error:
                missing[index] = error.message
                continue
            plain[index] = opened
            del missing[index]
            self._kept.keep(pack.row.ordinal, number, opened)


class KeptFrames:
    """Opened frames that the next slices may need: the points of a lineage interleave in an image."""

    def __init__(self, most: int = _KEEP_BYTES) -> None:
        self._most = most
        self._held: OrderedDict[tuple[int, int], Buffer] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, ordinal: int, frame: int) -> Buffer | None:
        """A frame's plaintext, if it is still here."""
        with self._lock:
            held = self._held.get((ordinal, frame))
            if held is not None:
                self._held.move_to_end((ordinal, frame))
            return held

    def keep(self, ordinal: int, frame: int, plain: Buffer) -> None:
        """Keep a frame; the least recently used go when it gets too much."""
        with self._lock:
            if (ordinal, frame) in self._held:
                return
            self._held[ordinal, frame] = plain
            self._bytes += len(plain)
            while self._bytes > self._most:
                _, old = self._held.popitem(last=False)
                self._bytes -= len(old)
