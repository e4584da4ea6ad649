"""No wake-up is lost, however quickly one is asked for after the other."""

from __future__ import annotations

from datetime import UTC, datetime
from queue import SimpleQueue

from drd.daemon.happenings import Tick
from drd.daemon.waking import Waker

PAST = datetime(2020, 1, 1, tzinfo=UTC)
TIMES = 2000
ENDS = 500
PATIENCE_S = 60.0


def test_each_wish_is_a_tick_also_while_the_last_one_has_hardly_ended() -> None:
    queue: SimpleQueue[Tick] = SimpleQueue()
    waker = Waker()
    with waker.running(queue.put):
        for _ in range(TIMES):
            waker.wake(PAST)
            queue.get(timeout=PATIENCE_S)
    assert queue.empty()


def test_a_later_wish_takes_the_place_of_the_one_before() -> None:
    queue: SimpleQueue[Tick] = SimpleQueue()
    waker = Waker()
    with waker.running(queue.put):
        waker.wake(datetime(2100, 1, 1, tzinfo=UTC))
        waker.wake(PAST)
        queue.get(timeout=PATIENCE_S)
    assert queue.empty()


def test_an_end_in_the_middle_of_a_tick_is_an_end() -> None:
    """The thread that wakes must not fail on it; a failing thread is a failing test."""
    for _ in range(ENDS):
        queue: SimpleQueue[Tick] = SimpleQueue()
        waker = Waker()
        with waker.running(queue.put):
            waker.wake(PAST)
            queue.get(timeout=PATIENCE_S)
