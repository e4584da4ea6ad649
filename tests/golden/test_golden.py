"""What version 1 wrote once, every later version restores, proves, and goes on with."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typing_extensions import override

from drd.keys.keyfile import decode_key_file
from drd.stores.local import LocalStore
from drd.testing.fakes import SteppingClock, seeded
from drd.testing.sources import SimulatedSource
from drd.work.backup import backup
from tests.e2e import drctl
from tests.golden.make_v1 import PLACE, SUMS, sums
from tests.integration.reader.written import Made, bare_site, digest_of, run_reader


@dataclass(frozen=True)
class Expected:
    """A recovery point of the golden repository."""

    lineage: str
    seq: int
    size: int
    sha256: str

    @override
    def __str__(self) -> str:
        return f"{self.lineage}@{self.seq}"


POINTS = [Expected(**row) for row in json.loads((PLACE / "expected.json").read_text())]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The golden repository with its keys, free to be written to; git knows no mode 0600."""
    place = Path(shutil.copytree(PLACE, tmp_path / "v1"))
    (place / "repository.key").chmod(0o600)
    (place / "sheet.txt").chmod(0o600)
    (place / "drd.toml").write_text(
        f'state_dir = "{place}/state"\n[repository]\nurl = "{(place / "repository").as_uri()}"\n'
        '[keys]\nfile = "repository.key"\n'
        f'[source.sim]\ntype = "device"\npaths = ["{place}/*.img"]\n'
    )
    return place


def test_nothing_was_changed() -> None:
    assert (PLACE / SUMS).read_text() == sums(PLACE)
    assert len(POINTS) == len(set(POINTS)) == 16
    assert len({point.lineage for point in POINTS}) == 3


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_drctl_restores(copy: Path, tmp_path: Path, point: Expected) -> None:
    config = ("--config", str(copy / "drd.toml"))

    answer = drctl.here(*config, "restore", str(point), "--to", f"file:{tmp_path}/out", "--json")

    assert answer.code == 0, answer.err
    assert digest_of(tmp_path / "out") == (point.size, point.sha256)


def test_drctl_restores_with_the_sheet(copy: Path, tmp_path: Path) -> None:
    (copy / "repository.key").unlink()
    where = ("--sheet", str(copy / "sheet.txt"), "--url", (copy / "repository").as_uri())

    answer = drctl.here("restore", "sim/web", "--to", f"file:{tmp_path}/out", *where)

    assert answer.code == 0, answer.err
    assert digest_of(tmp_path / "out") == (POINTS[-1].size, POINTS[-1].sha256)


def test_drctl_decrypts_every_pack(copy: Path) -> None:
    config = ("--config", str(copy / "drd.toml"))

    answer = drctl.here(*config, "verify", "--level", "2", "--all", "--json")

    assert answer.code == 0, answer.text
    assert answer.reply["findings"] == []
    assert len(answer.points) == len(POINTS)


def test_the_reader_restores(tmp_path: Path) -> None:
    """Today's reader; and the one that was put into the bucket on its first day."""
    site = bare_site(tmp_path)
    (kept,) = (PLACE / "repository" / "reader").iterdir()
    keys = ("--sheet", PLACE / "sheet.txt")
    for point in POINTS:
        out = tmp_path / str(point)
        read = run_reader(site, PLACE / "repository", point, out, *keys)
        assert read.code == 0, read.said
        assert digest_of(out) == (point.size, point.sha256)
    last = tmp_path / "last"
    read = run_reader(site, PLACE / "repository", "sim/web", last, *keys, reader=kept)
    assert read.code == 0, read.said
    assert digest_of(last) == (POINTS[-1].size, POINTS[-1].sha256)


def test_backups_go_on(copy: Path, tmp_path: Path) -> None:
    """The first image gets one more point: only what changed is put, and it restores."""
    lineage = POINTS[0].lineage
    last = max((one for one in POINTS if one.lineage == lineage), key=lambda one: one.seq)
    site, keys = bare_site(tmp_path), ("--sheet", copy / "sheet.txt")
    old, new = tmp_path / "old", tmp_path / "new"
    assert run_reader(site, copy / "repository", last, old, *keys).code == 0
    clock = SteppingClock(datetime(2027, 1, 1, tzinfo=UTC))
    source = SimulatedSource("sim", clock)
    image = source.add("web", last.size)  # the first image of a source has the identity it had then
    image.write(0, old.read_bytes())
    image.write(5000, b"written by a later version")
    opened = decode_key_file((copy / "repository.key").read_text())
    bench = Made(LocalStore(copy / "repository"), opened, seeded("later"), clock).bench()

    result = backup(bench, source, source.found("web"))

    assert (result.lineage.hex(), result.seq) == (lineage, last.seq + 1)
    assert result.bytes_changed == 65536  # one cell: the snapshot to compare with is gone
    assert run_reader(site, copy / "repository", f"{lineage}@{result.seq}", new, *keys).code == 0
    assert new.read_bytes() == image.head.read(0, last.size)
