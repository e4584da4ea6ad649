"""The conformance suite is worth something only if bad stores fail it: each of these breaks one rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from threading import Event

import pytest
from typing_extensions import override

from drd.errors import ObjectExistsError, ObjectMissingError, RefusedError, StoreError
from drd.model import Buffer, ObjectVersion, StoreAbilities
from drd.testing.store_conformance import (
    CHECKS,
    BrokenContractError,
    erase,
    marker_hides_nothing,
)
from drd.testing.stores import FaultyStore, MemoryStore

BY_NAME = {check.__name__: check for _, check in CHECKS}


class TakesAnyKey(MemoryStore):
    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        try:
            return super().put(key, data, if_absent=if_absent)
        except RefusedError:
            return ""


class RefusesDots(MemoryStore):
    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        if "/." in key:
            raise RefusedError("no dots")
        return super().put(key, data, if_absent=if_absent)


class KeepsTheBuffer(MemoryStore):
    """Reads a buffer only later, as a lazy upload would."""

    def __init__(self) -> None:
        super().__init__()
        self.lazy: dict[str, Buffer] = {}

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        self.lazy[key] = data
        return super().put(key, data, if_absent=if_absent)

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        super().get(key, version=version)
        return bytes(self.lazy[key])[start:][:length]


class FailsBehindTheEnd(MemoryStore):
    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        data = super().get(key, version=version)
        if start > len(data):
            raise StoreError("416")
        return data[start:][:length]


class InventsAbsentObjects(MemoryStore):
    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        try:
            return super().get(key, version=version, start=start, length=length)
        except ObjectMissingError:
            return b""


class ServesAnyVersion(MemoryStore):
    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        return super().get(key, start=start, length=length)


class Boasts(MemoryStore):
    """Says that it honours conditions, and does not: what RGW 16 would be without a probe."""

    def __init__(self) -> None:
        super().__init__(conditional=False)

    @override
    def abilities(self) -> StoreAbilities:
        return StoreAbilities(conditional_put=True, versioned=True)


class WritesBeforeItRefuses(MemoryStore):
    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        taken = bool(self.versions(key))
        version = super().put(key, data)
        if if_absent and taken:
            raise ObjectExistsError("too late")
        return version


class LooksThenWrites(MemoryStore):
    """Honours conditions one caller at a time, and not in a race."""

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        if if_absent and self.versions(key):
            raise ObjectExistsError("taken")
        Event().wait(0.005)
        return super().put(key, data)


class Tears(MemoryStore):
    """Shows an object while it is written."""

    @override
    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        super().put(key, bytes(data)[: len(data) // 2], if_absent=if_absent)
        Event().wait(0.005)
        return super().put(key, data)


class TellsLocalTime(MemoryStore):
    @override
    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        found = super().stat(key, version=version)
        naive = found.modified_at.replace(tzinfo=None)
        return ObjectVersion(found.key, found.version, found.size, naive, found.latest)


class ListsByFolder(MemoryStore):
    """Sorts by components, as a walk through folders does that forgets the slash."""

    @override
    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        found = super().list(prefix, after=after)
        return islice(iter(sorted(found, key=lambda entry: entry.key.split("/"))), limit)


class ListsFromTheMarkerOn(MemoryStore):
    @override
    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        super_list = super().list
        found = (o for o in super_list(prefix) if o.key >= after)
        return islice(found, limit)


class IgnoresLimits(MemoryStore):
    @override
    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        return super().list(prefix, after=after)


class ShowsObjectsAsFolders(MemoryStore):
    @override
    def folders(self, prefix: str) -> Iterator[str]:
        below = {o.key[len(prefix) :].partition("/")[0] for o in self.list(prefix)}
        return iter(sorted(below))


class OrdersByName(MemoryStore):
    @override
    def versions(self, key: str) -> Sequence[ObjectVersion]:
        return sorted(super().versions(key), key=lambda found: found.version)


class ShowsNeighbours(MemoryStore):
    @override
    def versions(self, key: str) -> Sequence[ObjectVersion]:
        return list(self.list(key))


class DeletesAll(MemoryStore):
    @override
    def delete(self, key: str, *, version: str = "") -> None:
        for found in self.versions(key):
            super().delete(key, version=found.version)


class MarksOnDelete(MemoryStore):
    """A plain S3 DELETE: without a version it makes a marker, and hides the object."""

    @override
    def delete(self, key: str, *, version: str = "") -> None:
        if not version:
            self.mark_deleted(key)
        super().delete(key, version=version)

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        if not version and any(not found.latest for found in self.versions(key)[-1:]):
            raise ObjectMissingError("marked")
        return super().get(key, version=version, start=start, length=length)


class MissesDeleted(MemoryStore):
    @override
    def delete(self, key: str, *, version: str = "") -> None:
        if not self.versions(key):
            raise ObjectMissingError("nothing to delete")
        super().delete(key, version=version)


@pytest.mark.parametrize(
    "kind,name",
    [
        (TakesAnyKey, "refuses_what_is_no_key"),
        (RefusesDots, "takes_every_key"),
        (KeepsTheBuffer, "gives_back_what_was_put"),
        (FailsBehindTheEnd, "reads_ranges"),
        (InventsAbsentObjects, "says_what_is_missing"),
        (ServesAnyVersion, "says_what_is_missing"),
        (ServesAnyVersion, "overwrites_whole"),
        (ShowsNeighbours, "says_what_is_missing"),
        (Boasts, "keeps_conditions"),
        (WritesBeforeItRefuses, "keeps_conditions"),
        (LooksThenWrites, "one_wins_a_race"),
        (Tears, "never_torn"),
        (TellsLocalTime, "measures"),
        (ListsByFolder, "lists_in_order"),
        (ListsFromTheMarkerOn, "lists_in_order"),
        (IgnoresLimits, "lists_in_order"),
        (ShowsObjectsAsFolders, "lists_folders"),
        (OrdersByName, "orders_versions"),
        (DeletesAll, "deletes_for_good"),
        (MarksOnDelete, "deletes_for_good"),
        (MissesDeleted, "deletes_for_good"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_store_that_breaks_a_rule_is_found(kind: type[MemoryStore], name: str) -> None:
    with pytest.raises((BrokenContractError, StoreError, RefusedError)):
        BY_NAME[name](kind())


def test_a_store_whose_lists_markers_hide_from_is_found() -> None:
    class Hides(MemoryStore):
        @override
        def list(
            self, prefix: str, *, limit: int | None = None, after: str = ""
        ) -> Iterator[ObjectVersion]:
            found = super().list(prefix, limit=limit, after=after)
            return (entry for entry in found if entry.latest)

    store = Hides()
    with pytest.raises(BrokenContractError, match="hid"):
        marker_hides_nothing(store, store.mark_deleted)


def test_each_check_has_a_name_that_a_person_can_read() -> None:
    assert len({name for name, _ in CHECKS}) == len(CHECKS)
    assert all(name.endswith(".") and 20 < len(name) < 100 for name, _ in CHECKS)


def test_a_check_that_fails_cleans_up_and_tells_its_own_failure() -> None:
    inner = MemoryStore()
    inner.put("m/precious", b"1")
    with pytest.raises(StoreError, match="denies"):
        BY_NAME["overwrites_whole"](FaultyStore(inner, "ok denied"))
    assert [o.key for o in inner.list("")] == ["m/precious"]


def test_a_check_that_cannot_clean_up_says_so() -> None:
    inner = MemoryStore()
    with pytest.raises(StoreError, match="denies"):
        BY_NAME["overwrites_whole"](FaultyStore(inner, "ok ok denied"))
    assert list(inner.folders("")) == ["probe"]


def test_erase_says_when_what_it_deletes_stays() -> None:
    class Keeps(MemoryStore):
        @override
        def delete(self, key: str, *, version: str = "") -> None:
            """Answer with success, and do nothing."""

    store = Keeps()
    store.put("a/b", b"1")
    with pytest.raises(BrokenContractError, match="must not be listed"):
        erase(store, "a/")
