"""Prune: delete what is dead, and nothing else, in two phases.

The story of one lineage, under its lease:

1. *Survey* (:mod:`drd.work.survey`). Everything that decides is read; anything that is not as it must be
   stops deletion in this lineage, and others go on.
2. *Decide*, by the keep rules and the holds. The newest point, held ones, those that trust names as the
   last good ones of revoked keys, unfinished runs and ``min_points`` stay whatever the rules say; without
   rules all stays.
3. *Spare.* A doomed point that is kept by now is a recovery point again, if nothing of it was deleted.
4. *Sweep* (:mod:`drd.work.sweep`), the second phase: each doomed list whose grace is over, oldest first.
   A list that cannot be swept yet keeps those after it waiting: what they name stays restorable until then.
5. *Doom*, the first phase: points that no rule keeps, and the packs and tables that nothing else reaches,
   are written down in a signed list. From then on they are not restored.

A crash between any two effects leaves points that are whole or doomed, and the next prune goes on. Of
several nodes each may prune: the lease keeps them apart, and where it fails, the journal's numbers do.
Nothing that a backup under way needs is ever on a list: its map derives from a point that is a root.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from typing import Final

from drd.core import journal as journals
from drd.core import liveness, names, retention
from drd.core.journal import DoomedList
from drd.core.retention import Decision, Keep
from drd.errors import DrdError, IntegrityError, ObjectMissingError, RefusedError
from drd.model import Json, KnownPoint, PointInfo, PointKind, TableSpan
from drd.ports import Catalogue, Held, Lease, Now, Random, Store
from drd.work.bench import leased
from drd.work.history import read_manifest
from drd.work.holds import over
from drd.work.journals import put_at, write
from drd.work.listing import full_points
from drd.work.orphans import orphans
from drd.work.repository import Repository
from drd.work.results import superseded
from drd.work.survey import Survey, check_objects, held_now, survey
from drd.work.sweep import Knife, store_time, sweep

CLOCK_SLACK: Final = timedelta(minutes=10)
"""So far may this host's clock and the store's be apart (S3 itself refuses requests at 15 minutes)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """By what a lineage is pruned: the keep rules (None loses nothing) in a zone, and whose they are."""

    policy: str
    keep: Keep | None
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Pruner:
    """With what a prune works. *deleter* is the store as the principal sees it that may delete."""

    repository: Repository
    catalogue: Catalogue
    lease: Lease
    deleter: Store
    transfers: Executor
    now: Now
    random: Random
    grace: timedelta
    orphans_after: timedelta
    orphans: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class Pruned:
    """What was done (of a dry run: what would be) in one lineage.

    ``points`` counts full points that are left, doomed ones among them; ``waiting`` are doomed ones whose
    grace is not over. ``packs``, ``tables`` and ``bytes_freed`` are what was deleted, ``bytes_doomed`` what
    this call wrote on a list. ``stopped`` is what stopped deletion; what was done until then is told.
    ``left_out`` is why nothing was done, where that is another host's business.
    """

    lineage: bytes
    name: str
    policy: str = ""
    points: int = 0
    doomed: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    spared: list[int] = field(default_factory=list)
    packs: int = 0
    tables: int = 0
    orphans: int = 0
    bytes_freed: int = 0
    bytes_doomed: int = 0
    decisions: list[Decision] = field(default_factory=list)
    stopped: DrdError | None = None
    left_out: str = ""


def prune(pruner: Pruner, points: Sequence[PointInfo], rules: Rules) -> Pruned:
    """Prune the lineage of *points* (all of it that is known, by number); see the module.

    What stops it is told in the result, and raises nothing.
    """
    last = (full_points(points) or points)[-1]
    done = Pruned(last.lineage, last.name, rules.policy)
    try:
        if pruner.dry_run:
            _Pass(pruner, None, rules, done).run()
        else:
            with leased(pruner.lease, last.identity, last.name) as held:
                _Pass(pruner, held, rules, done).run()
    except DrdError as error:
        done.stopped = error
    return done


class _Pass:
    """One lineage under way. *held* is the lease; None for a dry run."""

    def __init__(self, pruner: Pruner, held: Held | None, rules: Rules, done: Pruned) -> None:
        self._pruner, self._held, self._rules, self._done = pruner, held, rules, done
        self._now = pruner.now()
        self._store_now: datetime | None = None
        self._intact: dict[int, bool] = {}
        self._survey: Survey = survey(
            pruner.repository,
            pruner.catalogue,
            done.lineage,
            pool=pruner.transfers,
            now=pruner.now,
        )

    def run(self) -> None:
        """The story of the module."""
        self._check_rules()
        try:
            self._decide()
            self._spare()
            self._sweep()
            self._doom()
            if self._pruner.orphans:
                self._drop_orphans()
            self._drop_old_statements()
        finally:
            full = [one for one in self._survey.points.values() if one.kind is PointKind.FULL]
            self._done.points = len(full)
            new = set(self._done.doomed)
            self._done.waiting = sorted(self._survey.journal.doomed().keys() - new)

    # ── decide ──────────────────────────────────────────────────────────────────────────────────

    def _check_rules(self) -> None:
        keep = self._rules.keep
        if keep is not None and keep == replace(Keep(), minimum=keep.minimum):
            raise RefusedError(
                f"the keep rules of policy {self._rules.policy!r} keep nothing but the newest point",
                about=self._done.name,
                hint="write how many are to stay, or leave keep out: then nothing is deleted",
            )

    def _decide(self) -> None:
        """Decide on full points. A doomed one of which something is deleted already cannot stand for
        others: without it the rules are asked again.
        """
        survey, rules = self._survey, self._rules
        doomed = survey.journal.doomed()
        lost: set[int] = set()
        while True:
            there = [
                one
                for one in survey.points.values()
                if one.kind is PointKind.FULL and one.seq not in lost
            ]
            decisions = retention.decide_points(
                there,
                rules.keep,
                self._now,
                zone=rules.zone,
                held=survey.held,
                last_good=survey.last_good,
            )
            decisions += self._unfinished_last_good(lost)
            torn = {
                one.seq
                for one in decisions
                if one.keep and one.seq in doomed and not self._is_whole(one.seq, doomed[one.seq])
            }
            if not torn:
                break
            lost |= torn
        gone = [survey.points[seq] for seq in sorted(lost)]
        decisions += [_begun(one) for one in gone]
        self._done.decisions = sorted(decisions, key=lambda one: (one.time, one.seq or 0))

    def _unfinished_last_good(self, lost: Collection[int]) -> list[Decision]:
        """Partial points that trust names: no rule asks about them, and they vouch as full ones do."""
        named = [self._survey.points[seq] for seq in self._survey.last_good - set(lost)]
        return [
            Decision(one.point_at, keep=True, reasons=(retention.LAST_GOOD,), seq=one.seq)
            for one in named
            if one.kind is PointKind.PARTIAL
        ]

    def _kept(self) -> frozenset[int]:
        return frozenset(one.seq for one in self._done.decisions if one.keep and one.seq)

    def _is_whole(self, seq: int, doomed: DoomedList) -> bool:
        """Whether a doomed point still has everything that its list names of it."""
        if seq not in self._intact:
            try:
                self._look_for(seq, doomed)
                self._intact[seq] = True
            except (IntegrityError, ObjectMissingError):
                self._intact[seq] = False
        return self._intact[seq]

    def _look_for(self, seq: int, doomed: DoomedList) -> None:
        survey, repository = self._survey, self._pruner.repository
        tenant, lineage = repository.tenant, survey.lineage
        manifest = read_manifest(repository, lineage, seq)
        spans = [survey.spans[one.table_id] for one in manifest.clear.references]
        reached = liveness.packs_reached(survey.clears.of(spans).values())
        keys = [
            names.table_key(tenant, lineage, one.table_id)
            for one in spans
            if one.table_id in doomed.tables
        ]
        keys += [
            names.pack_key(tenant, lineage, one) for one in sorted(reached & doomed.packs.keys())
        ]
        for key in keys:  # asked by LIST: who may not read packs prunes all the same
            if not repository.store.versions(key):
                raise ObjectMissingError("deleted already", about=key)

    # ── spare ───────────────────────────────────────────────────────────────────────────────────

    def _spare(self) -> None:
        survey, kept = self._survey, self._kept()
        for doomed in survey.journal.open:
            again = tuple(one for one in survey.journal.left(doomed) if one[0] in kept)
            if not again:
                continue
            self._say(journals.SPARED, journals.answer(doomed.number, again))
            self._done.spared += [seq for seq, _ in again]

    def _say(self, kind: str, clear: Mapping[str, Json]) -> None:
        """Write the next statement; a dry run only acts as if."""
        survey, pruner = self._survey, self._pruner
        if self._held is None:
            journal = survey.journal
            journal.add(journal.next(kind, clear, scope=survey.keys.scope, at=self._now))
            return
        self._held.check()
        write(survey.keys, survey.journal, kind, clear, now=pruner.now, random=pruner.random)

    # ── sweep ───────────────────────────────────────────────────────────────────────────────────

    def _sweep(self) -> None:
        for doomed in self._survey.journal.open:
            if not self._is_due(doomed):
                return
            self._sweep_list(doomed)

    def _is_due(self, doomed: DoomedList) -> bool:
        """Whether the grace is over, by the store's clock alone, and a newer full point is there."""
        survey, pruner = self._survey, self._pruner
        if survey.newest_full <= doomed.newest:
            return False
        put = put_at(pruner.repository, survey.lineage, doomed.number)
        return self._time() - put >= pruner.grace

    def _time(self) -> datetime:
        """Now by the store's clock, asked once; a dry run, which writes nothing, takes this host's.

        Raises:
            RefusedError: the two are too far apart: one of them was moved.
        """
        if self._held is None:
            return self._now
        if self._store_now is None:
            pruner = self._pruner
            told, mine = store_time(pruner.repository.store, pruner.random), pruner.now()
            if abs(told - mine) > CLOCK_SLACK:
                raise RefusedError(
                    f"this host's clock says {mine.isoformat()}, the store's {told.isoformat()}",
                    about=self._done.name,
                    hint="set the one that is wrong; nothing was deleted",
                )
            self._store_now = told
        return self._store_now

    def _sweep_list(self, doomed: DoomedList) -> None:
        survey, done, pruner = self._survey, self._done, self._pruner
        left = survey.journal.left(doomed)
        going = frozenset(seq for seq, _ in left)
        self._check_going(left)
        check_objects(pruner.repository, survey.lineage)
        dead = self._still_dead(doomed, going)
        if self._held is not None:
            knife = Knife(pruner.deleter, self._held, pruner.repository.tenant, survey.lineage)
            sweep(knife, dead, going)
        self._say(journals.DELETED, journals.answer(doomed.number, left))
        done.deleted += sorted(going)
        done.packs += len(dead.packs)
        done.tables += len(dead.tables)
        done.bytes_freed += sum(dead.packs.values()) + sum(one.size for one in dead.tables)
        self._forget(going, [one.table_id for one in dead.tables])

    def _still_dead(self, doomed: DoomedList, going: frozenset[int]) -> liveness.Dead:
        """What of a list no point reaches now but those that go with it."""
        survey = self._survey
        alive = liveness.living(survey.spans.values(), survey.points.keys() - going)
        needed = {one.table_id for one in alive}
        reached = liveness.packs_reached(survey.clears.of(alive).values())
        tables = {one: size for one, size in doomed.tables.items() if one not in needed}
        packs = {one: size for one, size in doomed.packs.items() if one not in reached}
        return liveness.Dead(tuple(_bare(one, size) for one, size in sorted(tables.items())), packs)

    def _check_going(self, left: journals.Named) -> None:
        """The last look before the first deletion of a list: holds, roots and hashes once more.

        Raises:
            RefusedError: one of its points must stay after all; the next prune spares it.
            IntegrityError: a manifest is not the one that was doomed.
        """
        survey = self._survey
        held = held_now(self._pruner.repository, survey.lineage, self._pruner.now())
        must_stay = {survey.newest_full, survey.newest.seq, *survey.unfinished(), *self._kept()}
        for seq, sha256 in left:
            if seq in held and not self._intact.get(seq, True):
                raise RefusedError(
                    f"point {seq} is held, and its deletion had begun before: it does not restore",
                    about=self._done.name,
                    hint=f"nothing more is deleted; 'drctl hold rm {self._done.name}@{seq}' lets it go",
                )
            if seq in survey.last_good:
                raise RefusedError(
                    f"trust names point {seq} as the last good one of a revoked key, and its deletion "
                    "had begun before: it does not restore",
                    about=self._done.name,
                    hint="nothing more is deleted: its manifest vouches for the keys of this lineage",
                )
            if seq in must_stay or seq in held:
                raise RefusedError(
                    f"point {seq} is doomed, and must stay by now",
                    about=self._done.name,
                    hint="nothing more of its list is deleted; the next prune spares it",
                )
            there = survey.points.get(seq)
            if there is not None and there.sha256 != sha256:
                raise IntegrityError(
                    f"the manifest of point {seq} is not the one that was doomed",
                    about=self._done.name,
                )

    def _forget(self, seqs: frozenset[int], tables: Sequence[bytes]) -> None:
        survey, pruner = self._survey, self._pruner
        tenant, lineage = pruner.repository.tenant, survey.lineage
        for seq in seqs:
            survey.points.pop(seq, None)
        for table in tables:
            survey.spans.pop(table, None)
        if self._held is not None:
            pruner.catalogue.ledger.drop(tenant, lineage, seqs=seqs, tables=tables)
            pruner.catalogue.forget(names.manifest_key(tenant, lineage, seq) for seq in seqs)

    # ── doom ────────────────────────────────────────────────────────────────────────────────────

    def _doom(self) -> None:
        survey, done = self._survey, self._done
        already = survey.journal.doomed().keys()
        stay = self._kept() | survey.held | survey.last_good | survey.unfinished()
        stay |= {survey.newest_full}
        condemned = survey.points.keys() - stay - already
        if not condemned:
            return
        roots = survey.points.keys() - condemned - already
        dead = self._dead(roots)
        check_objects(self._pruner.repository, survey.lineage)
        self._time()
        points = tuple((seq, survey.points[seq].sha256) for seq in sorted(condemned))
        doomed = DoomedList(
            number=survey.journal.last + 1,
            at=self._now,
            points=points,
            packs=dead.packs,
            tables={one.table_id: one.size for one in dead.tables},
            newest=survey.newest_full,
            ordinal=survey.newest.ordinal,
            roots=len(roots),
        )
        self._say(journals.DOOMED, doomed.clear())
        done.doomed = sorted(condemned)
        done.bytes_doomed = sum(doomed.packs.values()) + sum(doomed.tables.values())

    def _dead(self, roots: set[int]) -> liveness.Dead:
        """What none of *roots* reaches, and no open list names."""
        survey = self._survey
        tables = {one for doomed in survey.journal.open for one in doomed.tables}
        packs = {one for doomed in survey.journal.open for one in doomed.packs}
        alive = {one.table_id for one in liveness.living(survey.spans.values(), roots)}
        spans = [
            one
            for table_id, one in survey.spans.items()
            if table_id in alive or table_id not in tables
        ]
        dead = liveness.dead(spans, survey.clears.of(spans), roots)
        return liveness.Dead(
            tuple(one for one in dead.tables if one.table_id not in tables),
            {one: size for one, size in dead.packs.items() if one not in packs},
        )

    # ── orphans ─────────────────────────────────────────────────────────────────────────────────

    def _drop_orphans(self) -> None:
        pruner, survey, done = self._pruner, self._survey, self._done
        check_objects(pruner.repository, survey.lineage)
        before = self._time() - pruner.orphans_after
        for one in orphans(pruner.repository, survey, before=before):
            if self._held is not None:
                Knife(pruner.deleter, self._held, pruner.repository.tenant, survey.lineage).purge(
                    one.key
                )
            done.orphans += 1
            done.bytes_freed += one.size

    def _drop_old_statements(self) -> None:
        """Results of verifies that newer ones have followed, and holds that are over by themselves: without
        this there were more each day.
        """
        pruner, survey = self._pruner, self._survey
        if self._held is None:
            return
        knife = Knife(pruner.deleter, self._held, pruner.repository.tenant, survey.lineage)
        for key in superseded(pruner.repository, survey.lineage, self._now):
            knife.purge(key)
        ended = over(pruner.repository, survey.lineage, self._now)
        if ended:
            # By this host's clock: one that is ahead would end the hold of a restore under way.
            self._time()
        for key in ended:
            knife.purge(key)


def _begun(point: KnownPoint) -> Decision:
    reason = "doomed, and its deletion has begun: it cannot be spared"
    return Decision(point.point_at, keep=False, reasons=(reason,), seq=point.seq)


def _bare(table_id: bytes, size: int) -> TableSpan:
    """A table of which only the id matters any more."""
    return TableSpan(table_id, 0, size, b"", "", first=0, last=0)
