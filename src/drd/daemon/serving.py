"""Where Prometheus looks: ``/metrics`` and ``/-/healthy`` on a thread of their own, and the textfile.

1. The loop only ever puts a frozen :class:`~drd.daemon.seen.Seen` here (one assignment): no scrape, however
   slow, holds it up, and none sees half of a tick.
2. The text is made once for each Seen, by the first scrape that asks: ten thousand lineages are some
   15 MiB of it, and several Prometheus servers ask in each interval.
3. Nothing but these two paths is answered, and nothing is ever written over this way.
"""

from __future__ import annotations

import gzip
import os
import socket
import sys
import tempfile
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from threading import Lock, Thread
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import gzip_accepted
from typing_extensions import override

from drd.daemon.exposition import CONTENT_TYPE, render
from drd.daemon.metrics import DaemonCollector
from drd.daemon.seen import Seen
from drd.errors import ConfigError
from drd.ports import Now

METRICS: Final = "/metrics"
HEALTHY: Final = "/-/healthy"
MISSED_TICKS: Final = 5
"""So many ticks late the loop counts as stuck; one alone may be late when the disk is busy."""
READABLE: Final = 0o644
"""node_exporter runs as another user."""
PATIENCE_S: Final = 30.0
"""Seconds that a client may take for a request, or to take the next part of an answer."""
GZIP_LEVEL: Final = 1
"""Names repeat so often that the fastest level shortens them twelvefold already."""


class Metrics:
    """Holds what the newest tick left, and makes text of it. Its methods may be called from any thread."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._seen: Seen | None = None
        self._lock = Lock()
        self._made: tuple[Seen | None, bytes] = (None, b"")
        self._packed: tuple[bytes, bytes] = (b"", b"")

    def show(self, seen: Seen) -> None:
        """From now on *seen* is what there is to see; returns at once."""
        self._seen = seen

    def text(self) -> bytes:
        """The exposition (``exposition.CONTENT_TYPE``), made once for each Seen."""
        with self._lock:
            return self._text()

    def packed(self) -> bytes:
        """The same, as gzip."""
        with self._lock:
            text = self._text()
            if self._packed[0] is not text:
                self._packed = (text, gzip.compress(text, GZIP_LEVEL))
            return self._packed[1]

    def _text(self) -> bytes:
        seen = self._seen
        if seen is None:  # there is little, and soon more
            return _render(None)
        if self._made[0] is not seen:
            self._made = (seen, _render(seen))
        return self._made[1]

    def health(self) -> tuple[bool, str]:
        """Whether the loop ticks, and a sentence about it."""
        seen = self._seen
        if seen is None or seen.tick_at is None:
            return False, "there was no tick yet"
        # A tick of the future is of before the clock was put back: who lives ticks by the clock of now.
        age = abs((self._now() - seen.tick_at).total_seconds())
        good = age < MISSED_TICKS * seen.tick_every
        return good, f"the last tick was {age:.0f} s ago, one is due every {seen.tick_every} s"

    def write(self, path: Path) -> None:
        """Put the text into a file for node_exporter's textfile collector: all of it, or nothing.

        Raises:
            ConfigError: the file cannot be written.
        """
        data = self.text()
        try:
            _replace(path, data)
        except OSError as error:
            raise ConfigError(
                f"the textfile of the metrics cannot be written: {error.strerror or error}",
                about=f"[daemon] textfile = {str(path)!r}",
                hint="let drd write to its folder, or take the key out of the configuration",
            ) from error


def remove(path: Path) -> None:
    """Take a textfile away that is not written any more.

    Raises:
        ConfigError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the old textfile of the metrics cannot be removed: {error.strerror or error}",
            about=str(path),
            hint="remove it: its numbers stand still, and alarms go by that",
        ) from error


def _render(seen: Seen | None) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(DaemonCollector(lambda: seen))
    return render(registry.collect())


def _replace(path: Path, data: bytes) -> None:
    """Write beside, then rename: a reader finds the old text or the new one."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            os.fchmod(file.fileno(), READABLE)
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class MetricsServer:
    """Answers on *listen* (``HOST:PORT``, an IPv6 address in brackets) from a thread of its own.

    Raises:
        ConfigError: the address is taken, or is none of this host's.
    """

    def __init__(self, metrics: Metrics, listen: str) -> None:
        host, _, port = listen.rpartition(":")
        try:
            self._server = _server(metrics, host.strip("[]"), int(port))
        except OSError as error:
            raise ConfigError(
                f"the address of the metrics cannot be used: {error.strerror or error}",
                about=f'[daemon] metrics = "{listen}"',
                hint="another process may listen there already ('ss -ltnp' names it; a second drd?): "
                'write another address, or "" for no metrics',
            ) from error
        self._thread = Thread(target=self._server.serve_forever, name="drd-metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering and give the address back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _server(metrics: Metrics, host: str, port: int) -> _Listener:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]

    class Handler(_Handler):
        shown = metrics

    class Listener(_Listener):
        address_family = family

    return Listener((str(address[0]), port), Handler)


class _Listener(ThreadingMixIn, TCPServer):
    """A plain TCP server: HTTPServer would ask the DNS for this host's name before it listens."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 16

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a bug, and its trace goes to stderr."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    shown: ClassVar[Metrics]
    timeout = PATIENCE_S
    server_version = "drd"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one of the two paths."""
        path = self.path.partition("?")[0]
        if path == METRICS:
            packed = gzip_accepted(self.headers.get("Accept-Encoding", ""))
            data = self.shown.packed() if packed else self.shown.text()
            self._answer(HTTPStatus.OK, data, CONTENT_TYPE, packed=packed)
        elif path == HEALTHY:
            good, words = self.shown.health()
            status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, f"{words}\n".encode())
        else:
            words = f"there is {METRICS} and {HEALTHY}, and nothing else"
            self._answer(HTTPStatus.NOT_FOUND, f"{words}\n".encode())

    do_HEAD = do_GET  # noqa: N815 - http.server finds it by this name

    def _answer(
        self,
        status: HTTPStatus,
        data: bytes,
        content_type: str = "text/plain; charset=utf-8",
        *,
        packed: bool = False,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """A scrape is no event."""
