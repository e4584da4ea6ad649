"""Backup: one point for one image.

The story: find the lineage and its head; snapshot; look at what may have changed; put what did; commit;
drop the old snapshot. Whatever goes wrong before the commit changes nothing that can be seen: no point
is there that was not, and each that was is as it was. What was put until then stays and is never used:
packs and tables, and of a first run the keys of its lineage. The next first run goes on with that
lineage only where a snapshot was left that names it; else it begins another.

1. *Head.* The newest manifest, full or partial. A clock behind it is refused, and so is a head that
   is damaged or hidden. An image never seen gets a lineage of its own; its keys are made only when its
   first snapshot is open.
2. *Base.* The snapshot of the newest full point, by id. Missing, foreign, or after an unfinished run
   that cannot be resumed: everything allocated and everything the map holds is compared by digest, and
   only what differs is put.
3. *Resume.* Only through a partial point, and only while its own snapshot is still there.
4. *Look.* A window at a time: ranges named by the source, cells that the map holds beyond the end, and
   a rotating sample of cells that the source calls unchanged. Hints are advice, digests are truth.
5. *Commit.* Packs, run and tables, manifest; then the catalogue; then the old snapshot goes. What
   fails after the manifest is a warning: the point is there.

All of it under a lease, which is looked at with each batch, and asked of its keeper before each manifest
and before snapshots come or go: whoever has lost it ends, commits nothing more, and removes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from drd.core import names
from drd.core.coding import lp
from drd.core.seal import sha256
from drd.errors import DrdError, IntegrityError, RefusedError, StoppedError
from drd.model import IMAGE_GEOMETRY, BackupResult, Found, PointInfo, Snapshot
from drd.ports import Catalogue, FreezeOrder, Held, Source
from drd.work.bench import Bench, leased
from drd.work.commit import keep_current
from drd.work.gaps import damaged, locked
from drd.work.history import Point, learn_unknown, newest, point_info
from drd.work.lineagekeys import LineageKeys, load_keys, make_generation
from drd.work.making import Making, Under, snapshot_of
from drd.work.repository import Repository
from drd.work.sweep import store_time

SKEW: Final = timedelta(minutes=15)
"""Clocks that differ by less agree: S3 refuses requests from where they differ by more."""


def backup(bench: Bench, source: Source, found: Found) -> BackupResult:
    """Make one point of *found*; see the module.

    Raises:
        BusyError: somebody else works on the lineage.
        RefusedError: the lease was lost, or the clock is behind its newest point.
        SourceError: the image cannot be read.
        StoreError: the store failed; the next run goes on from the last committed point.
    """
    with leased(bench.lease, found.identity, found.label) as held:
        lineage = find_lineage(bench.repository, bench.catalogue, found, pool=bench.transfers)
        return _Run(bench, source, found, held).make(lineage)


def backup_unless(
    bench: Bench, source: Source, found: Found, *, since: datetime
) -> BackupResult | PointInfo:
    """As :func:`backup`; or the newest point, when it is full and of *since* or later: somebody else made
    it in the meantime.
    """
    with leased(bench.lease, found.identity, found.label) as held:
        lineage = find_lineage(bench.repository, bench.catalogue, found, pool=bench.transfers)
        try:
            return _Run(bench, source, found, held, since=since).make(lineage)
        except _NeedlessError as needless:
            bench.catalogue.learn([needless.point])
            return needless.point


class _NeedlessError(Exception):
    """There is a point that is new enough."""

    def __init__(self, point: PointInfo) -> None:
        super().__init__()
        self.point = point


def find_lineage(
    repository: Repository, catalogue: Catalogue, found: Found, *, pool: Executor | None = None
) -> bytes | None:
    """The lineage of an image, by its identity; the catalogue is asked first, then the bucket for those
    lineages that the catalogue does not have. *pool* reads many of them at a time.
    """
    known = catalogue.lineage_of(repository.tenant, found.identity)
    if known is not None:
        return known
    fresh = learn_unknown(repository, catalogue, pool=pool)
    mine = [point for point in fresh if point.identity == found.identity]
    newest_point = max(mine, key=lambda point: (point.committed_at, point.seq), default=None)
    return newest_point.lineage if newest_point else None


def first_run(repository: Repository, lineage: bytes, found: Found) -> bytes:
    """Id of the run that begins *lineage* (8 bytes): it tells the snapshot of a run that died before
    its keys were in the bucket from one that another repository's runs made of the same image.
    """
    place = repository.scope(lineage).info(b"drd1 first run")
    return sha256(lp(place, found.identity.encode()))[:8]


def unfinished_lineage(repository: Repository, source: Source, found: Found) -> bytes | None:
    """The lineage of a first run that died before its first commit: a snapshot of the image names it,
    no manifest does, and its keys are in the bucket or the run's id is that of a first run here. Going
    on with it leaves no snapshot behind.
    """
    store, tenant = repository.store, repository.tenant
    for held in source.snapshots(found):
        lineage = held.lineage
        if lineage is None or any(store.list(names.manifest_folder(tenant, lineage), limit=1)):
            continue
        keys = any(store.list(names.key_folder(tenant, lineage), limit=1))
        if keys or first_run(repository, lineage, found).hex() in held.snapshot.name:
            return lineage
    return None


class _Run:
    """One backup under way."""

    def __init__(
        self,
        bench: Bench,
        source: Source,
        found: Found,
        held: Held,
        *,
        since: datetime | None = None,
    ) -> None:
        self.bench = bench
        self.since = since
        self.source = source
        self.found = found
        self.held = held
        self.under = Under(bench, found, held)
        self.snapshot_s = 0.0

    def make(self, lineage: bytes | None) -> BackupResult:
        """The story of the module, for one image."""
        bench = self.bench
        started, puts, put_bytes = bench.timer(), *bench.uploads()
        keys: LineageKeys | None
        head: Point | None = None
        if lineage is None:
            lineage, keys, order = self._begin()
        else:
            keys, head = self._open(lineage)
            self._check_need(head)
            order = self._order(lineage, head)
        self._warn_of_damage(lineage)
        if keys is not None:  # new ones have all their slots, or there is an error
            self.under.warnings += keys.lacking()
        try:
            at = bench.timer()
            self.held.check()  # a snapshot for a new lineage that lost is nobody's to remove
            with self.source.freeze(self.found, order) as frozen:
                self.snapshot_s = bench.timer() - at
                self._check_time(head, frozen.snapshot)
                keys = keys or self._make_keys(lineage)
                making = Making(self.under, keys, head, frozen=frozen, order=order)
                point = making.run()
        except BaseException as error:
            self._settle(lineage, self.under.keep)
            _tell_beside(error, self.under.warnings)
            if isinstance(error, StoppedError):
                error.lineage, error.bytes_uploaded = lineage, bench.uploads()[1] - put_bytes
            raise
        self._remember(point)
        at = bench.timer()
        self._settle(lineage, [frozen.snapshot.id])
        self.snapshot_s += bench.timer() - at
        objects, uploaded = bench.uploads()
        clear, tally = point.manifest.clear, making.looker.tally
        return BackupResult(
            lineage=lineage,
            name=self.found.label,
            seq=clear.seq,
            point_at=clear.point_at,
            kind=clear.kind,
            bytes_logical=point.number("size"),
            bytes_changed=tally.blocks * IMAGE_GEOMETRY.block,
            bytes_refilled=tally.refilled * IMAGE_GEOMETRY.block,
            bytes_read=tally.bytes_read,
            bytes_uploaded=uploaded - put_bytes,
            objects_put=objects - puts,
            seconds=bench.timer() - started,
            snapshot_seconds=self.snapshot_s,
            warnings=tuple(self.under.warnings),
        )

    def _check_need(self, head: Point | None) -> None:
        """Before anything is touched: a point that is new enough makes this run needless."""
        since = self.since
        if head is None or since is None or not head.is_full:
            return
        clear = head.manifest.clear
        if clear.committed_at - self.bench.now() > SKEW:
            return  # by a clock that was wrong: it would serve each slot until its day has come
        # A source's clock that is ahead dates its points into slots that have not come (Head.as_of).
        if min(clear.point_at, clear.committed_at) >= since:
            raise _NeedlessError(point_info(head))

    def _begin(self) -> tuple[bytes, LineageKeys | None, FreezeOrder]:
        """A lineage that has no point yet: id, keys where an earlier run made them, and order.

        New keys are made once the image is open: one that cannot be opened leaves nothing behind. One
        that opens and cannot be read to its first commit leaves keys, at each try others.
        """
        bench = self.bench
        self._warn_of_shut()
        lineage = unfinished_lineage(bench.repository, self.source, self.found)
        if lineage is not None:
            keys = load_keys(bench.repository, lineage)
            order = FreezeOrder(lineage, bench.random(8))
            if not keys.generations:
                return lineage, None, order
            if any(one.seals for one in keys.generations.values()):
                return lineage, keys, order
        lineage = bench.random(16)
        run = first_run(bench.repository, lineage, self.found)
        return lineage, None, FreezeOrder(lineage, run)

    def _warn_of_shut(self) -> None:
        """Names are sealed: of a lineage that does not open nobody can tell whether it is this image's."""
        repository = self.bench.repository
        known = self.bench.catalogue.lineages(repository.tenant)
        shut = [error.about for error in locked(repository, known)]
        if shut:
            self.under.warnings.append(
                f"no key at hand opens what belongs to {', '.join(shut)}: it may be the history of this "
                "image; this backup begins a new one"
            )

    def _warn_of_damage(self, lineage: bytes) -> None:
        """Of what a verify found on this host: a backup goes on using it, and looks at none of it."""
        found = self.bench.catalogue.damage_of(self.bench.repository.tenant, lineage)
        if found is not None:
            self.under.warnings.append(found.warning(self.found.label))

    def _make_keys(self, lineage: bytes) -> LineageKeys:
        bench = self.bench
        return make_generation(bench.repository, lineage, 1, random=bench.random, now=bench.now())

    def _open(self, lineage: bytes) -> tuple[LineageKeys, Point | None]:
        """Keys and head of a lineage that has points (step 1)."""
        repository = self.bench.repository
        keys = load_keys(repository, lineage)
        if not keys.generations:
            raise IntegrityError("a lineage has no readable public key", about=lineage.hex())
        before = len(repository.warnings)
        head = newest(repository, keys)
        # It warns of each manifest that it passes over.
        self._check_head(lineage, head, passed_over=len(repository.warnings) > before)
        if head is not None:
            keep_current(repository, head)
        return keys, head

    def _check_head(self, lineage: bytes, head: Point | None, *, passed_over: bool) -> None:
        """A damaged head, a store that hides the newest points, and a clock that went back, stop the
        writer.

        Raises:
            IntegrityError: the first.
            RefusedError: one of the others.
        """
        bench = self.bench
        seq = head.seq if head else 0
        known = bench.catalogue.highest(bench.repository.tenant, lineage)
        if passed_over or known > seq:
            self._check_damage(lineage, seq, known)
        if known > seq:
            raise RefusedError(
                f"the newest point in the bucket is {seq}, but point {known} was there",
                about=self.found.label,
                hint="somebody hides or removed points: ask the owner of the bucket; when that is "
                "understood, 'drctl catalogue rebuild' accepts what the bucket has now",
            )
        if head is not None:
            self._check_clock(head)

    def _check_clock(self, head: Point) -> None:
        """A clock that went back is refused; not one that was set right, where that may be healed.

        Raises:
            RefusedError: it is refused.
        """
        now, committed_at = self.bench.now(), head.manifest.clear.committed_at
        if now >= committed_at:
            return
        told = (
            f"the clock says {now.isoformat()}, the newest point was committed at "
            f"{committed_at.isoformat()}"
        )
        if not self._may_heal(now):
            raise RefusedError(
                told,
                about=self.found.label,
                hint="set the clock of this host; nothing was changed",
            )
        self.under.warnings.append(f"{told}: it was wrong then, as the store's clock says")

    def _may_heal(self, now: datetime) -> bool:
        """Whether this host's clock may be trusted more than the newest point's: the store's agrees."""
        bench = self.bench
        if not bench.heals_clock:
            return False
        return abs(store_time(bench.repository.store, bench.random) - now) <= SKEW

    def _check_damage(self, lineage: bytes, seq: int, known: int) -> None:
        """A manifest above number *seq* that was whole once is not passed over.

        One that this host knows of is missed in any case. One that it never saw may be a stranger's
        work, who must not be able to stop a backup; but where the store keeps no versions, the next
        manifest would be put over it, and what was a point would be lost for good.

        Raises:
            IntegrityError: there is one.
        """
        repository = self.bench.repository
        for one in damaged(repository, lineage, (), above=seq):
            key = names.manifest_key(repository.tenant, lineage, one)
            versioned = all(version.version for version in repository.store.versions(key))
            if one <= known or not versioned:
                raise IntegrityError(
                    f"the newest point is {one}, and its manifest is damaged",
                    about=f"{self.found.label} ({key})",
                    hint="restore this object first: put an older version of it back, or a copy; "
                    "when there is none, move it away, and 'drctl catalogue rebuild' accepts that "
                    f"the history goes on after point {seq}",
                )

    def _check_time(self, head: Point | None, snapshot: Snapshot) -> None:
        """The source's clock must not run back either: points are found by their time.

        Raises:
            RefusedError: the snapshot is older than the newest point.
        """
        if head is None or snapshot.taken_at >= head.manifest.clear.point_at:
            return
        told = (
            f"the source says that its new snapshot is of {snapshot.taken_at.isoformat()}, the "
            f"newest point is of {head.manifest.clear.point_at.isoformat()}"
        )
        now = self.bench.now()
        if abs(snapshot.taken_at - now) <= SKEW and self._may_heal(now):
            self.under.warnings.append(f"{told}: it was wrong then, as this host and the store say")
        else:
            raise RefusedError(
                told,
                about=self.found.label,
                # The host's went back after a run's snapshot and before its commit: that looks the same.
                hint="set the clock of the source, or this host's; nothing was changed",
            )

    def _order(self, lineage: bytes, head: Point | None) -> FreezeOrder:
        """Which base to compare with, which snapshot to go on with (steps 2 and 3)."""
        run = self.bench.random(8)
        if head is None:
            return FreezeOrder(lineage, run)
        own = snapshot_of(head.table("snapshot"))
        base = own if head.is_full else snapshot_of(head.table("base"))
        resume = None if head.is_full else own
        self.under.keep = [one.id for one in (base, resume) if one is not None]
        if head.facts.get("distrust_base"):
            self.under.warnings.append(
                "the last diff missed changes: everything is compared by digest"
            )
            return FreezeOrder(lineage, run)
        return FreezeOrder(lineage, run, base=base, resume=resume)

    def _remember(self, point: Point) -> None:
        """Note that this host made the point. The point is there, whatever becomes of the note."""
        try:
            self.bench.catalogue.learn([replace(point_info(point), committed_here=True)])
            scope = point.manifest.clear.scope
            damage = self.bench.catalogue.damage_of(scope.tenant, scope.lineage)
            if damage is not None and damage.packs:  # what it needs of them is put again now
                self.bench.catalogue.note_damage(
                    scope.tenant, scope.lineage, replace(damage, packs=())
                )
        except DrdError as error:
            self.under.warnings.append(f"the point could not be noted on this host: {error}")

    def _settle(self, lineage: bytes, keep: Sequence[str]) -> None:
        """Remove this lineage's snapshots but those to *keep*; what stays behind is a warning.

        Without the lease none goes: one of them may be what another run reads.
        """
        warnings = self.under.warnings
        try:
            self.held.check()
            left = self.source.settle(self.found, lineage, keep=keep)
            warnings += [f"snapshot {name} could not be removed yet" for name in left]
        except DrdError as error:
            warnings.append(f"old snapshots could not be removed yet: {error}")


def _tell_beside(error: BaseException, warnings: Sequence[str]) -> None:
    """Add *warnings* to what is told of a failure: nobody will read them elsewhere."""
    if not warnings:
        return
    if isinstance(error, DrdError):
        error.hint = "; ".join([error.hint or error.next_step, *warnings])
        return
    for one in warnings:
        error.add_note(one)
