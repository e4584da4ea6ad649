"""A buffer as the body of a PUT, sent in slices and never copied.

A ``bytearray`` would go out in one ``sendall``, which must end within the connect timeout: on a slow
line no pack would ever get through. Given something to ``read``, urllib3 sends slices, each with the
timeout to itself, and botocore asks ``Expect: 100-continue`` first, so that a refusal (403, 412,
503) comes back before the body goes out, and not as a broken connection in the middle of it.
Small bodies do without the question: across regions it costs each of them a round trip.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from drd.model import Buffer
from drd.ports import Moved

SMALL: Final = 256 * 1024
"""Bodies up to this many bytes go out whole, without asking first."""

_SHA256_BYTES: Final = 32


class Body:
    """A view of *data* that can be read like a file; a context that lets go of it at its end.

    ``sha256`` is the digest of the data where the caller knew it (``known_sha256``), else None. A
    ``bytearray`` cannot be resized, so not be used again, while anybody holds a view of it, and a
    traceback or a cycle in the library would hold one for long.
    """

    def __init__(self, data: Buffer, moved: Moved) -> None:
        self._moved = moved
        self.sha256 = known_sha256(data)
        self._view = memoryview(data).cast("B")
        self._piece = memoryview(b"")
        self._at = 0

    def __len__(self) -> int:
        return len(self._view)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._piece.release()
        self._view.release()

    def read(self, size: int = -1) -> memoryview:
        """Return the next *size* bytes (all when negative) as a view; an empty one at the end.

        The view lives until the next read; that somebody asks for it tells that the one before went out.
        """
        self._moved()
        self._piece.release()
        end = len(self._view) if size < 0 else self._at + size
        self._piece = self._view[self._at : end]
        self._at += len(self._piece)
        return self._piece

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to *offset* from the start, from here (1) or from the end (2)."""
        base = (0, self._at, len(self._view))[whence]
        self._at = min(max(0, base + offset), len(self._view))
        return self._at


def known_sha256(data: Buffer) -> bytes | None:
    """Return the digest that a buffer carries as its attribute ``sha256``, 32 bytes, or None.

    A pack is hashed when it is sealed, for its row in the run. A ``bytearray`` of a class with such
    an attribute hands that digest on to the signature of the PUT, which needs the same one. A wrong
    digest cannot do harm: the store compares it with what arrives and refuses.
    """
    known = getattr(data, "sha256", None)
    return known if isinstance(known, bytes) and len(known) == _SHA256_BYTES else None


@contextmanager
def body_of(data: Buffer, moved: Moved) -> Iterator[bytearray | Body]:
    """Choose how *data* is sent; botocore would wrap ``bytes`` into a file, and ask first. *moved* hears
    of each slice.
    """
    if memoryview(data).nbytes <= SMALL:
        yield bytearray(data)
        return
    with Body(data, moved) as body:
        yield body
