"""The parts that compute, each timed by pyperf beside what it is built on; a process of its own.

    python -m benchmarks.kernels KIND SIZE_MIB --processes 1 --values 5 --output FILE   (pyperf's options)
    KIND: crypto/FRAME_KIB, compression

- ``crypto``: by frame size and threads, ``seal`` is drd's stage (``core.pack.seal_frames``: nonce,
  associated data, tag, into the pack's own memory), ``raw`` the bare primitive on the same frames:
  ``AESGCM.encrypt_into`` with one nonce for all, which nobody may do with a real key.
- ``compression``: zstd by level in frames of 256 KiB, the cell digest, SHA-256 and BLAKE3 over the whole.

The data is a slice of an image of a real file system for ``compression``; for AES it does not matter.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pyperf
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drd.core.compress import Compressor
from drd.core.digest import cell_digest
from drd.core.pack import Frame, seal_frames
from drd.core.seal import TAG_BYTES

KIB: Final = 1024
MIB: Final = 1024 * KIB
FRAMES: Final = (16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB, 4096 * KIB)
LEVELS: Final = (1, 3, 6, 9)
FRAME: Final = 256 * KIB
CELL: Final = 64 * KIB
PACK: Final = 32 * MIB
KEY: Final = bytes(range(32))
HEADER: Final = bytes(1400)  # as long as the header of a real pack, which holds a sealed epoch key
DATA: Final = "DRD_BENCH_DATA"
"""Environment: which file the data of ``compression`` comes from."""

Job = Callable[[], None]


def _sealing(data: memoryview, frame: int) -> Job:
    """The stage as drd has it: packs of 32 MiB, one after the other, in memory that is used again."""
    packs = [_frames(data[at : at + PACK], frame) for at in range(0, len(data), PACK)]
    room = bytearray(len(HEADER) + max(map(_sealed_length, packs)))

    def job() -> None:
        for frames in packs:
            seal_frames(HEADER, KEY, frames, memoryview(room))

    return job


def _sealed_length(frames: Sequence[Frame]) -> int:
    return sum(one.plain_length + TAG_BYTES for one in frames)


def _frames(data: memoryview, size: int) -> list[Frame]:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [Frame(piece, len(piece)) for piece in pieces]


def _raw(data: memoryview, frame: int) -> Job:
    """The primitive alone, over the same frames to the same places."""
    packs = [_frames(data[at : at + PACK], frame) for at in range(0, len(data), PACK)]
    room = memoryview(bytearray(max(map(_sealed_length, packs))))
    step = frame + TAG_BYTES
    places = [room[number * step : (number + 1) * step] for number in range(len(room) // step)]
    work = [[(one.stored, places[at]) for at, one in enumerate(frames)] for frames in packs]
    encrypt, nonce = AESGCM(KEY).encrypt_into, bytes(12)

    def job() -> None:
        for pairs in work:
            for stored, place in pairs:
                encrypt(nonce, stored, None, place)

    return job


def _both(pool: ThreadPoolExecutor, jobs: Sequence[Job]) -> Job:
    """The same in several threads, each with its own share of the data."""

    def job() -> None:
        for future in [pool.submit(one) for one in jobs]:
            future.result()

    return job


def crypto(runner: pyperf.Runner, size: int, frame: int) -> None:
    """One frame size, with one thread and with two."""
    data = memoryview(os.urandom(size))
    half = size // 2
    with ThreadPoolExecutor(2) as pool:
        for threads in (1, 2):
            for name, make in (("seal", _sealing), ("raw", _raw)):
                halves = [make(data[:half], frame), make(data[half:], frame)]
                job = make(data, frame) if threads == 1 else _both(pool, halves)
                runner.bench_func(f"{name}/{frame // KIB}/{threads}", job)


def compression(runner: pyperf.Runner, size: int) -> None:
    """Levels of zstd, and the digests."""
    with Path(os.environ[DATA]).open("rb") as file:
        data = memoryview(file.read(size))

    def shrink(level: int) -> Job:
        compressor = Compressor(level)

        def job() -> None:
            for at in range(0, len(data), FRAME):
                compressor.shrink(data[at : at + FRAME])

        return job

    def digest() -> None:
        for at in range(0, len(data), CELL):
            cell_digest(KEY, data[at : at + CELL])

    for level in LEVELS:
        runner.bench_func(f"zstd-{level}", shrink(level))
    runner.bench_func("digest", digest)
    runner.bench_func("blake3", lambda: blake3(data).digest())
    runner.bench_func("sha256", lambda: hashlib.sha256(data).digest())


def main() -> None:
    """Kind and size come first, the rest of the command line is pyperf's; its workers get all of it."""
    kind, mib = sys.argv[1:3]
    runner = pyperf.Runner(program_args=("-m", "benchmarks.kernels", kind, mib))
    runner.parse_args(sys.argv[3:])
    if kind == "compression":
        compression(runner, int(mib) * MIB)
    else:
        crypto(runner, int(mib) * MIB, int(kind.removeprefix("crypto/")) * KIB)


if __name__ == "__main__":
    main()
