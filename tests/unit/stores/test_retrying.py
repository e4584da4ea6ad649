"""The one retry: what it repeats, when it stops, and what a lost acknowledgement becomes."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread

import pytest
from typing_extensions import override

from drd.errors import CrashError, ObjectExistsError, StoreError, TransientStoreError
from drd.model import ObjectVersion
from drd.stores.retrying import Patience, RetryingStore
from drd.testing.stores import Effect, FaultyStore, MemoryStore


class Waits:
    """Waits in no time; notes how long it should have been; *interrupt* after so many."""

    def __init__(self, interrupt: int | None = None) -> None:
        self.seconds: list[float] = []
        self._interrupt = interrupt

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) == self._interrupt


def retrying(inner: FaultyStore | MemoryStore, **patience: float) -> tuple[RetryingStore, Waits]:
    waits = Waits()
    return RetryingStore(inner, patience=Patience(**patience), wait=waits), waits  # type: ignore[arg-type]


def test_what_passes_is_tried_again() -> None:
    faulty = FaultyStore(MemoryStore(), "timeout 503 ok timeout ok", reads="timeout 503 ok timeout")
    store, waits = retrying(faulty)
    version = store.put("a", b"1")
    assert store.get("a") == b"1"
    assert store.stat("a").version == version
    store.delete("a", version=version)
    assert not store.versions("a")
    assert len(waits.seconds) == 2 + 2 + 1 + 1
    assert [effect.op for effect in faulty.journal] == ["put", "delete"]


def test_what_does_not_pass_is_raised_at_once() -> None:
    faulty = FaultyStore(MemoryStore(), "denied crash")
    store, waits = retrying(faulty)
    with pytest.raises(StoreError, match="denies"):
        store.put("a", b"1")
    with pytest.raises(CrashError):
        store.put("a", b"1")
    assert not waits.seconds


def test_attempts_are_bounded_and_told() -> None:
    faulty = FaultyStore(MemoryStore(), "503 " * 20)
    store, waits = retrying(faulty, attempts=4)
    with pytest.raises(TransientStoreError, match=r"503 SlowDown \(tried 4 times in \d s\)"):
        store.put("a", b"1")
    assert len(waits.seconds) == 3
    assert len(faulty.unused) == 16


def test_time_is_bounded() -> None:
    faulty = FaultyStore(MemoryStore(), "503 " * 20)
    store, waits = retrying(faulty, total_s=0.0)
    with pytest.raises(TransientStoreError, match="tried 1 times"):
        store.put("a", b"1")
    assert not waits.seconds


def test_waits_grow_with_jitter_up_to_a_bound() -> None:
    drawn: list[list[float]] = []
    for _ in range(40):
        store, waits = retrying(
            FaultyStore(MemoryStore(), "503 " * 8), attempts=9, first_wait_s=1.0, longest_wait_s=8.0
        )
        store.put("a", b"1")
        drawn.append(waits.seconds)
    for turn, bound in enumerate([1, 2, 4, 8, 8, 8, 8, 8]):
        at_turn = [waits[turn] for waits in drawn]
        assert 0 <= min(at_turn) < max(at_turn) <= bound
        assert max(at_turn) > bound / 2


def test_a_shutdown_interrupts_the_wait() -> None:
    faulty = FaultyStore(MemoryStore(), "503 " * 20)
    store = RetryingStore(faulty, wait=Waits(interrupt=3))
    with pytest.raises(TransientStoreError, match="interrupted"):
        store.put("a", b"1")
    assert len(faulty.unused) == 17


def test_an_event_is_such_a_wait() -> None:
    stop = Event()
    patience = Patience(first_wait_s=1e6, longest_wait_s=1e6, attempts=3)
    store = RetryingStore(FaultyStore(MemoryStore(), "503 503"), patience=patience, wait=stop.wait)
    failures: list[TransientStoreError] = []

    def put() -> None:
        with pytest.raises(TransientStoreError) as caught:
            store.put("a", b"1")
        failures.append(caught.value)

    thread = Thread(target=put)
    thread.start()
    stop.set()
    thread.join(timeout=10)
    assert "interrupted" in str(failures[0])


def test_a_lost_acknowledgement_of_a_conditional_put_is_told_as_taken() -> None:
    inner = MemoryStore()
    store, waits = retrying(FaultyStore(inner, "lose-ack"))
    with pytest.raises(ObjectExistsError):
        store.put("m/1", b"mine", if_absent=True)
    assert len(waits.seconds) == 1
    (only,) = inner.versions("m/1")
    assert inner.get("m/1", version=only.version) == b"mine"


def test_a_lost_acknowledgement_of_a_plain_put_sends_the_same_bytes() -> None:
    inner = MemoryStore()
    faulty = FaultyStore(inner, "lose-ack lose-ack ok")
    store, _ = retrying(faulty)
    version = store.put("p/1", bytearray(b"same"))
    assert [inner.get("p/1", version=v.version) for v in inner.versions("p/1")] == [b"same"] * 3
    assert inner.versions("p/1")[-1].version == version
    assert faulty.journal == (Effect("put", "p/1", 4),) * 3


def test_a_lost_acknowledgement_of_a_delete_is_no_error() -> None:
    inner = MemoryStore()
    version = inner.put("a", b"1")
    store, _ = retrying(FaultyStore(inner, "lose-ack"))
    store.delete("a", version=version)
    assert not inner.versions("a")


class Breaking(MemoryStore):
    """Every list breaks after three entries, every second list of folders after one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int | None]] = []
        self.folder_lists = 0

    @override
    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        self.asked.append((after, limit))
        for number, entry in enumerate(super().list(prefix, limit=limit, after=after)):
            if number == 3:
                raise TransientStoreError("the page was lost")
            yield entry

    @override
    def folders(self, prefix: str) -> Iterator[str]:
        self.folder_lists += 1
        for name in super().folders(prefix):
            yield name
            if self.folder_lists % 2:
                raise TransientStoreError("the page was lost")


def test_a_list_that_breaks_goes_on_where_it_broke() -> None:
    inner = Breaking()
    for number in range(8):
        inner.put(f"m/{number}", b"")
    store, waits = retrying(inner)
    assert [o.key for o in store.list("m/")] == [f"m/{number}" for number in range(8)]
    assert inner.asked == [("", None), ("m/2", None), ("m/5", None)]
    assert len(waits.seconds) == 2
    inner.asked.clear()
    assert [o.key for o in store.list("m/", limit=5, after="m/1")] == [
        f"m/{n}" for n in range(2, 7)
    ]
    assert inner.asked == [("m/1", 5), ("m/4", 2)]


def test_folders_that_break_begin_anew_and_come_once() -> None:
    inner = Breaking()
    for name in "abc":
        inner.put(f"m/{name}/1", b"")
    store, waits = retrying(inner)
    assert list(store.folders("m/")) == ["a", "b", "c"]
    assert len(waits.seconds) == 1


def test_each_question_has_its_own_patience() -> None:
    inner = Breaking()
    for number in range(40):
        inner.put(f"m/{number:02}", b"")
    store, _ = retrying(inner, attempts=2)
    assert len(list(store.list("m/"))) == 40
