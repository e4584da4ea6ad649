"""zstd by level, the digest of cells, and the hashes, on a slice of a real file system."""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import Figure, Result
from benchmarks.kernels import CELL, DATA, LEVELS, MIB
from benchmarks.measured import kernels
from benchmarks.place import GIB, Place
from drd.core.compress import Compressor


def run(place: Place) -> Result:
    """Rounds of all kernels in turn; one thread each."""
    size = place.sized(256, 32)
    image = place.image(place.sized(8 * GIB, 256 * MIB), place.sized(6 * GIB, 160 * MIB))
    slice_of = place.folder("slice") / "data"
    _cut(image, slice_of, size * MIB)
    found = Result()
    env = {DATA: str(slice_of)}
    kernels.measure(place, found, "compression", size, rounds=place.sized(3, 1), **env)
    base = found.median("zstd-1 MiB/s")
    for level in LEVELS:
        rate = found.median(f"zstd-{level} MiB/s")
        left = _left(slice_of, level)
        found.add(
            Figure(
                f"zstd-{level}, frames of 256 KiB, 1 thread",
                rate,
                "MiB/s",
                beside=f"{left:.0f} % of the data are left; {rate / base:.2f} × the rate of zstd-1",
            )
        )
    for name, what in (
        ("digest", "keyed BLAKE3, cell by cell: what drd does to tell what changed"),
        ("blake3", "the primitive alone, over everything"),
        ("sha256", "what names a pack in its row, and what S3's signature needs"),
    ):
        title = {"digest": f"cell digest, {CELL // 1024} KiB"}.get(name, name.upper())
        found.add(Figure(f"{title}, 1 thread", found.median(f"{name} MiB/s"), "MiB/s", beside=what))
    return found


def _cut(image: Path, target: Path, size: int) -> None:
    """Copy *size* bytes that are no holes, from places all over the image."""
    step = image.stat().st_size // 64
    with image.open("rb") as source, target.open("wb") as file:
        at = 0
        while file.tell() < size:
            source.seek(at % image.stat().st_size)
            piece = source.read(MIB)
            if piece.count(0) < MIB // 2:
                file.write(piece)
            at += step + MIB


def _left(path: Path, level: int) -> float:
    """Per cent that are left of the data."""
    compressor, data = Compressor(level), memoryview(path.read_bytes())[: 64 * MIB]
    frames = [data[at : at + 4 * CELL] for at in range(0, len(data), 4 * CELL)]
    return 100 * sum(len(compressor.shrink(one)) for one in frames) / len(data)
