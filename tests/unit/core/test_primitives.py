"""Compression, hybrid keys, digests, names: the small parts."""

from __future__ import annotations

from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from drd.core import hybrid, names, seal
from drd.core.compress import Compressor, Decompressor
from drd.core.digest import (
    ROOT_MODULUS,
    DigestKeys,
    cell_digest,
    root_bytes,
    root_term,
    size_term,
)
from drd.errors import IntegrityError
from tests.unit.core.adversary import assert_refused, assert_sealed, bit_flips, truncations
from tests.unit.core.specimens import ELSEWHERE, PRIVATE, PUBLIC, SCOPE, noise

# ── compression ─────────────────────────────────────────────────────────────────────────────────


@given(st.binary(max_size=500) | st.integers(0, 5000).map(bytes), st.integers(1, 3))
def test_what_shrinks_grows_again(plain: bytes, level: int) -> None:
    stored = Compressor(level).shrink(plain)
    assert len(stored) <= len(plain)
    assert bytes(Decompressor().grow(stored, len(plain))) == plain


def test_what_does_not_shrink_is_stored_as_it_is() -> None:
    plain = noise(1000)
    assert Compressor(19).shrink(plain) is plain
    assert Decompressor().grow(plain, 1000) is plain


def test_a_damaged_frame_is_refused_or_gives_the_length_that_was_asked() -> None:
    stored = bytes(Compressor(1).shrink(bytes(300) + noise(40)))
    grow = Decompressor().grow
    assert len(grow(stored, 340)) == 340
    assert_refused(lambda data: grow(data, 340), truncations(stored))
    for other in (stored + b"x", stored + stored):
        assert_refused(lambda data: grow(data, 340), [other])
    for other in bit_flips(stored):
        try:
            assert len(grow(other, 340)) == 340
        except IntegrityError:
            continue


def test_a_frame_of_another_length_is_refused_before_memory_is_taken() -> None:
    stored = bytes(Compressor(1).shrink(bytes(1 << 20)))
    for length in (len(stored) + 1, (1 << 20) - 1, (1 << 20) + 1, 1 << 30):
        assert_refused(lambda data, length=length: Decompressor().grow(data, length), [stored])  # type: ignore[misc]


def test_a_frame_longer_than_its_plaintext_is_refused() -> None:
    with pytest.raises(IntegrityError, match="longer than its plaintext"):
        Decompressor().grow(bytes(11), 10)


def test_a_frame_that_does_not_say_its_length_is_refused() -> None:
    stored = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(500))
    assert_refused(lambda data: Decompressor().grow(data, 500), [stored])


# ── hybrid keys ─────────────────────────────────────────────────────────────────────────────────


def test_a_sealed_secret_in_any_other_shape_does_not_open() -> None:
    sealed = hybrid.seal_to(PUBLIC, b"info", b"")
    assert_sealed(lambda data: hybrid.open_with(PRIVATE, b"info", data), sealed)


def test_only_the_private_half_and_the_same_info_open() -> None:
    sealed = hybrid.seal_to(PUBLIC, b"info", b"secret")
    assert hybrid.open_with(PRIVATE, b"info", sealed) == b"secret"
    for private, info in ((noise(96), b"info"), (PRIVATE, b"other"), (PRIVATE, b"")):
        with pytest.raises(IntegrityError):
            hybrid.open_with(private, info, sealed)


def test_both_halves_of_a_private_key_are_needed() -> None:
    """What is harvested today stays shut when either half holds."""
    sealed = hybrid.seal_to(PUBLIC, b"", b"secret")
    for private in (noise(64) + PRIVATE[64:], PRIVATE[:64] + noise(32)):
        with pytest.raises(IntegrityError):
            hybrid.open_with(private, b"", sealed)


def test_sealing_twice_gives_other_bytes() -> None:
    assert hybrid.seal_to(PUBLIC, b"", b"x") != hybrid.seal_to(PUBLIC, b"", b"x")


def test_keys_of_a_wrong_length_are_refused() -> None:
    assert (len(PRIVATE), len(PUBLIC)) == (96, 1216)
    for private in (b"", PRIVATE[:-1], PRIVATE + b"x"):
        with pytest.raises(IntegrityError):
            hybrid.public_of(private)
        with pytest.raises(IntegrityError):
            hybrid.open_with(private, b"", b"")
    for public in (b"", PUBLIC[:-1], PUBLIC + b"x"):
        with pytest.raises(IntegrityError):
            hybrid.seal_to(public, b"", b"")


def test_a_public_key_that_is_none_is_refused() -> None:
    """FIPS 203 (7.2) wants coefficients below the modulus."""
    with pytest.raises(IntegrityError, match="damaged"):
        hybrid.seal_to(b"\xff" * 1184 + PUBLIC[1184:], b"", b"")


# ── digests ─────────────────────────────────────────────────────────────────────────────────────

KEYS = DigestKeys.derive(bytes(32), SCOPE)


def test_a_digest_is_never_zero_and_depends_on_the_key() -> None:
    assert cell_digest(KEYS.cell, bytes(64)) != 0
    assert cell_digest(KEYS.cell, b"x") != cell_digest(KEYS.root, b"x")


@pytest.mark.parametrize("scope", ELSEWHERE, ids=["repository", "tenant", "lineage"])
def test_digest_keys_are_of_one_place(scope: seal.Scope) -> None:
    assert DigestKeys.derive(bytes(32), scope) != KEYS
    assert DigestKeys.derive(bytes(31) + b"x", SCOPE) != KEYS


def test_a_root_is_32_bytes_big_endian() -> None:
    assert root_bytes(258) == bytes(30) + b"\1\2"
    assert len(root_bytes(ROOT_MODULUS - 1)) == 32


def test_each_part_of_a_term_counts() -> None:
    terms = {root_term(KEYS.root, *term) for term in ((1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4))}
    assert len({*terms, size_term(KEYS.root, 1, 3), size_term(KEYS.root, 1, 4)}) == 6


# ── names ───────────────────────────────────────────────────────────────────────────────────────

TENANT, LINEAGE = bytes(range(16)), bytes(range(16, 32))


@given(st.lists(st.integers(0, names.MAX_SEQ), min_size=2, max_size=5))
def test_the_newest_manifest_sorts_first(seqs: list[int]) -> None:
    keys = [names.manifest_key(TENANT, LINEAGE, seq) for seq in sorted(seqs)]
    assert all(older >= newer for older, newer in pairwise(keys))
    for key, seq in zip(keys, sorted(seqs), strict=True):
        assert names.parse_manifest_key(key) == (TENANT, LINEAGE, seq)


def test_names_are_those_of_the_page() -> None:
    t, lineage, one = TENANT.hex(), LINEAGE.hex(), b"\xaa" * 16
    assert names.manifest_key(TENANT, LINEAGE, 1) == f"m/{t}/{lineage}/9999999998"
    assert names.pack_key(TENANT, LINEAGE, one) == f"p/{t}/{lineage}/{'aa' * 16}"
    assert names.table_key(TENANT, LINEAGE, one) == f"x/{t}/{lineage}/{'aa' * 16}"
    assert names.public_key(TENANT, LINEAGE, 3) == f"k/{t}/{lineage}/3.pub"
    prefix = names.slot_prefix(TENANT, LINEAGE, 3, slot="age-0", metadata=False)
    assert prefix == f"k/{t}/{lineage}/3.age-0."
    prefix = names.slot_prefix(TENANT, LINEAGE, 3, slot="age-0", metadata=True)
    assert prefix == f"k/{t}/{lineage}/m3.age-0."
    assert names.slot_number(f"{prefix}12", prefix) == 12
    assert (names.format_key(1), names.trust_key(2)) == ("format/1", "trust/2")
    assert names.reader_key(bytes(32)) == f"reader/{'00' * 32}"
    assert names.numbered("format/10") == 10


@pytest.mark.parametrize("seq", [-1, 10**10])
def test_a_number_out_of_range_has_no_name(seq: int) -> None:
    with pytest.raises(IntegrityError):
        names.manifest_key(TENANT, LINEAGE, seq)


def test_other_names_are_none_of_ours() -> None:
    right = names.manifest_key(TENANT, LINEAGE, 1)
    for key in ("", "x", right[:-1], f"{right}0", right.upper(), f"x{right}", f"{right}\n"):
        assert names.parse_manifest_key(key) is None
    for key in ("format/", "format/0", "format/01", "format/x", "format/1/2", "trust/-1", "p/1"):
        assert names.numbered(key) is None
    for key in ("a.", "a.0", "a.01", "a.x", "b.1", "a.1\n"):
        assert names.slot_number(key, "a.") is None
