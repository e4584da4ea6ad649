"""What changed: cells of a new snapshot against what the map restores.

The rule that this file keeps is the one that closes the worst hole: **a stored digest is the digest
of what the map restores**. For each touched cell:

1. With a base snapshot: the base cell must digest to the stored value. Then the map's content *is*
   the base cell, and it is right to put just the blocks in which base and new differ.
2. Without a base, or when the base does not match: only the digest of the new cell can say
   "unchanged"; otherwise the whole cell is put, holes included, so that nothing of what the map held
   shines through. (Else a diff that misses one of two changed blocks in a cell is hidden for ever.)
   A base that does not match means that earlier points are not what the source held: it is counted.
3. A cell that restores to zeros is painted ZERO with digest 0, and never stored.
4. Blocks that are *refilled* (what the map restores them from is to become free) are put again where the
   cell is, by its digest, what the map restores; else rule 2 puts the whole cell anyhow.

All-zero blocks are never stored. What is stored of one batch of cells lies on one line of blocks,
cut into frames; frames are compressed here, so that a batch is one job of one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drd.core.compress import Compressor
from drd.core.digest import ROOT_MODULUS, DigestKeys, cell_digest, root_term
from drd.core.pack import Frame
from drd.model import Buffer, Geometry

Flags = npt.NDArray[np.bool_]
Index = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring cells of one item: whole cells of the new snapshot, and of the base if any.

    ``first`` is a cell of the item; buffers are a whole number of cells; ``stored`` has the digest of
    what the map restores, one per cell. Cells of ``again`` are put in whole though they be the same: what
    the map restores them from is lost. Blocks of ``refill`` (one flag per block) are put again, too.
    """

    first: int
    new: Buffer
    base: Buffer | None
    stored: npt.NDArray[np.uint64]
    again: Flags | None = None
    refill: Flags | None = None


@dataclass(frozen=True, slots=True)
class Lens:
    """How cells are looked at: geometry, keys, the item they belong to, the size of frames (bytes)."""

    geometry: Geometry
    keys: DigestKeys
    item: int
    frame_size: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What a batch of cells adds to a point.

    Extents (``first``, ``count`` in blocks of the item, ``zero``) ascend; ``line`` is the position of
    an extent's first block on the line of this batch's ``frames``. ``cell`` and ``digest`` name the
    cells that changed and what they digest to now. ``root`` is what to add to the root digest
    (modulo 2^256). ``mismatched`` counts cells whose base was not what the map restores; ``refilled``
    blocks that did not change and were put again, ``drifted`` cells that were to be refilled, had no base
    to compare with, and are not what the map restores.
    """

    frames: tuple[Frame, ...]
    first: Index
    count: Index
    zero: Flags
    line: Index
    cell: Index
    digest: Words
    root: int
    mismatched: int
    looked: int
    refilled: int = 0
    drifted: int = 0

    @property
    def blocks(self) -> int:
        """Blocks put or zeroed."""
        return int(self.count.sum())


def _words(buffer: Buffer, geometry: Geometry) -> Words:
    return np.frombuffer(buffer, dtype=np.uint64).reshape(-1, geometry.block // 8)


def _per_cell(flags: Flags, geometry: Geometry) -> npt.NDArray[np.bool_]:
    return flags.reshape(-1, geometry.cell_blocks)


def any_row(rows: npt.NDArray[np.generic]) -> Flags:
    """Which rows have anything that is not zero; most rows of data say so with their first word."""
    flags: Flags = rows[:, 0].astype(np.bool_)
    quiet = np.flatnonzero(~flags)
    if len(quiet) == len(flags):
        return np.asarray(rows.any(axis=1), dtype=np.bool_)
    flags[quiet] = rows[quiet].any(axis=1)
    return flags


def _digests(buffer: Buffer, wanted: npt.NDArray[np.bool_], lens: Lens) -> npt.NDArray[np.uint64]:
    """Digest of each cell that is *wanted* (and not all zeros); 0 for the others."""
    view = memoryview(buffer).cast("B")
    size = lens.geometry.cell
    values = np.zeros(len(wanted), np.uint64)
    for cell in np.flatnonzero(wanted):
        at = int(cell) * size
        values[cell] = cell_digest(lens.keys.cell, view[at : at + size])
    return values


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Per block of a span: is it put, is it zeroed; per cell: is it named (it changed, or has blocks that
    are refilled), to which digest.
    """

    put: Flags
    hole: Flags
    named: Flags
    digest: npt.NDArray[np.uint64]
    mismatched: int
    refilled: int
    drifted: int


def _judge(span: Span, lens: Lens) -> _Verdict:
    """Rules 1 to 4 for the cells of one span."""
    geometry = lens.geometry
    new = _words(span.new, geometry)
    full = any_row(new)
    filled = any_row(_per_cell(full, geometry))
    trusted = np.zeros(len(filled), np.bool_)
    differs = np.ones(len(full), np.bool_)
    mismatched = 0
    if span.base is not None:
        base = _words(span.base, geometry)
        base_filled = any_row(_per_cell(any_row(base), geometry))
        trusted = _digests(span.base, base_filled, lens) == span.stored
        mismatched = int((~trusted).sum())
        differs = any_row(new != base)
    if span.again is not None:
        trusted &= ~span.again
    touched = any_row(_per_cell(differs, geometry))
    digest = _digests(span.new, filled & (touched | ~trusted), lens)
    changed = np.where(trusted, touched, digest != span.stored)
    if span.again is not None:
        changed |= span.again
    # Whole cells where the base cannot be trusted; else only the blocks that differ.
    chosen = np.repeat(changed & ~trusted, geometry.cell_blocks) | (
        differs & np.repeat(changed & trusted, geometry.cell_blocks)
    )
    named, refilled, drifted = changed, 0, 0
    if span.refill is not None:
        more = span.refill & ~chosen
        refilled, chosen = int(more.sum()), chosen | more
        own = any_row(_per_cell(span.refill, geometry))
        named = changed | own
        drifted = int((own & (digest != span.stored)).sum()) if span.base is None else 0
        digest = np.where(own & ~changed, span.stored, digest)
    hole = chosen & ~full
    # Where the map restores zeros already, a hole needs no word; a cell of zeros says so in whole.
    silent = np.repeat((span.stored == 0) & changed, geometry.cell_blocks)
    emptied = np.repeat(changed & ~filled & (span.stored != 0), geometry.cell_blocks)
    hole = (hole & ~silent) | emptied
    return _Verdict(chosen & full, hole, named, digest, mismatched, refilled, drifted)


def _extents(verdict: _Verdict, first_block: int) -> tuple[Index, Index, Flags]:
    """Stretches of blocks that are put, or zeroed: first, count, zero."""
    state = verdict.put.astype(np.int8) + 2 * verdict.hole.astype(np.int8)
    edges = np.flatnonzero(np.diff(state)) + 1
    first = np.concatenate(([0], edges))
    end = np.concatenate((edges, [len(state)]))
    kept = state[first] != 0
    first, end = first[kept], end[kept]
    return first + first_block, end - first, state[first] == 2  # noqa: PLR2004


def _data(span: Span, put: Flags, geometry: Geometry) -> Buffer | None:
    """The blocks that are put, end to end; the buffer itself where that is all of it."""
    chosen = int(put.sum())
    if chosen == 0:
        return None
    if chosen == len(put):
        return memoryview(span.new).cast("B")
    return _words(span.new, geometry)[put].tobytes()


def _frames(pieces: Sequence[Buffer], lens: Lens, compressor: Compressor) -> tuple[Frame, ...]:
    """Cut the line of *pieces* into frames and compress each."""
    if not pieces:
        return ()
    line = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces)).cast("B")
    frames = []
    for at in range(0, len(line), lens.frame_size):
        plain = line[at : at + lens.frame_size]
        frames.append(Frame(compressor.shrink(plain), len(plain)))
    return tuple(frames)


def differ(spans: Sequence[Span], lens: Lens, compressor: Compressor) -> Difference:
    """Compare a batch of cells with what the map restores; see the module.

    Args:
        spans: ascending, apart from each other.
        lens: how to look at them.
        compressor: of the calling thread.
    """
    geometry = lens.geometry
    pieces: list[Buffer] = []
    parts: list[tuple[Index, Index, Flags]] = []
    cells: list[Index] = []
    digests: list[npt.NDArray[np.uint64]] = []
    root = mismatched = looked = refilled = drifted = 0
    for span in spans:
        verdict = _judge(span, lens)
        mismatched += verdict.mismatched
        refilled, drifted = refilled + verdict.refilled, drifted + verdict.drifted
        looked += len(verdict.named)
        data = _data(span, verdict.put, geometry)
        if data is not None:
            pieces.append(data)
        parts.append(_extents(verdict, span.first * geometry.cell_blocks))
        where = np.flatnonzero(verdict.named)
        cells.append(where + span.first)
        digests.append(verdict.digest[where])
        root += _root_change(span, verdict, where, lens)
    first, count, zero = (np.concatenate(column) for column in zip(*parts, strict=True))
    blocks = np.where(zero, 0, count)
    return Difference(
        frames=_frames(pieces, lens, compressor),
        first=first,
        count=count,
        zero=zero,
        line=np.where(zero, 0, np.cumsum(blocks) - blocks),
        cell=np.concatenate(cells),
        digest=np.concatenate(digests),
        root=root % ROOT_MODULUS,
        mismatched=mismatched,
        looked=looked,
        refilled=refilled,
        drifted=drifted,
    )


def _root_change(span: Span, verdict: _Verdict, where: Index, lens: Lens) -> int:
    """What the changed cells of a span add to the root digest."""
    total = 0
    key = lens.keys.root
    for cell in where.tolist():
        old, new = int(span.stored[cell]), int(verdict.digest[cell])
        if old:
            total -= root_term(key, lens.item, span.first + cell, old)
        if new:
            total += root_term(key, lens.item, span.first + cell, new)
    return total
