"""Collect compressed frames into packs, seal them, and put them, a few at a time.

Memory is bounded by ``in_flight``: that many packs may be sealed or under way; then ``add`` waits
for the oldest. Buffers are used again: the kernel is slow to give new pages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

import numpy as np
import numpy.typing as npt

from drd.core import pack as packs
from drd.core import seal
from drd.core.cells import Difference
from drd.core.names import pack_key
from drd.core.pack import Epoch, Frame, Trailer
from drd.core.seal import Scope, SealOrder
from drd.core.sections import CellDigests, FrameTable, What, encode_digests, encode_map
from drd.core.tables import PackRow, PackSecret, Part, encode_table_sections
from drd.core.window import Drawn, by_window
from drd.model import Buffer, Geometry
from drd.ports import Random

MOST_CELLS: Final = 128 * 1024
"""Changed cells of one pack, at most: what is known of a cell takes some 32 bytes of memory until the
next point, partial ones included, also where nothing is stored of it (zeros). A pack that is filled with
data ends long before."""


@dataclass(frozen=True, slots=True)
class Seal:
    """With what packs are sealed: place, epoch (as stored, and its key), metadata key for footers."""

    scope: Scope
    epoch: Epoch
    epoch_key: bytes
    generation: int
    metadata_key: bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """A pack that the store has (or, without ``row``, changes that needed none).

    Block and cell numbers are of the lineage's block space; ``line`` is relative to ``frames``.
    """

    row: PackRow | None
    secret: PackSecret | None
    drawn: Drawn
    cell: npt.NDArray[np.int64]
    digest: npt.NDArray[np.uint64]
    cursor: int
    root: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A difference at its place in the block space: add *shift* cells to get there.

    ``cursor`` is the first cell of the item that lies behind everything seen so far.
    """

    difference: Difference
    shift: int
    cursor: int


def _root(placed: Sequence[Placed]) -> int:
    return sum(one.difference.root for one in placed)


@dataclass(frozen=True, slots=True)
class Press:
    """How packs are made: sizes in bytes, how many at a time, where they go, in which threads."""

    geometry: Geometry
    pack_size: int
    in_flight: int
    random: Random
    put: Callable[[str, Buffer], str]
    transfers: Executor


class Sealed(bytearray):
    """A whole pack, with the digest that its row names: a store that signs need not hash it again."""

    sha256: bytes = b""


class Packer:
    """See the module. Not for use by several threads; its jobs run in the press's *transfers*."""

    def __init__(self, seal_with: Seal, press: Press, *, first_ordinal: int) -> None:
        self._seal = seal_with
        self._press = press
        self._geometry = press.geometry
        self._pack_size = press.pack_size
        self._ordinal = first_ordinal
        self._open: list[Placed] = []
        self._open_bytes = 0
        self._open_cells = 0
        self._under_way: deque[Future[Packed]] = deque()
        self._done: list[Packed] = []
        self._buffers: SimpleQueue[Sealed] = SimpleQueue()

    @property
    def ordinal(self) -> int:
        """The next pack ordinal."""
        return self._ordinal

    def add(self, placed: Placed) -> None:
        """Take one difference; may close a pack, and wait for an older one to be stored."""
        size = sum(len(frame.stored) + seal.TAG_BYTES for frame in placed.difference.frames)
        cells = len(placed.difference.cell)
        full = self._open_bytes and self._open_bytes + size > self._pack_size
        if self._open and (full or self._open_cells + cells > MOST_CELLS):
            self._close()
        self._open.append(placed)
        self._open_bytes += size
        self._open_cells += cells

    def stored(self, at_least: int) -> list[Packed]:
        """Packs that are stored, in order, if there are *at_least* that many; does not wait."""
        while self._under_way and self._under_way[0].done():
            self._take()
        if len(self._done) < at_least:
            return []
        done, self._done = self._done, []
        return done

    def drain(self) -> list[Packed]:
        """Close the open pack, wait for all, and return what came since the last call, in order."""
        if self._open:
            self._close()
        while self._under_way:
            self._take()
        done, self._done = self._done, []
        return done

    def _take(self) -> None:
        self._done.append(self._under_way.popleft().result())

    def _close(self) -> None:
        placed, self._open, self._open_bytes, self._open_cells = self._open, [], 0, 0
        while len(self._under_way) >= self._press.in_flight:
            self._take()
        if any(one.difference.frames for one in placed):
            ordinal, self._ordinal = self._ordinal, self._ordinal + 1
            pack_id = self._press.random(16)
            job = self._press.transfers.submit(self._store, placed, ordinal, pack_id)
            self._under_way.append(job)
            return
        drawn, cell, digest = gather(placed, 0, FrameTable.empty(), self._geometry)
        while self._under_way:
            self._take()
        last = placed[-1].cursor
        self._done.append(Packed(None, None, drawn, cell, digest, last, _root(placed)))

    def _store(self, placed: list[Placed], ordinal: int, pack_id: bytes) -> Packed:
        """Seal one pack, put it, and say what is in it. Runs in a thread of *transfers*.

        *placed* is emptied as soon as it is sealed: what is under way lies in memory once, not twice.
        """
        scope, epoch = self._seal.scope, self._seal.epoch
        frames = [frame for one in placed for frame in one.difference.frames]
        header = packs.encode_header(scope, pack_id, epoch)
        key, commitment = packs.pack_secret(self._seal.epoch_key, scope, pack_id)
        table = _frame_table(frames, len(header))
        drawn, cell, digest = gather(placed, ordinal, table, self._geometry)
        footer = encode_footer(
            self._seal, pack_id, Packed(None, None, drawn, cell, digest, 0, 0), self._geometry
        )
        at = len(header) + sum(len(frame.stored) + seal.TAG_BYTES for frame in frames)
        end = at + len(footer)
        body = self._room(end + packs.TRAILER_BYTES)
        with memoryview(body) as room:
            packs.seal_frames(header, key, frames, room)
            room[at:end] = footer
            room[end:] = packs.encode_trailer(Trailer(at, len(footer), len(frames)))
        cursor, root, count = placed[-1].cursor, _root(placed), len(frames)
        placed.clear()
        frames.clear()
        body.sha256 = seal.sha256(body)
        version = self._press.put(pack_key(scope.tenant, scope.lineage, pack_id), body)
        row = PackRow(ordinal, pack_id, epoch.generation, len(body), body.sha256, version)
        self._buffers.put(body)
        return Packed(
            row,
            PackSecret(ordinal, epoch.epoch_id, commitment, seal.sha256(header), count),
            drawn,
            cell,
            digest,
            cursor,
            root,
        )

    def _room(self, size: int) -> Sealed:
        """A buffer of *size* bytes, in memory used before where there is some."""
        try:
            room = self._buffers.get_nowait()
            if len(room) >= size:
                del room[size:]
            else:
                room += bytes(size - len(room))
        except (Empty, BufferError):  # a store that still holds a view keeps it
            return Sealed(size)
        return room


def encode_footer(seal_with: Seal, pack_id: bytes, own: Packed, geometry: Geometry) -> bytes:
    """The sealed footer of a pack: what the run says of it alone, its ordinal as 0.

    Its salt is the pack's id, as random as one drawn for it: so whoever knows what a pack held can put
    together the very same bytes.
    """
    drawn, frames = own.drawn, own.drawn.frames
    nameless = FrameTable(
        np.zeros_like(frames.pack), frames.frame, frames.offset, frames.stored, frames.plain
    )
    shown = Drawn(nameless, drawn.first, drawn.count, drawn.zero, drawn.line)
    order = SealOrder(seal_with.scope, seal_with.generation, seal_with.metadata_key, pack_id)
    sections = encode_table_sections(parts(shown, own.cell, own.digest, geometry))
    return seal.seal_object(packs.FOOTER, order, pack_id, clear=b"", sections=sections)


def _frame_table(frames: Sequence[Frame], header_length: int) -> FrameTable:
    rows = packs.frame_rows(header_length, frames)
    return FrameTable(
        np.zeros(len(rows), np.uint32),
        np.arange(len(rows), dtype=np.uint32),
        np.asarray([row.offset for row in rows], dtype=np.uint32),
        np.asarray([row.stored for row in rows], dtype=np.uint32),
        np.asarray([row.plain for row in rows], dtype=np.uint32),
    )


def gather(
    placed: Sequence[Placed], ordinal: int, frames: FrameTable, geometry: Geometry
) -> tuple[Drawn, npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Lay differences end to end, at their places in the block space, on one line of *frames*."""
    firsts, lines, cells = [], [], []
    line = 0
    for one in placed:
        difference = one.difference
        firsts.append(difference.first + one.shift * geometry.cell_blocks)
        lines.append(np.where(difference.zero, 0, difference.line + line))
        cells.append(difference.cell + one.shift)
        line += sum(frame.plain_length for frame in difference.frames) // geometry.block
    table = FrameTable(
        np.full(len(frames), ordinal, np.uint32),
        frames.frame,
        frames.offset,
        frames.stored,
        frames.plain,
    )
    drawn = Drawn(
        table,
        np.concatenate(firsts),
        np.concatenate([one.difference.count for one in placed]),
        np.concatenate([one.difference.zero for one in placed]),
        np.concatenate(lines),
    )
    digest = np.concatenate([one.difference.digest for one in placed])
    return drawn, np.concatenate(cells), digest


def parts(
    drawn: Drawn,
    cell: npt.NDArray[np.int64],
    digest: npt.NDArray[np.uint64],
    geometry: Geometry,
) -> list[Part]:
    """Map and digest sections, per window, of what was drawn."""
    made = [
        Part(What.MAP, window, encode_map(piece)) for window, piece in by_window(drawn, geometry)
    ]
    window = cell // geometry.window_cells
    for number in np.unique(window).tolist():
        inside = window == number
        digests = CellDigests(
            (cell[inside] - number * geometry.window_cells).astype(np.uint32), digest[inside]
        )
        made.append(Part(What.DIGESTS, int(number), encode_digests(digests)))
    return made


def join(packed: Sequence[Packed], geometry: Geometry) -> Packed:
    """All of *packed* as one, for the run: frames end to end, lines moved accordingly."""
    lines = []
    line = 0
    for one in packed:
        lines.append(np.where(one.drawn.zero, 0, one.drawn.line + line))
        line += int(one.drawn.frames.plain.astype(np.int64).sum()) // geometry.block
    drawn = Drawn(
        FrameTable.join([one.drawn.frames for one in packed]),
        np.concatenate([one.drawn.first for one in packed]),
        np.concatenate([one.drawn.count for one in packed]),
        np.concatenate([one.drawn.zero for one in packed]),
        np.concatenate(lines),
    )
    return Packed(
        None,
        None,
        drawn,
        np.concatenate([one.cell for one in packed]),
        np.concatenate([one.digest for one in packed]),
        packed[-1].cursor,
        sum(one.root for one in packed),
    )
