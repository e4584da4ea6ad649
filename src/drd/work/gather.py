"""Gather the plaintext of frames, many requests at a time, and lay it where it belongs.

No byte leaves here that did not authenticate. A range that does not open is tried again from every
other version of the pack (a copied bucket must restore, and who may only add versions must not be
able to shadow); what then still does not open is damage, and is named, frame by frame.

A frame is let go of as soon as it was laid out: what is held at a time is one range and one opened
frame for each request under way, however many frames an image needs.
"""

from __future__ import annotations

from collections.abc import Iterator

from drd.core.sections import FrameTable
from drd.errors import IntegrityError, ObjectMissingError
from drd.ports import Store
from drd.work.board import Board
from drd.work.packkeys import OpenPack, PackKeys
from drd.work.slices import Fetch


class Gatherer:
    """Fetches and opens frames; safe for several threads. One for the map of one window."""

    def __init__(self, store: Store, packs: PackKeys, frames: FrameTable) -> None:
        self._store = store
        self._packs = packs
        self.frames = frames

    def gather(self, fetch: Fetch, board: Board) -> dict[int, str]:
        """Lay the frames of *fetch* on *board*: those that were handed to it, the rest with one request.

        Returns:
            Why frames (indices) did not open.
        """
        wanted = []
        for index in fetch.frames:
            held = board.handed.take(index)
            if held is None:
                wanted.append(index)
            else:
                board.place(index, held)
        return self._fetch(fetch.ordinal, wanted, board) if wanted else {}

    def _fetch(self, ordinal: int, wanted: list[int], board: Board) -> dict[int, str]:
        try:
            pack = self._packs.open(ordinal)
        except IntegrityError as error:
            return dict.fromkeys(wanted, error.message)
        missing = dict.fromkeys(wanted, "the pack is missing")
        for version in self._versions(pack):
            start = int(self.frames.offset[min(missing)])
            end = max(int(self.frames.offset[i]) + int(self.frames.stored[i]) for i in missing)
            try:
                data = self._store.get(pack.name, version=version, start=start, length=end - start)
            except ObjectMissingError:
                continue
            self._open(pack, data, start, board=board, missing=missing)
            if not missing:
                break
        return missing

    def _versions(self, pack: OpenPack) -> Iterator[str]:
        """The pinned version, the newest, then every other one (asked for only when needed)."""
        tried = list(dict.fromkeys((pack.row.version, "")))
        yield from tried
        for other in self._store.versions(pack.name):
            if other.version not in tried:
                yield other.version

    def _open(
        self, pack: OpenPack, data: bytes, start: int, *, board: Board, missing: dict[int, str]
    ) -> None:
        view = memoryview(data)
        opener = pack.opener()
        frames = self.frames
        for index in list(missing):
            at = int(frames.offset[index]) - start
            sealed = view[at : at + int(frames.stored[index])]
            try:
                opened = opener.open(int(frames.frame[index]), sealed, int(frames.plain[index]))
            except IntegrityError as error:
                missing[index] = error.message
                continue
            board.place(index, opened)
            del missing[index]
