"""A region of an image while it is put together: each frame is laid where its blocks belong, and let go.

What is held is the region, never its frames: of these a fragmented image has thousands to a slice.
"""

from __future__ import annotations

import mmap
import threading

import numpy as np
import numpy.typing as npt

from drd.model import Buffer
from drd.work.slices import SLICE_BLOCKS, Region, Slice

Bytes = npt.NDArray[np.uint8]


class Board:
    """The bytes of one region; safe for several threads, as frames do not overlap.

    ``damaged`` says of frames (indices) why they could not be had. ``handed`` are frames that the
    region before kept for this one, ``kept`` those that this one keeps for the next.
    """

    def __init__(self, region: Region, block: int, handed: dict[int, Buffer]) -> None:
        self.region = region
        self.handed = handed
        self.kept: dict[int, Buffer] = {}
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
        if frame in self.region.kept:
            self.kept[frame] = plain

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
