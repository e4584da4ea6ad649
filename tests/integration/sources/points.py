"""Points of a real image: whole runs of backup and restore, with a bucket in memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from typing_extensions import override

from drd.model import BackupResult, Buffer, Found, PointKind, Role
from drd.ports import Source, Store, Target
from drd.testing.fakes import Inline, MemoryCatalogue, MemoryRing, SteppingClock
from drd.testing.repository import SMALL, Workshop, make_repository
from drd.testing.sources import MemoryTarget
from drd.testing.stores import MemoryStore
from drd.work.backup import backup
from drd.work.bench import Knobs
from drd.work.history import Point, learn, open_point, read_manifest
from drd.work.lineagekeys import load_keys
from drd.work.repository import open_repository
from drd.work.restore import Hands, OpenedPoint, restore
from tests.integration.sources.conftest import Images

CELL = 64 * 1024
BLOCK = 4096


class WatchedStore(MemoryStore):
    """Calls ``before`` with each name that is about to be written, and ``after`` when it was."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str], None] = lambda _key: None
        self.after: Callable[[str], None] = lambda _key: None

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        self.before(key)
        version = super().put(key, data, if_absent=if_absent)
        self.after(key)
        return version


@dataclass
class Points:
    """One image and the repository that its points go to. Each run is as a process of its own."""

    images: Images
    image: str
    knobs: Knobs = SMALL
    store: WatchedStore = field(default_factory=WatchedStore)
    ring: MemoryRing = field(default_factory=lambda: MemoryRing.make("points"))
    clock: SteppingClock = field(default_factory=SteppingClock)
    runs: int = 0

    def __post_init__(self) -> None:
        make_repository(self.store, self.ring)
        self.source: Source = self.images.source()

    @property
    def found(self) -> Found:
        """The image, by the name that it has now."""
        (found,) = [
            one for one in self.source.discover() if one.label.rpartition("/")[2] == self.image
        ]
        return found

    def backup(self, *, sample: int = 0) -> BackupResult:
        """One run; *sample* cells that are called unchanged are looked at."""
        self.runs += 1
        shop = Workshop(
            store=self.store,
            ring=self.ring,
            seed=self.runs,
            knobs=replace(self.knobs, sample_cells=sample),
            catalogue=MemoryCatalogue(),
            clock=self.clock,
        )
        return backup(shop.bench(), self.source, self.found)

    def point(self, result: BackupResult) -> Point:
        """A point, read anew."""
        return self._opened(result, self.store).point

    def _opened(self, result: BackupResult, store: Store) -> OpenedPoint:
        repository = open_repository(store, self.ring.with_role(Role.RESTORE))
        keys = load_keys(repository, result.lineage)
        point = open_point(read_manifest(repository, result.lineage, result.seq), keys)
        return OpenedPoint(repository, keys, point)

    def full(self) -> int:
        """How many recovery points there are."""
        known = learn(open_repository(self.store, self.ring), MemoryCatalogue())
        return sum(one.kind is PointKind.FULL for one in known)

    def restored(self, result: BackupResult) -> bytes:
        """What a point restores to, proven by its root digest."""
        target = MemoryTarget()
        self.restore(result, target)
        assert target.final is not None
        return target.final.read(0, target.final.size)

    def restore(self, result: BackupResult, target: Target) -> None:
        """Restore a point to *target*; it is proven, or this fails."""
        hands = Hands(Inline(), Inline(), Inline(), lambda _: None)
        opened = self._opened(result, self.store)
        outcome = restore(opened, target, hands, best_effort=False)
        assert outcome.proven
        assert not outcome.damage

    def right(self, **settings: int) -> BackupResult:
        """One run, whose point is what the image holds."""
        result = self.backup(**settings)
        assert self.restored(result) == self.images.read(self.image)
        return result

    def snapshots(self) -> list[str]:
        """Ids of drd's snapshots on the image."""
        return [str(one.number) for one in self.images.snapshots(self.image) if one.ours]


def behind_librbd(images: Images, image: str, offset: int, data: bytes, *, past_too: bool) -> None:
    """Change an object without librbd, so that no object map and no diff of maps knows of it.

    With *past_too* the newest snapshot changes as well, when its object was not written since.
    """
    with images.open(image) as opened:
        prefix, size = opened.block_name_prefix(), int(opened.stat()["obj_size"])
        numbers = [int(one["id"]) for one in opened.list_snaps()]
    ioctx: Any = images.cluster.handle().open_ioctx(images.pool)
    try:
        ioctx.set_self_managed_snap_write([] if past_too else numbers)
        ioctx.write(f"{prefix}.{offset // size:016x}", data, offset % size)
    finally:
        with suppress(ValueError):
            ioctx.close()
