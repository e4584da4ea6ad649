"""A point under way: look, pack, commit partial points, commit the full one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from drd.core import hybrid, pack
from drd.core.cells import Lens
from drd.core.digest import ROOT_MODULUS, DigestKeys, root_bytes, size_term
from drd.core.refill import SHARE
from drd.core.sections import Item
from drd.core.tables import TableKind
from drd.errors import IntegrityError, RefusedError, StoppedError, StoreError
from drd.model import IMAGE_GEOMETRY, Found, Json, PointKind, Progress, Snapshot
from drd.pipeline.packing import Packed, Packer, Placed, Press, Seal
from drd.ports import FreezeOrder, Frozen, Held
from drd.work import layout
from drd.work.bench import Bench
from drd.work.draft import Draft
from drd.work.history import Point, read_manifest
from drd.work.layout import Space
from drd.work.lineagekeys import LineageKeys
from drd.work.looking import Looker, View
from drd.work.merging import Scribe
from drd.work.pointmap import PointMap
from drd.work.refilling import Account, Kept, Memory, Refill, plan
from drd.work.shelf import Shelf


@dataclass(slots=True)
class Under:
    """A run under way: ``keep`` has the ids of snapshots that points need which are committed, or may
    be.
    """

    bench: Bench
    found: Found
    held: Held
    warnings: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)


class Making:
    """The point under way: looks, packs, commits partial points, commits the full one."""

    def __init__(
        self,
        under: Under,
        keys: LineageKeys,
        head: Point | None,
        *,
        frozen: Frozen,
        order: FreezeOrder,
    ) -> None:
        self.under, self.bench, self.frozen = under, under.bench, frozen
        self.keys, self.head = keys, head
        self.resumed = order.resume is not None and frozen.snapshot.id == order.resume.id
        self.digest_key = head.hex("digest_key", 32) if head else under.bench.random(32)
        self.digest_keys = DigestKeys.derive(self.digest_key, keys.scope)
        bench, geometry = under.bench, IMAGE_GEOMETRY
        store = bench.repository.store
        self.shelf = Shelf(store, keys)
        scribe = Scribe(store, keys, self.shelf, bench.random, geometry, bench.knobs.fanout)
        references = head.manifest.clear.references if head else ()
        self.map = PointMap(self.shelf, references, geometry)
        self.shelf.warm((one for one in references if one.kind is TableKind.RUN), bench.transfers)
        self._place_item()
        self.seal_with = self._new_epoch()
        self.draft = Draft(bench.repository, keys, scribe, self.seal_with, head, list(references))
        self.draft.promise = bench.promise
        self.draft.ledger = bench.catalogue.ledger
        knobs = bench.knobs
        press = Press(
            geometry, knobs.pack_size, knobs.in_flight, bench.random, store.put, bench.transfers
        )
        first = head.manifest.clear.ordinal if head else 1
        self.packer = Packer(self.seal_with, press, first_ordinal=first)
        self.partial = 0  # number of the partial point that this run committed last
        self.account = Account.of(head)
        self.refill = self._refill()
        self.draft.emptied = self.refill.packs
        self.looker = self._looker()

    def _place_item(self) -> None:
        """The image's item, grown where the image has grown; the root with its size."""
        head, size = self.head, self.frozen.snapshot.size
        old = None
        space = Space()
        self.root = 0
        if head is not None:
            old = layout.only_item(self.map.items(), head.number("item"))
            space = Space(head.number("next_item"), head.number("next_cell"))
            self.root = int.from_bytes(head.hex("root", 32), "big")
            self.root -= size_term(self.digest_keys.root, old.item_id, old.size)
        self.item, self.space = layout.fit(old, size, name="", space=space, geometry=IMAGE_GEOMETRY)
        self.root += size_term(self.digest_keys.root, self.item.item_id, size)
        self.resized_from = old.size if old else None
        self.new_item: Item | None = None if old == self.item else self.item

    def _new_epoch(self) -> Seal:
        """A data key for this run, sealed to the generation: no secret is needed to write."""
        random, keys = self.bench.random, self.keys
        generation = keys.current
        epoch_id, epoch_key = random(16), random(32)
        info = pack.epoch_info(keys.scope, generation.number, epoch_id)
        sealed = hybrid.seal_to(generation.public, info, epoch_key)
        epoch = pack.Epoch(epoch_id, generation.number, generation.public_hash, sealed)
        metadata = keys.metadata(generation.number)
        return Seal(keys.scope, epoch, epoch_key, generation.number, metadata)

    def _looker(self) -> Looker:
        knobs, head = self.bench.knobs, self.head
        sample = head.table("sample").get("cursor", 0) if head else 0
        view = View(
            frozen=self.frozen,
            item=self.item,
            stored=self.map.digests,
            resized_from=self.resized_from,
            from_cell=head.number("cursor") if head and self.resumed else 0,
            sample_from=sample if isinstance(sample, int) else 0,
            sample_cells=knobs.sample_cells,
            again=self._again(),
            refill=self.refill.blocks if self.refill.packs else None,
        )
        lens = Lens(IMAGE_GEOMETRY, self.digest_keys, self.item.item_id, knobs.frame_size)
        ahead = 3 * knobs.workers
        return Looker(view, lens, self.bench.cpu, level=knobs.zstd_level, ahead=ahead)

    def _again(self) -> Callable[[int], npt.NDArray[np.bool_]] | None:
        """Cells of a window, of which the map has blocks in packs that a repair could not heal."""
        scope = self.keys.scope
        known = self.bench.catalogue.damage_of(scope.tenant, scope.lineage)
        if known is None or not known.packs or self.head is None:
            return None
        rows = self.map.rows().rows
        lost = np.asarray([one.ordinal for one in rows if one.pack_id in known.packs], np.uint32)
        return (lambda window: self.map.cells_in(window, lost)) if len(lost) else None

    def _refill(self) -> Refill:
        """Sparse packs whose blocks this run puts again; none where it goes on with another's work, and
        where a table cannot be read: a backup of what changed does not fail by that.
        """
        knobs, account = self.bench.knobs, self.account
        if not knobs.refill or not account.due(self.head, knobs.fanout):
            return Refill(self.map)
        self.account = Account()
        budget = account.changed // SHARE + knobs.pack_size
        scope, ledger = self.keys.scope, self.bench.catalogue.ledger
        memory = Memory.of(ledger.needs(scope.tenant, scope.lineage), self._beat)
        try:
            found = plan(
                self.map,
                memory,
                fanout=knobs.fanout,
                budget=budget,
                kept=lambda sparse: self._kept(memory, sparse),
            )
            memory.forget_others()
        except (IntegrityError, StoreError) as error:
            self.under.warnings.append(f"no sparse pack is refilled this time: {error}")
            return Refill(self.map)
        finally:  # also of a look that is stopped: the next one goes on from there
            ledger.note_needs(scope.tenant, scope.lineage, memory.encoded())
        return found

    def _kept(self, memory: Memory, sparse: frozenset[int]) -> Kept:
        """What the oldest retained point needs of the *sparse* packs.

        Raises:
            IntegrityError, StoreError: it cannot be told.
        """
        scope = self.keys.scope
        clear = read_manifest(self.bench.repository, scope.lineage, self.draft.oldest()).clear
        oldest = PointMap.of(self.shelf, clear, IMAGE_GEOMETRY)
        return Kept.by(oldest, clear.ordinal, memory, sparse=sparse)

    def _beat(self) -> None:
        """A sign of life in the middle of something that takes long.

        Raises:
            RefusedError: the lease was lost.
            StoppedError: somebody wants the run to end.
        """
        self.under.held.heed()
        if self.bench.stopping():
            self._stop()
        self.bench.report(Progress("backup", 0, self.frozen.snapshot.size))

    def run(self) -> Point:
        """Look at everything, put what differs, commit."""
        size = self.frozen.snapshot.size
        try:
            self._look()
        finally:
            self._warn_of_suspects()  # the operator must learn of it, whatever becomes of this run
        self._warn_of_doubts()
        self.draft.unlist()
        point = self._commit(PointKind.FULL, self._facts(points=1))
        self.bench.report(Progress("backup", size, size))
        return point

    def _look(self) -> None:
        """Look at everything, and put what differs, unless somebody wants it to stop before."""
        knobs = self.bench.knobs
        partial_after = max(1, knobs.partial_packs - knobs.in_flight)
        for placed in self._placed():
            self.under.held.heed()
            if placed is not None and len(placed.difference.cell):
                self.packer.add(placed)
            if placed is None or self.bench.stopping():
                self._stop()
            stored = self.packer.stored(partial_after)
            if stored:
                self._commit_partial(stored)
            self._report(placed)
        self._take(self.packer.drain())

    def _placed(self) -> Iterator[Placed | None]:
        """Differences; None where reading was stopped, while it waited for its turn at the source."""
        try:
            yield from self.looker.look()
        except StoppedError:
            yield None

    def _report(self, placed: Placed) -> None:
        size = self.frozen.snapshot.size
        done = min(size, placed.cursor * IMAGE_GEOMETRY.cell)
        self.bench.report(Progress("backup", done, size))

    def _stop(self) -> NoReturn:
        """Commit what there is, so that the next run goes on from here."""
        packed = self.packer.drain()
        if packed:
            self._commit_partial(packed)
        error = StoppedError(
            "stopped before its end, as was asked",
            about=self.under.found.label,
            hint="the next run goes on from where this one was",
        )
        error.seq = self.partial
        raise error

    def _warn_of_doubts(self) -> None:
        """Say what the source has doubts about."""
        doubts = self.frozen.facts.get("warnings")
        self.under.warnings += [str(one) for one in doubts] if isinstance(doubts, list) else []

    def _warn_of_suspects(self) -> None:
        """Say what was found to be wrong: that is repaired in the next point, not in earlier ones."""
        tally = self.looker.tally
        found = tally.mismatched + tally.sample_missed
        if found and self.head is not None:
            self.under.warnings.append(
                f"{found} cells were not what the map restores: points up to {self.head.seq} are "
                "suspect; the next full point has them right"
            )

    def _take(self, packed: Sequence[Packed]) -> None:
        self.root += sum(one.root for one in packed)
        self.draft.add(packed, self.new_item)
        self.new_item = None

    def _commit_partial(self, packed: Sequence[Packed]) -> None:
        """What is stored so far survives a crash: resume goes on from its cursor."""
        self._take(packed)
        facts = self._facts()
        facts["cursor"] = packed[-1].cursor
        facts["base"] = snapshot_facts(self.frozen.base)
        self.partial = self._commit(PointKind.PARTIAL, facts).seq

    def _commit(self, kind: PointKind, facts: dict[str, Json]) -> Point:
        """Commit; from the PUT on a manifest may name this snapshot, whatever the store then says.

        Raises:
            RefusedError: the lease is lost, or another writer was first: ours is not there.
        """
        snapshot = self.frozen.snapshot
        signed = self.draft.sign(
            kind,
            facts,
            point_at=snapshot.taken_at,
            now=self.bench.now(),
            ordinal=self.packer.ordinal,
        )
        self.under.held.check()
        self.under.keep.append(snapshot.id)
        try:
            return self.draft.commit(signed)
        except RefusedError:
            self.under.keep.pop()  # another's manifest is there, so ours is not
            raise

    def _facts(self, *, points: int = 0) -> dict[str, Json]:
        """The sealed part: everything that a restore or the next point needs to know; *points* is how many
        full ones it makes.
        """
        found, snapshot, tally = self.under.found, self.frozen.snapshot, self.looker.tally
        return {
            "name": found.label,
            "source": found.source,
            "identity": found.identity,
            "snapshot": snapshot_facts(snapshot),
            "size": snapshot.size,
            "item": self.item.item_id,
            "next_item": self.space.next_item,
            "next_cell": self.space.next_cell,
            "block": IMAGE_GEOMETRY.block,
            "cell": IMAGE_GEOMETRY.cell,
            "digest_key": self.digest_key.hex(),
            "root": root_bytes(self.root % ROOT_MODULUS).hex(),
            "image": dict(self.frozen.facts),
            "sample": {"cursor": self.looker.next_sample(), "cells": tally.sampled},
            "distrust_base": tally.sample_missed > 0,
            "suspects": self._suspects(),
            "refill": self.account.facts(points, tally.blocks * IMAGE_GEOMETRY.block),
            "bytes_changed": tally.blocks * IMAGE_GEOMETRY.block,
            "bytes_read": tally.bytes_read,
            "tools": dict(self.bench.tools),
        }

    def _suspects(self) -> list[Json]:
        """What earlier points are known to be wrong, with what this run found added."""
        old = self.head.facts.get("suspects") if self.head else None
        suspects: list[Json] = list(old) if isinstance(old, list) else []
        tally = self.looker.tally
        found = tally.mismatched + tally.sample_missed
        if found and self.head is not None:
            suspects.append({"through": self.head.seq, "cells": found, "found_by": self.draft.seq})
        return suspects[-32:]


def snapshot_of(facts: object) -> Snapshot | None:
    """A snapshot as facts hold it; None for an empty table.

    Raises:
        IntegrityError: it lacks something, or holds nonsense.
    """
    if not isinstance(facts, dict) or not facts:
        return None
    try:
        return Snapshot(
            id=str(facts["id"]),
            name=str(facts["name"]),
            taken_at=datetime.fromisoformat(str(facts["taken_at"])).astimezone(UTC),
            size=int(facts["size"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise IntegrityError("a manifest has a damaged snapshot") from error


def snapshot_facts(snapshot: Snapshot | None) -> dict[str, Json]:
    """A snapshot as facts hold it."""
    if snapshot is None:
        return {}
    return {
        "id": snapshot.id,
        "name": snapshot.name,
        "taken_at": snapshot.taken_at.isoformat(),
        "size": snapshot.size,
    }
