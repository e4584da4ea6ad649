"""Metadata of each hourly point of a 4 TiB image with 3 GiB/h of scattered change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.figures import Figure, Goal, Result
from benchmarks.hours import BLOCK, Hours
from benchmarks.huge import SlimStore, opened
from benchmarks.place import MIB, Place
from drd.core import hybrid, pack
from drd.core.merge import FANOUT
from drd.core.sections import Item
from drd.model import IMAGE_GEOMETRY, Json, PointKind
from drd.pipeline.packing import Packed, Seal
from drd.testing.huge_source import HugeSource
from drd.wiring import clock
from drd.work import layout
from drd.work.draft import Draft
from drd.work.layout import Space
from drd.work.lineagekeys import LineageKeys, make_generation
from drd.work.merging import Scribe
from drd.work.shelf import Shelf

GIB = 1024**3
HOUR_BYTES = 3 * GIB
PARTIAL_PACKS = 12
"""Packs of a partial point: 16 that may have to be put again, less those under way."""
PERCENT = 10
PART_CELLS = 256 * 1024


def run(place: Place) -> Result:
    """A first full in partial points, then hours; and a real run of both, smaller, to compare."""
    size = place.sized(4096, 64) * GIB
    hour = HOUR_BYTES // 4096 * (size // GIB)
    found = Result()
    lineage = _Lineage(place, size)
    place.say("the first full, in partial points")
    found.measure("first full MiB", lineage.full() / MIB)
    hours = place.sized(2 * FANOUT, 4)
    for number in range(hours):
        found.measure("hourly MiB", lineage.hour(hour // BLOCK) / MIB)
        if number % 16 == 0:
            place.say(f"hour {number + 1} of {hours}: {found.series['hourly MiB'][-1]:.1f} MiB")
    _tell(found, hour)
    _compare(place, found)
    return found


class _Lineage:
    """One lineage whose runs are drawn, not read."""

    def __init__(self, place: Place, size: int) -> None:
        self.source = HugeSource("huge", clock.now, size=size, percent=PERCENT)
        self.store = SlimStore(place.folder("metadata") / "repository")
        repository = opened(self.store)
        self.keys = make_generation(
            repository, os.urandom(16), 1, random=os.urandom, now=clock.now()
        )
        seal_with = _sealing(self.keys)
        scribe = Scribe(
            self.store, self.keys, Shelf(self.store, self.keys), os.urandom, IMAGE_GEOMETRY
        )
        self.draft = Draft(repository, self.keys, scribe, seal_with, None)
        self.hours = Hours(seal_with.generation, seal_with.epoch.epoch_id)
        self.random = np.random.default_rng(1)

    def full(self) -> int:
        """All cells that hold data, in partial points; returns the bytes of metadata put."""
        cells = np.arange(self.source.size // IMAGE_GEOMETRY.cell)
        self.cells = cells[self.source.holds_data(cells)]
        before, size = self.store.table_bytes, self.source.size
        item, _ = layout.fit(None, size, name="", space=Space(), geometry=IMAGE_GEOMETRY)
        some: list[Packed] = []
        new: Item | None = item
        for packed in self._everything():
            some.append(packed)
            if len(some) == PARTIAL_PACKS:
                self._commit(PointKind.PARTIAL, some, new=new)
                some, new = [], None
        self._commit(PointKind.FULL, some, new=new)
        return self.store.table_bytes - before

    def _everything(self) -> Iterator[Packed]:
        """The packs of all cells, a part of the image in memory at a time."""
        per_cell = IMAGE_GEOMETRY.cell_blocks
        for at in range(0, len(self.cells), PART_CELLS):
            part = self.cells[at : at + PART_CELLS]
            yield from self.hours.packed((part[:, None] * per_cell + np.arange(per_cell)).ravel())

    def hour(self, count: int) -> int:
        """One point of *count* scattered blocks; returns the bytes of metadata put."""
        before = self.store.table_bytes
        per_cell = IMAGE_GEOMETRY.cell_blocks
        chosen = self.random.choice(len(self.cells) * per_cell, count, replace=False, shuffle=False)
        blocks = np.sort(self.cells[chosen // per_cell] * per_cell + chosen % per_cell)
        self._commit(PointKind.FULL, list(self.hours.packed(blocks)))
        return self.store.table_bytes - before

    def _commit(self, kind: PointKind, packed: Sequence[Packed], new: Item | None = None) -> None:
        now = clock.now()
        self.draft.add(packed, new)
        facts: dict[str, Json] = {"name": "huge/huge", "identity": "huge", "size": self.source.size}
        ordinal = self.hours.ordinal
        self.draft.commit(self.draft.sign(kind, facts, point_at=now, now=now, ordinal=ordinal))


def _sealing(keys: LineageKeys) -> Seal:
    """With what a run seals: an epoch of its own."""
    generation, epoch_id, key = keys.current, os.urandom(16), os.urandom(32)
    info = pack.epoch_info(keys.scope, generation.number, epoch_id)
    sealed = hybrid.seal_to(generation.public, info, key)
    epoch = pack.Epoch(epoch_id, generation.number, generation.public_hash, sealed)
    return Seal(keys.scope, epoch, key, generation.number, keys.metadata(generation.number))


def _tell(found: Result, hour: int) -> None:
    each = found.series["hourly MiB"]
    # The merge of 32 runs writes many times what a point does: the two cannot be confused.
    merged = [one for one in each if one > 2 * found.median("hourly MiB")]
    ordinary = [one for one in each if one not in merged]
    title = "metadata of a 4 TiB image, 3 GiB/h of scattered 4 KiB blocks"
    changed = f"{hour // BLOCK:,} blocks an hour"
    found.add(
        Figure(
            f"{title}: an ordinary hourly point",
            max(ordinary),
            "MiB",
            Goal(12, at_most=True),
            f"the largest of {len(ordinary)}; tables and manifest; {changed}",
        )
    )
    if merged:
        found.add(
            Figure(
                f"{title}: with merges, on average",
                sum(each) / len(each),
                "MiB",
                Goal(12, at_most=True),
                f"{len(each)} hours, of which {len(merged)} merged {FANOUT} runs "
                f"({max(merged):,.0f} MiB then)",
            )
        )


def _compare(place: Place, found: Result) -> None:
    """A real backup, smaller: what its tables take a block, beside what was drawn."""
    size = place.sized(128, 16)
    row, _ = place.child("huge_child", "backup", str(place.folder("real")), str(size))
    blocks = row["hourly"]["bytes_changed"] / BLOCK
    real = row["hourly_tables"] / blocks
    drawn = _Lineage(place, size * GIB)
    drawn.full()
    own = drawn.hour(int(blocks)) / blocks
    found.measure("real backup, bytes of tables a block", real)
    found.measure("drawn hour of the same size, bytes of tables a block", own)
    found.measure("real backup, bytes of pack footers a block", row["hourly_footers"] / blocks)
    found.notes.append(
        f"checked by a real backup of {size} GiB with {blocks:,.0f} changed blocks: {real:.2f} bytes of "
        f"metadata a block, {own:.2f} where it was drawn; the footers of its packs, which repeat what "
        f"the run says, {row['hourly_footers'] / blocks:.2f} bytes a block (they lie in the packs)"
    )
