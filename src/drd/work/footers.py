"""What a pack's footer said: read from a copy of the pack, or told again from the run that named the pack.

A run of level 0 lays the maps of its packs end to end, in the order of their cells; a footer is the part of
one pack. Where cells of zeros lie between the data of two packs, the run does not say to which of them
they belonged: each edge is a candidate, and the SHA-256 of the whole pack tells which was the right one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from drd.core import pack, seal
from drd.core.manifest import Reference
from drd.core.seal import Scope
from drd.core.sections import FrameTable, What, decode_digests, decode_map
from drd.core.window import Drawn, ramps
from drd.errors import IntegrityError, KeyAccessError
from drd.model import Geometry
from drd.pipeline.packing import Packed, Seal, encode_footer
from drd.work.lineagekeys import LineageKeys
from drd.work.shelf import Shelf

MARK: Final = b"drd1" + pack.FOOTER
MOST_EDGES: Final = 4096
"""Candidates that are tried at most; one more than cells of zeros lie at each edge of a pack's cells."""
_Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a pack held: its frames in order, and for each block on their line its place in the lineage."""

    frames: FrameTable
    line: _Index
    block: _Index


@dataclass(frozen=True, slots=True)
class Footer:
    """One candidate: the footer's bytes, and what it says."""

    raw: bytes
    contents: Contents


def in_copy(data: bytes, keys: LineageKeys, pack_id: bytes, geometry: Geometry) -> Footer | None:
    """The footer in a copy of a pack that may be damaged anywhere, its trailer included; None without one
    that opens.
    """
    at = data.rfind(MARK)
    while at >= 0:
        try:
            sealed = seal.decode_header(memoryview(data)[at:], kind=pack.FOOTER)
            raw = data[at : at + sealed.size]
            if sealed.object_id == pack_id and sealed.scope == keys.scope:
                sections = seal.open_object(raw, sealed, keys.metadata(sealed.generation))
                return Footer(raw, _contents(sections, geometry))
        except (IntegrityError, KeyAccessError):
            pass
        at = data.rfind(MARK, 0, at)
    return None


def _contents(sections: Sequence[bytes], geometry: Geometry) -> Contents:
    from drd.core.tables import decode_index  # noqa: PLC0415

    index = decode_index(sections[0], len(sections)) if sections else {}
    maps = {number: sections[at] for (what, number), at in index.items() if what is What.MAP}
    return _of_maps(maps, 0, geometry)


def _of_maps(maps: dict[int, bytes], ordinal: int, geometry: Geometry) -> Contents:
    """What map sections, by window, say of one pack.

    Raises:
        IntegrityError: not of each of its frames.
    """
    frames: dict[int, FrameTable] = {}
    places: list[tuple[_Index, _Index, _Index]] = []
    for window, data in sorted(maps.items()):
        piece = decode_map(data, block=geometry.block, window_blocks=geometry.window_blocks)
        table = piece.frames
        own = np.flatnonzero(table.pack == ordinal)
        for one in own.tolist():
            frames[int(table.frame[one])] = table.take(np.asarray([one]))
        put = ~piece.zero
        line = ramps(piece.line[put], piece.count[put].astype(np.int64))
        block = ramps(piece.first[put].astype(np.int64), piece.count[put].astype(np.int64))
        starts = table.starts(geometry.block)
        frame = np.searchsorted(starts, line, side="right") - 1
        mine = np.isin(frame, own)
        frame, line, block = frame[mine], line[mine], block[mine]
        into = line - starts[frame]
        number = table.frame[frame].astype(np.int64)
        places.append((number, into, block + window * geometry.window_blocks))
    if not frames or sorted(frames) != list(range(len(frames))):
        raise IntegrityError("not each frame of a pack is known")
    whole = FrameTable.join([frames[number] for number in range(len(frames))])
    starts = whole.starts(geometry.block)
    number, into, block = (np.concatenate(column) for column in zip(*places, strict=True))
    line = starts[number] + into
    order = np.argsort(line, kind="stable")
    return Contents(whole, line[order], block[order])


@dataclass(frozen=True, slots=True)
class Named:
    """A run of level 0 that carries the row of a pack."""

    run: Reference
    ordinal: int
    generation: int


def retold(
    named: Named, shelf: Shelf, keys: LineageKeys, *, pack_id: bytes, geometry: Geometry
) -> Iterator[Footer]:
    """Candidates for the footer of a pack of which nothing is left, from the run that named it.

    Raises:
        IntegrityError: the run is damaged, or does not tell of each frame.
    """
    table = shelf.open(named.run)
    maps = {
        number: shelf.section(named.run, What.MAP, number) or b""
        for number in table.numbers(What.MAP)
    }
    contents = _of_maps(maps, named.ordinal, geometry)
    around = _Around.of(named, shelf, maps, contents=contents, geometry=geometry)
    seal_with = _seal(keys, keys.scope, named.generation)
    own = _own(contents.frames)
    for low, high in around.edges():
        drawn, cell, digest = around.part(low, high, contents, own)
        told = Packed(None, None, drawn, cell, digest, 0, 0)
        yield Footer(encode_footer(seal_with, pack_id, told, geometry), contents)


def _own(frames: FrameTable) -> FrameTable:
    zeros = np.zeros_like(frames.pack)
    return FrameTable(zeros, frames.frame, frames.offset, frames.stored, frames.plain)


def _seal(keys: LineageKeys, scope: Scope, generation: int) -> Seal:
    """With what the footer is sealed; no epoch is needed for it."""
    none = pack.Epoch(b"", generation, b"", b"")
    return Seal(scope, none, b"", generation, keys.metadata(generation))


@dataclass(frozen=True, slots=True)
class _Around:
    """Changed cells of a run, its holes, and where the data of the packs beside ours begin."""

    cell: _Index
    digest: npt.NDArray[np.uint64]
    hole_first: _Index
    hole_end: _Index
    first_at: range
    end_at: range
    per_cell: int

    @classmethod
    def of(
        cls,
        named: Named,
        shelf: Shelf,
        maps: dict[int, bytes],
        *,
        contents: Contents,
        geometry: Geometry,
    ) -> _Around:
        """What the run says around one pack."""
        cells, digests = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
        for window in shelf.open(named.run).numbers(What.DIGESTS):
            data = shelf.section(named.run, What.DIGESTS, window) or b""
            told = decode_digests(data, window_cells=geometry.window_cells)
            cells.append(told.cell.astype(np.int64) + window * geometry.window_cells)
            digests.append(told.digest)
        cell = np.concatenate(cells)
        low, high = int(contents.block.min()), int(contents.block.max())
        before, after, holes = _neighbours(maps, low, high, geometry)
        per_cell = geometry.cell_blocks
        at, past = np.searchsorted(cell, (low // per_cell, high // per_cell + 1)).tolist()
        least = int(np.searchsorted(cell, before // per_cell + 1)) if before >= 0 else 0
        most = int(np.searchsorted(cell, after // per_cell)) if after >= 0 else len(cell)
        return cls(
            cell,
            np.concatenate(digests),
            holes[0],
            holes[1],
            range(least, at + 1),
            range(past, most + 1),
            per_cell,
        )

    def edges(self) -> Iterator[tuple[int, int]]:
        """Pairs of (first, end) among the changed cells, those with all the zeros behind first."""
        tried = 0
        for low in reversed(self.first_at):
            for high in self.end_at:
                yield low, high
                tried += 1
                if tried >= MOST_EDGES:
                    return

    def part(
        self, low: int, high: int, contents: Contents, own: FrameTable
    ) -> tuple[Drawn, _Index, npt.NDArray[np.uint64]]:
        """What the footer would say with these edges."""
        cell = self.cell[low:high]
        edge_low, edge_high = int(cell[0]) * self.per_cell, (int(cell[-1]) + 1) * self.per_cell
        first = np.maximum(self.hole_first, edge_low)
        end = np.minimum(self.hole_end, edge_high)
        inside = first < end
        hole_first, hole_count = first[inside], (end - first)[inside]
        all_first = np.concatenate([contents.block, hole_first])
        zero = np.concatenate(
            [np.zeros(len(contents.block), np.bool_), np.ones(len(hole_first), np.bool_)]
        )
        count = np.concatenate([np.ones(len(contents.block), np.int64), hole_count])
        line = np.concatenate([contents.line, np.zeros(len(hole_first), np.int64)])
        order = np.argsort(all_first, kind="stable")
        drawn = Drawn(own, all_first[order], count[order], zero[order], line[order])
        return drawn, cell, self.digest[low:high]


def _neighbours(
    maps: dict[int, bytes], low: int, high: int, geometry: Geometry
) -> tuple[int, int, tuple[_Index, _Index]]:
    """The last block of data before *low* and the first after *high* (-1: none), and all holes as (first,
    end); in blocks of the lineage's space.
    """
    before, after = -1, -1
    firsts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for window, data in sorted(maps.items()):
        piece = decode_map(data, block=geometry.block, window_blocks=geometry.window_blocks)
        first = piece.first.astype(np.int64) + window * geometry.window_blocks
        end = first + piece.count
        firsts.append(first[piece.zero])
        ends.append(end[piece.zero])
        put_first, put_end = first[~piece.zero], end[~piece.zero]
        earlier, later = put_first[put_first < low], put_end[put_end - 1 > high]
        if len(earlier):  # an extent may run on into ours: then the block right before it
            before = max(before, int(np.minimum(put_end[put_first < low], low).max()) - 1)
        if len(later) and after < 0:
            after = int(np.maximum(put_first[put_end - 1 > high], high + 1).min())
    return before, after, (np.concatenate(firsts), np.concatenate(ends))
