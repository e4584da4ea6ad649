"""What leases on a real cluster do beyond the contract: who, epoch, cut off, caps, wrong pools."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import ClassVar

import pytest
from typing_extensions import override

from drd.ceph.cluster import CephAccess
from drd.errors import BusyError, ConfigError, NotFoundError, RefusedError, SourceError
from drd.leases.rados import PREFIX, RadosHeld, RadosLease, Terms
from lab.ceph import Ceph
from lab.folder import Lab
from tests.integration.leases.conftest import Leases
from tests.lab.holders import OtherProcess

NAME = "c0ffee" + "0" * 58


def take_when_free(lease: RadosLease, tries: int = 600) -> int:
    """Take and give back as soon as it can be had; the epoch."""
    for _ in range(tries):
        try:
            with lease.hold(NAME) as held:
                return held.epoch
        except BusyError:
            Event().wait(0.1)
    raise AssertionError("it never became free")


def test_the_second_is_told_who_and_until_when(leases: Leases) -> None:
    with (
        leases.lease(who="node-a, process 12, run 7").hold(NAME),
        pytest.raises(BusyError) as caught,
        leases.lease().hold(NAME),
    ):
        pass
    assert "node-a, process 12, run 7 holds the lease until 2" in caught.value.message
    assert (caught.value.exit_code, caught.value.code) == (15, "busy")


def test_an_operator_sees_the_holder_with_the_tools_of_ceph(leases: Leases) -> None:
    with leases.lease(who="node-a, process 12").hold(NAME):
        assert "node-a, process 12" in leases.rados("lock", "info", PREFIX + NAME, "drd")


def test_nothing_stays_in_the_pool(leases: Leases) -> None:
    with leases.lease().hold(NAME):
        assert leases.objects() == [PREFIX + NAME]
    assert not leases.objects()


def test_each_take_over_raises_the_epoch(leases: Leases) -> None:
    for _ in range(2):
        with leases.elsewhere(NAME) as other:
            other.kill()
            Event().wait(leases.ttl_s)
    assert take_when_free(leases.lease()) == 3
    assert take_when_free(leases.lease()) == 1, "given back: nobody is left to be told apart"


def test_another_epoch_is_a_lost_lease(leases: Leases) -> None:
    """The lock is there still: the epoch alone tells it."""
    with leases.lease().hold(NAME) as held:
        held.check()
        leases.rados("setomapval", PREFIX + NAME, "epoch", "7")
        with pytest.raises(RefusedError, match="lost"):
            held.check()
    leases.rados("rm", PREFIX + NAME)


@dataclass(frozen=True, slots=True)
class Sleepy(Terms):
    """Renewals never have their turn."""

    sleep_s: ClassVar[float] = 3600.0

    @property
    @override
    def renew_s(self) -> float:
        return self.sleep_s


@contextmanager
def asleep(leases: Leases, *, at: list[float]) -> Iterator[RadosHeld]:
    """A lease that nobody renews, by a clock that stands where the test puts it."""
    access = CephAccess(conf=str(leases.ceph.conf))
    terms = Sleepy(leases.pool, 1.0, "asleep")
    lease = RadosLease(access, terms, random=os.urandom, timer=lambda: at[0])
    with lease.hold(NAME) as held:
        yield held


def test_the_fence_alone_tells_who_slept_too_long(leases: Leases) -> None:
    """As when a process goes on after a suspension, and no thread has looked at a clock yet."""
    with asleep(leases, at=[0.0]) as held:
        Event().wait(1.2)
        held.heed()
        with leases.lease(who="node-b").hold(NAME) as other:
            with pytest.raises(RefusedError, match="node-b holds it now"):
                held.check()
            other.check()
        with pytest.raises(RefusedError):
            held.heed()


def test_the_clock_alone_tells_it_too(leases: Leases) -> None:
    """Before the lock runs out: nobody else can have it yet."""
    at = [5.0e6]
    with asleep(leases, at=at) as held:
        held.heed()
        at[0] += 1.0 - 1.0 / 6
        with pytest.raises(RefusedError, match="in time"):
            held.heed()
        with pytest.raises(RefusedError, match="in time"):
            held.check()
    take_when_free(leases.lease())


def test_a_strange_object_under_the_name_is_told(leases: Leases) -> None:
    leases.rados("setomapval", PREFIX + NAME, "epoch", "many")
    try:
        with pytest.raises(SourceError, match="something else"), leases.lease().hold(NAME):
            pass
    finally:
        leases.rados("rm", PREFIX + NAME)


# ── cut off ─────────────────────────────────────────────────────────────────────────────────────


def heed_until_lost(held: RadosHeld) -> None:
    """As a run does that works on."""
    for _ in range(2000):
        held.heed()
        Event().wait(0.05)


def test_a_holder_that_is_cut_off_stops_in_time(breakable: Lab) -> None:
    """It is told while nobody else can have the lease yet, and without an answer of the cluster."""
    leases = Leases(breakable.start_ceph())
    with leases.lease().hold(NAME) as held:
        held.check()
        checked = time.monotonic()
        breakable.ceph.pause()
        try:
            with pytest.raises(RefusedError, match="in time"):
                heed_until_lost(held)
            assert time.monotonic() < checked + leases.ttl_s, "the lock has not run out yet"
            with pytest.raises(RefusedError, match="in time"):
                held.check()
        finally:
            breakable.ceph.resume()
        Event().wait(leases.ttl_s / 2)
        with pytest.raises(RefusedError, match="in time"):
            held.check()
    assert take_when_free(leases.lease()) == 2


def test_a_short_silence_costs_nothing(breakable: Lab) -> None:
    leases = Leases(breakable.start_ceph(), ttl_s=30.0)
    with leases.lease().hold(NAME) as held:
        breakable.ceph.pause()
        try:
            Event().wait(2.0)
            held.heed()
        finally:
            breakable.ceph.resume()
        held.check()


# ── what a client may, and which pools can ──────────────────────────────────────────────────────


def client(ceph: Ceph, name: str, osd: str) -> str:
    """A client that may do no more than *osd* says; its key joins the lab's keyring."""
    full = f"client.{name}"
    key = ceph.command("auth", "get-or-create", full, "mon", "profile rbd", "osd", osd)
    ceph.command("auth", "caps", full, "mon", "profile rbd", "osd", osd)
    keyring = ceph.folder / "keyring"
    if f"[{full}]" not in keyring.read_text():
        with keyring.open("a") as file:
            file.write(key)
    return full


@pytest.mark.parametrize(
    "osd",
    [
        "profile rbd pool=rbd",
        "profile rbd pool=rbd namespace=tenant, allow rwx pool=rbd object_prefix drd.lease.",
    ],
    ids=["the pool", "a namespace of it and leases"],
)
def test_these_caps_are_enough(leases: Leases, osd: str) -> None:
    name = client(leases.ceph, f"drd-lease-{len(osd)}", osd)
    lease = leases.lease(client=name)
    with lease.hold(NAME) as held:
        held.check()
        with pytest.raises(BusyError, match="node-a"), leases.lease(client=name).hold(NAME):
            pass
    assert PREFIX + NAME not in leases.objects()


def test_without_the_caps_the_hint_says_which(leases: Leases) -> None:
    name = client(leases.ceph, "drd-lease-none", "profile rbd pool=rbd namespace=tenant")
    with (
        pytest.raises(SourceError, match="keep leases") as caught,
        leases.lease(client=name).hold(NAME),
    ):
        pass
    assert "object_prefix drd.lease." in caught.value.hint


def test_an_erasure_coded_pool_is_a_matter_of_configuration(leases: Leases) -> None:
    pool = leases.ceph.data_pool
    with pytest.raises(ConfigError, match="erasure") as caught, leases.lease(pool=pool).hold(NAME):
        pass
    assert caught.value.about == pool
    assert "lease_pool" in caught.value.hint


def test_a_pool_that_is_not_there(leases: Leases) -> None:
    with pytest.raises(NotFoundError, match="no such pool"), leases.lease(pool="none").hold(NAME):
        pass


def test_a_killed_process_can_be_seen_until_it_runs_out(leases: Leases) -> None:
    with leases.elsewhere(NAME) as other:
        assert isinstance(other, OtherProcess)
        pid = other.process.pid
        other.kill()
        with pytest.raises(BusyError, match=f"node-{pid}"), leases.lease().hold(NAME):
            pass
    assert take_when_free(leases.lease()) == 2
