"""Making a repository: only where nothing is, only where two writers cannot meet, and all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typing_extensions import override

from drd.core.seal import sha256
from drd.errors import CrashError, RefusedError
from drd.model import Buffer
from drd.testing.fakes import START, MemoryRing
from drd.testing.mortal import Life, MortalStore
from drd.testing.stores import FaultyStore, MemoryStore
from drd.work.init import NewRepository, check_able, check_empty, init
from drd.work.repository import open_repository

RING = MemoryRing.make("init")
READER = b"# a reader"


def new(**more: object) -> NewRepository:
    fields: dict[str, object] = {
        "repository": RING.repository,
        "tenant": RING.tenant,
        "root": RING.sign_as_root(b"")[0],
        "sign": RING.sign_as_root,
        "hosts": {RING.host_public: ("host",)},
        "recovery": None,
        "reader": READER,
        "now": START,
    }
    return NewRepository(**(fields | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("recovery", [None, b"public"])
def test_a_new_repository_opens(recovery: bytes | None) -> None:
    store = MemoryStore()
    check_empty(store)
    init(store, new(recovery=recovery))
    repository = open_repository(store, RING)
    assert repository.warnings == []
    assert repository.trust.recovery == recovery
    assert repository.trust.keys[RING.host_public].tenants == {RING.tenant}
    assert repository.format.reader_sha256 == sha256(READER)
    assert store.get(f"reader/{sha256(READER).hex()}") == READER


def test_it_exists_when_its_format_does() -> None:
    """Which comes last: whatever a crash leaves, no repository lacks trust or reader."""
    life = Life()
    init(MortalStore(MemoryStore(), life), new())
    assert [word.split("/")[0] for word in life.effects] == [
        "put reader",
        "put trust",
        "put format",
    ]


@pytest.mark.parametrize(
    "keys",
    [["format/1"], ["trust/2"], ["m/some/thing"], ["trust/1", "format/1"], ["trust/1", "m/a"]],
)
def test_a_place_with_parts_of_a_repository_is_refused(keys: list[str]) -> None:
    store = MemoryStore()
    for key in keys:
        store.put(key, b"of somebody")
    with pytest.raises(RefusedError, match="already"):
        check_empty(store)


def test_an_init_that_did_not_end_is_called_that() -> None:
    """Its trust document would stand in the way of every later one, for no reason that shows."""
    store = MemoryStore()
    with pytest.raises(CrashError):
        init(FaultyStore(store, "ok ok crash"), new())
    with pytest.raises(RefusedError, match="did not end") as caught:
        check_empty(store)
    assert "remove trust/1" in caught.value.hint


class Twice(FaultyStore):
    """Each write reaches the store twice: the first answer was lost below."""

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        super().put(key, data, if_absent=if_absent)
        return super().put(key, data, if_absent=if_absent)


def test_a_lost_answer_is_not_somebody_else() -> None:
    store = MemoryStore()
    init(Twice(store), new())
    assert open_repository(store, RING).format.repository == RING.repository
    assert len(store.versions("trust/1")) == len(store.versions("format/1")) == 1


def test_a_place_with_other_things_is_taken() -> None:
    store = MemoryStore()
    store.put("readme", b"of somebody")
    check_empty(store)
    assert store.get("readme") == b"of somebody"


def test_two_who_make_a_repository_at_once() -> None:
    store = MemoryStore()
    init(store, new())
    other = MemoryRing.make("other")
    with pytest.raises(RefusedError, match="somebody else"):
        init(store, new(repository=other.repository, sign=other.sign_as_root))
    assert open_repository(store, RING).format.repository == RING.repository


STORES: list[tuple[Callable[[], MemoryStore], bool]] = [
    (MemoryStore, True),
    (lambda: MemoryStore(conditional=False), True),
    (lambda: MemoryStore(versioned=False), True),
    (lambda: MemoryStore(versioned=False, conditional=False), False),
]


@pytest.mark.parametrize("make, able", STORES)
def test_a_store_without_conditions_and_versions_is_refused(
    make: Callable[[], MemoryStore], *, able: bool
) -> None:
    """There two writers could overwrite each other's manifests."""
    store = make()
    if able:
        assert check_able(store) == store.abilities()
        return
    with pytest.raises(RefusedError, match="neither"):
        check_able(store)
