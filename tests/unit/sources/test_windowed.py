from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from drd.errors import SourceError, StoppedError
from drd.model import Buffer
from drd.ports import ReadAt
from drd.sources.windowed import GATHER_BYTES, Window, in_order

CONTENT = bytes(range(256)) * 64


class Reader:
    """Answers from `CONTENT`, when it is let; counts what is under way."""

    def __init__(self, threads: int = 4) -> None:
        self.pool = ThreadPoolExecutor(threads)
        self.started: list[tuple[int, int, bool]] = []
        self.under_way = 0
        self.most = 0
        self.lock = threading.Lock()

    def start(self, offset: int, length: int, base: bool) -> Future[Buffer]:  # noqa: FBT001
        with self.lock:
            self.started.append((offset, length, base))
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        return self.pool.submit(self.answer, offset, length)

    def answer(self, offset: int, length: int) -> Buffer:
        threading.Event().wait(0.002 * (offset % 3))
        with self.lock:
            self.under_way -= 1
        return CONTENT[offset : offset + length]


def test_answers_come_in_the_order_asked() -> None:
    reader = Reader()
    wanted = [ReadAt(at % 5000 * 3 % 16000, 17, base=at % 2 == 0) for at in range(200)]
    answers = list(in_order(wanted, reader.start, Window(reads=8), about="image"))
    assert [asked for asked, _ in answers] == wanted
    for asked, data in answers:
        assert bytes(data) == CONTENT[asked.offset : asked.offset + asked.length]
    assert 1 < reader.most <= 8


def test_no_more_is_asked_than_the_window_holds() -> None:
    reader = Reader()
    asked = 0

    def wanted() -> Iterator[ReadAt]:
        nonlocal asked
        for at in range(100):
            asked += 1
            yield ReadAt(at * 32, 16)

    answers = in_order(wanted(), reader.start, Window(reads=50, bytes=64), about="image")
    next(answers)
    assert len(reader.started) <= 5
    assert asked <= 6  # one more waits for its neighbour


def test_one_read_larger_than_the_window_is_let_through() -> None:
    reader = Reader()
    answers = in_order([ReadAt(0, 1000)], reader.start, Window(bytes=10), about="image")
    assert [len(data) for _, data in answers] == [1000]


def test_neighbours_become_one_read() -> None:
    reader = Reader()
    wanted = [ReadAt(at, 100) for at in range(0, 1000, 100)]
    wanted += [ReadAt(2000, 100), ReadAt(2100, 100, base=True), ReadAt(2200, 100)]
    answers = list(in_order(wanted, reader.start, Window(), about="image"))
    assert reader.started == [
        (0, 1000, False),
        (2000, 100, False),
        (2100, 100, True),
        (2200, 100, False),
    ]
    assert [bytes(data) for _, data in answers] == [
        CONTENT[one.offset : one.offset + 100] for one in wanted
    ]


def test_no_read_crosses_the_gathering_bound() -> None:
    started = []

    def start(offset: int, length: int, base: bool) -> Future[Buffer]:  # noqa: FBT001
        started.append((offset, length, base))
        future: Future[Buffer] = Future()
        future.set_result(bytes(length))
        return future

    piece = GATHER_BYTES // 4
    wanted = [ReadAt(piece * number, piece) for number in range(3, 10)]
    list(in_order(wanted, start, Window(), about="image"))
    assert started == [
        (piece * 3, piece, False),
        (piece * 4, piece * 4, False),
        (piece * 8, piece * 2, False),
    ]


def test_a_failed_read_comes_out_where_it_is_consumed() -> None:
    def start(offset: int, length: int, base: bool) -> Future[Buffer]:  # noqa: ARG001, FBT001
        future: Future[Buffer] = Future()
        if offset == 64:
            future.set_exception(SourceError("the disk fails"))
        else:
            future.set_result(bytes(length))
        return future

    answers = in_order([ReadAt(0, 9), ReadAt(64, 9)], start, Window(), about="image")
    assert next(answers)[0] == ReadAt(0, 9)
    with pytest.raises(SourceError, match="the disk fails"):
        next(answers)


@pytest.mark.parametrize("length", [0, 8, 10])
def test_a_short_or_long_answer_is_an_error(length: int) -> None:
    def start(offset: int, wanted: int, base: bool) -> Future[Buffer]:  # noqa: ARG001, FBT001
        future: Future[Buffer] = Future()
        future.set_result(bytes(length))
        return future

    with pytest.raises(SourceError, match=f"gave {length}"):
        list(in_order([ReadAt(0, 9)], start, Window(), about="image"))


def test_a_read_without_an_answer_ends_in_time() -> None:
    def start(offset: int, length: int, base: bool) -> Future[Buffer]:  # noqa: ARG001, FBT001
        return Future()

    begun = time.monotonic()
    with pytest.raises(SourceError, match="no answer"):
        list(in_order([ReadAt(0, 9)] * 4, start, Window(wait_s=0.1), about="image"))
    assert time.monotonic() - begun < 5


def test_who_stops_early_waits_for_what_is_under_way() -> None:
    reader = Reader()
    answers = in_order([ReadAt(at * 64, 8) for at in range(50)], reader.start, Window(), about="i")
    next(answers)
    del answers
    assert reader.under_way == 0


class Turnstile:
    """A gate that is open for *free* reads, and notes who came when."""

    def __init__(self, reader: Reader, *, free: int = 0, most: int = 99) -> None:
        self.reader = reader
        self.free = free
        self.most = most
        self.entered: list[int] = []
        self.under_way = 0
        self.handed = 0
        self.ended = 0

    def reads(self, most: int) -> int:
        return min(most, self.most)

    def is_open(self, length: int) -> bool:  # noqa: ARG002
        return len(self.entered) < self.free

    def enter(self, length: int) -> None:
        assert len(self.reader.started) == len(self.entered), "a read began before it was let in"
        if not self.is_open(length):
            assert self.handed == len(self.entered), "what was read waits while its reader does"
        self.entered.append(length)

    def began(self, length: int) -> Callable[[object], None]:  # noqa: ARG002
        self.under_way += 1
        assert self.under_way <= self.most
        return self._end

    def _end(self, _answer: object) -> None:
        self.under_way -= 1
        self.ended += 1


def test_each_read_passes_the_gate_before_it_begins() -> None:
    reader = Reader()
    gate = Turnstile(reader, free=99)
    wanted = [ReadAt(at, 100) for at in range(0, 1000, 100)] + [ReadAt(2000, 50, base=True)]
    answers = list(in_order(wanted, reader.start, Window(), about="i", gate=gate))
    assert len(answers) == 11
    assert gate.entered == [1000, 50], "reads are counted as they are made, new and base"


def test_what_was_read_is_handed_on_before_a_closed_gate() -> None:
    reader = Reader()
    gate = Turnstile(reader, free=3)
    wanted = [ReadAt(at * 64, 8) for at in range(10)]
    for _ in in_order(wanted, reader.start, Window(), about="i", gate=gate):
        gate.handed += 1
    assert gate.handed == len(gate.entered) == 10


def test_no_more_reads_are_under_way_than_the_gate_allows() -> None:
    reader = Reader()
    gate = Turnstile(reader, free=99, most=2)
    wanted = [ReadAt(at * 64 + at % 3, 8) for at in range(40)]
    list(in_order(wanted, reader.start, Window(), about="i", gate=gate))
    assert reader.most <= 2
    assert gate.under_way == 0


def test_who_is_stopped_at_the_gate_reads_no_more() -> None:
    reader = Reader()
    gate = Turnstile(reader, free=99)

    def closed(length: int) -> None:
        raise StoppedError(str(length))

    gate.enter = closed  # type: ignore[method-assign]
    with pytest.raises(StoppedError):
        list(in_order([ReadAt(0, 8)], reader.start, Window(), about="i", gate=gate))
    assert not reader.started


def test_what_needed_no_read_is_no_measure() -> None:
    reader = Reader()
    gate = Turnstile(reader, free=99)

    def start(offset: int, length: int, base: bool) -> Future[Buffer]:  # noqa: FBT001
        if offset:
            return reader.start(offset, length, base)
        reader.started.append((offset, length, base))
        future: Future[Buffer] = Future()
        future.set_result(bytes(length))
        return future

    list(in_order([ReadAt(0, 8), ReadAt(65, 8)], start, Window(), about="i", gate=gate))
    assert (gate.ended, gate.entered) == (1, [8, 8])
