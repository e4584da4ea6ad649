"""A world of one bucket and one image, and processes that come and go in it.

Bucket, source and catalogue outlive processes; everything else is made anew for each run. The content
of every snapshot that was ever taken is remembered, so each point can be compared with what its own
snapshot held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace

from drd.errors import CrashError
from drd.model import BackupResult, PointInfo, PointKind, Role
from drd.ports import Catalogue, Lease, Source, Store
from drd.testing.fakes import Inline, MemoryCatalogue, MemoryRing, NoLease, SteppingClock, seeded
from drd.testing.mortal import Life, MortalCatalogue, MortalSource, MortalStore
from drd.testing.repository import SMALL, Workshop, make_repository
from drd.testing.sources import (
    MemoryTarget,
    SimulatedImage,
    SimulatedSource,
    SparseBytes,
)
from drd.testing.stores import MemoryStore
from drd.work.backup import backup
from drd.work.bench import Bench, Knobs
from drd.work.history import learn, newest_first, open_point, read_manifest
from drd.work.lineagekeys import load_keys
from drd.work.repository import Repository, open_repository
from drd.work.restore import Hands, OpenedPoint, Outcome, restore

IMAGE = "image"
CELL = 64 * 1024
BLOCK = 4096
MIB = 1 << 20

HANDS = Hands(Inline(), Inline(), Inline(), lambda _: None)


@dataclass
class Process:
    """One run of drd: what it has is gone when it ends."""

    bench: Bench
    source: Source
    life: Life


@dataclass
class World:
    """See the module. ``wrap`` puts something between a process and the bucket."""

    size: int = 2 * MIB
    knobs: Knobs = SMALL
    store: MemoryStore = field(default_factory=MemoryStore)
    ring: MemoryRing = field(default_factory=lambda: MemoryRing.make("world"))
    catalogue: Catalogue = field(default_factory=MemoryCatalogue)
    lease: Lease = field(default_factory=NoLease)
    clock: SteppingClock = field(default_factory=SteppingClock)
    seen: dict[str, SparseBytes] = field(default_factory=dict)
    processes: int = 0

    def __post_init__(self) -> None:
        make_repository(self.store, self.ring)
        self.life = Life()
        self.source = SimulatedSource("source", self.clock, self._on_source)
        self.image: SimulatedImage = self.source.add(IMAGE, self.size)

    def _on_source(self, word: str) -> None:
        self.seen.update({one.snapshot.id: one.content for one in self.image.taken.values()})
        if word == "read":
            self.life.check()
        else:
            self.life.happened(word)

    def fork(self) -> World:
        """An independent world in the same state."""
        able = self.store.abilities()
        store = MemoryStore(versioned=able.versioned, conditional=able.conditional_put)
        other = World(self.size, self.knobs, store=store, ring=self.ring, lease=self.lease)
        other.store._objects = {
            key: [replace(one) for one in held] for key, held in self.store._objects.items()
        }
        other.store._written = self.store._written
        other.store._marked = set(self.store._marked)
        other.catalogue.learn(self.catalogue.points(self.ring.tenant))
        other.clock.at, other.seen, other.processes = (
            self.clock.at,
            dict(self.seen),
            self.processes,
        )
        if self.store._now == self.clock:
            other.store._now = other.clock
        if isinstance(self.catalogue, MemoryCatalogue) and isinstance(
            other.catalogue, MemoryCatalogue
        ):
            other.catalogue._ledger = deepcopy(self.catalogue._ledger)
        image = self.image
        other.source._next = self.source._next
        other.image = replace(
            image,
            head=image.head.copy(),
            hidden=list(image.hidden),
            named=list(image.named),
            busy=set(image.busy),
            taken=dict(image.taken),
            _log=list(image._log),
        )
        other.source.images[IMAGE] = other.image
        return other

    # ── processes ───────────────────────────────────────────────────────────────────────────────

    def process(
        self, life: Life | None = None, *, store: Store | None = None, role: Role = Role.RESTORE
    ) -> Process:
        """A new process; *store* is what it sees of the bucket, *life* how long it lives."""
        self.processes += 1
        self.life = life or Life()
        shop = Workshop(
            store=MortalStore(store or self.store, self.life),
            ring=self.ring.with_role(role),
            seed=self.processes,
            knobs=self.knobs,
            catalogue=MortalCatalogue(self.catalogue, self.life),
            lease=self.lease,
            clock=self.clock,
        )
        return Process(shop.bench(), MortalSource(self.source, self.life), self.life)

    def backup(self, process: Process | None = None) -> BackupResult:
        """One run for the image."""
        worker = process or self.process()
        return backup(worker.bench, worker.source, self.source.found(IMAGE))

    def backup_until(self, last: int, *, store: Store | None = None) -> bool:
        """A run that dies after effect *last*; False when it was done before."""
        life = Life(last)
        try:
            self.backup(self.process(life, store=store))
        except CrashError:
            return True
        return False

    # ── looking at what is there ────────────────────────────────────────────────────────────────

    def repository(self, role: Role = Role.RESTORE, *, store: Store | None = None) -> Repository:
        """The repository, opened anew."""
        return open_repository(store or self.store, self.ring.with_role(role))

    def points(self) -> list[PointInfo]:
        """Everything in the bucket, learnt anew, by number."""
        return sorted(learn(self.repository(), MemoryCatalogue()), key=lambda one: one.seq)

    def full(self) -> list[PointInfo]:
        """Recovery points."""
        return [point for point in self.points() if point.kind is PointKind.FULL]

    def opened(self, seq: int, *, store: Store | None = None) -> OpenedPoint:
        """One point, read anew."""
        repository = self.repository(store=store)
        keys = load_keys(repository, self.lineage)
        point = open_point(read_manifest(repository, self.lineage, seq), keys)
        return OpenedPoint(repository, keys, point)

    @property
    def lineage(self) -> bytes:
        """The lineage of the points that are there: only one is expected."""
        (lineage,) = {bytes.fromhex(listed.key.split("/")[2]) for listed in self.store.list("m/")}
        return lineage

    def restore(self, seq: int, *, store: Store | None = None) -> tuple[SparseBytes, Outcome]:
        """Restore one point into memory; what is there is proven, or this fails."""
        target = MemoryTarget()
        outcome = restore(self.opened(seq, store=store), target, HANDS, best_effort=False)
        assert outcome.proven
        assert not outcome.damage
        assert target.final is not None
        return target.final, outcome

    def taken(self, point: PointInfo) -> SparseBytes:
        """What the snapshot of a point held."""
        facts = point.facts["snapshot"]
        assert isinstance(facts, dict)
        return self.seen[str(facts["id"])]

    def check(self, points: Sequence[PointInfo] | None = None) -> list[PointInfo]:
        """Every recovery point restores to what its snapshot held; return them."""
        known = self.full() if points is None else list(points)
        for point in known:
            restored, _ = self.restore(point.seq)
            assert restored == self.taken(point), f"point {point.seq} is not what its snapshot held"
        return known

    def snapshots(self) -> set[str]:
        """Ids of drd's snapshots on the source."""
        return {one.snapshot.id for one in self.source.snapshots()}

    def newest_snapshot(self) -> str:
        """Id of the snapshot of the newest manifest, full or partial."""
        repository = self.repository()
        point = next(newest_first(repository, load_keys(repository, self.lineage)))
        return str(point.table("snapshot")["id"])

    def keys(self, prefix: str) -> set[str]:
        """Names of objects."""
        return {listed.key for listed in self.store.list(prefix)}

    @contextmanager
    def puts(self) -> Iterator[list[str]]:
        """Names of the objects that are put while the context lasts."""
        before = self.keys("")
        made: list[str] = []
        yield made
        made += sorted(self.keys("") - before)


def fill(world: World, *, seed: int = 1, cells: Sequence[int] | None = None) -> None:
    """Write one block of noise into each of *cells* (all of them): 64 cells make a batch, a pack."""
    draw = seeded(("fill", seed))
    for cell in cells or range(world.image.head.size // CELL):
        world.image.write(cell * CELL, draw(BLOCK))
