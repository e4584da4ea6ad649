"""Sealed objects: they open as they were sealed, at their place, with their key, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import seal
from drd.core.coding import Writer, lp
from drd.core.seal import TAG_BYTES, Opener, Scope, SealedHeader, SealOrder
from drd.errors import IntegrityError
from tests.unit.core.adversary import (
    assert_refused,
    assert_sealed,
    bit_flips,
    exchanges,
    truncations,
)
from tests.unit.core.specimens import ELSEWHERE, METADATA_KEY, SCOPE, TABLE_ID, noise, order

KIND = b"run "
SECTIONS = (noise(20, "a"), noise(20, "b"), b"", bytes(60))


def sealed(
    sections: tuple[bytes, ...] = SECTIONS, *, kind: bytes = KIND, made: SealOrder | None = None
) -> bytes:
    return seal.seal_object(kind, made or order(), TABLE_ID, clear=b"clear", sections=sections)


def opened(data: bytes, *, kind: bytes = KIND, key: bytes = METADATA_KEY) -> list[bytes]:
    return seal.open_object(data, seal.decode_header(data, kind=kind), key)


def header_of(data: bytes) -> SealedHeader:
    return seal.decode_header(data, kind=KIND)


def pieces_of(data: bytes) -> tuple[bytes, list[bytes]]:
    """The clear header, and each section as it is stored."""
    header = header_of(data)
    ranges = [header.section_range(number) for number in range(len(header.lengths))]
    return header.raw, [data[at : at + length] for at, length in ranges]


def forged(header: SealedHeader) -> bytes:
    """A header encoded anew from its fields, as somebody without the key can."""
    body = Writer()
    for one in (header.scope.repository, header.scope.tenant, header.scope.lineage):
        body.raw(one)
    body.raw(header.object_id).u32(header.generation).raw(header.salt).raw(header.commitment)
    body.u32(len(header.lengths))
    for stored, plain in header.lengths:
        body.u32(stored).u32(plain)
    body.blob(header.clear)
    return bytes(Writer().raw(b"drd1" + header.kind).blob(bytes(body)))


# ── as sealed ───────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_what_is_sealed_opens(sections: list[bytes]) -> None:
    assert opened(sealed(tuple(sections))) == sections


def test_the_header_says_what_was_ordered() -> None:
    data = sealed()
    header = header_of(data)
    assert (header.kind, header.scope, header.object_id) == (KIND, SCOPE, TABLE_ID)
    assert (header.generation, header.salt, header.clear) == (1, order().salt, b"clear")
    assert [plain for _, plain in header.lengths] == [len(one) for one in SECTIONS]
    assert header.size == len(data)
    assert header.raw == data[: len(header.raw)] == forged(header)
    assert seal.header_length(data[:12]) == len(header.raw)


def test_sections_shrink_where_that_helps_and_stay_raw_where_not() -> None:
    stored = [stored - TAG_BYTES for stored, _ in header_of(sealed()).lengths]
    assert stored[:3] == [20, 20, 0]
    assert stored[3] < 60


def test_one_section_opens_without_the_others() -> None:
    data = sealed()
    header, sections = pieces_of(data)
    opener = Opener(seal.decode_header(header, kind=KIND), METADATA_KEY)
    assert opener.section(1, sections[1]) == SECTIONS[1]


def test_nothing_of_the_plaintext_stands_in_the_object() -> None:
    assert noise(20, "a") not in sealed()


def test_a_fresh_salt_gives_another_key_for_everything() -> None:
    one, other = sealed(), sealed(made=order(salt=b"another salt...."))
    for mine, theirs in zip(pieces_of(one)[1], pieces_of(other)[1], strict=True):
        assert mine != theirs
    assert header_of(one).commitment != header_of(other).commitment


# ── damaged ─────────────────────────────────────────────────────────────────────────────────────


def test_a_sealed_object_in_any_other_shape_does_not_open() -> None:
    assert_sealed(opened, sealed())


def test_an_object_without_sections_has_only_its_commitment() -> None:
    data = sealed(())
    assert opened(data) == []
    assert_refused(opened, truncations(data))


def test_the_clear_header_alone_is_decoded_or_refused() -> None:
    header = pieces_of(sealed())[0]
    assert_refused(header_of, truncations(header))
    assert header_of(header + b"and more").raw == header
    for other in bit_flips(header):
        try:
            assert header_of(other).raw == other
        except IntegrityError:
            continue


def test_sections_do_not_change_places() -> None:
    header, sections = pieces_of(sealed((noise(20, 1), noise(20, 2), noise(20, 3))))
    assert_refused(lambda body: opened(header + body), exchanges(sections))


def test_sections_are_not_dropped_added_or_moved_by_a_new_header() -> None:
    """Whoever rewrites the table of lengths to fit has another header, and so another AAD."""
    header, sections = pieces_of(sealed((noise(20, 1), noise(20, 2), noise(20, 3))))
    decoded = header_of(header)
    first = decoded.lengths[0]
    for lengths, body in (
        ((first,) * 2, sections[:2]),
        ((first,) * 2, sections[1:]),
        ((first,) * 4, [*sections, sections[2]]),
        ((first,) * 3, [sections[1], sections[0], sections[2]]),
        ((), []),
    ):
        data = forged(replace(decoded, lengths=lengths)) + b"".join(body)
        if lengths:
            assert_refused(opened, [data])


def test_an_emptied_object_does_not_pass_for_the_one_meant() -> None:
    """No section, no tag: so readers want the sections they need, and the SHA-256 of references."""
    decoded = header_of(sealed())
    assert opened(forged(replace(decoded, lengths=()))) == []
    with pytest.raises(IntegrityError):
        decoded.section_range(4)
    with pytest.raises(IntegrityError):
        decoded.section_range(-1)


def test_the_plain_length_is_authenticated() -> None:
    """Stored as it is, or as zstd: which one follows from the lengths, so they must not move."""
    data = sealed((bytes(60),))
    header, sections = pieces_of(data)
    decoded = header_of(header)
    stored = decoded.lengths[0][0]
    for plain in (stored - TAG_BYTES, 59, 61):
        other = forged(replace(decoded, lengths=((stored, plain),)))
        assert_refused(opened, [other + sections[0]])


def test_sections_of_two_objects_under_one_key_do_not_mix() -> None:
    one, other = sealed(), sealed(made=order(salt=b"another salt...."))
    header, mine = pieces_of(one)
    theirs = pieces_of(other)[1]
    assert_refused(opened, [header + b"".join(theirs)])
    assert_refused(opened, [header + b"".join([*mine[:3], theirs[3]])])


def test_a_section_shorter_than_its_tag_is_refused() -> None:
    opener = Opener(header_of(sealed()), METADATA_KEY)
    with pytest.raises(IntegrityError, match="cut short"):
        opener.section(0, b"short")


@pytest.mark.parametrize("lengths", [((15, 0),), ((37, 20),), ((16, (1 << 30) + 1),)])
def test_impossible_lengths_are_refused(lengths: tuple[tuple[int, int], ...]) -> None:
    assert_refused(header_of, [forged(replace(header_of(sealed()), lengths=lengths)) + bytes(99)])


def test_too_many_sections_are_refused_before_memory_is_taken() -> None:
    header = bytearray(pieces_of(sealed(()))[0])
    at = header.index(b"clear") - 8
    assert header[at : at + 4] == bytes(4)
    header[at : at + 4] = b"\xff\xff\xff\xff"
    assert_refused(header_of, [bytes(header)])


def test_fewer_than_twelve_bytes_have_no_header_length() -> None:
    assert_refused(seal.header_length, truncations(sealed()[:12]))


# ── elsewhere ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scope", ELSEWHERE, ids=["repository", "tenant", "lineage"])
def test_an_object_moved_elsewhere_does_not_open(scope: Scope) -> None:
    """Even when the header is rewritten to name the new place, and the key is the same."""
    header, sections = pieces_of(sealed())
    moved = forged(replace(header_of(header), scope=scope))
    assert_refused(opened, [moved + b"".join(sections)])


@pytest.mark.parametrize("scope", ELSEWHERE, ids=["repository", "tenant", "lineage"])
def test_each_place_has_keys_of_its_own(scope: Scope) -> None:
    data = sealed(made=order(scope=scope))
    assert pieces_of(data)[1] != pieces_of(sealed())[1]
    assert opened(data) == list(SECTIONS)


def test_an_object_of_one_kind_does_not_pass_for_another() -> None:
    data = sealed()
    assert_refused(lambda other: opened(other, kind=b"shrd"), [data])
    renamed = data.replace(b"drd1run ", b"drd1shrd", 1)
    assert_refused(lambda other: opened(other, kind=b"shrd"), [renamed])


def test_another_object_id_does_not_open() -> None:
    header, sections = pieces_of(sealed())
    renamed = forged(replace(header_of(header), object_id=b"another name...."))
    assert_refused(opened, [renamed + b"".join(sections)])


def test_another_key_is_refused_before_anything_is_decrypted() -> None:
    """AES-GCM alone lets one ciphertext open under two keys: the commitment does not."""
    with pytest.raises(IntegrityError, match="metadata key"):
        opened(sealed(), key=bytes(32))
    with pytest.raises(IntegrityError, match="metadata key"):
        Opener(header_of(sealed()), bytes(32))


# ── golden vectors: sealing is a pure function ──────────────────────────────────────────────────


def test_associated_data_is_hash_number_length_last() -> None:
    aad = seal.place(bytes(range(32)), 5, 70000, last=True)
    assert aad == bytes(range(32)) + b"\0\0\0\5" + b"\0\1\x11\x70" + b"\1"
    assert seal.place(bytes(32), 5, 70000, last=False)[-1] == 0


def test_nonces_count() -> None:
    assert seal.nonce(0) == bytes(12)
    assert seal.nonce(258) == bytes(10) + b"\1\2"


def test_the_info_of_a_key_names_purpose_and_place() -> None:
    place = (SCOPE.repository, SCOPE.tenant, SCOPE.lineage)
    assert SCOPE.info(b"drd1 run ") == lp(b"drd1 run ", *place)
