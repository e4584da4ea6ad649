"""One pass over an image, in a process of its own; prints seconds and bytes as JSON.

    python -m benchmarks.pipeline_child drd|zstd|zstd-read IMAGE

- ``drd``: what a backup does to data, without a store: read, digest, zstd, seal, hash the packs.
- ``zstd``: the same data, cut into the same frames, already in memory: compressed, thrown away.
- ``zstd-read``: the same, and each piece is read from the file first.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from drd.core.cells import Lens
from drd.core.compress import Compressor
from drd.core.digest import DigestKeys
from drd.core.pack import Epoch
from drd.core.seal import Scope
from drd.model import IMAGE_GEOMETRY, Buffer
from drd.pipeline.ordered import ordered
from drd.pipeline.packing import Packer, Press, Seal
from drd.ports import FreezeOrder, Frozen
from drd.sources.blockdev import data_ranges
from drd.sources.device import DeviceSettings, DeviceSource
from drd.work import layout
from drd.work.bench import Knobs
from drd.work.layout import Space
from drd.work.looking import Looker, View

Piece = TypeVar("Piece")

KNOBS: Final = Knobs()
PIECE: Final = 4 * 1024 * 1024
START: Final = datetime(2026, 1, 1, tzinfo=UTC)


def drd(image: Path) -> tuple[float, int]:
    """Look at everything and pack it; the store throws away."""
    scope = Scope(b"r" * 16, b"t" * 16, b"l" * 16)
    source = DeviceSource("bench", DeviceSettings((str(image),), quiesced=True), lambda: START)
    order = FreezeOrder(scope.lineage, b"r" * 16)
    with (
        ThreadPoolExecutor(KNOBS.workers) as cpu,
        ThreadPoolExecutor(KNOBS.in_flight) as transfers,
        source.freeze(source.discover()[0], order) as frozen,
    ):
        looker = _looker(frozen, scope, cpu)
        packer = _packer(scope, transfers)
        return _timed(lambda: _pack(looker, packer))


def _pack(looker: Looker, packer: Packer) -> int:
    for placed in looker.look():
        packer.add(placed)
        packer.stored(1)
    packer.drain()
    return looker.tally.bytes_read


def _looker(frozen: Frozen, scope: Scope, cpu: Executor) -> Looker:
    item, _ = layout.fit(
        None, frozen.snapshot.size, name="", space=Space(), geometry=IMAGE_GEOMETRY
    )
    view = View(frozen, item, _no_digests, None)
    keys = DigestKeys.derive(b"d" * 32, scope)
    lens = Lens(IMAGE_GEOMETRY, keys, item.item_id, KNOBS.frame_size)
    return Looker(view, lens, cpu, level=KNOBS.zstd_level, ahead=3 * KNOBS.workers)


def _packer(scope: Scope, transfers: Executor) -> Packer:
    epoch = Epoch(b"e" * 16, 1, b"h" * 32, b"s" * 1168)
    seal = Seal(scope, epoch, b"k" * 32, 1, b"m" * 32)
    press = Press(
        IMAGE_GEOMETRY, KNOBS.pack_size, KNOBS.in_flight, os.urandom, _throw_away, transfers
    )
    return Packer(seal, press, first_ordinal=1)


def _throw_away(_key: str, _data: Buffer) -> str:
    return ""


def _no_digests(_window: int) -> npt.NDArray[np.uint64]:
    return np.zeros(IMAGE_GEOMETRY.window_cells, np.uint64)


def zstd(image: Path) -> tuple[float, int]:
    """Compress what lies in memory; the reading is not timed."""
    pieces = [_read(image, offset, length) for offset, length in _pieces(image)]
    return _timed(lambda: _compress(pieces, lambda piece: piece))


def zstd_read(image: Path) -> tuple[float, int]:
    """Read each piece and compress it."""
    pieces = list(_pieces(image))
    return _timed(lambda: _compress(pieces, lambda piece: _read(image, *piece)))


def _compress(pieces: Sequence[Piece], get: Callable[[Piece], bytearray]) -> int:
    """Compress what *get* gives for each piece, in the threads of the pipeline."""
    local = threading.local()

    def work(piece: Piece) -> int:
        shrink = getattr(local, "shrink", None)
        if shrink is None:
            shrink = local.shrink = Compressor(KNOBS.zstd_level).shrink
        view = memoryview(get(piece))
        for at in range(0, len(view), KNOBS.frame_size):
            shrink(view[at : at + KNOBS.frame_size])
        return len(view)

    with ThreadPoolExecutor(KNOBS.workers) as cpu:
        return sum(ordered(cpu, work, pieces, ahead=3 * KNOBS.workers))


def _pieces(image: Path) -> Iterator[tuple[int, int]]:
    with image.open("rb") as file:
        cell = IMAGE_GEOMETRY.cell
        size = image.stat().st_size
        for one in data_ranges(file.fileno(), 0, size):
            first, end = one.offset // cell * cell, min(-(-one.end // cell) * cell, size)
            for at in range(first, end, PIECE):
                yield at, min(PIECE, end - at)


def _read(image: Path, offset: int, length: int) -> bytearray:
    body = bytearray(length)
    with image.open("rb", buffering=0) as file:
        file.seek(offset)
        file.readinto(body)
    return body


def _timed(work: Callable[[], int]) -> tuple[float, int]:
    begin = time.perf_counter()
    done = work()
    return time.perf_counter() - begin, done


def main() -> None:
    """One way, one image."""
    ways = {"drd": drd, "zstd": zstd, "zstd-read": zstd_read}
    seconds, size = ways[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"seconds": seconds, "bytes": size}))


if __name__ == "__main__":
    main()
