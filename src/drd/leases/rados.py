"""Leases among the nodes of one Ceph cluster: a lock of the OSD that runs out, and an epoch as fence.

The cluster that is backed up is the coordinator; there is no leader, and nothing else to deploy. One
object for each name, ``drd.lease.<name>``, in the pool's default namespace. It is there while somebody
holds the lease, or died holding it.

1. *Take.* Read the epoch (0 where there is no object). In one operation, all of which happens or none:
   lock the object for ``ttl``, compare the epoch, write it plus one. So a lock is never held without an
   epoch of its own, and of two who read the same epoch one goes on.
2. *Keep.* A thread renews each third of ``ttl``. One operation again: renew the lock, which must be
   held still (MUST_RENEW), and compare the epoch. What counts is the time *before* a renewal was asked
   for: the OSD, whose clock alone decides when a lock runs out, began to count later than that.
3. *Heed.* Work stops ``margin`` before the lock can run out, by this process's own clock of elapsed
   time: no answer is needed for that, so a holder that is cut off stops, too. Lost once is lost.
4. *Check.* A holder that was suspended knows nothing of the time that passed between one look at
   its clock and the next act. So before anything that others see, the OSD is asked: 2, at once.
5. *Give back.* In one operation: the lock is still ours, and the object goes. A holder whose lease
   was taken over cannot remove the object of the new one. The epoch begins anew then; the lock's
   cookie, drawn anew each time, and compared in each operation, tells holders apart for ever.

A lease keeps two runs apart; it does not make a late PUT harmless, for between 4 and the PUT a process
can be suspended, and no bucket knows the epoch. Then the commit rule decides (``work/commit.py``).
"""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeAlias

from drd.ceph.cluster import CephAccess, Cluster
from drd.ceph.errors import code_of
from drd.errors import BusyError, ConfigError, DrdError, RefusedError, SourceError
from drd.leases import cls_lock
from drd.leases.cls_lock import Locker
from drd.ports import Random

PREFIX: Final = "drd.lease."
EPOCH: Final = "epoch"
"""Key in the object's omap: a decimal number, the count of holders since the object was made."""

TRIES: Final = 5
"""So often taking is tried where each time another one took or gave back the lease meanwhile."""

TAKEN: Final = frozenset({errno.EBUSY, errno.ECANCELED})
"""What the OSD says where another one has the lock, or was quicker and has counted the epoch on."""

LOST: Final = TAKEN | {errno.ENOENT}
"""The same of a lock that was ours; without lock or object it is ENOENT."""

_Step: TypeAlias = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """In which pool leases lie, for how many seconds each is good, and what others read of the holder."""

    pool: str
    ttl_s: float
    who: str

    @property
    def margin_s(self) -> float:
        """So long before a lease can run out work stops: ten seconds, of short leases a sixth."""
        return min(10.0, self.ttl_s / 6)

    @property
    def renew_s(self) -> float:
        """From one renewal to the next: two may fail before the lease is lost."""
        return self.ttl_s / 3

    @property
    def retry_s(self) -> float:
        """From a renewal that failed to the next one."""
        return min(1.0, self.ttl_s / 30)

    @property
    def answer_s(self) -> float:
        """How long one request may take: whole seconds, at least one."""
        return float(math.ceil(self.ttl_s / 6))


class RadosLease:
    """Leases in a pool of one cluster. Callable from several threads.

    Args:
        access: how the cluster is reached; its time limit of an OSD is replaced by a shorter one.
        terms: see there.
        random: draws cookies.
        timer: seconds that go on while the process, or the host, is suspended.
    """

    def __init__(
        self, access: CephAccess, terms: Terms, *, random: Random, timer: Callable[[], float]
    ) -> None:
        self.terms = terms
        self._cluster = Cluster(replace(access, osd_timeout_s=terms.answer_s))
        self._random = random
        self._timer = timer

    @contextmanager
    def hold(self, name: str) -> Iterator[RadosHeld]:
        """Hold *name* (as an object's name may be) while the context lasts.

        Raises:
            BusyError: somebody else holds it; the message says who, and until when.
            ConfigError: the pool cannot keep leases.
            NotFoundError: there is no such pool.
            SourceError: the cluster does not answer, or refuses.
        """
        with self._cluster.pool(self.terms.pool) as ioctx:
            ioctx.set_osdmap_full_try()  # a full pool is an answer, not a wait
            grip = _Grip(self._cluster, ioctx, self.terms, name, cookie=self._random(16).hex())
            began = self._timer()
            grip.take()
            held = RadosHeld(grip, self.terms, self._timer, began=began)
            try:
                yield held
            finally:
                held.end()

    def close(self) -> None:
        """Leave the cluster."""
        self._cluster.close()


class Grip(Protocol):
    """One holder's requests, each a time-limited one about one lease that was taken."""

    name: str
    epoch: int

    def renew(self) -> str:
        """Step 2: ``""`` when the lease is ours for another ``ttl``, else what became of it.

        Raises:
            SourceError: the cluster gave no answer, or refused; nothing is known.
        """
        ...

    def release(self) -> None:
        """Step 5; a lease that is another's by now stays as it is."""
        ...


class RadosHeld:
    """A lease that is held, and renewed by a thread of its own until :meth:`end`."""

    def __init__(
        self, grip: Grip, terms: Terms, timer: Callable[[], float], *, began: float
    ) -> None:
        self._grip, self._terms, self._timer = grip, terms, timer
        self._state = threading.Lock()
        self._deadline = self._good_until(began)
        self._trouble = ""
        self._lost = ""
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="drd-lease", daemon=True)
        self._keeper.start()

    @property
    def epoch(self) -> int:
        """The number of this holder since the lease's object was made."""
        return self._grip.epoch

    def heed(self) -> None:
        """Look at the clock and at what the renewals met; asks nobody.

        Raises:
            RefusedError: the lease is lost, now and from now on.
        """
        lost = self._why_lost()
        if lost:
            raise RefusedError(
                f"the lease of this lineage is lost: {lost}",
                about=self._grip.name,
                hint="nothing was committed after that; the next run goes on from the last committed "
                "point; was this host, or the way to its cluster, suspended, cut off or overloaded?",
            )

    def check(self) -> None:
        """Renew the lease now. While the cluster gives no answer it is tried again, as long as it is good.

        Raises:
            RefusedError: the lease is lost, now and from now on.
        """
        self.heed()
        while not self._renewed():
            self._ended.wait(self._terms.retry_s)
            self.heed()
        self.heed()

    def end(self) -> None:
        """Stop renewing, and give the lease back; where that fails it runs out by itself."""
        self._ended.set()
        self._keeper.join()  # each of its requests has a time limit
        if not self._why_lost():
            with suppress(DrdError):
                self._grip.release()

    def _keep(self) -> None:
        """The thread: renews until the end, or until the lease is lost."""
        pause = self._terms.renew_s
        while not self._ended.wait(pause) and not self._why_lost():
            pause = self._terms.renew_s if self._renewed() else self._terms.retry_s

    def _why_lost(self) -> str:
        """Why the lease is lost; ``""`` while it is good."""
        with self._state:
            if not self._lost and self._timer() >= self._deadline:
                self._lost = f"it could not be renewed in time ({self._trouble or 'suspended'})"
            return self._lost

    def _renewed(self) -> bool:
        """Ask the OSD; whether it answered (that the lease is ours, or that it is lost)."""
        began = self._timer()
        try:
            lost = self._grip.renew()
        except DrdError as error:
            self._trouble = error.message
            return False
        with self._state:
            self._lost = self._lost or lost
            self._deadline = max(self._deadline, self._good_until(began))
        return True

    def _good_until(self, began: float) -> float:
        return began + self._terms.ttl_s - self._terms.margin_s


class _Grip:
    """One holder's requests about one object."""

    def __init__(
        self, cluster: Cluster, ioctx: Any, terms: Terms, name: str, *, cookie: str
    ) -> None:
        self._cluster, self._ioctx, self._terms = cluster, ioctx, terms
        self.name = name
        self._object = PREFIX + name
        self._cookie = cookie
        self.epoch = 0

    def take(self) -> None:
        """Step 1 of the module."""
        for _ in range(TRIES):
            before = self._read_epoch()
            after = str(int(before or 0) + 1)
            answer = self._operate(
                self._lock(renew=False), _same(before), self._write(after), said=TAKEN
            )
            if answer == 0:
                self.epoch = int(after)
                return
            if answer == errno.EBUSY and (holders := self._lockers()):
                raise _busy(self.name, holders[0])
        raise _busy(self.name, None)  # it changes hands all the time

    def renew(self) -> str:
        """Step 2."""
        answer = self._operate(self._lock(renew=True), _same(str(self.epoch)), said=LOST)
        if answer == 0:
            return ""
        holders = self._lockers()
        if holders:
            return f"{holders[0].description} holds it now"
        return "it ran out, or somebody broke the lock"

    def release(self) -> None:
        """Step 5."""
        asserted = cls_lock.assert_call(self._cookie)
        self._operate(
            lambda op: op.execute(cls_lock.CLASS, cls_lock.ASSERT_LOCKED, asserted),
            lambda op: op.remove(),
            said=LOST,
        )

    def _lock(self, *, renew: bool) -> _Step:
        terms = self._terms
        call = cls_lock.lock_call(self._cookie, terms.who, terms.ttl_s, renew=renew)
        return lambda op: op.execute(cls_lock.CLASS, cls_lock.LOCK, call)

    def _write(self, epoch: str) -> _Step:
        return lambda op: self._ioctx.set_omap(op, (EPOCH,), (epoch.encode(),))

    def _operate(self, *steps: _Step, said: frozenset[int]) -> int:
        """Do all *steps* or none; 0, or the errno of the first that said no, when it is one of *said*."""
        rados = self._cluster.ceph.rados
        with self._calls(), rados.WriteOpCtx() as op:
            for step in steps:
                step(op)
            try:
                self._ioctx.operate_write_op(op, self._object)
            except rados.Error as error:
                if code_of(error) not in said:
                    raise
                return code_of(error)
        return 0

    def _read_epoch(self) -> str:
        """The epoch as it is stored; ``""`` where there is none.

        Raises:
            SourceError: somebody else's object lies under the name.
        """
        rados = self._cluster.ceph.rados
        with self._calls(), rados.ReadOpCtx() as op:
            found, _ = self._ioctx.get_omap_vals_by_keys(op, (EPOCH,))
            try:
                self._ioctx.operate_read_op(op, self._object)
            except rados.ObjectNotFound:
                return ""
            epoch: str = dict(found).get(EPOCH, b"").decode("utf-8", "replace")
        if epoch and not (epoch.isascii() and epoch.isdecimal()):
            raise SourceError(
                "the object of this lease holds something else",
                about=f"{self._terms.pool}/{self._object}",
                hint="look at it with `rados listomapvals`; `rados rm` it while no run is under way",
            )
        return epoch

    def _lockers(self) -> list[Locker]:
        rados = self._cluster.ceph.rados
        with self._calls():
            try:
                _, answer = self._ioctx.execute(
                    self._object, cls_lock.CLASS, cls_lock.GET_INFO, cls_lock.info_call()
                )
            except rados.ObjectNotFound:
                return []
        return cls_lock.lockers(answer)

    @contextmanager
    def _calls(self) -> Iterator[None]:
        """What the cluster says, in words about leases."""
        pool = self._terms.pool
        try:
            with self._cluster.calls(about=pool, missing="no such pool"):
                yield
        except SourceError as error:
            code = code_of(error.__cause__) if error.__cause__ else 0
            if code == errno.EPERM:
                raise SourceError(
                    "Ceph does not let this client keep leases in the pool",
                    about=pool,
                    hint=f"give it the caps 'osd profile rbd pool={pool}', or add 'allow rwx "
                    f"pool={pool} object_prefix {PREFIX}' where they name a namespace",
                ) from error
            if code == errno.EOPNOTSUPP:
                raise ConfigError(
                    "this pool cannot keep leases: it is erasure-coded",
                    about=pool,
                    hint="name a replicated one in daemon.lease_pool",
                ) from error
            raise


def _same(epoch: str) -> _Step:
    """The epoch is still *epoch*; where there is none it compares as ``""``."""
    return lambda op: op.omap_cmp(EPOCH, epoch)


def _busy(name: str, holder: Locker | None) -> BusyError:
    who = holder.description if holder else "somebody else"
    until = ""
    if holder and holder.until:
        until = f" until {holder.until:%Y-%m-%dT%H:%M:%SZ}, unless it is renewed"
    return BusyError(
        f"lineage busy: {who} holds the lease{until}",
        about=name,
        hint="wait until it is done; the lease of a holder that died runs out by itself",
        until=holder.until if holder else None,
    )
