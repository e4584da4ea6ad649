"""Just enough of S3 to make buckets and to ask a server a question, on the standard library.

Not drd's store, and on purpose without any code of it: the lab must not depend on what it tests.
Signature Version 4 with the payload's hash, path-style addresses, plain http.
"""

import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlencode, urlsplit

from lab.failure import LabError

REGION = "us-east-1"  # what MinIO and RGW take without being told otherwise
TIMEOUT_S = 30.0
VERSIONING = (
    b'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Status>Enabled</Status></VersioningConfiguration>"
)


@dataclass(frozen=True)
class Keys:
    """An access key and its secret."""

    access: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True)
class S3:
    """One S3 server: its address (``http://HOST:PORT``) and the keys to use."""

    endpoint: str
    keys: Keys

    def answers(self) -> bool:
        """Return whether the server takes a signed request and carries it out."""
        try:
            return self.request("GET", "/").status == 200  # noqa: PLR2004 - HTTP's own number
        except (OSError, HTTPException):
            return False

    def has_bucket(self, name: str) -> bool:
        """Return whether the bucket is there."""
        return self.request("HEAD", f"/{name}").status == 200  # noqa: PLR2004

    def make_bucket(self, name: str, *, versioned: bool, lock: bool) -> None:
        """Make a bucket; object lock can only be had now, and brings versions with it.

        Raises:
            LabError: the server refused.
        """
        headers = {"x-amz-bucket-object-lock-enabled": "true"} if lock else {}
        self._done(self.request("PUT", f"/{name}", headers=headers), f"make bucket {name}")
        if versioned and not lock:
            answer = self.request("PUT", f"/{name}", query={"versioning": ""}, body=VERSIONING)
            self._done(answer, f"turn on versions in {name}")

    def fresh_bucket(self, *, versioned: bool = True, lock: bool = False) -> str:
        """Make a bucket of a new name and return the name."""
        name = f"t-{uuid.uuid4().hex[:16]}"
        self.make_bucket(name, versioned=versioned, lock=lock)
        return name

    def put(self, bucket: str, key: str, body: bytes, **headers: str) -> Answer:
        """Put one object; a header ``if_none_match="*"`` is sent as ``if-none-match: *``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("PUT", f"/{bucket}/{key}", headers=named, body=body)

    def get(self, bucket: str, key: str) -> Answer:
        """Get one object."""
        return self.request("GET", f"/{bucket}/{key}")

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send one signed request and return the answer, whatever its status.

        Raises:
            OSError: the server cannot be reached.
            http.client.HTTPException: it does not speak HTTP.
        """
        host = urlsplit(self.endpoint).netloc
        target = quote(path)
        asked = urlencode(sorted((query or {}).items()), quote_via=quote)
        signed = self._sign(f"{method}\n{target}\n{asked}", host, headers or {}, body=body)
        connection = HTTPConnection(host, timeout=TIMEOUT_S)
        try:
            connection.request(method, f"{target}?{asked}" if asked else target, body, signed)
            got = connection.getresponse()
            named = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, named, got.read())
        finally:
            connection.close()

    def _sign(
        self, first_lines: str, host: str, extra: Mapping[str, str], *, body: bytes
    ) -> dict[str, str]:
        """Return the headers to send: `extra`, date, hash and signature (SigV4, AWS reference)."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        payload = hashlib.sha256(body).hexdigest()
        headers = {"host": host, "x-amz-date": stamp, "x-amz-content-sha256": payload, **extra}
        names = sorted(headers)
        canonical = "\n".join(
            [
                first_lines,
                *(f"{name}:{headers[name]}" for name in names),
                "",
                ";".join(names),
                payload,
            ]
        )
        scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self.keys.secret}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"):
            key = hmac.digest(key, part.encode(), "sha256")
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.keys.access}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={key.hex()}"
        )
        return headers

    @staticmethod
    def _done(answer: Answer, what: str) -> None:
        if answer.status >= 300:  # noqa: PLR2004
            raise LabError(f"cannot {what}: HTTP {answer.status} {answer.body[:300]!r}")
