"""A point in the making: collects what a run changed, then writes run, tables and manifest.

Order, and why: packs are there already; then run and tables; then the manifest. Whatever is written
before the manifest is invisible, so a crash leaves orphans and nothing broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drd.core import manifest as manifests
from drd.core import merge, seal
from drd.core.manifest import Clear, Manifest, Reference, RollEntry
from drd.core.seal import SealOrder
from drd.core.sections import ITEMS_PER_SECTION, Item, What, encode_items
from drd.core.tables import PackRows, Part, TableKind
from drd.errors import StoreError
from drd.model import Json, PointKind
from drd.pipeline.packing import Packed, Seal, join, parts
from drd.ports import Ledger
from drd.work.commit import commit
from drd.work.history import Point, check, open_point
from drd.work.journals import journal_of
from drd.work.lineagekeys import LineageKeys
from drd.work.merging import Scribe, merge_runs, unlist
from drd.work.repository import Repository
from drd.work.rolls import full_roll


@dataclass(frozen=True, slots=True)
class Signed:
    """A manifest that is not in the bucket yet, and its bytes."""

    manifest: Manifest
    data: bytes


@dataclass(slots=True)
class Draft:
    """What the next manifest will say. ``head`` is its predecessor; a commit moves it on.

    ``promise`` is how long after this point the next is promised; None where nobody promises anything.
    ``emptied`` has the ordinals of packs that are refilled: runs are merged at the end, once, when nothing
    is painted from them any more. ``begun_at`` is the number of the point that this work began after.
    """

    repository: Repository
    keys: LineageKeys
    scribe: Scribe
    seal_with: Seal
    head: Point | None
    references: list[Reference] = field(default_factory=list)
    roll: tuple[RollEntry, ...] = ()
    ledger: Ledger | None = None
    promise: timedelta | None = None
    emptied: frozenset[int] = frozenset()
    begun_at: int = field(init=False)

    def __post_init__(self) -> None:
        self.begun_at = self.head.seq if self.head else 0

    @property
    def seq(self) -> int:
        """Sequence number of the next manifest."""
        return self.head.seq + 1 if self.head else 1

    def add(self, packed: Sequence[Packed], item: Item | None) -> None:
        """Write what *packed* changed, and *item* when it is new or other, as this point's run."""
        made: list[Part] = []
        rows = PackRows()
        if packed:
            whole = join(packed, self.scribe.geometry)
            made = parts(whole.drawn, whole.cell, whole.digest, self.scribe.geometry)
            done = [(one.row, one.secret) for one in packed if one.row and one.secret]
            rows = PackRows(
                tuple(row for row, _ in done),
                tuple(secret for _, secret in done),
                (self.seal_with.epoch,) if done else (),
            )
        if item is not None:
            number = item.item_id // ITEMS_PER_SECTION
            made.append(Part(What.ITEMS, number, encode_items([item])))
        if self._runs_of_its_own() >= self.scribe.fanout:
            # So long a run is merged like any other. The refilled packs are found again at the next look,
            # with nothing needed of them.
            self.emptied = frozenset()
        if not self.emptied:
            self.references = merge_runs(self.references, self.scribe)
        if made or rows.rows:
            run = self.scribe.write(TableKind.RUN, made, through=self.seq, rows=rows)
            self.references.append(run)

    def _runs_of_its_own(self) -> int:
        runs = (one for one in self.references if one.kind is TableKind.RUN)
        return sum(one.through > self.begun_at for one in runs)

    def unlist(self) -> None:
        """After the last :meth:`add`: no table of the next point lists a pack that was refilled."""
        if self.emptied:
            newer = self.begun_at
            self.references = unlist(self.references, self.emptied, self.scribe, newer=newer)

    def sign(
        self,
        kind: PointKind,
        facts: Mapping[str, Json],
        *,
        point_at: datetime,
        now: datetime,
        ordinal: int,
    ) -> Signed:
        """Seal the facts and sign: a manifest that can be committed."""
        scope, generation = self.keys.scope, self.keys.current.number
        self._roll_on()
        clear = Clear(
            scope=scope,
            seq=self.seq,
            kind=kind,
            point_at=point_at,
            committed_at=now,
            next_by=self._next_by(kind, point_at),
            protect_until=None,
            predecessor=(self.head.seq, self.head.manifest.sha256) if self.head else None,
            generation=generation,
            trust=(self.repository.trust.number, self.repository.trust.sha256),
            ordinal=ordinal,
            references=tuple(self.references),
            roll=self.roll,
        )
        salt = self.scribe.random(seal.SALT_BYTES)
        order = SealOrder(scope, generation, self.keys.metadata(generation), salt)
        sealed = manifests.seal_facts(order, self.seq, facts)
        encoded = manifests.encode_clear(clear)
        signer, signature = self.repository.ring.sign(manifests.to_sign(encoded, sealed))
        data = manifests.encode_manifest(encoded, sealed, signer, signature)
        # What cannot be read back must not be committed: the reader's own checks, before the PUT.
        return Signed(check(self.repository, data, scope.lineage, self.seq), data)

    def commit(self, signed: Signed) -> Point:
        """Put the manifest; the new point becomes the head.

        Raises:
            RefusedError: another writer was first; this one is not there.
            StoreError: the store failed; whether the manifest is there is not known.
        """
        commit(self.repository, self.keys.scope.lineage, self.seq, signed.data)
        self.head = open_point(signed.manifest, self.keys)
        return self.head

    def _next_by(self, kind: PointKind, point_at: datetime) -> datetime | None:
        """By when the next full point is promised. A partial one keeps no promise, so it moves none."""
        if self.promise is None:
            return None
        if kind is PointKind.PARTIAL and self.head and self.head.manifest.clear.next_by:
            return self.head.manifest.clear.next_by
        return point_at + self.promise

    def _roll_on(self) -> None:
        """The predecessor enters the roll; long changes become a new base, without what the journal of
        deletions says is gone: so the base does not grow for ever.
        """
        if self.head is None:
            return
        clear = self.head.manifest.clear
        entry = RollEntry(clear.seq, self.head.manifest.sha256, clear.kind, clear.protect_until)
        self.roll = (*self.head.manifest.clear.roll, entry)
        if len(self.roll) <= merge.ROLL_CHANGES:
            return
        gone = self._deleted()
        before = full_roll(self.head.manifest.clear, self.scribe.shelf)
        entries = [one for one in before if (one.seq, one.sha256) not in gone]
        entries.append(entry)
        self.references = [one for one in self.references if one.kind is not TableKind.ROLL]
        part = Part(What.ROLL, 0, manifests.encode_roll(entries))
        self.references.append(self.scribe.write(TableKind.ROLL, [part], through=clear.seq))
        self.roll = ()

    def oldest(self) -> int:
        """Number of the oldest full point that is retained, as roll and journal say; doomed ones are not.

        Raises:
            StoreError: the journal cannot be read.
        """
        if self.head is None:
            return self.seq
        clear = self.head.manifest.clear
        journal = journal_of(self.repository, self.keys.scope.lineage, self.ledger).journal
        gone = journal.deleted()
        retained = {
            one.seq
            for one in full_roll(clear, self.scribe.shelf)
            if one.kind is PointKind.FULL and (one.seq, one.sha256) not in gone
        }
        return min(retained - journal.doomed().keys(), default=clear.seq)

    def _deleted(self) -> frozenset[tuple[int, bytes]]:
        """Points that were deleted; none where the journal cannot be read: then they stay on the roll."""
        try:
            heard = journal_of(self.repository, self.keys.scope.lineage, self.ledger)
        except StoreError as error:
            self.repository.warnings.append(f"the journal of deletions cannot be read: {error}")
            return frozenset()
        return heard.journal.deleted()
