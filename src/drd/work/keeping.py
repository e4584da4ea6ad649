"""Keep a point from a prune while it is restored: a hold that is over by itself.

1. Before the first byte is read the point is held for ``LASTS``, and then looked for once more: what a
   prune wrote on a list meanwhile is told before anything is written to the target.
2. While the restore lives, however slow its target is, a new hold follows each ``AGAIN``. The old one is
   left to run out: between the two there is no moment in which nothing holds the point.
3. At the end, however it ends, what still holds is released. Of a restore that was killed the last hold
   is over by itself, ``LASTS`` after it was made.
4. Who may not write, or does not sign for a host, restores all the same: one warning says that nothing
   holds the point. So it is with whatever else hinders a hold: only a point that is gone or doomed is
   refused. What a prune deletes then is told as that (:func:`refuse_deleted`), and not as damage.
5. Of a point that is doomed, and of which nothing is deleted, damage is damage: a hold may still save it.

When a hold is over is told by the clock of who restores, and compared with that of who prunes. S3 refuses
a clock that is 15 minutes wrong, and a prune stops when its own is 10 minutes off: so ``LASTS`` less
``AGAIN`` must be more than 25 minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event
from typing import Final

from drd.core import names
from drd.core.journal import DoomedList
from drd.errors import DrdError, NotFoundError, ObjectExistsError, ObjectMissingError
from drd.model import PointInfo
from drd.ports import Ledger
from drd.work.gaps import refuse_doomed
from drd.work.holds import Held, Speaker, hold, let_go
from drd.work.journals import journal_of, mark_doomed
from drd.work.lineagekeys import load_keys
from drd.work.repository import Repository
from drd.work.verify import Proof

LASTS: Final = timedelta(hours=1)
"""So long a hold is good that nobody renews: see the module."""
AGAIN: Final = timedelta(minutes=20)
"""A third of ``LASTS``: two attempts may fail."""
DONE: Final = "the restore is over"


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a hold is good, and when the next is made."""

    lasts: timedelta = LASTS
    again: timedelta = AGAIN


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds points, and with what.

    ``opens`` the repository with keys that sign for a host, and with a store that does not try for long: a
    restore at 3 am waits for it. What hinders goes to ``warnings``. ``ledger`` remembers journals;
    ``threads`` has one thread for each point that is held at a time.
    """

    opens: Callable[[], Repository]
    warnings: list[str]
    speaker: Speaker
    threads: Executor
    ledger: Ledger | None = None
    terms: Terms = Terms()


@contextmanager
def kept(holder: Holder, info: PointInfo) -> Iterator[None]:
    """Hold *info* for as long as the block takes; see the module.

    Raises:
        RefusedError: it is doomed by now.
        NotFoundError: it is gone.
    """
    keeping = _Keeping(holder, info)
    try:
        if not keeping.begin():
            yield
            return
        stop = Event()
        renewing = holder.threads.submit(keeping.renew, stop.wait)
        try:
            yield
        finally:
            stop.set()
            renewing.result()
    finally:
        keeping.end()


class _Keeping:
    """One point that is held, and the holds that were made of it."""

    def __init__(self, holder: Holder, info: PointInfo) -> None:
        self._holder = holder
        self._info = info
        self._point = f"{info.name}@{info.seq}"
        self._repository: Repository | None = None
        self._made: list[Held] = []
        self._failed = ""

    def begin(self) -> bool:
        """Rule 1; False where it cannot be held (rule 4)."""
        try:
            repository = self._repository = self._holder.opens()
        except DrdError as error:
            return self._cannot(error)
        try:
            self._hold(repository)
        except NotFoundError:
            raise
        except DrdError as error:
            return self._cannot(error)
        try:
            (marked,) = mark_doomed(repository, [self._info], self._holder.ledger)
        except DrdError as error:
            self._warn(
                f"{self._point} is held; whether a prune had doomed it before could not be asked: {error}"
            )
            return True
        refuse_doomed(marked)
        return True

    def _cannot(self, error: DrdError) -> bool:
        self._warn(
            f"nothing holds {self._point} while it is restored, so a prune may delete it: {error}"
        )
        return False

    def _warn(self, text: str) -> None:
        self._holder.warnings.append(text)

    def _hold(self, repository: Repository) -> None:
        speaker = self._holder.speaker
        until = speaker.now() + self._holder.terms.lasts
        why = f"restoring, until {until.isoformat(timespec='seconds')}"
        self._made.append(hold(repository, self._info, why, speaker, until=until))

    def renew(self, wait: Callable[[float], bool]) -> None:
        """Rule 2, until *wait* is told that it is over. What hinders it is tried again, and told once."""
        repository = self._repository
        while repository is not None and not wait(self._holder.terms.again.total_seconds()):
            try:
                self._hold(repository)
            except DrdError as error:
                self._failed = str(error)

    def end(self) -> None:
        """Rule 3; what hinders it is a warning: the hold runs out."""
        if self._failed:
            self._warn(f"the hold on {self._point} could not always be renewed: {self._failed}")
        now = self._holder.speaker.now()
        left = [one for one in self._made if _ends(one) > now]
        if not left or self._repository is None:
            return
        try:
            keys = load_keys(self._repository, self._info.lineage)
            for one in left:
                with suppress(ObjectExistsError):  # somebody else let go of it
                    let_go(keys, one, DONE, self._holder.speaker)
        except DrdError as error:
            last = max(_ends(one) for one in left).isoformat(timespec="seconds")
            self._warn(f"{self._point} stays held until {last}, and then no more: {error}")


def _ends(one: Held) -> datetime:
    if one.hold.until is None:
        raise AssertionError("what is made here has an end")
    return one.hold.until


@dataclass(frozen=True, slots=True)
class Fate:
    """Numbers of points of which something is deleted, and of those that are doomed, and still whole."""

    deleted: frozenset[int] = frozenset()
    doomed: frozenset[int] = frozenset()


def fate(
    repository: Repository,
    points: Sequence[PointInfo],
    ledger: Ledger | None,
    *,
    wrong: Collection[str] = (),
) -> Fate:
    """What prunes did meanwhile to *points*, all of one lineage.

    It is asked of what went wrong already, which must be told: where the store does not answer, nothing
    was deleted, and that is a warning.

    Args:
        repository: the open repository.
        points: some that were looked at, or read.
        ledger: remembers journals.
        wrong: names of objects that were missed.
    """
    if not points:
        return Fate()
    first = points[0]
    try:
        journal = journal_of(repository, first.lineage, ledger).journal
        gone, doomed = journal.deleted(), journal.doomed()
        lost = {one.seq for one in points if (one.seq, one.manifest_sha256) in gone}
        named = [one for one in points if one.seq in doomed and one.seq not in lost]
        lost |= {one.seq for one in named if _has_begun(repository, one, doomed[one.seq], wrong)}
    except DrdError as error:
        repository.warnings.append(
            f"{first.name}: whether a prune deleted anything meanwhile could not be asked: {error}"
        )
        return Fate()
    return Fate(frozenset(lost), frozenset(one.seq for one in named) - lost)


def _has_begun(
    repository: Repository, info: PointInfo, doomed: DoomedList, wrong: Collection[str]
) -> bool:
    """Whether something is gone of what a doomed list names: its deletion begins with the first pack, and
    ends with the manifests (:func:`drd.work.sweep.sweep`).
    """
    tenant, lineage = repository.tenant, info.lineage
    packs = [names.pack_key(tenant, lineage, one) for one in sorted(doomed.packs)]
    tables = [names.table_key(tenant, lineage, one) for one in sorted(doomed.tables)]
    missed = sorted({*packs, *tables} & set(wrong))
    return any(
        _is_gone(repository, key) for key in [info.manifest_key, *missed, *packs[:1], *tables[:1]]
    )


def _is_gone(repository: Repository, key: str) -> bool:
    try:
        repository.store.stat(key)
    except ObjectMissingError:
        return True
    return False


def without_deleted(
    repository: Repository,
    proofs: Sequence[tuple[PointInfo, Proof]],
    ledger: Ledger | None,
) -> list[tuple[PointInfo, Proof]]:
    """*proofs* without those that found something wrong of a point that a prune deleted meanwhile: a verify
    holds nothing. They become warnings. Of one that is only doomed the hint says so (rule 5).
    """
    bad: dict[bytes, list[tuple[PointInfo, Proof]]] = {}
    for info, proof in proofs:
        if proof.findings:
            bad.setdefault(info.lineage, []).append((info, proof))
    fates = {}
    for lineage, some in bad.items():
        wrong = {found.about for _, proof in some for found in proof.findings}
        fates[lineage] = fate(repository, [info for info, _ in some], ledger, wrong=wrong)
    left = []
    for info, proof in proofs:
        known = fates.get(info.lineage, Fate()) if proof.findings else Fate()
        if info.seq in known.deleted:
            repository.warnings.append(passed_over(info))
        elif info.seq in known.doomed:
            left.append((info, replace(proof, hint=f"{proof.hint}; {save_it(info)}")))
        else:
            left.append((info, proof))
    return left


def passed_over(info: PointInfo) -> str:
    """What is told of a point that a prune deleted while it was looked at."""
    return f"{info.name}@{info.seq} was deleted by a prune while it was looked at: nothing is said of it"


def save_it(info: PointInfo) -> str:
    """What to do about a point that is doomed, and of which nothing is deleted."""
    return (
        "prune wrote this point on a list of what is to be deleted, and nothing of it is deleted yet: "
        f"'drctl hold add {info.name}@{info.seq} --why TEXT' may still save it"
    )


def is_passed_over(
    repository: Repository, info: PointInfo, error: DrdError, ledger: Ledger | None
) -> bool:
    """Whether the look at a point ended in *error* because a prune deleted it: that is a warning. Of a
    point that is only doomed the hint of *error* says so (rule 5).
    """
    known = fate(repository, [info], ledger, wrong=[error.about])
    if info.seq in known.deleted:
        repository.warnings.append(passed_over(info))
        return True
    if info.seq in known.doomed:
        error.hint = f"{error.hint or error.next_step}; {save_it(info)}"
    return False


def refuse_deleted(
    repository: Repository,
    info: PointInfo,
    ledger: Ledger | None,
    *,
    wrong: Collection[str] = (),
) -> str:
    """Tell damage of a point that was met while it was read from a prune that deleted it meanwhile.

    Args:
        repository: the open repository; what hinders the question goes to its warnings.
        info: the point.
        ledger: remembers journals.
        wrong: names of objects that were missed.

    Returns:
        More for the hint of the damage: of a point that is only doomed (rule 5); else ``""``.

    Raises:
        NotFoundError: a prune did.
    """
    known = fate(repository, [info], ledger, wrong=wrong)
    if info.seq in known.deleted:
        raise NotFoundError(
            "a prune deleted this point while it was read: what is missing of it is no damage",
            about=f"{info.name}@{info.seq}",
            hint=f"restore another one ('drctl ls {info.name}'), with a key file and S3 keys that may hold "
            "it, or with a longer [prune] grace where the prune runs",
        )
    return save_it(info) if info.seq in known.doomed else ""
