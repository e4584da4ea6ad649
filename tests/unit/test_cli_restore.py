"""What a restore refuses before it begins, and what one that met damage tells, whatever comes after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from drd.cli.common import stopped
from drd.cli.output import Reply
from drd.cli.restore import _affected, _check_owner, _put_back, _was_deleted
from drd.errors import IntegrityError, RefusedError, SourceError, TransientStoreError
from drd.model import Buffer, ByteRange, ObjectVersion, PointKind
from drd.ports import Store
from drd.sources.device_target import DeviceTarget
from drd.stores.metered import MeteredStore
from drd.testing.sources import MemoryTarget
from drd.wiring import House
from drd.work.gaps import refuse_doomed
from drd.work.restore import Damage, Outcome
from tests.unit.work.points import NAME, KeysRead, info, with_points
from tests.unit.work.world import HANDS, World, fill

OLD, NEW = b"o" * 16, b"n" * 16
OF_OLD = [info(seq, lineage=OLD, manifest_key=f"m/o{seq}") for seq in (1, 2)]
OF_NEW = [info(seq, lineage=NEW, manifest_key=f"m/n{seq}") for seq in (3, 4)]


def test_an_older_image_is_not_restored_where_a_newer_one_is_hidden() -> None:
    _check_owner("a/b", NEW, [*OF_OLD, *OF_NEW])
    _check_owner("a/b", OLD, OF_OLD)
    with pytest.raises(RefusedError, match="newer image") as caught:
        _check_owner("a/b", OLD, [*OF_OLD, *OF_NEW])
    assert OLD.hex() in caught.value.hint
    _check_owner(OLD.hex(), OLD, [*OF_OLD, *OF_NEW])


def test_what_has_no_backup_yet_hides_nothing() -> None:
    """A newer image whose first backup is not finished, and one that has another name by now."""
    unfinished = [replace(one, kind=PointKind.PARTIAL) for one in OF_NEW]
    _check_owner("a/b", OLD, [*OF_OLD, *unfinished])
    renamed = [OF_NEW[0], replace(OF_NEW[1], name="a/c")]
    _check_owner("a/b", OLD, [*OF_OLD, *renamed])


def test_of_a_doomed_point_the_nearest_that_restores_is_named() -> None:
    points = [
        info(seq, doomed=seq in (1, 2), kind=PointKind.PARTIAL if seq == 3 else PointKind.FULL)
        for seq in range(1, 6)
    ]
    with pytest.raises(RefusedError) as caught:
        refuse_doomed(points[1], points)
    assert f"nearest in time is {points[0].name}@4" in caught.value.hint
    with pytest.raises(RefusedError) as caught:
        refuse_doomed(points[1], points[:3])
    assert "nearest" not in caught.value.hint
    refuse_doomed(points[4], points)


class Impatient(KeysRead):
    """Somebody presses Ctrl-C when the second manifest is asked for."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._manifests = 0

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        self._manifests += key.startswith("m/")
        if self._manifests > 1:
            raise KeyboardInterrupt
        return super().get(key, version=version, start=start, length=length)


class Talks(MemoryTarget):
    """Fails at a write, and has something to say of what it left behind."""

    @override
    def write(self, offset: int, data: Buffer) -> None:
        raise SourceError("the target is away")

    @override
    def abandon(self) -> str:
        self.warnings.append("the unfinished image may lack its last writes")
        return super().abandon()


def test_what_a_target_says_is_told_also_when_the_restore_fails() -> None:
    """The reply to a failure has the warnings of the repository: nobody else would read the target's."""
    world = with_points(1)
    opened = world.opened(1)
    with pytest.raises(SourceError, match="away"):
        _put_back(opened, Talks(), HANDS, best_effort=False)
    assert opened.repository.warnings == ["the unfinished image may lack its last writes"]
    opened, quiet = world.opened(1), MemoryTarget()
    quiet.warnings.append("the rest stays as it is")
    assert _put_back(opened, quiet, HANDS, best_effort=False).proven
    assert opened.repository.warnings == ["the rest stays as it is"]


class Stops(DeviceTarget):
    """Somebody presses Ctrl-C, or the disk fails, at the second write."""

    def __init__(self, path: Path, why: BaseException) -> None:
        super().__init__(str(path), overwrite=True)
        self._why: BaseException | None = None
        self._then = why

    @override
    def write(self, offset: int, data: Buffer) -> None:
        if self._why is not None:
            raise self._why
        super().write(offset, data)
        self._why = self._then


def test_a_device_that_was_partly_overwritten_is_called_that(tmp_path: Path) -> None:
    """To remove it, as one removes an unfinished file, is no advice."""
    path = tmp_path / "device"
    opened = with_points(1).opened(1)
    path.write_bytes(bytes(opened.item.size))
    with pytest.raises(KeyboardInterrupt) as stop:
        _put_back(opened, Stops(path, KeyboardInterrupt()), HANDS, best_effort=False)
    with pytest.raises(SourceError) as failed:
        _put_back(opened, Stops(path, SourceError("it fails")), HANDS, best_effort=False)
    for hint in (stopped(stop.value).hint, failed.value.hint):
        assert f"device:{path} is partly overwritten" in hint
        assert "remove" not in hint
        assert hint[0] not in "; "


def test_ctrl_c_while_other_points_are_looked_for_loses_no_damage_that_was_found() -> None:
    world = with_points(3)
    points = world.points()
    repository = world.repository(store=Impatient(world.store))
    lost = [Damage(ByteRange(at, 4096), key, "rot") for at, key in enumerate(world.keys("p/"))]
    reply = Reply()
    _affected(reply, Outcome(damage=lost), points, repository)
    findings = reply.lists["findings"]
    assert [row["offset"] for row in findings] == [0, 1, 2]
    assert [row["points"] for row in findings if row["points"]] == [[f"{NAME}@1"]]
    assert any("interrupted" in one for one in reply.warnings)


class NoJournal(MeteredStore):
    """Does not answer what prunes wrote down."""

    @override
    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        if prefix.startswith("g/"):
            raise TransientStoreError("slow down", about=prefix)
        return super().list(prefix, limit=limit, after=after)


def test_damage_is_told_though_the_store_does_not_say_what_a_prune_did() -> None:
    world = World()
    fill(world)
    world.backup()
    (point,) = world.full()
    opened = world.opened(1, store=NoJournal(world.store))
    damage = IntegrityError("4096 bytes are lost", hint="what is good was left elsewhere")
    reply = Reply(errors=[damage])
    assert not _was_deleted(House(None), opened, point, reply, wrong=["p/1"])
    assert reply.errors == [damage]
    (warning,) = opened.repository.warnings
    assert "could not be asked" in warning
