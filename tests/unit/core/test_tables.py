"""Tables: what their clear part says without a key, what opens with it, and what does neither."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import seal, tables
from drd.core.coding import Writer
from drd.core.columns import encode_column
from drd.core.sections import What
from drd.core.tables import (
    MAGIC,
    OpenTable,
    PackRow,
    PackRows,
    Part,
    TableHead,
    TableKind,
    decode_head,
    decode_index,
    decode_packs,
    encode_packs,
    encode_table,
)
from drd.errors import IntegrityError
from tests.unit.core.adversary import (
    assert_refused,
    assert_sealed,
    assert_strict,
    bit_flips,
    exchanges,
    truncations,
)
from tests.unit.core.specimens import (
    METADATA_KEY,
    PARTS,
    TABLE_ID,
    column,
    order,
    pack_rows,
    table,
)


def opened(data: bytes, kind: TableKind = TableKind.RUN) -> dict[tuple[What, int], bytes]:
    """All of a table, as a reader takes it: head, index, each section, rows."""
    head = decode_head(data, kind)
    if head.sealed.size != len(data):
        raise IntegrityError("a table has another length than its header says")
    start, length = head.sealed.section_range(0)
    found = OpenTable(head, METADATA_KEY, data[start : start + length])
    plain = {}
    for key in found.index:
        start, length = found.where(*key)
        plain[key] = found.open(*key, data[start : start + length])
        assert len(plain[key]) == found.plain_length(*key)
    if head.rows:
        decode_packs(plain[What.PACKS, 0], head.rows)
    return plain


def clear_table(clear: bytes) -> bytes:
    """A table whose clear part is *clear*, whatever that is."""
    return seal.seal_object(b"run ", order(), TABLE_ID, clear=clear, sections=[bytes(4)])


# ── as written ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", TableKind)
def test_a_table_reads_back(kind: TableKind) -> None:
    plain = opened(table(kind), kind)
    assert [plain[part.what, part.number] for part in PARTS] == [part.data for part in PARTS]
    assert decode_packs(plain[What.PACKS, 0], pack_rows().rows) == pack_rows()


def test_the_clear_part_needs_no_key() -> None:
    head = decode_head(table(), TableKind.RUN)
    assert head.rows == pack_rows().rows
    assert head.reached == (3, 5)


def test_what_is_secret_of_a_pack_is_not_in_clear() -> None:
    header = decode_head(table(), TableKind.RUN).sealed.raw
    for secret in pack_rows().secrets:
        assert secret.commitment not in header
        assert secret.epoch_id not in header
        assert secret.header_hash not in header


def test_a_table_says_which_windows_it_speaks_of() -> None:
    data = table()
    head = decode_head(data, TableKind.RUN)
    start, length = head.sealed.section_range(0)
    found = OpenTable(head, METADATA_KEY, data[start : start + length])
    assert found.numbers(What.MAP) == [0, 2]
    assert found.has(What.MAP, 2)
    assert not found.has(What.MAP, 1)
    assert not found.has(What.ROLL, 0)


def test_a_table_without_rows_has_no_section_for_them() -> None:
    data = encode_table(
        TableKind.SHARD, order(), TABLE_ID, rows=PackRows(), reached=[], parts=PARTS[:1]
    )
    assert list(opened(data, TableKind.SHARD)) == [(What.MAP, 0)]


@given(st.sets(st.integers(0, (1 << 32) - 1), max_size=60))
def test_ordinals_reached_round_trip(ordinals: set[int]) -> None:
    data = encode_table(
        TableKind.RUN, order(), TABLE_ID, rows=PackRows(), reached=list(ordinals), parts=()
    )
    assert decode_head(data, TableKind.RUN).reached == tuple(sorted(ordinals))


# ── damaged ─────────────────────────────────────────────────────────────────────────────────────


def test_a_table_in_any_other_shape_does_not_open() -> None:
    assert_sealed(opened, table())


def test_the_clear_part_is_decoded_or_refused() -> None:
    data = table()
    assert_refused(partial(decode_head, kind=TableKind.RUN), truncations(clear_of(data)))
    for other in bit_flips(clear_of(data)):
        try:
            decode_head(other, TableKind.RUN)
        except IntegrityError:
            continue


def clear_of(data: bytes) -> bytes:
    return decode_head(data, TableKind.RUN).sealed.raw


def test_a_table_of_one_kind_does_not_pass_for_another() -> None:
    data = table()
    for kind in set(TableKind) - {TableKind.RUN}:
        assert_refused(partial(opened, kind=kind), [data])
        renamed = b"drd1" + MAGIC[kind] + data[8:]
        assert_refused(partial(opened, kind=kind), [renamed])


def test_a_table_without_an_index_is_refused() -> None:
    clear = decode_head(table(), TableKind.RUN).sealed.clear
    data = seal.seal_object(b"run ", order(), TABLE_ID, clear=clear, sections=[])
    with pytest.raises(IntegrityError, match="no index"):
        decode_head(data, TableKind.RUN)


def test_sections_of_a_table_do_not_change_places() -> None:
    data = table()
    sealed = decode_head(data, TableKind.RUN).sealed
    ranges = [sealed.section_range(number) for number in range(len(sealed.lengths))]
    pieces = [data[at : at + length] for at, length in ranges]
    assert len(pieces) == 6
    assert_refused(lambda body: opened(sealed.raw + body), exchanges(pieces[:4]))


def row_bytes(*rows: PackRow) -> bytes:
    writer = Writer().u32(len(rows))
    for row in rows:
        writer.u32(row.ordinal).raw(row.pack_id).u32(row.generation).u64(row.size)
        writer.raw(row.sha256).text(row.version)
    return bytes(writer)


def ordinal_bytes(*ordinals: int) -> bytes:
    encoded = encode_column(column(*ordinals), delta=True)
    return bytes(Writer().u32(len(encoded)).blob(encoded))


ROW_3, ROW_5 = pack_rows().rows


@pytest.mark.parametrize(
    "clear",
    [
        row_bytes(ROW_3, ROW_3) + ordinal_bytes(3),
        row_bytes(ROW_5, ROW_3) + ordinal_bytes(3, 5),
        row_bytes() + ordinal_bytes(3, 3),
        row_bytes() + ordinal_bytes(5, 3),
        row_bytes() + bytes(Writer().u32(1 << 29).blob(b"")),
        row_bytes() + bytes(Writer().u32(12).blob(b"no zstd")),
        row_bytes() + bytes(Writer().u32(5).blob(encode_column(column())[:4] + b"x")),
        row_bytes(ROW_3) + ordinal_bytes(3) + b"x",
    ],
    ids=[
        "one ordinal twice",
        "rows descend",
        "reaches twice",
        "reaches descending",
        "huge",
        "garbage",
        "left over in the column",
        "left over",
    ],
)
def test_a_clear_part_out_of_order_is_refused(clear: bytes) -> None:
    right = clear_table(row_bytes(ROW_3, ROW_5) + ordinal_bytes(3, 5))
    assert isinstance(decode_head(right, TableKind.RUN), TableHead)
    assert_refused(partial(decode_head, kind=TableKind.RUN), [clear_table(clear)])


# ── rows ────────────────────────────────────────────────────────────────────────────────────────


def test_a_damaged_pack_section_is_refused_or_another_one() -> None:
    rows = pack_rows()

    def encode(value: object) -> bytes:
        assert isinstance(value, PackRows)
        return encode_packs(value)

    assert_strict(lambda data: decode_packs(data, rows.rows), encode, encode_packs(rows))


def test_sealed_rows_fit_the_clear_ones() -> None:
    rows = pack_rows()
    data = encode_packs(rows)
    for other in ((), rows.rows[:1], rows.rows[::-1], (rows.rows[0], *rows.rows)):
        with pytest.raises(IntegrityError, match="do not match"):
            decode_packs(data, other)


def test_a_row_names_an_epoch_that_is_there() -> None:
    rows = pack_rows()
    data = encode_packs(rows)
    at = data.index((5).to_bytes(4, "big") + (1).to_bytes(4, "big"))
    wrong = data[: at + 4] + (2).to_bytes(4, "big") + data[at + 8 :]
    with pytest.raises(IntegrityError, match="epoch that is not there"):
        decode_packs(wrong, rows.rows)


def test_joined_rows_ascend_and_name_each_epoch_once() -> None:
    rows = pack_rows()
    joined = PackRows.join([rows.only({5}), PackRows(), rows.only({3})])
    assert joined.rows == rows.rows
    assert joined.secrets == rows.secrets
    assert {epoch.epoch_id for epoch in joined.epochs} == {one.epoch_id for one in rows.epochs}
    assert (
        len(PackRows.join([rows.only({3}), replace(rows.only({5}), epochs=rows.epochs)]).epochs)
        == 2
    )


def test_an_ordinal_with_two_rows_is_damage() -> None:
    rows = pack_rows()
    with pytest.raises(IntegrityError, match="two rows"):
        PackRows.join([rows, rows.only({3})])


def test_only_some_rows_take_only_their_epochs() -> None:
    some = pack_rows().only({5})
    assert [row.ordinal for row in some.rows] == [5]
    assert [secret.ordinal for secret in some.secrets] == [5]
    assert [epoch.generation for epoch in some.epochs] == [2]


# ── index ───────────────────────────────────────────────────────────────────────────────────────


def index_bytes(*entries: tuple[int, int]) -> bytes:
    writer = Writer().u32(len(entries))
    for what, number in entries:
        writer.u8(what).u32(number)
    return bytes(writer)


def test_an_index_names_each_section_once() -> None:
    data = index_bytes((1, 0), (1, 7), (2, 0))
    index = decode_index(data, 4)
    assert index == {(What.MAP, 0): 1, (What.MAP, 7): 2, (What.DIGESTS, 0): 3}
    assert_refused(partial(decode_index, sections=4), truncations(data))
    assert_refused(partial(decode_index, sections=4), [data + b"x"])
    assert_refused(partial(decode_index, sections=3), [data])
    assert_refused(partial(decode_index, sections=5), [data])
    assert_refused(partial(decode_index, sections=3), [index_bytes((1, 0), (1, 0))])
    assert_refused(partial(decode_index, sections=2), [index_bytes((9, 0))])
    assert_refused(partial(decode_index, sections=2), [index_bytes((0, 0))])


def test_a_footer_has_the_sections_of_a_run() -> None:
    sections = tables.encode_table_sections(PARTS)
    assert len(sections) == len(PARTS) + 1
    index = decode_index(sections[0], len(sections))
    for part in PARTS:
        assert sections[index[part.what, part.number]] == part.data


def test_two_parts_for_one_window_are_refused_on_reading() -> None:
    twice = [*PARTS, Part(What.MAP, 0, b"again")]
    data = encode_table(TableKind.RUN, order(), TABLE_ID, rows=PackRows(), reached=[], parts=twice)
    assert_refused(opened, [data])
