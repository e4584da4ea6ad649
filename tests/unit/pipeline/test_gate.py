"""The gate at work: it waits, tells that it waits, and lets itself be woken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from drd.core.neighbour import KNOWN_PERIODS, Neighbour
from drd.core.pacing import NO_LIMIT, Limit
from drd.errors import StoppedError
from drd.model import Progress
from drd.pipeline.gate import STAGE, SourceGate

KIB = 1024


class Watch:
    """A timer that is set."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def gate_of(
    timer: Callable[[], float] = time.monotonic,
    *,
    stop: threading.Event | None = None,
    told: list[Progress] | None = None,
    neighbour: Neighbour | None = None,
) -> SourceGate:
    return SourceGate(
        timer,
        stopping=(stop or threading.Event()).is_set,
        report=(told if told is not None else []).append,
        neighbour=neighbour,
    )


def test_without_a_limit_it_is_always_open() -> None:
    gate = gate_of(Watch())
    for _ in range(1000):
        assert gate.is_open(1 << 40)
        gate.enter(1 << 40)
    assert gate.reads(7) == 7
    gate.began(5)(None)


def test_a_limit_is_a_bound() -> None:
    gate = gate_of()
    gate.limit(Limit(bytes_per_s=400 * KIB))
    begun = time.monotonic()
    for _ in range(10):
        gate.enter(64 * KIB)
    assert time.monotonic() - begun >= (640 - 400) / 400
    assert not gate.is_open(400 * KIB)


def test_an_order_to_stop_ends_the_wait() -> None:
    stop = threading.Event()
    gate = gate_of(stop=stop)
    gate.limit(Limit(bytes_per_s=1.0))
    gate.enter(1 << 30)
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(StoppedError):
        gate.enter(1)


def test_a_read_that_need_not_wait_is_let_through_though_somebody_wants_to_stop() -> None:
    stop = threading.Event()
    stop.set()
    gate_of(stop=stop).enter(1)  # who stops is the run's business: it has a place where it does


def test_another_limit_wakes_who_waits() -> None:
    gate = gate_of()
    gate.limit(Limit(reads_per_s=0.001))
    gate.enter(1)
    waiting = threading.Thread(target=gate.enter, args=(1,), daemon=True)
    waiting.start()
    gate.limit(NO_LIMIT)
    waiting.join(10)
    assert not waiting.is_alive()


def test_who_waits_tells_of_it_and_each_word_is_another() -> None:
    watch, told = Watch(), list[Progress]()

    def passing() -> float:
        watch.at += 0.7
        return watch.at

    gate = gate_of(passing, told=told)
    gate.limit(Limit(bytes_per_s=64 * KIB))
    gate.enter(256 * KIB)
    assert told == [], "it was not waited for"
    gate.enter(64 * KIB)
    done = [one.done for one in told]
    assert len(done) >= 2
    assert {one.stage for one in told} == {STAGE}
    assert done == sorted(set(done)), "the daemon takes what stands still for hanging"
    assert done[0] >= 256 * KIB


def test_slow_answers_leave_fewer_reads() -> None:
    watch = Watch()
    gate = gate_of(watch, neighbour=Neighbour(16, 0.0))
    for period in range(KNOWN_PERIODS + 3):
        for _ in range(40):
            answered = gate.began(4096)
            watch.at += 0.06 if period < KNOWN_PERIODS else 0.6
            answered(None)
    assert gate.reads(16) < 16
    assert gate.reads(1) == 1
