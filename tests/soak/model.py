"""Images of a real pool, and what each has held after each write: whatever a snapshot caught is in
there.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from typing import Any, Final

MIB: Final = 1 << 20
OBJECT: Final = 4 * MIB
"""Of one write that stays inside an object of the pool a snapshot has all or nothing."""
BLOCK: Final = 4096


class Model:
    """One image, written to by one thread at a time."""

    def __init__(self, rbd: Any, ioctx: Any, name: str, *, size: int, seed: object) -> None:
        self.name = name
        self._rbd, self._ioctx = rbd, ioctx
        self._draw = random.Random(str(seed))  # noqa: S311 - a soak that can be drawn again
        self._held = bytearray(size)
        self._lock = threading.Lock()
        self.digests: set[str] = set()
        self.done: Counter[str] = Counter()
        rbd.RBD().create(ioctx, name, size, old_format=False)
        self._note()

    def _note(self) -> None:
        self.digests.add(hashlib.sha256(self._held).hexdigest())

    def step(self) -> None:
        """One change, to the image and to the model: a write, a discard, or more room."""
        with self._lock, self._rbd.Image(self._ioctx, self.name) as image:
            what = self._draw.choices(("write", "discard", "grow"), (90, 9, 1))[0]
            if what == "grow" and len(self._held) < 4 * OBJECT + OBJECT:
                self._held.extend(bytes(MIB))
                self._note()  # a snapshot may come before the next change
                image.resize(len(self._held))
            else:
                offset, length = self._place()
                if what == "discard":
                    self._held[offset : offset + length] = bytes(length)
                    self._note()
                    image.discard(offset, length)
                else:
                    data = self._draw.randbytes(length)
                    self._held[offset : offset + length] = data
                    self._note()
                    image.write(data, offset)
            self.done[what] += 1

    def _place(self) -> tuple[int, int]:
        """A range of blocks within one object."""
        size = len(self._held)
        offset = self._draw.randrange(size // BLOCK) * BLOCK
        room = min(OBJECT - offset % OBJECT, size - offset)
        blocks = min(self._draw.choice((1, 1, 2, 16, 64)), room // BLOCK)
        return offset, max(blocks, 1) * BLOCK
