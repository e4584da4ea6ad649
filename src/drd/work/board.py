"""A region of an image while it is put together: each frame is laid where its blocks belong, and let go.

What is held is the region, never its frames: of these a fragmented image has thousands to a slice.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterable
from concurrent.futures import Future

import numpy as np
import numpy.typing as npt

from drd.model import Buffer
from drd.work.slices import SLICE_BLOCKS, Region, Slice

Bytes = npt.NDArray[np.uint8]


class Handover:
    """Opened frames (indices) that one region keeps for the next, which may begin before they are there.

    Who takes one that is under way waits for it, instead of fetching it once more: then a plan is what
    is fetched. That cannot wait for ever: requests begin in the order in which they were made, those of
    the region before earlier; and ``close`` is called for each of them, whatever became of it.
    """

    def __init__(self, frames: Iterable[int] = ()) -> None:
        self._coming: dict[int, Future[Buffer | None]] = {frame: Future() for frame in frames}

    def __len__(self) -> int:
        """How many are still held, or to come."""
        return len(self._coming)

    def give(self, frame: int, plain: Buffer) -> None:
        """Keep a frame, when it is one of those that are wanted."""
        if frame in self._coming:
            self._coming[frame].set_result(plain)

    def close(self, frames: Iterable[int]) -> None:
        """Nobody will give these any more: they were given, or did not open, or nobody asked."""
        for frame in frames:
            coming = self._coming.get(frame)
            if coming is not None and not coming.done():
                coming.set_result(None)

    def take(self, frame: int) -> Buffer | None:
        """A frame, once it is there, and let go of it; None when it was not kept or did not open."""
        coming = self._coming.get(frame)
        if coming is None:
            return None
        plain = coming.result()
        del self._coming[frame]
        return plain


class Rooms:
    """Buffers of a slice each, used again: fresh pages from the kernel cost a restore more time than what
    is laid into them. Safe for several threads.

    They are memory of their own, not the C library's: what threads allocate and free by turns it keeps
    for each of them, 230 MiB of it (measured).
    """

    def __init__(self, size: int, *, most: int) -> None:
        self._size = size
        self._most = most
        self._free: list[Bytes] = []
        self._lock = threading.Lock()

    def take(self) -> Bytes:
        """A buffer of zeros."""
        with self._lock:
            room = self._free.pop() if self._free else None
        if room is not None:
            room.fill(0)
            return room
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        return np.frombuffer(mmap.mmap(-1, self._size, flags=flags), np.uint8)

    def give_back(self, room: Bytes) -> None:
        """Nobody looks at it any more. As many are kept as a restore has under way, no more."""
        with self._lock:
            if len(self._free) < self._most:
                self._free.append(room)


class Board:
    """The bytes of one region; safe for several threads, as frames do not overlap.

    ``damaged`` says of frames (indices) why they could not be had. ``handed`` are frames that the
    region before kept for this one, ``kept`` those that this one keeps for the next.
    """

    def __init__(self, region: Region, block: int, handed: Handover, rooms: Rooms) -> None:
        self.region = region
        self._rooms = rooms
        self.handed = handed
        self.kept = Handover(region.kept)
        self.damaged: dict[int, str] = {}
        self._block = block
        self._low = region.slices[0].first
        self._firsts = {self._number(one.first): one.first for one in region.slices}
        self._buffers: dict[int, Bytes] = {}
        self._lock = threading.Lock()

    def place(self, frame: int, plain: Buffer) -> None:
        """Lay the blocks of an opened frame into every slice that needs some of them."""
        block = self._block
        view = np.frombuffer(plain, np.uint8)
        for at, where, count in self.region.of(frame):
            number = self._number(where)
            start = (where - self._firsts[number]) * block
            length = count * block
            self._buffer(number)[start : start + length] = view[at * block : at * block + length]
        self.kept.give(frame, plain)

    def take(self, one: Slice) -> Bytes:
        """The room of a slice, to be given back: its bytes, zeros where nothing was laid."""
        number = self._number(one.first)
        buffer = self._buffer(number)
        with self._lock:
            del self._buffers[number]
        return buffer

    def _number(self, block: int) -> int:
        return (block - self._low) // SLICE_BLOCKS

    def _buffer(self, number: int) -> Bytes:
        """Made when something is laid into it."""
        with self._lock:
            found = self._buffers.get(number)
            if found is None:
                found = self._buffers[number] = self._rooms.take()
            return found
