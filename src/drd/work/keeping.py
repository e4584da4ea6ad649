"""Keep a point from a prune while it is restored: a hold that is over by itself.

1. Before the first byte is read the point is held for ``LASTS``, and then looked for once more: what a
   prune wrote on a list meanwhile is told before anything is written to the target.
2. While the restore lives, however slow its target is, a new hold follows each ``AGAIN``. The old one is
   left to run out: between the two there is no moment in which nothing holds the point.
3. At the end, however it ends, what still holds is released. Of a restore that was killed the last hold
   is over by itself, ``LASTS`` after it was made.
4. Who may not write, or does not sign for a host, restores all the same: one warning says that nothing
   holds the point. What a prune deletes then is told as that (:func:`refuse_deleted`), and not as damage.

When a hold is over is told by the clock of who restores, and compared with that of who prunes. S3 refuses
a clock that is 15 minutes wrong, and a prune stops when its own is 10 minutes off: so ``LASTS`` less
``AGAIN`` must be more than 25 minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Final

from drd.errors import DrdError, NotFoundError, RefusedError
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
            self._hold(repository)
        except (RefusedError, NotFoundError):
            raise
        except DrdError as error:
            self._warn(
                f"nothing holds {self._point} while it is restored, so a prune may delete it: {error}"
            )
            return False
        (marked,) = mark_doomed(repository, [self._info], self._holder.ledger)
        refuse_doomed(marked)
        return True

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
                let_go(keys, one, DONE, self._holder.speaker)
        except DrdError as error:
            last = max(_ends(one) for one in left).isoformat(timespec="seconds")
            self._warn(f"{self._point} stays held until {last}, and then no more: {error}")


def _ends(one: Held) -> datetime:
    if one.hold.until is None:
        raise AssertionError("what is made here has an end")
    return one.hold.until


def deleted(
    repository: Repository, points: Sequence[PointInfo], ledger: Ledger | None
) -> frozenset[int]:
    """Numbers of those among *points*, all of one lineage, that are doomed or deleted by now."""
    if not points:
        return frozenset()
    journal = journal_of(repository, points[0].lineage, ledger).journal
    gone = journal.covered()
    doomed = journal.doomed()
    return frozenset(
        one.seq for one in points if one.seq in doomed or (one.seq, one.manifest_sha256) in gone
    )


def without_deleted(
    repository: Repository,
    proofs: Sequence[tuple[PointInfo, Proof]],
    ledger: Ledger | None,
) -> list[tuple[PointInfo, Proof]]:
    """*proofs* without those that found something wrong of a point that a prune deleted meanwhile: a verify
    holds nothing. They become warnings.
    """
    bad: dict[bytes, list[PointInfo]] = {}
    for info, proof in proofs:
        if proof.findings:
            bad.setdefault(info.lineage, []).append(info)
    gone = {
        (lineage, seq) for lineage, some in bad.items() for seq in deleted(repository, some, ledger)
    }
    left = []
    for info, proof in proofs:
        if proof.findings and (info.lineage, info.seq) in gone:
            repository.warnings.append(passed_over(info))
        else:
            left.append((info, proof))
    return left


def passed_over(info: PointInfo) -> str:
    """What is told of a point that a prune deleted while it was looked at."""
    return f"{info.name}@{info.seq} was deleted by a prune while it was looked at: nothing is said of it"


def refuse_deleted(repository: Repository, info: PointInfo, ledger: Ledger | None) -> None:
    """Tell damage of a point that was met while it was read from a prune that deleted it meanwhile.

    Raises:
        NotFoundError: a prune did.
    """
    if deleted(repository, [info], ledger):
        raise NotFoundError(
            "a prune deleted this point while it was read: what is missing of it is no damage",
            about=f"{info.name}@{info.seq}",
            hint=f"restore another one ('drctl ls {info.name}'), with a key file and S3 keys that may hold "
            "it, or with a longer [prune] grace where the prune runs",
        )
