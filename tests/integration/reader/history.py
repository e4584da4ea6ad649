"""What happens to two images, so that a repository has a bit of everything that a reader may meet."""

from __future__ import annotations

from dataclasses import replace

from drd.testing.fakes import seeded
from drd.testing.repository import SMALL
from drd.testing.sources import SimulatedImage
from tests.integration.reader.written import Written

KIB = 1024
CELL, BLOCK = 64 * KIB, 4 * KIB
SIZE = 140 * CELL + 1000
"""Bytes of the first image: three batches, and a last cell that is no whole number of blocks."""

TIGHT = replace(SMALL, frame_size=16 * KIB, pack_size=16 * KIB, partial_packs=2, fanout=3)
"""Several packs, partial points, and merges of two levels in 200 KiB."""


def live(written: Written) -> None:
    """Back up, write, discard, grow, shrink, replace: one step of the life of the images at a time."""
    draw = seeded(("history", written.seed))
    web = written.source.add("web", SIZE)
    _fill(web, draw(24 * KIB))
    written.back_up("web")

    web.write(3 * CELL + 512, draw(100))
    web.write(11 * CELL, draw(2 * BLOCK))
    written.back_up("web")

    web.discard(0, CELL)
    web.write(2 * CELL, bytes(BLOCK))
    web.discard(SIZE - BLOCK, BLOCK)
    written.back_up("web")

    web.resize(SIZE + 3 * CELL)
    web.write(SIZE - 10, draw(BLOCK))
    written.back_up("web")

    other = written.source.add("db ü@1", 8 * CELL)
    _fill(other, draw(20 * KIB))
    written.back_up("db ü@1")

    web.resize(5 * CELL + 7)
    written.back_up("web")
    web.resize(SIZE)
    written.back_up("web")
    for turn in range(6):
        web.write((turn * 7 % 19) * CELL + BLOCK, draw(BLOCK // 2))
        written.back_up("web")

    written.back_up("db ü@1")
    again = written.source.add("web", 2 * CELL)  # another image takes the name over
    again.write(CELL, draw(BLOCK))
    written.back_up("web")


def _fill(image: SimulatedImage, noise: bytes) -> None:
    """Noise, text that compresses, blocks here and there, and the last byte."""
    image.write(0, noise)
    image.write(len(noise) + CELL, b"the same again and again " * 2000)
    for cell in range(4, image.head.size // CELL):
        little = noise[cell * 97 : cell * 97 + 200]
        image.write(cell * CELL + (cell % 16) * BLOCK, little * 20)
    image.write(image.head.size - 1, b"!")
