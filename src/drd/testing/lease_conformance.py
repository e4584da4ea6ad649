"""What every lease must do: a check for each MUST sentence of ``drd.ports``, ``Lease`` and ``Held``.

A check takes a subject: the adapter, and what it needs to be held elsewhere and broken. It returns when
the adapter keeps its word, and raises ``BrokenContractError`` when it does not. ``LEASE_CHECKS`` hold for
every lease, ``PROCESS_CHECKS`` for those among processes, ``BROKEN_CHECKS`` for those whose lock a person
can break, ``EXPIRING_CHECKS`` for those that run out.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from threading import Barrier, Event
from typing import Final, Protocol, TypeAlias

from drd.errors import BusyError, RefusedError
from drd.ports import Held, Lease

NAME: Final = "5ca1ab1e" * 8
OTHER: Final = "0ddba11" + "0" * 57
THREADS: Final = 8

PATIENCE_S: Final = 60.0
"""How long a check waits for what must come, beyond the time to live: a slow machine is no fault."""


class BrokenContractError(RefusedError):
    """The adapter answers, and not as it must."""

    code = "lease-contract"


class Elsewhere(Protocol):
    """Another process that holds a lease."""

    def kill(self) -> None:
        """End it with SIGKILL."""
        ...

    def suspend(self) -> None:
        """Stop it with SIGSTOP; ``resume`` lets it go on."""
        ...

    def resume(self) -> None:
        """Let it go on."""
        ...

    def asks(self, what: str) -> str:
        """Have it call ``heed`` or ``check``; ``ok``, or the code of the error that came."""
        ...

    def leave(self) -> None:
        """Have it leave the context, and wait for its end."""
        ...


class LeaseSubject(Protocol):
    """A lease, with what checks need beside it."""

    ttl_s: float
    """After so many seconds the lease of a holder that died runs out; 0 where it goes with the process."""

    def lease(self) -> Lease:
        """A new one, as another node or another process makes it."""
        ...

    def elsewhere(self, name: str) -> AbstractContextManager[Elsewhere]:
        """Another process that holds *name*."""
        ...

    def break_lock(self, name: str) -> None:
        """Break the lock of *name*, as a person can."""
        ...


LeaseCheck: TypeAlias = Callable[[LeaseSubject], None]


def _must(kept: bool, sentence: str) -> None:  # noqa: FBT001  # reads like the sentence it checks
    if not kept:
        raise BrokenContractError(sentence)


def _busy(lease: Lease, name: str) -> BusyError | None:
    """The error with which *name* is refused; None when it can be had (and is given back)."""
    try:
        with lease.hold(name):
            return None
    except BusyError as error:
        return error


def _refused(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except RefusedError:
        return True
    return False


def _take_when_free(subject: LeaseSubject, lease: Lease) -> None:
    """Take and give back, as soon as it can be had; it must be within the time to live."""
    pause = Event()
    for _ in range(int(10 * (subject.ttl_s + PATIENCE_S))):
        if _busy(lease, NAME) is None:
            return
        pause.wait(0.1)
    raise BrokenContractError("the lease of a holder that is gone must run out")


# ── every lease ─────────────────────────────────────────────────────────────────────────────────


def one_holder_at_a_time(subject: LeaseSubject) -> None:
    """A second one is refused, by the same adapter and by another, and told what is busy."""
    lease = subject.lease()
    with lease.hold(NAME):
        for second in (lease, subject.lease()):
            error = _busy(second, NAME)
            _must(error is not None, "a lease that is held must be refused to others")
            _must(error is not None and error.about == NAME, "the error must name the lease")
            _must(error is not None and bool(error.hint), "the error must say what to do")


def names_are_independent(subject: LeaseSubject) -> None:
    """Who holds one name keeps nobody from another."""
    lease = subject.lease()
    with lease.hold(NAME), subject.lease().hold(OTHER):
        _must(_busy(lease, OTHER) is not None, "both names must be held")


def leaving_gives_it_back(subject: LeaseSubject) -> None:
    """At the end of the context, however that is left."""
    lease = subject.lease()
    for _ in range(2):
        with lease.hold(NAME):
            pass
        _must(_busy(subject.lease(), NAME) is None, "who left must not hold it")
    with suppress(KeyboardInterrupt), lease.hold(NAME):
        raise KeyboardInterrupt
    _must(_busy(subject.lease(), NAME) is None, "who was interrupted must not hold it")


def a_refused_one_takes_nothing(subject: LeaseSubject) -> None:
    """The error does not give the holder's lease away."""
    with subject.lease().hold(NAME) as held:
        for _ in range(3):
            _must(_busy(subject.lease(), NAME) is not None, "it must stay the holder's")
        held.check()


def of_many_threads_one_holds(subject: LeaseSubject) -> None:
    """Never two at a time, whoever asks when; and the lease is free after them."""
    leases = [subject.lease() for _ in range(THREADS)]
    start, inside, worst, taken = Barrier(THREADS), [0], [0], [0]

    def try_it(lease: Lease) -> None:
        start.wait()
        for _ in range(5):
            try:
                with lease.hold(NAME):
                    inside[0] += 1
                    worst[0] = max(worst[0], inside[0])
                    taken[0] += 1
                    Event().wait(0.005)
                    inside[0] -= 1
            except BusyError:
                pass

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(try_it, lease) for lease in leases]:
            done.result()
    _must(worst[0] == 1, "two held it at a time")
    _must(taken[0] > 0, "somebody must get it")
    _must(_busy(subject.lease(), NAME) is None, "it must be free when all have left")


def a_holder_stays_one(subject: LeaseSubject) -> None:
    """Who lives and works holds it for longer than the time to live."""
    with subject.lease().hold(NAME) as held:
        pause = Event()
        for _ in range(4):
            pause.wait(subject.ttl_s / 2.5)
            held.heed()
            _must(_busy(subject.lease(), NAME) is not None, "a holder who lives keeps it")
        held.check()


# ── among processes ─────────────────────────────────────────────────────────────────────────────


def another_process_is_kept_out(subject: LeaseSubject) -> None:
    """As another thread is; and when that one leaves, the lease is free at once."""
    with subject.elsewhere(NAME) as other:
        _must(_busy(subject.lease(), NAME) is not None, "another process holds it")
        _must(_busy(subject.lease(), OTHER) is None, "it holds nothing else")
        _must(other.asks("check") == "ok", "it must be told that it holds it")
        other.leave()
        _must(_busy(subject.lease(), NAME) is None, "who has left must not hold it")


def a_killed_holder_is_followed(subject: LeaseSubject) -> None:
    """After SIGKILL the next one gets it within the time to live."""
    with subject.elsewhere(NAME) as other:
        other.kill()
        _take_when_free(subject, subject.lease())


# ── where a lock can be broken by hand ──────────────────────────────────────────────────────────


def a_broken_lock_is_told(subject: LeaseSubject) -> None:
    """By ``check`` at once; from then on by both, also when nobody else took it."""
    with subject.lease().hold(NAME) as held:
        held.check()
        subject.break_lock(NAME)
        _must(_refused(held.check), "a holder whose lock was broken must be told")
        _must(_refused(held.heed), "what is lost must stay lost")
        _must(_refused(held.check), "what is lost must stay lost")
        with subject.lease().hold(NAME):
            _must(_refused(held.check), "what another holds is not the first one's")


def leaving_takes_it_from_nobody(subject: LeaseSubject) -> None:
    """A holder that lost its lease, knowing it or not, leaves the new one alone."""
    for knows in (True, False):
        first = subject.lease().hold(NAME)
        held = first.__enter__()
        subject.break_lock(NAME)
        with subject.lease().hold(NAME) as second:
            if knows:
                _must(_refused(held.check), "a holder whose lock was broken must be told")
            first.__exit__(None, None, None)
            second.check()
            _must(_busy(subject.lease(), NAME) is not None, "the new holder must keep it")


# ── where it runs out ───────────────────────────────────────────────────────────────────────────


def a_suspended_holder_is_followed_and_told(subject: LeaseSubject) -> None:
    """Another one gets it, and keeps it when the first wakes up; that one may do nothing more."""
    with subject.elsewhere(NAME) as other:
        other.suspend()
        _take_when_free(subject, subject.lease())
        with subject.lease().hold(NAME) as held:
            other.resume()
            for ask in ("heed", "check"):
                _must(other.asks(ask) == "refused", f"{ask} must tell who was suspended too long")
            other.leave()
            held.check()


def a_broken_lock_is_told_by_the_renewals(subject: LeaseSubject) -> None:
    """``heed`` asks nobody, and tells it as soon as a renewal has met it."""
    with subject.lease().hold(NAME) as held:
        subject.break_lock(NAME)
        _must(_told_by_heed(held, subject.ttl_s), "the renewals must tell it")


def _told_by_heed(held: Held, within_s: float) -> bool:
    pause = Event()
    for _ in range(int(20 * within_s)):
        if _refused(held.heed):
            return True
        pause.wait(0.05)
    return False


LEASE_CHECKS: Final[tuple[LeaseCheck, ...]] = (
    one_holder_at_a_time,
    names_are_independent,
    leaving_gives_it_back,
    a_refused_one_takes_nothing,
    of_many_threads_one_holds,
    a_holder_stays_one,
)
PROCESS_CHECKS: Final[tuple[LeaseCheck, ...]] = (
    another_process_is_kept_out,
    a_killed_holder_is_followed,
)
BROKEN_CHECKS: Final[tuple[LeaseCheck, ...]] = (a_broken_lock_is_told, leaving_takes_it_from_nobody)
EXPIRING_CHECKS: Final[tuple[LeaseCheck, ...]] = (
    a_suspended_holder_is_followed_and_told,
    a_broken_lock_is_told_by_the_renewals,
)
