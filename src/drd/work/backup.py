"""Backup: one point for one image.

The story: find the lineage and its head; snapshot; look at what may have changed; put what did; commit;
drop the old snapshot. Whatever goes wrong before the commit leaves the repository as it was.

1. *Head.* The newest manifest, full or partial. A clock behind it is refused.
2. *Base.* The snapshot of the newest full point, by id. Missing, foreign, or after an unfinished run
   that cannot be resumed: everything allocated and everything the map holds is compared by digest, and
   only what differs is put.
3. *Resume.* Only through a partial point, and only while its own snapshot is still there.
4. *Look.* A window at a time: ranges named by the source, cells that the map holds beyond the end, and
   a rotating sample of cells that the source calls unchanged. Hints are advice, digests are truth.
5. *Commit.* Packs, run and tables, manifest; then the catalogue; then the old snapshot goes.
"""

from __future__ import annotations

from datetime import datetime

from drd.core.seal import sha256
from drd.errors import DrdError, IntegrityError, RefusedError
from drd.model import IMAGE_GEOMETRY, BackupResult, Found, PointInfo, Snapshot
from drd.ports import Catalogue, FreezeOrder, Source
from drd.work.bench import Bench
from drd.work.commit import keep_current
from drd.work.history import Point, learn, newest, point_info
from drd.work.lineagekeys import LineageKeys, load_keys, make_generation
from drd.work.making import Making, Under, snapshot_of
from drd.work.repository import Repository


def backup(bench: Bench, source: Source, found: Found) -> BackupResult:
    """Make one point of *found*; see the module.

    Raises:
        RefusedError: the lineage is busy, or the clock is behind its newest point.
        SourceError: the image cannot be read.
        StoreError: the store failed; the next run goes on from the last committed point.
    """
    with bench.lease.hold(sha256(found.identity.encode()).hex()):
        lineage = find_lineage(bench.repository, bench.catalogue, found)
        if lineage is None:
            lineage = unfinished_lineage(bench.repository, source, found)
        return _Run(bench, source, found).make(lineage)


def find_lineage(repository: Repository, catalogue: Catalogue, found: Found) -> bytes | None:
    """The lineage of an image, by its identity; the catalogue is asked first, then the bucket."""
    for points in (catalogue.points(repository.tenant), None):
        known = learn(repository, catalogue) if points is None else points
        mine = [point for point in known if point.identity == found.identity]
        if mine:
            return max(mine, key=_newest).lineage
    return None


def unfinished_lineage(repository: Repository, source: Source, found: Found) -> bytes | None:
    """The lineage of a first run that died before its first commit: its keys are in the bucket, no
    manifest is, and a snapshot of the image names it. Going on with it leaves no snapshot behind.
    """
    tenant = repository.tenant.hex()
    begun = set(repository.store.folders(f"k/{tenant}/"))
    begun -= set(repository.store.folders(f"m/{tenant}/"))
    if not begun:
        return None
    for held in source.snapshots():
        if held.image == found.label and held.lineage and held.lineage.hex() in begun:
            return held.lineage
    return None


def _newest(point: PointInfo) -> tuple[datetime, int]:
    return point.committed_at, point.seq


class _Run:
    """One backup under way."""

    def __init__(self, bench: Bench, source: Source, found: Found) -> None:
        self.bench = bench
        self.source = source
        self.found = found
        self.under = Under(bench, found)
        self.snapshot_s = 0.0

    def make(self, lineage: bytes | None) -> BackupResult:
        """The story of the module, for one image."""
        bench = self.bench
        started, puts, put_bytes = bench.timer(), *bench.uploads()
        keys, head = self._open(lineage)
        lineage = keys.scope.lineage
        order = self._order(lineage, head)
        try:
            at = bench.timer()
            with self.source.freeze(self.found, order) as frozen:
                self.snapshot_s = bench.timer() - at
                self._check_time(head, frozen.snapshot)
                making = Making(self.under, keys, head, frozen=frozen, order=order)
                point = making.run()
        except BaseException:
            self._clean_up(lineage)
            raise
        bench.catalogue.learn([point_info(point)])
        at = bench.timer()
        try:
            left = self.source.settle(self.found, lineage, keep=[frozen.snapshot.id])
            self.under.warnings += [f"snapshot {name} could not be removed yet" for name in left]
        except DrdError as error:  # the point is there, whatever becomes of the old snapshot
            self.under.warnings.append(f"the old snapshot could not be removed yet: {error}")
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
            bytes_read=tally.bytes_read,
            bytes_uploaded=uploaded - put_bytes,
            objects_put=objects - puts,
            seconds=bench.timer() - started,
            snapshot_seconds=self.snapshot_s,
            warnings=tuple(self.under.warnings),
        )

    def _open(self, lineage: bytes | None) -> tuple[LineageKeys, Point | None]:
        """Keys and head of the lineage; made anew for an image never seen (step 1)."""
        bench = self.bench
        if lineage is None:
            made = make_generation(
                bench.repository, bench.random(16), 1, random=bench.random, now=bench.now()
            )
            return made, None
        keys = load_keys(bench.repository, lineage)
        if not keys.generations:
            raise IntegrityError("a lineage has no readable public key", about=lineage.hex())
        head = newest(bench.repository, keys)
        self._check_head(lineage, head)
        if head is not None:
            keep_current(bench.repository, head)
        return keys, head

    def _check_head(self, lineage: bytes, head: Point | None) -> None:
        """A store that hides the newest points, and a clock that went back, stop the writer.

        Raises:
            RefusedError: one of them.
        """
        bench = self.bench
        known = [
            point.seq
            for point in bench.catalogue.points(bench.repository.tenant)
            if point.lineage == lineage
        ]
        newest_known = max(known, default=0)
        if newest_known > (head.seq if head else 0):
            raise RefusedError(
                f"the newest point in the bucket is {head.seq if head else 0}, but point "
                f"{newest_known} was there",
                about=self.found.label,
                hint="somebody hides or removed points: ask the owner of the bucket; when that is "
                "understood, 'drctl catalogue rebuild' accepts what the bucket has now",
            )
        now = bench.now()
        if head is not None and now < head.manifest.clear.committed_at:
            raise RefusedError(
                f"the clock says {now.isoformat()}, the newest point was committed at "
                f"{head.manifest.clear.committed_at.isoformat()}",
                about=self.found.label,
                hint="set the clock of this host; nothing was changed",
            )

    def _check_time(self, head: Point | None, snapshot: Snapshot) -> None:
        """The source's clock must not run back either: points are found by their time.

        Raises:
            RefusedError: the snapshot is older than the newest point.
        """
        if head is not None and snapshot.taken_at < head.manifest.clear.point_at:
            raise RefusedError(
                f"the source says that its new snapshot is of {snapshot.taken_at.isoformat()}, the "
                f"newest point is of {head.manifest.clear.point_at.isoformat()}",
                about=self.found.label,
                hint="set the clock of the source; nothing was changed",
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

    def _clean_up(self, lineage: bytes) -> None:
        """After a failure keep only the snapshots that committed points need."""
        try:
            self.source.settle(self.found, lineage, keep=self.under.keep)
        except DrdError as error:  # the first failure is the one to be told
            self.under.warnings.append(f"snapshots could not be tidied up: {error}")
