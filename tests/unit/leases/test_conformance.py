"""The conformance suite against the leases that need no server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, _GeneratorContextManager
from pathlib import Path

import pytest
from typing_extensions import override

from drd.errors import BusyError
from drd.leases.local import LocalLease
from drd.testing import lease_conformance as suite
from drd.testing.fakes import MemoryHeld, MemoryLease, NoLease
from tests.lab.holders import OtherProcess, holder


class LocalSubject:
    ttl_s = 0.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lease(self) -> LocalLease:
        return LocalLease(self.folder)

    def elsewhere(self, name: str) -> AbstractContextManager[OtherProcess]:
        return holder({"folder": str(self.folder)}, name)

    def break_lock(self, name: str) -> None:
        raise NotImplementedError(name)  # the kernel takes it from nobody


class MemorySubject:
    ttl_s = 0.0

    def __init__(self, lease: MemoryLease | None = None) -> None:
        self.one = lease or MemoryLease()

    def lease(self) -> MemoryLease:
        return self.one

    def elsewhere(self, name: str) -> AbstractContextManager[suite.Elsewhere]:
        raise NotImplementedError(name)  # it is within one process

    def break_lock(self, name: str) -> None:
        self.one.break_lock(name)


@pytest.mark.parametrize(
    "check", [*suite.LEASE_CHECKS, *suite.PROCESS_CHECKS], ids=lambda check: check.__name__
)
def test_local_keeps_the_contract(tmp_path: Path, check: suite.LeaseCheck) -> None:
    check(LocalSubject(tmp_path))


@pytest.mark.parametrize(
    "check", [*suite.LEASE_CHECKS, *suite.BROKEN_CHECKS], ids=lambda check: check.__name__
)
def test_memory_keeps_the_contract(check: suite.LeaseCheck) -> None:
    check(MemorySubject())


class Everybody(MemoryLease):
    """Refuses nobody."""

    hold = NoLease().hold  # type: ignore[assignment]


class Forgetful(MemoryLease):
    """Takes the lease from a holder when another one asks."""

    @override
    def hold(self, name: str) -> _GeneratorContextManager[MemoryHeld]:
        try:
            with super().hold(name):
                pass
        except BusyError:
            self.break_lock(name)
            raise
        return super().hold(name)


@pytest.mark.parametrize(
    "made, check",
    [
        (Everybody, suite.one_holder_at_a_time),
        (Everybody, suite.of_many_threads_one_holds),
        (Everybody, suite.a_holder_stays_one),
        (Everybody, suite.a_broken_lock_is_told),
        (Forgetful, suite.a_refused_one_takes_nothing),
    ],
    ids=lambda one: one.__name__,
)
def test_the_suite_sees_what_is_wrong(
    made: Callable[[], MemoryLease], check: suite.LeaseCheck
) -> None:
    with pytest.raises(suite.BrokenContractError):
        check(MemorySubject(made()))
