"""A file that is written to during a run: before its last byte was read it makes no point, afterwards
it cannot unmake one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import override

from drd.errors import RefusedError
from drd.model import Buffer
from drd.ports import Store
from drd.sources.device import DeviceSettings, DeviceSource
from drd.testing.fakes import seeded
from drd.work.backup import backup
from tests.unit.work.points import KeysRead
from tests.unit.work.world import MIB, World


class Meanwhile(KeysRead):
    """Does something just before the first object below *prefix* is put."""

    def __init__(self, inner: Store, prefix: str, act: Callable[[], object]) -> None:
        super().__init__(inner)
        self._prefix, self._act = prefix, act
        self.done = False

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        if key.startswith(self._prefix) and not self.done:
            self.done = True
            self._act()
        return super().put(key, data, if_absent=if_absent)


class Disk:
    """A file of one MiB that is backed up, and written to when a run puts its first *prefix* object."""

    def __init__(self, folder: Path, *, hole: bool) -> None:
        self.path = folder / "disk.img"
        self.path.write_bytes(b"" if hole else seeded("disk")(MIB))
        os.truncate(self.path, MIB)
        self.world = World()

    def backup(self, prefix: str) -> Meanwhile:
        source = DeviceSource("disks", DeviceSettings((str(self.path),)), self.world.clock)
        store = Meanwhile(self.world.store, prefix, self._write)
        bench = self.world.process(store=store).bench
        backup(bench, source, source.discover()[0])
        return store

    def _write(self) -> None:
        with self.path.open("r+b") as file:
            file.write(b"later")


@pytest.mark.parametrize("hole", [False, True])
def test_what_is_written_before_the_last_byte_was_read_makes_no_point(
    tmp_path: Path, *, hole: bool
) -> None:
    """Keys are put once the file is open, and before anything of it is read."""
    disk = Disk(tmp_path, hole=hole)
    with pytest.raises(RefusedError, match="changed while it was read"):
        disk.backup("k/")
    assert disk.world.points() == []


@pytest.mark.parametrize("hole", [False, True])
def test_what_is_written_while_the_point_is_committed_does_not_deny_it(
    tmp_path: Path, *, hole: bool
) -> None:
    """The point is there and right: it is told as made, and noted as made here."""
    disk = Disk(tmp_path, hole=hole)
    before = disk.path.read_bytes()
    assert disk.backup("m/").done
    (point,) = disk.world.points()
    noted = disk.world.catalogue.points(disk.world.ring.tenant)
    assert [one.committed_here for one in noted] == [True]
    restored, _ = disk.world.restore(point.seq)
    assert restored.read(0, MIB) == before
