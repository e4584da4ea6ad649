"""An image of which most is overwritten: its first packs are refilled, and a prune deletes them."""

from __future__ import annotations

from pathlib import Path

from drd.core.merge import FANOUT
from drd.testing.fakes import seeded
from tests.e2e.site import KIB, MIB, Site, digest, scatter
from tests.e2e.test_prune import NAME, POLICY, assert_restores, covered, prune, tries

CELL = 64 * KIB
CELLS = 4 * MIB // CELL
LEFT = 8
"""One cell in so many stays as the first point had it."""


def overwritten(image: Path) -> None:
    """Noise in all cells but those that are left."""
    draw = seeded("overwritten")
    with image.open("r+b") as file:
        for cell in range(CELLS):
            if cell % LEFT:
                file.seek(cell * CELL)
                file.write(draw(CELL))


def filled(site: Site) -> Path:
    """An image of noise."""
    image = site.images / "a.img"
    image.write_bytes(seeded("filled")(CELLS * CELL))
    return image


def until_due(site: Site, image: Path) -> None:
    """So many points that the next run looks for sparse packs, the last two of them retained."""
    site.backup()
    overwritten(image)
    for _ in range(FANOUT - 1):
        (point,) = site.backup()
        assert point["bytes_refilled"] == 0
        scatter(image, 1)
    answer = site.run("prune")
    assert answer.code == 0, answer.text


def stored(site: Site) -> int:
    packs = (site.repository / "p").rglob("*")
    return sum(one.stat().st_size for one in packs if one.is_file())


def until_gone(site: Site, seq: int) -> None:
    """Prune until points up to number *seq* are deleted: they reach what was refilled after them."""
    for _ in tries():
        if min(point["seq"] for point in site.run("ls", NAME).points) > seq:
            return
        prune(site)
    raise AssertionError(f"point {seq} is never deleted")


def history(folder: Path, refill: str) -> tuple[Site, int]:
    """What is left after a prune; and the bytes that were refilled."""
    site = covered(Site(folder).made(), f"[pack]\npack_size = {MIB}\nrefill = {refill}\n")
    image, keep = filled(site), dict[int, str]()
    until_due(site, image)
    again = 0
    for _ in range(3):
        (point,) = site.backup()
        keep[point["seq"]] = digest(image)
        again += point["bytes_refilled"]
        scatter(image, 1)
    answer = site.run("prune")
    assert answer.code == 0, answer.text
    (point,) = site.backup()
    keep[point["seq"]] = digest(image)
    until_gone(site, FANOUT)
    assert_restores(site, keep)
    for arguments in (("verify", "--all", "--level", "2"), ("verify", NAME, "--level", "4")):
        answer = site.run(*arguments)
        assert answer.code == 0, answer.text
    return site, again


def test_the_bucket_gets_smaller_than_without(tmp_path: Path) -> None:
    assert "last = 2" in POLICY
    refilled, again = history(tmp_path / "with", "true")
    assert 0 < again <= CELLS // LEFT * CELL, "cells that were scattered to are put anyhow"
    plain, none = history(tmp_path / "without", "false")
    assert none == 0
    assert stored(refilled) < stored(plain) - 2 * MIB
