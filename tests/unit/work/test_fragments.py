"""A history of scattered writes: what a restore fetches of it, and what it holds meanwhile."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from typing_extensions import override

from drd.core import compress, seal
from drd.stores.metered import MeteredStore
from drd.testing.fakes import seeded
from drd.testing.sources import MemoryTarget
from drd.work.restore import plan, restore
from drd.work.slices import REGION_BLOCKS, SLICE_BLOCKS
from tests.unit.work.world import BLOCK, HANDS, World

FRAME = 256 * 1024
BLOCKS_OF_FRAME = FRAME // BLOCK
POINTS = 24


class PackReads(MeteredStore):
    """Counts what is read of packs, beside everything."""

    requests = 0
    bytes_read = 0

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        data = super().get(key, version=version, start=start, length=length)
        if key.startswith("p/"):
            self.requests += 1
            self.bytes_read += len(data)
        return data


def scattered(blocks: int, *, points: int = POINTS) -> World:
    """Each point changed one frame's worth of blocks, all over the image."""
    world = World(size=blocks * BLOCK)
    world.knobs = replace(world.knobs, frame_size=FRAME, pack_size=8 * FRAME)
    stride = blocks // BLOCKS_OF_FRAME
    for point in range(points):
        draw = seeded(("scattered", point))
        for number in range(BLOCKS_OF_FRAME):
            world.image.write((number * stride + 5 * point) * BLOCK, draw(BLOCK))
        world.backup()
    return world


class Watching(MemoryTarget):
    """Measures, at every so many writes, what is held of opened frames."""

    def __init__(self) -> None:
        super().__init__(effect=self._look)
        self.writes = 0
        self.most_held = 0

    def _look(self, word: str) -> None:
        self.writes += word == "write"
        if self.writes % 64 == 1:
            wanted = [tracemalloc.Filter(True, str(one.__file__)) for one in (seal, compress)]  # noqa: FBT003
            held = tracemalloc.take_snapshot().filter_traces(wanted)
            self.most_held = max(self.most_held, sum(one.size for one in held.traces))


def test_frames_are_let_go_of_once_their_blocks_were_laid_out() -> None:
    """All frames reach into all slices: held until those are written, they would be all there are."""
    world = scattered(8 * SLICE_BLOCKS)
    opened, target = world.opened(POINTS), Watching()
    opened.warm(HANDS.transfers)
    tracemalloc.start()
    try:
        outcome = restore(opened, target, HANDS, best_effort=False)
    finally:
        tracemalloc.stop()
    assert outcome.proven
    assert target.final == world.image.head
    assert target.writes > POINTS * BLOCKS_OF_FRAME // 2
    assert target.most_held < 2 * FRAME


@pytest.mark.parametrize("regions", [1, 3])
def test_what_is_planned_is_what_is_fetched_each_frame_once(regions: int) -> None:
    """As many frames as this may be kept from one region for the next."""
    world = scattered(regions * REGION_BLOCKS)
    store = PackReads(world.store)
    opened = world.opened(POINTS, store=store)
    planned = plan(opened)
    assert store.requests == 0
    target = MemoryTarget()
    assert restore(opened, target, HANDS, best_effort=False).proven
    assert target.final == world.image.head
    assert (store.requests, store.bytes_read) == (planned.requests, planned.bytes_stored)
    assert planned.requests == POINTS
    assert planned.bytes_stored == POINTS * (FRAME + seal.TAG_BYTES)
