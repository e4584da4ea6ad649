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


class Board:
    """The bytes of one region; safe for several threads, as frames do not overlap.

    ``damaged`` says of frames (indices) why they could not be had. ``handed`` are frames that the
    region before kept for this one, ``kept`` those that this one keeps for the next.
    """

    def __init__(self, region: Region, block: int, handed: Handover) -> None:
        self.region = region
        self.handed = handed
        self.kept = Handover(region.kept)
        self.damaged: dict[int, str] = {}
        self._block = block
        self._low = region.slices[0].first
        self._ends = {self._number(one.first): one for one in region.slices}
        self._buffers: dict[int, Bytes] = {}
        self._lock = threading.Lock()

    def place(self, frame: int, plain: Buffer) -> None:
        """Lay the blocks of an opened frame into every slice that needs some of them."""
        block = self._block
        view = np.frombuffer(plain, np.uint8)
        for at, where, count in self.region.of(frame):
            number = self._number(where)
            start = (where - self._ends[number].first) * block
            length = count * block
            self._buffer(number)[start : start + length] = view[at * block : at * block + length]
        self.kept.give(frame, plain)

    def take(self, one: Slice) -> Bytes:
        """The bytes of a slice, zeros where nothing was laid; the board lets go of them."""
        number = self._number(one.first)
        buffer = self._buffer(number)
        with self._lock:
            del self._buffers[number]
        return buffer

    def _number(self, block: int) -> int:
        return (block - self._low) // SLICE_BLOCKS

    def _buffer(self, number: int) -> Bytes:
        """Made when something is laid into it. Memory of its own, that goes back at once: what threads
        allocate and free by turns is kept by the C library for each of them, 230 MiB of it (measured).
        """
        with self._lock:
            found = self._buffers.get(number)
            if found is None:
                one = self._ends[number]
                memory = mmap.mmap(
                    -1,
                    (one.end - one.first) * self._block,
                    flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
                )
                found = np.frombuffer(memory, np.uint8)
                self._buffers[number] = found
            return found
