"""When a lease on RADOS counts as lost: by its own clock, and by what the OSD answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import pytest
from typing_extensions import override

from drd.errors import RefusedError, SourceError
from drd.leases.rados import RadosHeld, Terms

TTL_S = 60.0
GOOD_S = 50.0
"""So long after the last renewal work may go on."""


class Osd:
    """Answers as told; a renewal takes ``slow_s`` on the test's clock. Counts what it was asked."""

    name = "lineage"
    epoch = 1

    def __init__(self) -> None:
        self.at = 1000.0
        self.slow_s = 0.0
        self.lost = ""
        self.silent = False
        self.renewed = 0
        self.released = 0

    def clock(self) -> float:
        return self.at

    def renew(self) -> str:
        self.renewed += 1
        self.at += self.slow_s
        if self.silent:
            raise SourceError("Ceph gave no answer within the time limit")
        return self.lost

    def release(self) -> None:
        self.released += 1
        if self.silent:
            raise SourceError("Ceph gave no answer within the time limit")


@contextmanager
def holding(osd: Osd, terms: Terms | None = None) -> Iterator[RadosHeld]:
    held = RadosHeld(osd, terms or Terms("pool", TTL_S, "who"), osd.clock, began=osd.at)
    try:
        yield held
    finally:
        held.end()


def lost(ask: Callable[[], None]) -> str:
    with pytest.raises(RefusedError) as caught:
        ask()
    assert (caught.value.exit_code, caught.value.code) == (15, "refused")
    assert caught.value.about == "lineage"
    return caught.value.message


@pytest.mark.parametrize("ttl_s, margin_s", [(60.0, 10.0), (3600.0, 10.0), (30.0, 5.0), (6.0, 1.0)])
def test_the_margin(ttl_s: float, margin_s: float) -> None:
    terms = Terms("pool", ttl_s, "who")
    assert terms.margin_s == margin_s
    two_fail_s = terms.renew_s + 2 * terms.answer_s + terms.retry_s
    assert two_fail_s < ttl_s - margin_s, "two renewals may fail"


def test_work_stops_before_the_lock_can_run_out() -> None:
    osd = Osd()
    with holding(osd) as held:
        osd.at += GOOD_S - 0.001
        held.heed()
        osd.at += 0.001
        assert "in time" in lost(held.heed)
    assert osd.renewed == 0, "heed asks nobody"


def test_a_renewal_counts_from_when_it_was_asked_for() -> None:
    """The OSD may have begun to count just then, however long its answer took."""
    osd = Osd()
    with holding(osd) as held:
        osd.slow_s = 20.0
        held.check()
        osd.at += GOOD_S - 20.0 - 0.001
        held.heed()
        osd.at += 0.001
        lost(held.heed)


def test_what_is_lost_stays_lost() -> None:
    osd = Osd()
    with holding(osd) as held:
        osd.lost = "node-b holds it now"
        assert "node-b" in lost(held.check)
        osd.lost = ""
        assert "node-b" in lost(held.heed)
        assert "node-b" in lost(held.check)
        assert osd.renewed == 1, "nobody asks for what is lost"
    assert osd.released == 0


def test_a_late_answer_brings_nothing_back() -> None:
    osd = Osd()
    with holding(osd) as held:
        osd.at += GOOD_S
        lost(held.heed)
        osd.at -= GOOD_S
        lost(held.check)
    assert osd.renewed == 0


def test_a_silent_cluster_is_asked_again_while_the_lease_is_good() -> None:
    osd = Osd()
    with holding(osd) as held:
        osd.silent, osd.slow_s = True, 10.0
        assert "gave no answer" in lost(held.check)
        assert osd.renewed == GOOD_S / 10.0


def test_a_silence_that_ends_is_no_loss() -> None:

    class Waking(Osd):
        @override
        def renew(self) -> str:
            self.silent = self.renewed < 1
            return super().renew()

    osd = Waking()
    with holding(osd) as held:
        held.check()
    assert osd.renewed == 2
    assert osd.released == 1


def test_leaving_gives_it_back_once_and_a_failure_is_nobodys_error() -> None:
    osd = Osd()
    with holding(osd):
        osd.silent = True
    assert osd.released == 1


def test_the_thread_renews_and_meets_the_loss() -> None:
    osd = Osd()
    terms = Terms("pool", 0.03, "who")
    osd.lost = "it ran out"
    with holding(osd, terms) as held:
        for _ in range(1000):
            if osd.renewed:
                break
            Event().wait(0.005)
        assert "it ran out" in lost(held.check)
    assert osd.renewed == 1, "it stops asking then"
