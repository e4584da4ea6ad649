"""Asynchronous reads and writes of an open image, with futures instead of callbacks."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Final

import numpy as np

from drd.ceph.bindings import Bindings
from drd.ceph.errors import as_drd, foreign
from drd.errors import SourceError
from drd.model import Buffer

LARGE: Final = 4 * 1024 * 1024
"""Bytes of the writes that a restore mostly makes: one object of the default size."""


class Reader:
    """Reads one image that is open at a snapshot of *size* bytes; zeros beyond it."""

    def __init__(self, ceph: Bindings, image: Any, *, size: int, about: str) -> None:
        self._ceph = ceph
        self._image = image
        self._size = size
        self._about = about

    def start(self, offset: int, length: int) -> Future[Buffer]:
        """Begin to read; the answer has *length* bytes, or raises an error of drd."""
        future: Future[Buffer] = Future()
        inside = max(0, min(length, self._size - offset))
        if inside == 0:
            future.set_result(bytes(length))
            return future
        about = f"{self._about} at {offset}"

        # Each call has its own closure; librbd's thread calls `done`, holding the interpreter's lock.
        def done(completion: Any, data: bytes | None) -> None:
            result = int(completion.get_return_value())
            if result < 0 or data is None:
                future.set_exception(as_drd(OSError(-result or errno.EIO, ""), about=about))
            elif len(data) != inside:
                future.set_exception(
                    SourceError(f"a read of {inside} bytes gave {len(data)}", about=about)
                )
            else:
                future.set_result(data if inside == length else data + bytes(length - inside))

        try:
            self._image.aio_read(
                offset, inside, done, self._ceph.rados.LIBRADOS_OP_FLAG_FADVISE_NOCACHE
            )
        except foreign(self._ceph) as error:
            future.set_exception(as_drd(error, about=about))
        return future


class Writer:
    """Writes to one open image, at most *reads* under way; a failure comes out at the next call."""

    def __init__(
        self, ceph: Bindings, image: Any, *, about: str, in_flight: int, wait_s: float
    ) -> None:
        self._ceph = ceph
        self._image = image
        self._about = about
        self._in_flight = in_flight
        self._wait_s = wait_s
        self._free = threading.Semaphore(in_flight)
        self._failed: BaseException | None = None
        self._bodies: SimpleQueue[bytearray] = SimpleQueue()

    def write(self, offset: int, data: Buffer) -> None:
        """Begin to write *data*; waits while too much is under way.

        Raises:
            SourceError: this or an earlier write failed, or the cluster does not answer.
        """
        self._enter()
        body = self._body(data)

        def done(completion: Any) -> None:
            result = int(completion.get_return_value())
            if result < 0 and self._failed is None:
                self._failed = as_drd(OSError(-result, ""), about=f"{self._about} at {offset}")
            if isinstance(body, bytearray):
                self._bodies.put(body)
            self._free.release()

        try:
            self._image.aio_write(
                body, offset, done, self._ceph.rados.LIBRADOS_OP_FLAG_FADVISE_NOCACHE
            )
        except foreign(self._ceph) as error:
            self._free.release()
            raise as_drd(error, about=self._about) from error

    def _body(self, data: Buffer) -> bytes | bytearray:
        """A copy, which librbd reads until the callback: it takes only what owns its bytes.

        Large ones go into memory used before, and are copied without the interpreter's lock: fresh
        pages under the lock were a fifth of the time of a restore.
        """
        view = np.frombuffer(data, np.uint8)
        if len(view) != LARGE:
            return view.tobytes()
        try:
            body = self._bodies.get_nowait()
        except Empty:
            body = bytearray(LARGE)
        np.copyto(np.frombuffer(body, np.uint8), view)
        return body

    def _enter(self) -> None:
        """Take a place; raise what went wrong before."""
        if not self._free.acquire(timeout=self._wait_s):
            raise as_drd(OSError(errno.ETIMEDOUT, ""), about=self._about)
        if self._failed is not None:
            self._free.release()
            raise self._failed

    def drain(self) -> None:
        """Wait for everything under way.

        Raises:
            SourceError: something failed, or does not end.
        """
        for _ in range(self._in_flight):
            if not self._free.acquire(timeout=self._wait_s):
                raise as_drd(OSError(errno.ETIMEDOUT, ""), about=self._about)
        self._free.release(self._in_flight)
        if self._failed is not None:
            raise self._failed
