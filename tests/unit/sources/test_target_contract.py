"""The conformance suite against the targets that need no server."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drd.ports import Target
from drd.sources.device_target import DeviceTarget
from drd.sources.file_target import FileTarget
from drd.sources.pipe_target import PipeTarget
from drd.testing import target_conformance as suite
from drd.testing.sources import MemoryTarget, SparseBytes


def memory(_folder: Path) -> suite.TargetSubject:
    made: list[MemoryTarget] = []

    def existing() -> SparseBytes | None:
        return next((one.final for one in reversed(made) if one.final is not None), None)

    def make(*, overwrite: bool) -> Target:
        made.append(MemoryTarget(overwrite=overwrite, existing=existing()))
        return made[-1]

    def look() -> bytes | None:
        there = existing()
        return None if there is None else there.read(0, there.size)

    return suite.TargetSubject(lambda: make(overwrite=False), lambda: make(overwrite=True), look)


def file(folder: Path) -> suite.TargetSubject:
    path = folder / "restored @1 ü.img"

    def make(*, overwrite: bool) -> Target:
        return FileTarget(str(path), overwrite=overwrite, random=os.urandom)

    return suite.TargetSubject(
        lambda: make(overwrite=False),
        lambda: make(overwrite=True),
        lambda: path.read_bytes() if path.exists() else None,
    )


def device(folder: Path) -> suite.TargetSubject:
    path = folder / "device"
    path.write_bytes(b"\x55" * suite.SIZE)
    return suite.TargetSubject(
        lambda: DeviceTarget(str(path), overwrite=False),
        lambda: DeviceTarget(str(path), overwrite=True),
        path.read_bytes,
    )


def pipe(_folder: Path) -> suite.TargetSubject:
    stream = io.BytesIO()
    return suite.TargetSubject(
        lambda: PipeTarget(stream), lambda: PipeTarget(stream), lambda: stream.getvalue() or None
    )


def cases(
    makers: list[Callable[[Path], suite.TargetSubject]], checks: tuple[suite.TargetCheck, ...]
) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "maker, check",
        [(maker, check) for maker in makers for check in checks],
        ids=lambda one: one.__name__,
    )


@cases([memory, file, device], suite.TARGET_CHECKS)
def test_targets_keep_the_contract(
    maker: Callable[[Path], suite.TargetSubject], check: suite.TargetCheck, tmp_path: Path
) -> None:
    check(maker(tmp_path))


@cases([memory, file], suite.QUARANTINE_CHECKS)
def test_new_targets_keep_the_contract(
    maker: Callable[[Path], suite.TargetSubject], check: suite.TargetCheck, tmp_path: Path
) -> None:
    check(maker(tmp_path))


@cases([device], suite.IN_PLACE_CHECKS)
def test_targets_in_place_keep_the_contract(
    maker: Callable[[Path], suite.TargetSubject], check: suite.TargetCheck, tmp_path: Path
) -> None:
    check(maker(tmp_path))


@cases([pipe], (suite.what_is_written_comes_back, suite.it_has_a_name, *suite.PIPE_CHECKS))
def test_pipes_keep_the_contract(
    maker: Callable[[Path], suite.TargetSubject], check: suite.TargetCheck, tmp_path: Path
) -> None:
    check(maker(tmp_path))
