"""Counters tell what was achieved, also from several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from drd.errors import ObjectExistsError, TransientStoreError
from drd.stores.metered import MeteredStore, Traffic
from drd.testing.stores import FaultyStore, MemoryStore


def test_each_kind_of_call_is_counted() -> None:
    store = MeteredStore(MemoryStore())
    version = store.put("a/b", bytearray(100))
    store.put("a/c", memoryview(b"12345"), if_absent=True)
    store.get("a/b")
    store.get("a/b", start=90, length=50)
    store.stat("a/b")
    assert len(list(store.list("a/"))) == 2
    assert list(store.folders("")) == ["a"]
    assert len(store.versions("a/b")) == 1
    store.delete("a/b", version=version)
    want = Traffic(puts=2, bytes_put=105, gets=2, bytes_got=110, lists=3)
    assert store.traffic == want
    shown = (store.puts, store.bytes_put, store.gets, store.bytes_got, store.lists)
    assert shown == (2, 105, 2, 110, 3)


def test_failures_count_nothing() -> None:
    store = MeteredStore(FaultyStore(MemoryStore(), "ok timeout lose-ack", reads="timeout"))
    store.put("a", b"1", if_absent=True)
    for kind in (TransientStoreError, TransientStoreError, ObjectExistsError):
        with pytest.raises(kind):
            store.put("a", b"22", if_absent=kind is ObjectExistsError)
    with pytest.raises(TransientStoreError):
        store.get("a")
    assert store.traffic == Traffic(puts=1, bytes_put=1)


def test_probes_are_not_counted() -> None:
    store = MeteredStore(MemoryStore())
    assert store.abilities().versioned
    assert store.traffic == Traffic()


def test_no_count_is_lost_between_threads() -> None:
    store = MeteredStore(MemoryStore())

    def work(number: int) -> None:
        for turn in range(500):
            store.put(f"{number}/{turn}", b"12")
            store.get(f"{number}/{turn}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert store.traffic == Traffic(puts=4000, bytes_put=8000, gets=4000, bytes_got=8000)
