"""A file of a few points, and how it comes to harm."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from drd.catalogue.catalogue import SqliteCatalogue
from drd.catalogue.spare import SpareCatalogue
from drd.model import PointInfo, Proven
from drd.testing.fakes import START
from tests.unit.work.points import info

TENANT = b"t" * 16
LINEAGE = b"l" * 16
OTHER = b"o" * 16


def spare(path: Path, told: list[str] | None = None) -> SpareCatalogue:
    return SpareCatalogue(path, ([] if told is None else told).append)


def filled(path: Path) -> list[PointInfo]:
    """A file of many pages; what is in it."""
    points = [info(seq, facts={"text": f"{seq:04}" * 200}) for seq in range(1, 301)]
    with closing(SqliteCatalogue(path)) as catalogue:
        catalogue.learn(points)
    return points


def damage_pages(path: Path) -> None:
    """Garbage in the middle of the file: it opens, and cannot be read."""
    size = path.stat().st_size
    assert size > 40 * 4096
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * (8 * 4096))


def proof(lineage: bytes, level: int, *, at: int, **more: object) -> Proven:
    base = Proven(lineage, level, at, START + timedelta(hours=at), ok=True)
    return replace(base, **more)  # type: ignore[arg-type] # a test's shorthand
