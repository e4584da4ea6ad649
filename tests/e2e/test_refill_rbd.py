"""An image of a real pool of which most is overwritten: sparse packs are refilled from its snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from drd.core.merge import FANOUT
from drd.testing.fakes import seeded
from drd.wiring import open_house
from lab.folder import Lab
from tests.e2e.cloud import PIECE, Cloud
from tests.e2e.site import MIB, digest
from tests.e2e.test_prune import POLICY, tries

SIZE = 4 * MIB
CELLS = SIZE // PIECE
LEFT = 8
"""One cell in so many stays as the first point had it."""


@pytest.fixture
def cloud(tmp_path: Path, lab: Lab) -> Iterator[Cloud]:
    """An image of which two points are kept."""
    lab.start_ceph()
    lab.start_minio()
    made = Cloud(tmp_path / "site", lab, patience_s=30.0, policy="short")
    made.sources += f"refill = true\n{POLICY}"
    made.made()
    yield made
    lab.ceph.rbd("snap", "purge", made.spec)
    lab.ceph.rbd("rm", made.spec)


def overwrite(cloud: Cloud) -> None:
    """Noise in all cells but those that are left."""
    draw = seeded("overwritten")
    cloud.write((cell * PIECE, draw(PIECE)) for cell in range(CELLS) if cell % LEFT)


def packs(cloud: Cloud) -> set[str]:
    with closing(open_house(str(cloud.config))) as house:
        return {one.key for one in house.store(cached=False).list("p/")}


def until_gone(cloud: Cloud, old: set[str]) -> None:
    """Prune until nothing of *old* is left."""
    for _ in tries():
        if not packs(cloud) & old:
            return
        answer = cloud.run("prune")
        assert answer.code == 0, answer.text
    raise AssertionError(f"{len(packs(cloud) & old)} of {len(old)} packs never go")


def assert_restores(cloud: Cloud, keep: dict[int, str]) -> set[int]:
    """Every point that is listed as good is what the image was then; which these are."""
    good = {one["seq"] for one in cloud.run("ls", cloud.label).points if not one["doomed"]}
    for seq in good:
        target = cloud.folder / f"out-{seq}"
        answer = cloud.run("restore", f"{cloud.label}@{seq}", "--to", f"file:{target}")
        assert answer.code == 0, answer.text
        assert digest(target) == keep[seq]
        target.unlink()
    return good


def test_sparse_packs_of_a_real_image_go(cloud: Cloud) -> None:
    cloud.make(SIZE, SIZE)
    cloud.backup()
    old, keep = packs(cloud), dict[int, str]()
    assert old
    overwrite(cloud)
    draw = seeded("scattered")
    for number in range(FANOUT - 1):
        (point,) = cloud.backup()
        assert point["bytes_refilled"] == 0
        keep[point["seq"]] = cloud.digest()
        # What was overwritten is overwritten again: of the first point each eighth cell stays.
        place = number % (CELLS // LEFT) * LEFT + 1
        cloud.write([(place * PIECE, draw(4096))])
    assert cloud.run("prune").code == 0
    cloud.write([(PIECE, b"of the refill's own point" * 99)])
    (point,) = cloud.backup()
    keep[point["seq"]] = cloud.digest()
    assert point["bytes_refilled"] == CELLS // LEFT * PIECE
    assert point["warnings"] == []
    # Snapshots of an image have whole seconds: points of one second are kept together.
    assert assert_restores(cloud, keep) >= {FANOUT - 1, FANOUT, FANOUT + 1}
    assert old <= packs(cloud), "the points before need them"
    for number in range(3):
        if number == 2:  # what is doomed goes when a point was made after it
            assert cloud.run("prune").code == 0
        cloud.write([(PIECE, draw(4096))])
        (point,) = cloud.backup()
        keep[point["seq"]] = cloud.digest()
        assert point["bytes_refilled"] == 0
    until_gone(cloud, old)
    assert assert_restores(cloud, keep) >= {FANOUT + 3, FANOUT + 4}
    assert cloud.run("verify", "--all", "--level", "2").code == 0
    assert cloud.run("verify", cloud.label, "--level", "4").code == 0
