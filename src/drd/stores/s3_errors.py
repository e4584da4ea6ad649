"""What a store says over S3, and what the line does to it, in drd's words."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import urllib3.exceptions
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError
from botocore.parsers import ResponseParserError

from drd.errors import (
    ObjectExistsError,
    ObjectMissingError,
    PlaceMissingError,
    StoreError,
    TransientStoreError,
)


class DeniedError(StoreError):
    """The keys are good, and may not do this."""


class UnsupportedError(StoreError):
    """The store does not know this request."""


class RangeError(StoreError):
    """The range begins at or after the end of the object (HTTP 416)."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    kind: type[StoreError]
    message: str
    hint: str = ""


_KEYS_HINT: Final = "check access_key_file and secret_key_file in [repository.s3]"
_ENDPOINT_HINT: Final = "check endpoint and region in [repository.s3]"
_FULL_HINT: Final = "add disks or quota at the store"

_BAD_KEY: Final = _Meaning(StoreError, "the store does not know the access key", _KEYS_HINT)
_BAD_SECRET: Final = _Meaning(StoreError, "the store rejects the signature", _KEYS_HINT)
_DENIED: Final = _Meaning(
    DeniedError, "the store denies access", "compare the policy of these keys with docs/stores.md"
)
_REGION: Final = _Meaning(StoreError, "the store expects another region", _ENDPOINT_HINT)
_ABSENT: Final = _Meaning(ObjectMissingError, "no such object")
_TAKEN: Final = _Meaning(ObjectExistsError, "the name is taken already")
_RANGE: Final = _Meaning(RangeError, "the range lies behind the end of the object")
_FULL: Final = _Meaning(StoreError, "the store is full", _FULL_HINT)
_DAMAGED: Final = _Meaning(
    TransientStoreError, "the store received other bytes than were sent", "suspect line or memory"
)
_UNSUPPORTED: Final = _Meaning(UnsupportedError, "the store does not know this request")
_BUSY: Final = _Meaning(TransientStoreError, "the store is busy or failing")

# Amazon S3 API Reference, "Error responses"; MinIO cmd/api-errors.go; Ceph src/rgw/rgw_common.cc.
_BY_CODE: Final[dict[str, _Meaning]] = {
    "InvalidAccessKeyId": _BAD_KEY,
    "InvalidTokenId": _BAD_KEY,
    "ExpiredToken": _BAD_KEY,
    "SignatureDoesNotMatch": _BAD_SECRET,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "UserSuspended": _DENIED,
    "RequestTimeTooSkewed": _Meaning(
        StoreError, "the store's clock and this machine's differ", "set the clock (NTP) and repeat"
    ),
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "NoSuchKey": _ABSENT,
    "NoSuchVersion": _ABSENT,
    "PreconditionFailed": _TAKEN,
    "ConditionalRequestConflict": _BUSY,  # another conditional PUT is under way: nobody won yet
    "InvalidRange": _RANGE,
    "EntityTooLarge": _Meaning(
        StoreError, "the store does not take an object of this size", "choose a smaller pack size"
    ),
    "QuotaExceeded": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,
    "BadDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "IncompleteBody": _DAMAGED,
    "RequestTimeout": _BUSY,
    "OperationAborted": _BUSY,
    "SlowDown": _BUSY,
    "NotImplemented": _UNSUPPORTED,
    "MethodNotAllowed": _UNSUPPORTED,
}

# Not 404: that alone is no proof of absence. Every store says NoSuchKey; a proxy or a web server at a
# mistyped endpoint says 404 for everything.
_BY_STATUS: Final[dict[int, _Meaning]] = {
    HTTPStatus.MOVED_PERMANENTLY: _REGION,
    HTTPStatus.TEMPORARY_REDIRECT: _REGION,
    HTTPStatus.FORBIDDEN: _DENIED,
    HTTPStatus.METHOD_NOT_ALLOWED: _UNSUPPORTED,
    HTTPStatus.REQUEST_TIMEOUT: _BUSY,
    HTTPStatus.PRECONDITION_FAILED: _TAKEN,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: _RANGE,
    HTTPStatus.TOO_MANY_REQUESTS: _BUSY,
    HTTPStatus.NOT_IMPLEMENTED: _UNSUPPORTED,
    HTTPStatus.INSUFFICIENT_STORAGE: _FULL,
}

_FOREIGN_VERSION: Final = frozenset({"InvalidArgument", "InvalidVersionId", "400"})
"""Said of a VersionId that another kind of store made up: a copied bucket must restore."""


def check_answered(answer: Mapping[str, Any], name: str, *, about: str) -> None:
    """``StoreError`` unless *answer* has the member *name*, which every store sends with success.

    A proxy, or a web server at a mistyped endpoint, says 200 to anything; an empty page would be an
    empty bucket.
    """
    if name not in answer:
        raise StoreError(
            f"the endpoint does not answer as an S3 store does: no {name}",
            about=about,
            hint=_ENDPOINT_HINT,
        )


@contextmanager
def translated(*, bucket: str, about: str, version: str = "") -> Iterator[None]:
    """Turn everything that botocore and urllib3 raise into a ``StoreError``.

    Args:
        bucket: its name, to be named when it is missing.
        about: the object.
        version: the version that is asked for, where one is.

    Raises:
        ObjectMissingError: proven absent, the version included.
        ObjectExistsError: a condition was not met.
        TransientStoreError: busy, failing, timed out, cut off.
        StoreError: everything else, with the next thing to do.
    """
    try:
        yield
    except ClientError as error:
        raise _of_answer(error, bucket=bucket, about=about, version=version) from error
    except SSLError as error:
        raise _of_tls(error, about=about) from error
    except NoCredentialsError as error:
        raise StoreError("no keys for the store", about=about, hint=_KEYS_HINT) from error
    except ResponseParserError as error:
        raise StoreError(
            "the endpoint does not answer as an S3 store does", about=about, hint=_ENDPOINT_HINT
        ) from error
    except (
        BotocoreConnectionError,
        HTTPClientError,
        IncompleteReadError,
        urllib3.exceptions.HTTPError,
        http.client.HTTPException,
        OSError,
    ) as error:
        raise TransientStoreError(
            f"the store cannot be reached: {error}", about=about, hint=_ENDPOINT_HINT
        ) from error
    except BotoCoreError as error:
        raise StoreError(f"the request cannot be made: {error}", about=about) from error


def _of_answer(error: ClientError, *, bucket: str, about: str, version: str) -> StoreError:
    said = error.response.get("Error", {})
    code = str(said.get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return PlaceMissingError(
            "the bucket does not exist", about=bucket, hint="make it, or correct the address"
        )
    if version and code in _FOREIGN_VERSION:
        return ObjectMissingError("no such version", about=f"{about} {version}")
    meaning = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if meaning is None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        meaning = _BUSY
    if meaning is None:
        meaning = _Meaning(StoreError, "the store refuses the request")
    if _is_web_page(error):
        meaning = _Meaning(meaning.kind, "a web page answers, not a store", _ENDPOINT_HINT)
    text = f"{meaning.message} (HTTP {status} {code}: {said.get('Message') or 'no reason given'})"
    return meaning.kind(text, about=about, hint=meaning.hint)


def _is_web_page(error: ClientError) -> bool:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("content-type", "")).startswith("text/html")


def _of_tls(error: SSLError, *, about: str) -> StoreError:
    """A certificate that is not trusted stays so; a broken handshake may pass."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
        return StoreError(
            f"the store's certificate is not trusted: {text}",
            about=about,
            hint="set ca_bundle in [repository.s3] to the CA that signed it, and check the name",
        )
    return TransientStoreError(f"the TLS connection failed: {text}", about=about)
