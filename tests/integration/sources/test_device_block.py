"""Block devices of the kernel, as source and as target: loop devices on files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drd.errors import NotFoundError, RefusedError
from drd.model import Found
from drd.ports import FreezeOrder, ReadAt
from drd.sources.device import DeviceSettings, DeviceSource
from drd.sources.device_target import DeviceTarget
from drd.testing.fakes import SteppingClock
from lab.server import need

ORDER = FreezeOrder(bytes(16), b"run")
SIZE = 8 * 1024 * 1024


def losetup(*words: str) -> str:
    command = [need("losetup", "apt-get install mount"), *words]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30, text=True)
    assert done.returncode == 0, f"{done.stderr.strip()}: loop devices need root and /dev/loop*"
    return done.stdout.strip()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    backing = tmp_path / "backing"
    backing.write_bytes(os.urandom(SIZE))
    path = losetup("--find", "--show", str(backing))
    try:
        yield Path(path)
    finally:
        losetup("--detach", path)


def source(device: Path, *, quiesced: bool = False) -> tuple[DeviceSource, Found]:
    made = DeviceSource("disks", DeviceSettings((str(device),), quiesced=quiesced), SteppingClock())
    (found,) = made.discover()
    return made, found


def test_a_block_device_is_read_in_full(device: Path) -> None:
    disks, found = source(device)
    assert found.label == f"disks/{device.name}"
    with disks.freeze(found, ORDER) as frozen:
        assert frozen.snapshot.size == SIZE
        assert frozen.facts["block"] is True
        assert sum(one.length for one in frozen.changed(0, SIZE)) == SIZE
        content = b"".join(bytes(data) for _, data in frozen.read([ReadAt(0, SIZE)]))
    assert content == device.read_bytes()


def test_a_device_in_use_is_refused_unless_it_is_said_to_be_quiet(device: Path) -> None:
    held = os.open(device, os.O_RDWR | os.O_EXCL)
    try:
        disks, found = source(device)
        with pytest.raises(RefusedError, match="in use"), disks.freeze(found, ORDER):
            pass
        disks, found = source(device, quiesced=True)
        with disks.freeze(found, ORDER) as frozen:
            assert frozen.snapshot.size == SIZE
        with pytest.raises(RefusedError, match="in use"):
            DeviceTarget(str(device), overwrite=True).prepare(SIZE, {})
    finally:
        os.close(held)


def test_nobody_else_gets_it_while_it_is_read(device: Path) -> None:
    disks, found = source(device)
    with disks.freeze(found, ORDER), pytest.raises(OSError, match="busy"):
        os.open(device, os.O_RDWR | os.O_EXCL)


def test_a_block_device_has_no_snapshot_to_open_again(device: Path) -> None:
    """Nothing tells whether it was written to: a comparison would call that damage."""
    disks, found = source(device)
    with disks.freeze(found, ORDER) as frozen:
        snapshot = frozen.snapshot
    device.write_bytes(b"changed")
    with pytest.raises(NotFoundError, match="no snapshot"), disks.reopen(found, snapshot):
        pass


def test_a_block_device_is_written_in_place(device: Path) -> None:
    before = device.read_bytes()
    with pytest.raises(RefusedError, match="written in place"):
        DeviceTarget(str(device), overwrite=False).prepare(SIZE, {})
    with pytest.raises(RefusedError, match="has 8388608 bytes"):
        DeviceTarget(str(device), overwrite=True).prepare(SIZE + 512, {})
    assert device.read_bytes() == before
    target = DeviceTarget(str(device), overwrite=True)
    target.prepare(SIZE - 4096, {})
    target.write(0, b"front".ljust(4096, b"."))
    target.skip(4096, SIZE - 12288)
    target.write(SIZE - 8192, b"b" * 4096)
    target.finish()
    right = b"front".ljust(4096, b".") + bytes(SIZE - 12288) + b"b" * 4096 + before[-4096:]
    assert device.read_bytes() == right
    assert "4096 bytes" in target.warnings[0]
