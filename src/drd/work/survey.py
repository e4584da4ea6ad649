"""A lineage before deletion: everything that decides, and everything that forbids it.

Nothing is deleted in a lineage of which not all is known. What stops it, each told by name:

1. a manifest that cannot be read, unless its point is doomed (its deletion may have begun);
2. an object in the lineage's folders that is not drd's;
3. newest points that this host knew of and the bucket does not show;
4. a manifest that the newest roll names, or that was known here, and that is gone without the journal
   saying so, or was exchanged;
5. a clock behind the newest commit;
6. statements of the journal, or holds, that cannot be heard.

What was verified once is in the ledger, with the trust document of then: under another one all is read
again, because a key that was revoked since may have signed it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from drd.core import liveness, names
from drd.core.journal import Journal, Named
from drd.core.manifest import Clear, Manifest
from drd.core.trust import last_good
from drd.errors import IntegrityError, ObjectMissingError, RefusedError
from drd.model import KnownPoint, PointKind, TableSpan
from drd.pipeline.ordered import ordered
from drd.ports import Catalogue, Ledger
from drd.work.clearparts import ClearParts
from drd.work.history import read_manifest
from drd.work.holds import holds_of
from drd.work.journals import journal_of
from drd.work.lineagekeys import LineageKeys, load_keys
from drd.work.repository import Repository
from drd.work.rolls import full_roll
from drd.work.shelf import Shelf

HOPELESS = "nothing is deleted in this lineage until that is understood"
_AHEAD = 16


@dataclass(slots=True)
class Survey:
    """What is known of one lineage now; ``points`` and ``spans`` shrink as deletion goes on.

    ``broken`` are numbers of doomed points whose manifests cannot be read any more. ``held`` are
    numbers of points; so are ``last_good``, those that trust names as the last good ones of revoked keys
    and that are there.
    """

    keys: LineageKeys
    points: dict[int, KnownPoint]
    spans: dict[bytes, TableSpan]
    broken: frozenset[int]
    journal: Journal
    held: frozenset[int]
    last_good: frozenset[int]
    newest: Clear
    clears: ClearParts

    @property
    def lineage(self) -> bytes:
        """Its id."""
        return self.keys.scope.lineage

    @property
    def newest_full(self) -> int:
        """Number of the newest full point; 0 when there is none."""
        full = [one.seq for one in self.points.values() if one.kind is PointKind.FULL]
        return max(full, default=0)

    def unfinished(self) -> frozenset[int]:
        """Partial points that a run may resume from: those after the newest full one."""
        newest = self.newest_full
        return frozenset(
            one.seq
            for one in self.points.values()
            if one.kind is PointKind.PARTIAL and one.seq > newest
        )


def survey(
    repository: Repository,
    catalogue: Catalogue,
    lineage: bytes,
    *,
    pool: Executor,
    now: Callable[[], datetime],
) -> Survey:
    """Look at everything; see the module.

    Raises:
        IntegrityError: something is damaged, missing or exchanged.
        RefusedError: the bucket hides points, holds foreign objects, or the clock is wrong.
        KeyAccessError: the lineage's metadata key does not open.
        StoreError: the store failed.
    """
    tenant = repository.tenant
    keys = load_keys(repository, lineage)
    _no_strangers(repository, [names.key_folder(tenant, lineage)])
    before = _before(catalogue, tenant, lineage)
    listed = _manifests(repository, lineage)
    heard = journal_of(repository, lineage, catalogue.ledger)
    if heard.problems:
        raise IntegrityError(
            f"the journal of deletions cannot be heard: {heard.problems[0]}",
            about=lineage.hex(),
            hint=HOPELESS,
        )
    doomed = heard.journal.doomed()
    learnt = _learn(repository, before, lineage, listed, pool=pool, forgiven=doomed)
    points, spans = learnt.points, learnt.spans
    _check_head(points, before.highest, lineage)
    _check_gone(before.points, points, heard.journal, learnt.broken)
    newest = read_manifest(repository, lineage, max(points))
    _check_newest(newest, points, spans)
    roll = full_roll(newest.clear, Shelf(repository.store, keys))
    named = tuple((one.seq, one.sha256) for one in roll)
    _check_roll(named, newest.clear, learnt, heard.journal)
    if newest.clear.committed_at > now():
        raise RefusedError(
            f"the clock says {now().isoformat()}, the newest point was committed at "
            f"{newest.clear.committed_at.isoformat()}",
            about=lineage.hex(),
            hint="set the clock of this host; nothing was deleted",
        )
    gone = before.points.keys() - points.keys() - learnt.broken
    if gone:
        catalogue.ledger.drop(tenant, lineage, seqs=gone, tables=())
    return Survey(
        keys=keys,
        points=points,
        spans=spans,
        broken=learnt.broken,
        journal=heard.journal,
        held=held_now(repository, lineage, now()),
        last_good=last_good(repository.trust, lineage) & points.keys(),
        newest=newest.clear,
        clears=ClearParts(keys, catalogue.ledger, pool),
    )


def held_now(repository: Repository, lineage: bytes, now: datetime) -> frozenset[int]:
    """What is held, read now; holds that are over at *now* hold nothing.

    Raises:
        IntegrityError: a hold cannot be heard; it is not known what it is about.
        StoreError: holds cannot be read.
    """
    holds = holds_of(repository, None, lineage, now=now)
    if holds.problems:
        raise IntegrityError(
            f"a hold cannot be heard: {holds.problems[0]}", about=lineage.hex(), hint=HOPELESS
        )
    return holds.seqs


def check_objects(repository: Repository, lineage: bytes) -> None:
    """Whether all that lies among the packs and tables of *lineage* is drd's: a LIST of each folder.

    Raises:
        RefusedError: something is not.
    """
    tenant = repository.tenant
    folders = [names.pack_folder(tenant, lineage), names.table_folder(tenant, lineage)]
    _no_strangers(repository, folders)


def _no_strangers(repository: Repository, folders: Iterable[str]) -> None:
    for folder in folders:
        for listed in repository.store.list(folder):
            if not names.is_known(listed.key):
                raise _stranger(listed.key)


def _stranger(key: str) -> RefusedError:
    return RefusedError(
        "an object in this lineage's folders is not one of drd's",
        about=key,
        hint="find out who put it there, and move it away; nothing was deleted in this lineage",
    )


def _manifests(repository: Repository, lineage: bytes) -> list[int]:
    """Numbers of the manifests that are listed."""
    found = []
    for listed in repository.store.list(names.manifest_folder(repository.tenant, lineage)):
        place = names.parse_manifest_key(listed.key)
        if place is None:
            raise _stranger(listed.key)
        found.append(place[2])
    if not found:
        raise RefusedError(
            "this lineage has no manifest in the bucket", about=lineage.hex(), hint=HOPELESS
        )
    return found


@dataclass(frozen=True, slots=True)
class _Before:
    """What this host knew, of whatever trust, before it asked the bucket: a dry run holds no lease, and
    what a run of this host commits meanwhile is then news, and nothing that is missing.
    """

    ledger: Ledger
    points: Mapping[int, KnownPoint]
    spans: Mapping[bytes, TableSpan]
    highest: int


def _before(catalogue: Catalogue, tenant: bytes, lineage: bytes) -> _Before:
    points, spans = catalogue.ledger.known(tenant, lineage)
    highest = max(catalogue.highest(tenant, lineage), max(points, default=0))
    return _Before(catalogue.ledger, points, spans, highest)


@dataclass(slots=True)
class _Learnt:
    """What is known now; ``broken`` as in :class:`Survey`."""

    points: dict[int, KnownPoint]
    spans: dict[bytes, TableSpan]
    broken: frozenset[int]


def _learn(
    repository: Repository,
    before: _Before,
    lineage: bytes,
    listed: Collection[int],
    *,
    pool: Executor,
    forgiven: Collection[int],
) -> _Learnt:
    """Read the manifests that are not known; a *forgiven* one may be unreadable."""
    tenant, trust = repository.tenant, repository.trust.sha256
    ledger, there = before.ledger, set(listed)
    points = {seq: one for seq, one in before.points.items() if one.trust == trust and seq in there}

    def read(seq: int) -> Manifest | None:
        try:
            return read_manifest(repository, lineage, seq)
        except (IntegrityError, ObjectMissingError) as error:
            if seq in forgiven:
                return None
            raise IntegrityError(
                f"a manifest cannot be read: {error.message}",
                about=names.manifest_key(tenant, lineage, seq),
                hint="'drctl verify' tells more; " + HOPELESS,
            ) from error

    unknown = sorted(there - points.keys())
    fresh = [one for one in ordered(pool, read, unknown, ahead=_AHEAD) if one is not None]
    changed = liveness.widen(before.spans, [one.clear for one in fresh])
    new = [_known_point(one, trust) for one in fresh]
    if new:
        ledger.note(tenant, lineage, points=new, spans=changed.values())
    points |= {one.seq: one for one in new}
    every = {**before.spans, **changed}
    # What no manifest names any more was deleted, by another host perhaps, or is an orphan.
    spans = {one.table_id: one for one in liveness.living(every.values(), there)}
    if len(spans) < len(every):
        ledger.drop(tenant, lineage, seqs=(), tables=every.keys() - spans.keys())
    return _Learnt(points, spans, frozenset(there - points.keys()))


def _known_point(manifest: Manifest, trust: bytes) -> KnownPoint:
    clear = manifest.clear
    return KnownPoint(
        seq=clear.seq,
        sha256=manifest.sha256,
        kind=clear.kind,
        point_at=clear.point_at,
        committed_at=clear.committed_at,
        trust=trust,
    )


def _check_head(points: Mapping[int, KnownPoint], known: int, lineage: bytes) -> None:
    seq = max(points, default=0)
    if known > seq:
        raise RefusedError(
            f"the newest point in the bucket is {seq}, but point {known} was there",
            about=lineage.hex(),
            hint="somebody hides or removed points: ask the owner of the bucket; " + HOPELESS,
        )


def _check_gone(
    remembered: Mapping[int, KnownPoint],
    points: Mapping[int, KnownPoint],
    journal: Journal,
    broken: Collection[int],
) -> None:
    """What was known here is there, the same as it was, or was deleted as the journal says."""
    covered = journal.covered()
    for seq, one in sorted(remembered.items()):
        there = points.get(seq)
        if there is not None and there.sha256 != one.sha256:
            raise IntegrityError(
                f"the manifest of point {seq} is another than it was", hint=HOPELESS
            )
        if there is None and seq not in broken and (seq, one.sha256) not in covered:
            raise _unexplained(seq)


def _unexplained(seq: int) -> IntegrityError:
    return IntegrityError(
        f"the manifest of point {seq} is gone, and no journal of deletions says so",
        hint="somebody hides or removed it: ask the owner of the bucket; " + HOPELESS,
    )


def _check_newest(
    newest: Manifest, points: Mapping[int, KnownPoint], spans: Mapping[bytes, TableSpan]
) -> None:
    """The newest manifest, read anew, is the one that is known, and its tables are."""
    seq = newest.clear.seq
    if newest.sha256 != points[seq].sha256:
        raise IntegrityError(f"the manifest of point {seq} is another than it was", hint=HOPELESS)
    for one in newest.clear.references:
        span = spans.get(one.table_id)
        if span is None or not span.first <= seq <= span.last or span.sha256 != one.sha256:
            raise IntegrityError(
                "what this host knows of the lineage's tables is wrong",
                hint="'drctl catalogue rebuild' learns it anew; nothing was deleted",
            )


def _check_roll(roll: Named, newest: Clear, learnt: _Learnt, journal: Journal) -> None:
    """Every manifest on the roll is there, the same, or was deleted as the journal says."""
    covered = journal.covered()
    before = [newest.predecessor] if newest.predecessor is not None else []
    for seq, sha256 in [*roll, *before]:
        there = learnt.points.get(seq)
        if there is None and seq not in learnt.broken and (seq, sha256) not in covered:
            raise _unexplained(seq)
        if there is not None and there.sha256 != sha256:
            raise IntegrityError(
                f"the manifest of point {seq} is not the one that the roll names", hint=HOPELESS
            )
