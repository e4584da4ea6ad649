"""A line to a server on loopback, as slow as it is told to be, and with TLS at its front where wanted."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from typing import Final
from urllib.parse import urlsplit

CHUNK: Final = 16 * 1024
"""Bytes that are passed on at a time: on a slow line they trickle, and do not come in heaps."""
SEGMENT: Final = 1448
"""Bytes of a segment on Ethernet."""
BUFFER: Final = 32 * 1024
"""Bytes that the kernel holds for who sends: what lies there counts as sent."""


class Line:
    """Passes bytes on to *endpoint*. ``latency_s``: how long each answer waits before it comes.
    ``bytes_per_s``: of all connections together, each way; None for as fast as it goes.
    """

    def __init__(self, endpoint: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(endpoint)
        self._server = (str(parts.hostname), parts.port or 80)
        self._tls = tls
        self.latency_s = 0.0
        self.bytes_per_s: float | None = None
        self.answers = 0
        self._free_at = {"up": 0.0, "down": 0.0}
        self._lock, self.over = Lock(), Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        # Segments as on a real line: loopback's of 64 KiB let a sender's kernel take a megabyte at once.
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        self._held: list[socket.socket] = []
        port = self._listening.getsockname()[1]
        self.endpoint = f"http{'s' if tls else ''}://127.0.0.1:{port}"

    def serve(self) -> None:
        """Take connections until it is over."""
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listening.accept()
                Thread(target=self._connect, args=(client,), daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        self.over.set()
        for one in (self._listening, *self._held):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _connect(self, client: socket.socket) -> None:
        with suppress(OSError):  # either end hung up
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            server = socket.create_connection(self._server)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._held += [client, server]
            asked = Event()
            Thread(target=self._pass_on, args=(server, client, asked, "down"), daemon=True).start()
            self._pass_on(client, server, asked, "up")

    def _pass_on(self, taken: socket.socket, given: socket.socket, asked: Event, way: str) -> None:
        """Pass bytes on in one direction, until an end hangs up; then the other one hears of it."""
        with suppress(OSError):
            while data := taken.recv(CHUNK):
                if way == "up":
                    asked.set()
                elif asked.is_set():
                    asked.clear()
                    self.answers += 1
                    self.over.wait(self.latency_s)
                self._wait_for(len(data), way)
                given.sendall(data)
        for one in (taken, given):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _wait_for(self, count: int, way: str) -> None:
        if self.bytes_per_s is None:
            return
        with self._lock:
            now = time.monotonic()
            begin = max(self._free_at[way], now)
            self._free_at[way] = begin + count / self.bytes_per_s
        self.over.wait(begin - now)


@contextmanager
def line_to(endpoint: str, *, tls: ssl.SSLContext | None = None) -> Iterator[Line]:
    """A line for the time of a test."""
    line = Line(endpoint, tls)
    thread = Thread(target=line.serve, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        line.close()
        thread.join()
