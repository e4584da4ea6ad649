"""Hours of scattered change, as packs that were stored: what a run hands to ``drd.work.draft``.

What reads, compares, compresses and seals is left out; what it would have found is drawn. So 64 hours of
3 GiB on an image of 4 TiB take minutes, and all tables and manifests are the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drd.core.seal import TAG_BYTES
from drd.core.sections import FrameTable
from drd.core.tables import PackRow, PackSecret
from drd.core.window import Drawn
from drd.model import IMAGE_GEOMETRY
from drd.pipeline.batching import BATCH_BYTES
from drd.pipeline.packing import Packed

BLOCK = IMAGE_GEOMETRY.block
CELL_BLOCKS = IMAGE_GEOMETRY.cell_blocks
FRAME_BLOCKS = 64
PACK_BYTES = 32 * 1024 * 1024
HEADER = 1400

Blocks = npt.NDArray[np.int64]


@dataclass
class Hours:
    """Draws packs; numbers of packs go on from hour to hour."""

    generation: int
    epoch_id: bytes
    seed: int = 1
    ordinal: int = 1

    def __post_init__(self) -> None:
        """Make the source of randomness."""
        self.random = np.random.default_rng(self.seed)

    def packed(self, blocks: Blocks) -> Iterator[Packed]:
        """The packs of a run in which *blocks* (ascending) were put, frames no longer than 256 KiB.

        A batch is 4 MiB of cells that were read (``drd.pipeline.batching``); its blocks lie on one
        line, cut into frames. A frame's stored length is drawn between a third and all of it.
        """
        cells = blocks // CELL_BLOCKS
        number = np.cumsum(np.r_[False, np.diff(cells) != 0])
        batch = number // (BATCH_BYTES // IMAGE_GEOMETRY.cell)
        begins = np.flatnonzero(_first(batch))
        in_batch = np.arange(len(blocks)) - np.repeat(begins, np.diff(np.r_[begins, len(blocks)]))
        frame = np.cumsum(in_batch % FRAME_BLOCKS == 0) - 1
        plain = np.bincount(frame) * BLOCK
        stored = (plain * self.random.uniform(1 / 3, 1, len(plain))).astype(np.int64) + TAG_BYTES
        # A batch is never cut between packs: a cell belongs to one of them.
        owner = batch[in_batch % FRAME_BLOCKS == 0]
        of_batch = np.bincount(owner, stored)
        pack = (np.cumsum(of_batch) // PACK_BYTES).astype(np.int64)[owner]
        for one in np.unique(pack).tolist():
            chosen = np.flatnonzero(pack == one)
            inside = slice(*np.searchsorted(frame, (chosen[0], chosen[-1] + 1)).tolist())
            yield self._pack(blocks[inside], plain[chosen], stored[chosen])

    def _pack(self, blocks: Blocks, plain: Blocks, stored: Blocks) -> Packed:
        ordinal, self.ordinal = self.ordinal, self.ordinal + 1
        offset = HEADER + np.cumsum(stored) - stored
        size = int(HEADER + stored.sum())
        count = len(plain)
        frames = FrameTable(
            np.full(count, ordinal, np.uint32),
            np.arange(count, dtype=np.uint32),
            offset.astype(np.uint32),
            stored.astype(np.uint32),
            plain.astype(np.uint32),
        )
        # Neighbouring blocks of one frame are one extent.
        begins = np.flatnonzero(np.r_[True, np.diff(blocks) != 1])
        counts = np.diff(np.r_[begins, len(blocks)])
        zero = np.zeros(len(begins), np.bool_)
        drawn = Drawn(frames, blocks[begins], counts, zero, begins.astype(np.int64))
        cells = np.unique(blocks // CELL_BLOCKS)
        digests = self.random.integers(1, 2**63, len(cells)).astype(np.uint64)
        draw = self.random.bytes
        row = PackRow(ordinal, draw(16), self.generation, size, draw(32), _version(draw(16)))
        secret = PackSecret(ordinal, self.epoch_id, draw(32), draw(32), count)
        return Packed(row, secret, drawn, cells, digests, int(cells[-1]) + 1, 0)


def _first(batch: Blocks) -> npt.NDArray[np.bool_]:
    """Where a batch begins."""
    changes: npt.NDArray[np.bool_] = np.r_[True, np.diff(batch) != 0]
    return changes


def _version(raw: bytes) -> str:
    """A version id as MinIO gives them: a UUID."""
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
