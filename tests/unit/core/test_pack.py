"""Packs: whole, cut, mixed, moved. A byte that is not authenticated is never given out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from drd.core import hybrid, pack, seal
from drd.core.pack import Frame, FrameOpener, PackHeader, Trailer
from drd.core.seal import Scope
from drd.errors import IntegrityError
from drd.model import Buffer
from tests.unit.core.adversary import (
    assert_refused,
    assert_sealed,
    bit_flips,
    exchanges,
    extensions,
    truncations,
)
from tests.unit.core.specimens import (
    ELSEWHERE,
    EPOCH_KEY,
    METADATA_KEY,
    PACK_ID,
    PLAINS,
    PRIVATE,
    SCOPE,
    epoch,
    frames,
    noise,
    pack_bytes,
)

HEADER = pack.encode_header(SCOPE, PACK_ID, epoch())
KEY, COMMITMENT = pack.pack_secret(EPOCH_KEY, SCOPE, PACK_ID)
PACK = pack_bytes(HEADER)
ROWS = pack.frame_rows(len(HEADER), frames())


def stored_frames(data: bytes = PACK) -> list[bytes]:
    return [data[row.offset : row.offset + row.stored] for row in ROWS]


def opened_frames(stored: Sequence[Buffer], *, header: bytes = HEADER, key: bytes = KEY) -> object:
    """All frames, given their stored bytes, as somebody with the pack's row reads them."""
    opener = FrameOpener(key, seal.sha256(header), len(PLAINS))
    return [
        bytes(opener.open(number, data, len(plain)))
        for number, (data, plain) in enumerate(zip(stored, PLAINS, strict=True))
    ]


def opened_by_itself(data: bytes) -> object:
    """Everything in a pack from the pack and the two private keys, as the repair of a run would."""
    if len(data) < pack.TRAILER_BYTES:
        raise IntegrityError("a pack is shorter than its trailer")
    trailer = pack.decode_trailer(data[-pack.TRAILER_BYTES :])
    header = pack.decode_header(data)
    if header.pack_id != PACK_ID or header.scope != SCOPE:
        raise IntegrityError("a pack lies under another name than its own")
    if header.epoch.public_hash != seal.sha256(hybrid.public_of(PRIVATE)):
        raise IntegrityError("a pack is sealed to another generation")
    info = pack.epoch_info(header.scope, header.epoch.generation, header.epoch.epoch_id)
    epoch_key = hybrid.open_with(PRIVATE, info, header.epoch.sealed_key)
    key, commitment = pack.pack_secret(epoch_key, header.scope, header.pack_id)
    if commitment != COMMITMENT:
        raise IntegrityError("a pack's commitment is another")
    at = trailer.footer_offset
    footer = data[at : len(data) - pack.TRAILER_BYTES]
    if len(footer) != trailer.footer_length or trailer.frames != len(PLAINS):
        raise IntegrityError("a trailer does not fit its pack")
    sealed = seal.decode_header(footer, kind=pack.FOOTER)
    if sealed.object_id != header.pack_id or sealed.scope != header.scope:
        raise IntegrityError("a footer belongs to another pack")
    seal.open_object(footer, sealed, METADATA_KEY)
    return opened_frames(stored_frames(data), header=header.raw, key=key)


# ── whole packs ─────────────────────────────────────────────────────────────────────────────────


def test_a_pack_opens_by_itself() -> None:
    assert opened_by_itself(PACK) == list(PLAINS)


def test_a_pack_in_any_other_shape_does_not_open() -> None:
    assert_refused(opened_by_itself, truncations(PACK))
    assert_refused(opened_by_itself, extensions(PACK))
    assert_refused(opened_by_itself, bit_flips(PACK))


def test_frames_do_not_change_places() -> None:
    """Frame 0 and 2 in every order, doubled, dropped: their numbers are in nonce and AAD."""
    stored = stored_frames()
    tail = PACK[ROWS[-1].offset + ROWS[-1].stored :]
    assert_refused(lambda body: opened_by_itself(HEADER + body + tail), exchanges(stored))


def test_frames_of_two_packs_of_one_epoch_do_not_mix() -> None:
    other_id = b"another pack...."
    header = pack.encode_header(SCOPE, other_id, pack.decode_header(HEADER).epoch)
    theirs = stored_frames(pack_bytes(header, pack_id=other_id))
    mine = stored_frames()
    for at in range(len(PLAINS)):
        mixed = [*mine[:at], theirs[at], *mine[at + 1 :]]
        assert_refused(lambda _, mixed=mixed: opened_frames(mixed), [b""])  # type: ignore[misc]


@pytest.mark.parametrize("scope", ELSEWHERE, ids=["repository", "tenant", "lineage"])
def test_the_same_epoch_key_gives_other_keys_elsewhere(scope: Scope) -> None:
    key, commitment = pack.pack_secret(EPOCH_KEY, scope, PACK_ID)
    assert key != KEY
    assert commitment != COMMITMENT
    assert_refused(lambda _: opened_frames(stored_frames(), key=key), [b""])


def test_each_pack_has_a_key_of_its_own() -> None:
    assert pack.pack_secret(EPOCH_KEY, SCOPE, b"another pack....") != (KEY, COMMITMENT)


@pytest.mark.parametrize("scope", ELSEWHERE, ids=["repository", "tenant", "lineage"])
def test_a_sealed_epoch_key_opens_only_at_its_place(scope: Scope) -> None:
    sealed = epoch().sealed_key
    name = epoch().epoch_id
    assert hybrid.open_with(PRIVATE, pack.epoch_info(SCOPE, 1, name), sealed) == EPOCH_KEY
    for info in (
        pack.epoch_info(scope, 1, name),
        pack.epoch_info(SCOPE, 2, name),
        pack.epoch_info(SCOPE, 1, b"another epoch..."),
    ):
        with pytest.raises(IntegrityError):
            hybrid.open_with(PRIVATE, info, sealed)


def test_nothing_of_the_plaintext_stands_in_a_pack() -> None:
    assert PLAINS[0] not in PACK
    assert EPOCH_KEY not in PACK
    assert KEY not in PACK


# ── single frames ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", range(len(PLAINS)))
def test_a_frame_in_any_other_shape_does_not_open(number: int) -> None:
    opener = FrameOpener(KEY, seal.sha256(HEADER), len(PLAINS))
    length = len(PLAINS[number])
    assert_sealed(lambda data: opener.open(number, data, length), stored_frames()[number])


def test_a_frame_opens_only_as_itself() -> None:
    """Number, plain length, header and 'last' are all authenticated."""
    stored = stored_frames()[2]
    right = FrameOpener(KEY, seal.sha256(HEADER), 3)
    assert right.open(2, stored, 64) == PLAINS[2]
    others = [
        (right, 1, 64),
        (right, 2, 63),
        (right, 2, 65),
        (FrameOpener(KEY, seal.sha256(HEADER), 4), 2, 64),
        (FrameOpener(KEY, seal.sha256(HEADER + b"x"), 3), 2, 64),
        (FrameOpener(bytes(32), seal.sha256(HEADER), 3), 2, 64),
    ]
    for opener, number, length in others:
        with pytest.raises(IntegrityError):
            opener.open(number, stored, length)


def test_a_frame_is_never_larger_than_a_reader_is_ready_for() -> None:
    opener = FrameOpener(KEY, seal.sha256(HEADER), 3)
    with pytest.raises(IntegrityError, match="impossible length"):
        opener.open(0, stored_frames()[0], pack.MAX_FRAME + 1)


def test_frames_are_sealed_where_their_rows_say() -> None:
    assert [row.plain for row in ROWS] == [len(plain) for plain in PLAINS]
    assert ROWS[0].offset == len(HEADER)
    assert [row.offset + row.stored for row in ROWS[:2]] == [row.offset for row in ROWS[1:]]
    assert pack.frame_rows(5, []) == []


def test_a_frame_of_noise_is_stored_raw_and_one_of_zeros_shrinks() -> None:
    assert [row.stored - seal.TAG_BYTES for row in ROWS][::2] == [128, 64]
    assert ROWS[1].stored - seal.TAG_BYTES < 30


# ── header and trailer ──────────────────────────────────────────────────────────────────────────


def test_a_header_reads_back() -> None:
    header = pack.decode_header(HEADER + b"frames")
    assert header == PackHeader(SCOPE, PACK_ID, header.epoch, HEADER)
    assert pack.encode_header(header.scope, header.pack_id, header.epoch) == HEADER


def test_a_damaged_header_is_refused_or_another_one() -> None:
    short = pack.encode_header(SCOPE, PACK_ID, replace(epoch(), sealed_key=noise(20)))
    assert_refused(pack.decode_header, truncations(short))
    for data in bit_flips(short):
        try:
            header = pack.decode_header(data)
        except IntegrityError:
            continue
        assert pack.encode_header(header.scope, header.pack_id, header.epoch) == header.raw == data


def test_a_header_with_something_behind_the_key_is_refused() -> None:
    length = len(HEADER) - 12
    data = HEADER[:8] + (length + 1).to_bytes(4, "big") + HEADER[12:] + b"x"
    with pytest.raises(IntegrityError, match="too many"):
        pack.decode_header(data)


def test_a_trailer_reads_back_and_nothing_else_does() -> None:
    trailer = Trailer(1 << 40, 77, 3)
    data = pack.encode_trailer(trailer)
    assert len(data) == pack.TRAILER_BYTES == 24
    assert pack.decode_trailer(data) == trailer
    assert_refused(pack.decode_trailer, truncations(data))
    assert_refused(pack.decode_trailer, extensions(data))
    for other in bit_flips(data):
        try:
            assert pack.encode_trailer(pack.decode_trailer(other)) == other
        except IntegrityError:
            continue


def test_a_single_frame_is_the_last() -> None:
    room = bytearray(2000)
    frame = Frame(noise(64), 64)
    at = pack.seal_frames(HEADER, KEY, [frame], memoryview(room))
    sealed = bytes(room[len(HEADER) : at])
    assert FrameOpener(KEY, seal.sha256(HEADER), 1).open(0, sealed, 64) == noise(64)
    with pytest.raises(IntegrityError):
        FrameOpener(KEY, seal.sha256(HEADER), 2).open(0, sealed, 64)
