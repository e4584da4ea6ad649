"""Tables from the bucket: the one that is meant, from whatever version has it, or damage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from drd.core import names, seal
from drd.core.manifest import Reference
from drd.core.seal import Scope, SealOrder
from drd.core.sections import What
from drd.core.tables import MAGIC, PackRows, Part, TableKind, encode_table
from drd.errors import IntegrityError
from drd.stores.metered import MeteredStore
from drd.testing.fakes import START, Inline, MemoryRing, seeded
from drd.testing.repository import make_repository
from drd.testing.stores import MemoryStore
from drd.work.lineagekeys import LineageKeys, make_generation
from drd.work.shelf import WHOLE_BYTES, Shelf, fetch
from tests.unit.core.specimens import noise, pack_rows

RING = MemoryRing.make("shelf")
LINEAGE = b"lineage of tests"
RUN = TableKind.RUN
SMALL = noise(1000, "small")
LARGE = noise(WHOLE_BYTES + 1000, "large")


class Room:
    """A lineage with keys, and tables put into its bucket by hand."""

    def __init__(self, *, versioned: bool = True) -> None:
        self.store = MemoryStore(versioned=versioned)
        self.repository = make_repository(self.store, RING)
        self.draw = seeded("room")
        self.keys: LineageKeys = make_generation(
            self.repository, LINEAGE, 1, random=self.draw, now=START
        )

    def encode(
        self,
        *sections: bytes,
        kind: TableKind = RUN,
        rows: PackRows | None = None,
        scope: Scope | None = None,
    ) -> tuple[bytes, bytes]:
        """Id and bytes of a table of one map section for each window, from 0 on."""
        table_id = self.draw(16)
        order = SealOrder(scope or self.keys.scope, 1, self.keys.metadata(1), self.draw(16))
        parts = [Part(What.MAP, number, data) for number, data in enumerate(sections)]
        made = encode_table(kind, order, table_id, rows=rows or PackRows(), reached=[], parts=parts)
        return table_id, made

    def put(self, table_id: bytes, data: bytes, *, under: bytes = b"") -> Reference:
        key = names.table_key(RING.tenant, LINEAGE, under or table_id)
        version = self.store.put(key, data)
        return Reference(RUN, 0, 0, 1, under or table_id, len(data), seal.sha256(data), version)

    def shelf(self, **more: int) -> Shelf:
        return Shelf(self.store, self.keys, **more)


@pytest.fixture
def room() -> Room:
    return Room()


def same_length(data: bytes) -> bytes:
    return bytes(len(data))


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def last_bit(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def first_bit_of_salt(data: bytes) -> bytes:
    at = 12 + 4 * 16 + 4
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def huge_header(data: bytes) -> bytes:
    return data[:8] + b"\xff\xff\xff\xff" + data[12:]


DAMAGE: list[Callable[[bytes], bytes]] = [
    same_length,
    half,
    last_bit,
    first_bit_of_salt,
    huge_header,
    lambda _: b"",
]


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
class TestAnySize:
    def test_sections_are_read_as_they_were_sealed(self, room: Room, content: bytes) -> None:
        reference = room.put(*room.encode(content, b"another"))
        shelf = room.shelf()
        assert shelf.section(reference, What.MAP, 0) == content
        assert shelf.section(reference, What.MAP, 1) == b"another"
        assert shelf.section(reference, What.MAP, 2) is None
        assert shelf.section(reference, What.ROLL, 0) is None

    @pytest.mark.parametrize("damage", DAMAGE)
    def test_damage_is_damage(
        self, room: Room, content: bytes, damage: Callable[[bytes], bytes]
    ) -> None:
        table_id, data = room.encode(content)
        reference = room.put(table_id, data)
        room.store.damage(room.shelf().key(reference), damage(data))
        with pytest.raises(IntegrityError):
            room.shelf().section(reference, What.MAP, 0)

    @pytest.mark.parametrize("damage", DAMAGE)
    def test_another_version_may_be_the_one_meant(
        self, room: Room, content: bytes, damage: Callable[[bytes], bytes]
    ) -> None:
        """A copied bucket has other version ids, and somebody may have added versions to it."""
        table_id, data = room.encode(content)
        reference = room.put(table_id, data)
        room.put(table_id, damage(data))
        unknown = replace(reference, version="a version of the first bucket")
        for one in (reference, unknown):
            assert room.shelf().section(one, What.MAP, 0) == content
        room.store.damage(room.shelf().key(reference), damage(data), version=reference.version)
        room.put(table_id, data)
        room.put(table_id, damage(data))
        for one in (reference, unknown):
            assert room.shelf().section(one, What.MAP, 0) == content

    def test_a_missing_table_is_damage(self, room: Room, content: bytes) -> None:
        table_id, data = room.encode(content)
        reference = room.put(table_id, data)
        room.store.delete(room.shelf().key(reference), version=reference.version)
        with pytest.raises(IntegrityError, match="missing"):
            room.shelf().section(reference, What.MAP, 0)

    def test_a_table_that_goes_away_or_rots_while_it_is_open(
        self, room: Room, content: bytes
    ) -> None:
        table_id, data = room.encode(content)
        reference = room.put(table_id, data)
        shelf = room.shelf()
        shelf.open(reference)
        room.store.damage(shelf.key(reference), last_bit(data))
        room.put(table_id, data)
        assert shelf.section(reference, What.MAP, 0) == content
        assert shelf.section(reference, What.MAP, 0) == content

    def test_a_table_of_elsewhere_is_damage(self, room: Room, content: bytes) -> None:
        """Even where the reference has its SHA-256: its header names its place."""
        mine = room.keys.scope
        for scope in (
            replace(mine, repository=bytes(16)),
            replace(mine, tenant=bytes(16)),
            replace(mine, lineage=bytes(16)),
        ):
            reference = room.put(*room.encode(content, scope=scope))
            with pytest.raises(IntegrityError):
                room.shelf().open(reference)
        table_id, data = room.encode(content)
        reference = room.put(table_id, data, under=bytes(16))
        with pytest.raises(IntegrityError, match="elsewhere"):
            room.shelf().open(reference)

    def test_a_table_of_another_kind_or_size_is_damage(self, room: Room, content: bytes) -> None:
        reference = room.put(*room.encode(content))
        shard = room.put(*room.encode(content, kind=TableKind.SHARD))
        for one in (
            shard,
            replace(reference, kind=TableKind.SHARD),
            replace(reference, size=reference.size + 1),
        ):
            with pytest.raises(IntegrityError):
                room.shelf().open(one)


def test_small_tables_are_compared_with_their_hash(room: Room) -> None:
    """What stands in clear (rows, ordinals) is believed before a section is opened."""
    reference = room.put(*room.encode(SMALL))
    other = replace(reference, sha256=bytes(32))
    with pytest.raises(IntegrityError, match="damaged"):
        room.shelf().open(other)


def test_a_long_header_is_fetched_to_its_end(room: Room) -> None:
    """More sections than the first request brings."""
    sections = [b""] * 40_000
    reference = room.put(*room.encode(LARGE, *sections))
    assert room.shelf().section(reference, What.MAP, 39_999) == b""


def test_rows_come_with_their_sealed_half(room: Room) -> None:
    reference = room.put(*room.encode(SMALL, rows=pack_rows()))
    assert room.shelf().rows(reference) == pack_rows()
    assert room.shelf().rows(room.put(*room.encode(SMALL))) == PackRows()


def test_rows_without_their_sealed_half_are_damage(room: Room) -> None:
    """Their clear half alone has no commitments."""
    _, with_rows = room.encode(rows=pack_rows())
    clear = seal.decode_header(with_rows, kind=MAGIC[RUN]).clear
    table_id = room.draw(16)
    order = SealOrder(room.keys.scope, 1, room.keys.metadata(1), room.draw(16))
    data = seal.seal_object(MAGIC[RUN], order, table_id, clear=clear, sections=[bytes(4)])
    with pytest.raises(IntegrityError, match="sealed half"):
        room.shelf().rows(room.put(table_id, data))


def test_tables_that_were_written_or_warmed_are_not_fetched_again(room: Room) -> None:
    table_id, data = room.encode(SMALL)
    reference = room.put(table_id, data)
    written, warmed = room.shelf(), room.shelf()
    written.put_away(reference, data)
    warmed.warm([reference], Inline())
    room.store.delete(written.key(reference), version=reference.version)
    for shelf in (written, warmed):
        assert shelf.section(reference, What.MAP, 0) == SMALL


def test_only_so_much_is_kept(room: Room) -> None:
    """Headers alone: when not even those fit, the least recently used go."""
    references = [room.put(*room.encode(noise(1000, at))) for at in range(4)]
    shelf = room.shelf(keep_bytes=300)
    for at in (0, 1, 0, 2, 3, 0):
        assert shelf.section(references[at], What.MAP, 0) == noise(1000, at)
    assert len(shelf._held) == 1
    assert shelf._bytes == references[0].size


def test_what_does_not_fit_is_read_section_by_section(room: Room) -> None:
    """A walk over more tables than fit, window by window, fetches none of them whole again."""
    windows = [noise(4000, at) for at in range(6)]
    references = [room.put(*room.encode(*windows)) for _ in range(5)]
    store = MeteredStore(room.store)
    shelf = Shelf(store, room.keys, keep_bytes=references[0].size * 2)
    for number, content in enumerate(windows):
        for reference in references:
            assert shelf.section(reference, What.MAP, number) == content
        assert shelf._bytes <= references[0].size * 2
    assert store.bytes_got < 2 * sum(reference.size for reference in references)


def test_the_pinned_version_is_tried_first_and_any_other_that_verifies(room: Room) -> None:
    key = "x/object"
    right = room.store.put(key, b"right")
    assert fetch(room.store, key, version=right, sha256=seal.sha256(b"right")) == b"right"
    middle = room.store.put(key, b"middle")
    room.store.put(key, b"garbage")
    assert fetch(room.store, key, version="unknown", sha256=seal.sha256(b"middle")) == b"middle"
    assert fetch(room.store, key, version=middle, sha256=seal.sha256(b"right")) == b"right"
    with pytest.raises(IntegrityError, match="damaged"):
        fetch(room.store, key, version=right, sha256=bytes(32))
    with pytest.raises(IntegrityError, match="missing"):
        fetch(room.store, "x/other", version="", sha256=bytes(32))
