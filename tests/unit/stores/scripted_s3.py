"""A real HTTP server that gives the answers of a script, for what no real store does on demand."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from drd.core.address import S3Address
from drd.stores.s3 import S3Settings, S3Store

ERROR = "<Error><Code>{code}</Code><Message>as the script has it</Message></Error>"


@dataclass(frozen=True)
class Answer:
    """One answer: an error *code* or a *body*; *cut* bytes of it are sent and no more."""

    status: int = 200
    code: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    before_body: bool = False
    hang_up: bool = False
    silent: bool = False
    cut: int | None = None
    pause_s: float = 0.0

    @property
    def payload(self) -> bytes:
        return ERROR.format(code=self.code).encode() if self.code else self.body


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


class ScriptedServer(ThreadingHTTPServer):
    """Gives out *script*, then 200 and nothing; notes what was asked."""

    daemon_threads = True

    def __init__(self, *script: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = list(script)
        self.requests: list[Request] = []
        self.over = threading.Event()
        self.tls = False

    @property
    def endpoint(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.server_port}"

    def next_answer(self) -> Answer:
        return self.script.pop(0) if self.script else Answer(headers={"ETag": '"1"'})

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what the scripts are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    @override
    def handle_expect_100(self) -> bool:
        ours = cast("ScriptedServer", self.server)
        if ours.script and ours.script[0].before_body:
            self._note(b"")
            self._give(ours.next_answer())
            self.close_connection = True
            return False
        return super().handle_expect_100()

    def do_any(self) -> None:
        ours = cast("ScriptedServer", self.server)
        answer = ours.next_answer()
        left, pieces = int(self.headers.get("Content-Length", 0)), []
        while left:
            if answer.pause_s:
                ours.over.wait(answer.pause_s)
            pieces.append(self.rfile.read(min(left, 1 << 17)))
            left -= len(pieces[-1])
        self._note(b"".join(pieces))
        if answer.silent:
            ours.over.wait()
        if answer.silent or answer.hang_up:
            self.close_connection = True
            return
        self._give(answer)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_any  # noqa: N815  the names that http.server asks for

    def _note(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        cast("ScriptedServer", self.server).requests.append(
            Request(
                method=self.command,
                path=parts.path,
                query=parse_qs(parts.query, keep_blank_values=True),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
            )
        )

    def _give(self, answer: Answer) -> None:
        payload = b"" if self.command == "HEAD" else answer.payload
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True


@contextmanager
def scripted(*script: Answer, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server for the length of the context."""
    with ScriptedServer(*script) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            server.tls = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def store_at(endpoint: str, *, prefix: str = "", timeout_s: float = 5.0) -> S3Store:
    return S3Store(
        S3Address("bucket", prefix),
        S3Settings(
            endpoint, "ACCESS", "SECRET", connect_timeout_s=timeout_s, read_timeout_s=timeout_s
        ),
    )


def listing(*entries: str, more: tuple[str, str] | None = None) -> Answer:
    """Give an answer to ListObjectVersions; an entry is ``key`` or ``key@version``."""
    versions = "".join(_entry(entry) for entry in entries)
    end = "<IsTruncated>false</IsTruncated>"
    if more:
        end = f"<NextKeyMarker>{more[0]}</NextKeyMarker>"
        end += f"<NextVersionIdMarker>{more[1]}</NextVersionIdMarker>"
        end += "<IsTruncated>true</IsTruncated>"
    body = f"<ListVersionsResult>{versions}{end}</ListVersionsResult>"
    return Answer(body=body.encode(), headers={"Content-Type": "application/xml"})


def _entry(entry: str) -> str:
    key, _, version = entry.partition("@")
    return (
        f"<Version><Key>{key}</Key><VersionId>{version or 'null'}</VersionId>"
        f"<IsLatest>true</IsLatest><LastModified>2026-11-21T10:00:00.000Z</LastModified>"
        f"<Size>3</Size></Version>"
    )
