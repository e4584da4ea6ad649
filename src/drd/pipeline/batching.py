"""From ranges that may have changed to batches of cells, read many at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drd.core.cells import Span
from drd.model import Buffer, Geometry
from drd.ports import Frozen, ReadAt

BATCH_BYTES = 4 * 1024 * 1024
"""Plaintext of one batch: one RADOS object of the default size; a job of some milliseconds."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Neighbouring cells of an item to look at: ``stored`` has what the map restores, per cell, ``again``
    which are to be put whatever is found (None: none), ``refill`` one flag per block (None: none).
    """

    first: int
    stored: npt.NDArray[np.uint64]
    with_base: bool
    again: npt.NDArray[np.bool_] | None = None
    refill: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Spans for one job; add *shift* to a cell of the item to get its cell in the block space."""

    spans: Sequence[Span]
    shift: int


def pieces(
    cells: npt.NDArray[np.int64],
    stored: npt.NDArray[np.uint64],
    compare: npt.NDArray[np.bool_],
    geometry: Geometry,
    *,
    again: npt.NDArray[np.bool_] | None = None,
    refill: npt.NDArray[np.bool_] | None = None,
) -> Iterator[Wanted]:
    """Cut ascending *cells* into stretches of neighbours that are read alike. *refill* has a row of
    flags, one per block, for each of them.

    A stretch never crosses a multiple of 4 MiB, so that a read stays inside one RADOS object of the
    default size.
    """
    if not len(cells):
        return
    limit = BATCH_BYTES // geometry.cell
    breaks = (
        (np.diff(cells) != 1)
        | (cells[1:] // limit != cells[:-1] // limit)
        | (compare[1:] != compare[:-1])
    )
    starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    ends = np.concatenate((starts[1:], [len(cells)]))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        repeated = None if again is None else again[start:end]
        refilled = (
            None if refill is None or not refill[start:end].any() else refill[start:end].ravel()
        )
        yield Wanted(int(cells[start]), stored[start:end], bool(compare[start]), repeated, refilled)


def read_spans(frozen: Frozen, wanted: Iterable[Wanted], geometry: Geometry) -> Iterator[Span]:
    """Read *wanted* cells from the snapshot, and from the base where they are to be compared."""
    waiting: deque[Wanted] = deque()

    def requests() -> Iterator[ReadAt]:
        for one in wanted:
            waiting.append(one)
            offset, length = one.first * geometry.cell, len(one.stored) * geometry.cell
            yield ReadAt(offset, length)
            if one.with_base:
                yield ReadAt(offset, length, base=True)

    new: Buffer = b""
    for request, buffer in frozen.read(requests()):
        if not request.base:
            new = buffer
            if waiting[0].with_base:
                continue
        one = waiting.popleft()
        yield Span(
            one.first, new, buffer if request.base else None, one.stored, one.again, one.refill
        )


def batches(
    spans: Iterable[Span], geometry: Geometry, shift_of: Callable[[int], int]
) -> Iterator[Batch]:
    """Gather spans into batches of about 4 MiB of new data, each of one place (*shift_of*)."""
    batch: list[Span] = []
    size = shift = 0
    for span in spans:
        here = shift_of(span.first)
        if batch and (here != shift or size >= BATCH_BYTES):
            yield Batch(batch, shift)
            batch, size = [], 0
        shift = here
        batch.append(span)
        size += len(span.stored) * geometry.cell
    if batch:
        yield Batch(batch, shift)
