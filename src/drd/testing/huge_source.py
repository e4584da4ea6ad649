"""A fake of a huge image: contents are calculated, nothing is held, for figures of memory and metadata.

Which blocks hold data is a function of their number; each round of changes is a sorted array of block
numbers. Content is cut out of one pool of random bytes at a place that depends on block and round, so
that reading costs a copy, and nothing compresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from drd.errors import DrdError, NotFoundError, SourceError
from drd.model import Buffer, Changed, Found, HeldSnapshot, Json, Snapshot
from drd.ports import FreezeOrder, Now, ReadAt
from drd.sources.labels import label, snapshot_name

BLOCK: Final = 4096
CELL_BLOCKS: Final = 16
POOL_BYTES: Final = 8 * 1024 * 1024
BATCH: Final = 1024 * 1024

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: spreads consecutive numbers evenly (Knuth, TAOCP 6.4)."""

Blocks = npt.NDArray[np.int64]


def _mixed(numbers: Blocks, salt: int) -> npt.NDArray[np.uint64]:
    """Evenly spread 64-bit values, a function of each number and *salt*."""
    with np.errstate(over="ignore"):
        spread = (numbers.astype(np.uint64) + np.uint64(salt)) * _MIX
        return (spread ^ (spread >> np.uint64(29))) * _MIX


@dataclass(frozen=True, slots=True)
class _Taken:
    """A snapshot, and how many rounds of changes came before it."""

    snapshot: Snapshot
    rounds: int


class HugeSource:
    """One image of *size* bytes, in which about *percent* of the cells of 64 KiB hold data.

    ``scatter`` changes blocks; the contract is that of ``drd.ports.Source``. Nothing else changes it.
    """

    def __init__(self, name: str, now: Now, *, size: int, percent: int = 10, seed: int = 1) -> None:
        self._name = name
        self._now = now
        self.size = size
        self._percent = percent
        self._seed = seed
        self._pool = np.random.default_rng(seed).bytes(POOL_BYTES)
        self._rounds: list[Blocks] = []
        self._taken: dict[str, _Taken] = {}
        self._next = 1

    @property
    def name(self) -> str:
        """Section of the configuration."""
        return self._name

    def scatter(self, count: int) -> None:
        """Change *count* blocks, evenly scattered over the cells that hold data."""
        random = np.random.default_rng([self._seed, len(self._rounds)])
        chosen = np.zeros(0, np.int64)
        while len(chosen) < count:
            draw = min(BATCH, (count - len(chosen)) * 110 // self._percent + 64)
            cells = random.integers(0, self.size // (BLOCK * CELL_BLOCKS), draw)
            cells = cells[self.holds_data(cells)]
            blocks = cells * CELL_BLOCKS + random.integers(0, CELL_BLOCKS, len(cells))
            chosen = np.unique(np.concatenate((chosen, blocks)))
        self._rounds.append(np.sort(random.permutation(chosen)[:count]))

    def holds_data(self, cells: Blocks) -> npt.NDArray[np.bool_]:
        """Which of *cells* (by number) held data from the start."""
        return _mixed(cells, self._seed) % np.uint64(100) < np.uint64(self._percent)

    def changed_blocks(self, since: int, until: int, blocks: range) -> Blocks:
        """Blocks within *blocks* that rounds ``[since, until)`` changed; sorted, each once."""
        parts = []
        for one in self._rounds[since:until]:
            first, last = np.searchsorted(one, (blocks.start, blocks.stop))
            parts.append(one[first:last])
        return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)

    def content(self, offset: int, length: int, rounds: int) -> Buffer:
        """Bytes of the image after *rounds* rounds; offset and length are multiples of a block."""
        out = bytearray(length)
        first, last = offset // BLOCK, (offset + length) // BLOCK
        cell_bytes = BLOCK * CELL_BLOCKS
        for cell in range(first // CELL_BLOCKS, -(-last // CELL_BLOCKS)):
            if not self.holds_data(np.array([cell]))[0]:
                continue
            begin, end = (
                max(cell * cell_bytes, offset),
                min((cell + 1) * cell_bytes, offset + length),
            )
            place = self._place(cell, 0, cell_bytes) + begin - cell * cell_bytes
            out[begin - offset : end - offset] = self._pool[place : place + end - begin]
        for index, one in enumerate(self._rounds[:rounds]):
            low, high = np.searchsorted(one, (first, last))
            for block in one[low:high].tolist():
                place = self._place(block, index + 1, BLOCK)
                at = block * BLOCK - offset
                out[at : at + BLOCK] = self._pool[place : place + BLOCK]
        return out

    def _place(self, number: int, salt: int, length: int) -> int:
        """Where in the pool the content of a cell or block lies."""
        mixed = int(_mixed(np.array([number]), salt * 1000003 + self._seed)[0])
        return mixed % (POOL_BYTES - length)

    def discover(self) -> Sequence[Found]:
        """The one image."""
        return [Found(self._name, label(self._name, "huge"), f"huge:{self._seed}")]

    def overlooked(self) -> Sequence[DrdError]:
        """Nothing: there is one image."""
        return []

    @contextmanager
    def freeze(self, found: Found, order: FreezeOrder) -> Iterator[HugeFrozen]:
        """A snapshot of the present round; ``NotFoundError`` for any other image."""
        if found not in self.discover():
            raise NotFoundError("no such image", about=found.label)
        base = self._taken.get(order.base.id) if order.base else None
        taken = self._taken.get(order.resume.id) if order.resume else None
        if taken is None:
            if order.resume is not None:
                base = None
            taken = _Taken(
                Snapshot(
                    str(self._next), snapshot_name(order.lineage, order.run), self._now(), self.size
                ),
                len(self._rounds),
            )
            self._next += 1
            self._taken[taken.snapshot.id] = taken
        yield HugeFrozen(self, taken, base)

    @contextmanager
    def reopen(self, found: Found, snapshot: Snapshot) -> Iterator[HugeFrozen]:
        """Open a snapshot that exists."""
        taken = self._taken.get(snapshot.id)
        if taken is None or found not in self.discover():
            raise NotFoundError("the source has this snapshot no more", about=found.label)
        yield HugeFrozen(self, taken, None)

    def settle(self, found: Found, lineage: bytes, *, keep: Sequence[str]) -> Sequence[str]:  # noqa: ARG002
        """Forget other snapshots."""
        self._taken = {number: one for number, one in self._taken.items() if number in keep}
        return []

    def snapshots(self, found: Found | None = None) -> Sequence[HeldSnapshot]:  # noqa: ARG002
        """All there are."""
        name = label(self._name, "huge")
        return [HeldSnapshot(name, one.snapshot, None, "unknown") for one in self._taken.values()]

    def release(self, label: str) -> Sequence[str]:  # noqa: ARG002
        """Forget all snapshots."""
        names = [one.snapshot.name for one in self._taken.values()]
        self._taken.clear()
        return names


class HugeFrozen:
    """An open snapshot of a huge image."""

    def __init__(self, source: HugeSource, taken: _Taken, base: _Taken | None) -> None:
        self._source = source
        self._taken = taken
        self._base = base

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that is read."""
        return self._taken.snapshot

    @property
    def base(self) -> Snapshot | None:
        """The base."""
        return self._base.snapshot if self._base else None

    @property
    def facts(self) -> Mapping[str, Json]:
        """Nothing of interest."""
        return {"kind": "huge", "size": self._source.size, "consistency": "crash", "warnings": []}

    def changed(self, offset: int, length: int) -> Sequence[Changed]:
        """Exact ranges."""
        end = min(offset + length, self._source.size)
        within = range(offset // BLOCK, -(-end // BLOCK))
        if self._base is None:
            unit = BLOCK * CELL_BLOCKS
            cells = np.arange(offset // unit, -(-end // unit))
            units = cells[self._source.holds_data(cells)]
        else:
            unit = BLOCK
            units = self._source.changed_blocks(self._base.rounds, self._taken.rounds, within)
        if not len(units):
            return []
        breaks = np.flatnonzero(np.diff(units) != 1) + 1
        starts = np.concatenate((units[:1], units[breaks]))
        ends = np.concatenate((units[breaks - 1], units[-1:])) + 1
        return [
            Changed(max(first * unit, offset), min(last * unit, end) - max(first * unit, offset))
            for first, last in zip(starts.tolist(), ends.tolist(), strict=True)
        ]

    def read(self, wanted: Iterable[ReadAt]) -> Iterator[tuple[ReadAt, Buffer]]:
        """Calculate what was asked for, whole blocks."""
        for one in wanted:
            taken = self._base if one.base else self._taken
            if taken is None:
                raise SourceError("a read of a base that is not there", about=self._source.name)
            yield one, self._source.content(one.offset, one.length, taken.rounds)
