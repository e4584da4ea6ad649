"""What the OSD answers about a lock, whole and damaged."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from drd.errors import SourceError
from drd.leases import cls_lock

ANSWER = bytes.fromhex(
    "010165000000010000000101 0f000000 0820100000000000000200000063310101"
    "410000004a03026b11778534010101 1c000000 01000000e2dc6e03100000000200"
    "00007f0000010000000000000000 12000000 6e6f6465206120706964203120 72756e2032"
    "0100000000"
)
"""``get_info`` of release 16.2.15, of a lock held with the description ``node a pid 1 run 2``."""

OLD_ADDRESS = bytes.fromhex("00000000 00000000") + bytes(128)


def test_a_real_answer() -> None:
    (locker,) = cls_lock.lockers(ANSWER)
    assert locker.description == "node a pid 1 run 2"
    assert locker.until is not None
    assert locker.until.replace(microsecond=0) == datetime(2026, 11, 21, 20, 47, 6, tzinfo=UTC)


def test_a_lock_without_end_and_an_address_of_older_clients() -> None:
    info = bytes(8) + OLD_ADDRESS + b"\x03\x00\x00\x00who"
    framed = b"\x01\x01" + len(info).to_bytes(4, "little") + info
    body = b"\x01\x00\x00\x00" + b"\x01\x01\x00\x00\x00\x00" + framed + b"\x01\x00\x00\x00\x00"
    (locker,) = cls_lock.lockers(b"\x01\x01" + len(body).to_bytes(4, "little") + body)
    assert locker == cls_lock.Locker("who", None)


def test_nobody() -> None:
    assert cls_lock.lockers(bytes.fromhex("0101 09000000 00000000 01 00000000")) == []


@pytest.mark.parametrize("end", range(len(ANSWER)))
def test_a_torn_answer_is_the_clusters_fault(end: int) -> None:
    with pytest.raises(SourceError):
        cls_lock.lockers(ANSWER[:end])


def test_a_flipped_bit_is_read_or_refused() -> None:
    for bit in range(8 * len(ANSWER)):
        damaged = bytearray(ANSWER)
        damaged[bit // 8] ^= 1 << bit % 8
        with suppress(SourceError):
            cls_lock.lockers(bytes(damaged))


def test_a_part_of_a_second_is_asked_for() -> None:
    whole = cls_lock.lock_call("cookie", "who", 2.0, renew=False)
    part = cls_lock.lock_call("cookie", "who", 2.5, renew=True)
    assert whole[-9:] == bytes.fromhex("02000000 00000000 00")
    assert part[-9:] == bytes.fromhex("02000000 0065cd1d 02")
