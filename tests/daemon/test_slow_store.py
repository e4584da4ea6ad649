"""A store that is slow, and not away: behind a line as slow as it is told to be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.minio import Minio
from tests.daemon.conftest import POLICY
from tests.daemon.line import Line, line_to
from tests.daemon.service import Service, running, until
from tests.e2e.site import KIB, MIB, Bucket, Site, scatter

SMALL_PACKS = f"\n[pack]\npack_size = {MIB}\n"


@pytest.fixture
def line(minio: Minio) -> Iterator[Line]:
    """A line to MinIO."""
    with line_to(minio.endpoint) as made:
        yield made


@pytest.fixture
def far(tmp_path: Path, minio: Minio, line: Line) -> Site:
    """Image files, and a bucket at the far end of the line."""
    bucket = replace(Bucket.fresh(minio), endpoint=line.endpoint)
    made = Site(tmp_path / "site", bucket)
    made.sources += 'policy = "gold"\n'
    return made


def configured(far: Site, *, every: str, stall_after: str, more: str = "") -> None:
    """Write the configuration, and make the repository."""
    daemon = f'{POLICY.format(every=every)}stall_after = "{stall_after}"\n{more}'
    far.configure(extra=daemon + SMALL_PACKS)
    answer = far.run("init")
    assert answer.code == 0, answer.text


def filled(far: Site, name: str, size: int, seed: int) -> Path:
    """An image file of random bytes."""
    path = far.images / name
    path.write_bytes(random.Random(seed).randbytes(size))  # noqa: S311
    return path


def images_done(drd: Service) -> dict[str, int]:
    """How many points each image has."""
    made = [one["image"] for one in drd.said("run_done") if one["kind"] == "backup"]
    return {name: made.count(name) for name in set(made)}


def restores(far: Site, path: Path, folder: Path) -> None:
    """The newest point of the image is what the file is."""
    out = folder / f"restored-{path.name}"
    answer = far.run("restore", f"disks/{path.name}", "--to", f"file:{out}")
    assert answer.code == 0, answer.text
    assert out.read_bytes() == path.read_bytes()


def test_answers_that_take_long_only_make_runs_longer(
    far: Site, line: Line, tmp_path: Path
) -> None:
    path = filled(far, "a.img", 2 * MIB, 1)
    configured(far, every="1h", stall_after="5s")
    with running(far.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", kind="backup")
        for points, latency_s in ((2, 0.2), (3, 1.0)):
            before, line.latency_s = line.answers, latency_s
            scatter(path, 4)
            assert far.run("run", "disks/a.img").code == 0
            drd.wait_for("run_done", points, kind="backup")
            assert line.answers > before, "it went over the line"
        line.latency_s = 0.0
        assert drd.stop() == 0
    assert not [one for one in drd.said() if one["event"] in ("run_stalled", "run_failed")]
    restores(far, path, tmp_path)


def test_a_pack_that_takes_longer_than_the_limit_is_not_killed_while_its_bytes_move(
    far: Site, line: Line, tmp_path: Path
) -> None:
    """A pack of 4 MiB, 512 KiB a second: it is not through before 8 seconds."""
    path = filled(far, "a.img", 4 * MIB, 2)
    configured(far, every="1h", stall_after="3s")
    line.bytes_per_s = 512 * KIB
    with running(far.config, tmp_path / "log") as drd:
        (done,) = drd.wait_for("run_done", kind="backup")
        line.bytes_per_s = None
        assert done["seconds"] > 6
        assert not drd.said("run_stalled")
        assert drd.stop() == 0
    restores(far, path, tmp_path)


def test_a_store_too_slow_to_be_of_use_costs_the_run_and_nothing_else(
    far: Site, line: Line, tmp_path: Path
) -> None:
    path = filled(far, "a.img", MIB, 3)
    configured(far, every="2s", stall_after="2s")
    with running(far.config, tmp_path / "log") as drd:
        drd.wait_for("run_done", kind="backup")
        scatter(path, 4)
        line.latency_s = 30.0
        drd.wait_for("run_stalled", kind="backup")
        assert far.run("status", "--check").code != 0, "no OK while nothing gets through"
        made = images_done(drd)["disks/a.img"]
        line.latency_s = 0.0
        until(lambda: images_done(drd)["disks/a.img"] > made, "a point by itself")
        assert drd.stop() == 0
    restores(far, path, tmp_path)
    assert far.run("verify", "--all", "--level", "2").code == 0
