"""What the OSD's class ``lock`` is asked and answers, as bytes.

Only with the bytes at hand can a call of the class stand in one operation with others, all of which
happen or none: the bindings' own ``lock_exclusive`` is an operation by itself, and they have no call
that lists who holds a lock. Layout: Ceph, ``src/cls/lock/cls_lock_ops.h`` and ``cls_lock_types.h``
(the same from release 0.94 to 20); little-endian; each structure behind version, oldest reader's
version and length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from drd.errors import SourceError

CLASS: Final = "lock"
LOCK: Final = "lock"
ASSERT_LOCKED: Final = "assert_locked"
GET_INFO: Final = "get_info"

NAME: Final = "drd"
"""The lock's name on its object, as ``rados lock info POOL OBJECT drd`` takes it."""

MUST_RENEW: Final = 2
"""``LOCK_FLAG_MUST_RENEW``: fail with ENOENT where the caller does not hold the lock any more."""

_EXCLUSIVE: Final = 1
_HEAD: Final = struct.Struct("<BBI")
_U8: Final = struct.Struct("<B")
_U32: Final = struct.Struct("<I")
_TIME: Final = struct.Struct("<II")
_NEW_ADDRESS: Final = 1
"""First byte of an address that says its own length; older ones begin with 0 (msg_types.h)."""
_OLD_ADDRESS: Final = 4 + 4 + 128


@dataclass(frozen=True, slots=True)
class Locker:
    """Who holds a lock: what he wrote there, and when it runs out (by the OSD's clock; None: never)."""

    description: str
    until: datetime | None


def lock_call(cookie: str, description: str, duration_s: float, *, renew: bool) -> bytes:
    """Input of ``lock``: take the lock for *duration_s*, or *renew* one that is held."""
    whole, part = divmod(duration_s, 1)
    return _framed(
        _text(NAME)
        + _U8.pack(_EXCLUSIVE)
        + _text(cookie)
        + _text("")  # the tag
        + _text(description)
        + _TIME.pack(int(whole), int(part * 1e9))
        + _U8.pack(MUST_RENEW if renew else 0)
    )


def assert_call(cookie: str) -> bytes:
    """Input of ``assert_locked``: EBUSY unless the caller holds the lock with that cookie."""
    return _framed(_text(NAME) + _U8.pack(_EXCLUSIVE) + _text(cookie) + _text(""))


def info_call() -> bytes:
    """Input of ``get_info``."""
    return _framed(_text(NAME))


def lockers(answer: bytes) -> list[Locker]:
    """What ``get_info`` answers: who holds the lock; those whose time is over are not among them.

    Raises:
        SourceError: it is no such answer.
    """
    try:
        read = _Reader(_Reader(answer).framed())
        found = []
        for _ in range(read.u32()):
            read.framed()  # the client and its cookie
            found.append(_locker(_Reader(read.framed())))
    except (struct.error, IndexError) as error:
        raise SourceError("the OSD's answer about a lock cannot be read") from error
    return found


def _locker(read: _Reader) -> Locker:
    seconds, nanoseconds = read.unpack(_TIME)
    if read.u8() == _NEW_ADDRESS:
        read.framed()
    else:
        read.take(_OLD_ADDRESS - 1)
    description = read.text()
    if not seconds and not nanoseconds:
        return Locker(description, None)
    epoch = datetime.fromtimestamp(seconds, UTC)
    return Locker(description, epoch + timedelta(microseconds=nanoseconds // 1000))


def _framed(body: bytes) -> bytes:
    return _HEAD.pack(1, 1, len(body)) + body


def _text(value: str) -> bytes:
    data = value.encode()
    return _U32.pack(len(data)) + data


class _Reader:
    """Takes fields off the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, length: int) -> bytes:
        """So many bytes."""
        if length > len(self._data):
            raise IndexError(length)
        taken, self._data = self._data[:length], self._data[length:]
        return taken

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size))

    def u8(self) -> int:
        return self.unpack(_U8)[0]

    def u32(self) -> int:
        return self.unpack(_U32)[0]

    def framed(self) -> bytes:
        """The inside of one structure."""
        return self.take(self.unpack(_HEAD)[2])

    def text(self) -> str:
        return self.take(self.u32()).decode("utf-8", "replace")
