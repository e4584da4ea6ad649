"""The fault script does what its words say, and the dead stay dead."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from drd.errors import CrashError, ObjectExistsError, StoreError, TransientStoreError
from drd.testing.stores import Effect, FaultyStore, MemoryStore


@pytest.mark.parametrize(
    "word,kind,happened",
    [
        ("ok", None, True),
        ("timeout", TransientStoreError, False),
        ("503", TransientStoreError, False),
        ("denied", StoreError, False),
        ("lose-ack", TransientStoreError, True),
        ("crash", CrashError, False),
        ("crash-after", CrashError, True),
    ],
)
@pytest.mark.parametrize("op", ["put", "delete"])
def test_each_word(word: str, kind: type[BaseException] | None, *, happened: bool, op: str) -> None:
    inner = MemoryStore(versioned=False)
    inner.put("gone", b"1")
    store = FaultyStore(inner, f"ok {word}")
    store.put("first", b"")

    def act() -> None:
        if op == "put":
            store.put("new", b"123")
        else:
            store.delete("gone")

    if kind is None:
        act()
    else:
        with pytest.raises(kind):
            act()
    effect = Effect("put", "new", 3) if op == "put" else Effect("delete", "gone")
    assert store.journal == (Effect("put", "first"),) + (effect,) * happened
    assert bool(inner.versions("new")) == (happened and op == "put")
    assert bool(inner.versions("gone")) != (happened and op == "delete")
    assert not store.unused


def test_after_the_script_all_is_well() -> None:
    store = FaultyStore(MemoryStore(), "503")
    with pytest.raises(TransientStoreError):
        store.put("a", b"1")
    for _ in range(5):
        store.put("a", b"1")


@pytest.mark.parametrize("effects", range(5))
def test_it_dies_after_so_many_effects_and_stays_dead(effects: int) -> None:
    inner = MemoryStore()
    store = FaultyStore(inner, crash_after_effects=effects)
    for number in range(effects - 1):
        store.put(str(number), b"1")
    with pytest.raises(CrashError):
        store.put("last", b"1")
    assert len(store.journal) == len(list(inner.list(""))) == effects
    for call in (
        lambda: store.put("x", b""),
        lambda: store.delete("0"),
        lambda: store.get("0"),
        lambda: store.stat("0"),
        lambda: store.versions("0"),
        lambda: store.list(""),
        lambda: store.folders(""),
        store.abilities,
    ):
        with pytest.raises(CrashError):
            call()
    assert len(list(FaultyStore(inner).list(""))) == effects


def test_threads_do_no_more_than_the_script_allows() -> None:
    inner = MemoryStore()
    store = FaultyStore(inner, crash_after_effects=20)

    def work(number: int) -> None:
        for turn in range(50):
            store.put(f"{number}/{turn}", b"")

    with ThreadPoolExecutor(8) as pool:
        deaths = [pool.submit(work, number).exception() for number in range(8)]
    assert all(isinstance(death, CrashError) for death in deaths)
    assert len(list(inner.list(""))) == len(store.journal) == 20


def test_what_had_no_effect_is_not_in_the_journal() -> None:
    inner = MemoryStore()
    inner.put("a", b"1")
    store = FaultyStore(inner)
    with pytest.raises(ObjectExistsError):
        store.put("a", b"2", if_absent=True)
    assert not store.journal


def test_reads_have_a_script_of_their_own() -> None:
    inner = MemoryStore()
    inner.put("a", b"1")
    store = FaultyStore(inner, "timeout", reads="ok 503 denied crash")
    assert store.get("a") == b"1"
    with pytest.raises(TransientStoreError):
        store.stat("a")
    with pytest.raises(StoreError):
        store.versions("a")
    with pytest.raises(CrashError):
        store.get("a")
    assert store.unused == ("timeout",)


@pytest.mark.parametrize(
    "script,reads", [("timeoout", ""), ("", "lose-ack"), ("ok", "crash-after")]
)
def test_a_word_that_means_nothing_is_an_error(script: str, reads: str) -> None:
    with pytest.raises(ValueError, match="mean nothing"):
        FaultyStore(MemoryStore(), script, reads=reads)


def test_a_crash_is_no_error_that_anybody_catches() -> None:
    assert not issubclass(CrashError, Exception)


def test_memory_can_be_damaged_and_has_a_clock_of_its_own() -> None:
    store = MemoryStore()
    first = store.put("a", b"12")
    store.put("a", b"34")
    store.damage("a", b"xx", version=first)
    assert (store.get("a", version=first), store.get("a")) == (b"xx", b"34")
    old, new = store.versions("a")
    assert old.modified_at < new.modified_at
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    fixed = MemoryStore(now=lambda: noon)
    fixed.put("a", b"")
    assert fixed.stat("a").modified_at == noon
