"""Abilities are found by effect, and a probe leaves nothing that matters."""

from __future__ import annotations

import os

import pytest
from typing_extensions import override

from drd.errors import ObjectExistsError, StoreError
from drd.model import Buffer, StoreAbilities
from drd.stores.probing import probe
from drd.testing.stores import FaultyStore, MemoryStore


@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("versioned", [True, False])
def test_what_a_store_does_is_what_it_can(*, conditional: bool, versioned: bool) -> None:
    store = MemoryStore(versioned=versioned, conditional=conditional)
    found = probe(store, os.urandom)
    assert found == StoreAbilities(conditional_put=conditional, versioned=versioned)
    assert not list(store.list(""))


def test_a_refusal_that_comes_after_the_effect_is_no_condition() -> None:
    class WritesAndRefuses(MemoryStore):
        @override
        def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
            taken = bool(self.versions(key))
            version = super().put(key, data)
            if if_absent and taken:
                raise ObjectExistsError("too late")
            return version

    assert not probe(WritesAndRefuses(), os.urandom).conditional_put


def test_versions_that_cannot_be_read_back_are_none() -> None:
    class Forgets(MemoryStore):
        """Hands out ids and keeps the newest only: a bucket whose versioning was suspended."""

        def __init__(self) -> None:
            super().__init__(versioned=False)

        @override
        def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
            return super().put(key, data, if_absent=if_absent) or f"id-{len(data)}"

        @override
        def get(
            self, key: str, *, version: str = "", start: int = 0, length: int | None = None
        ) -> bytes:
            return super().get(key, start=start, length=length)

    assert probe(Forgets(), os.urandom) == StoreAbilities(conditional_put=True, versioned=False)


def test_who_may_not_delete_can_still_find_out() -> None:
    inner = MemoryStore()
    found = probe(FaultyStore(inner, "ok ok ok denied denied"), lambda _: b"\1\2")
    assert found == StoreAbilities(conditional_put=True, versioned=True)
    assert [entry.key for entry in inner.list("")] == ["probe/0102"]


@pytest.mark.parametrize("script", ["denied", "ok denied"])
def test_a_store_that_refuses_is_not_judged(script: str) -> None:
    inner = MemoryStore(conditional=False)
    with pytest.raises(StoreError, match="denies"):
        probe(FaultyStore(inner, script), os.urandom)
    assert not list(inner.list(""))
