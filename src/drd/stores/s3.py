"""A bucket, or what lies below a prefix in one, as a store (``s3://``).

**Versions.** The empty version names the object that has no version id of its own (S3's ``null``
version: everything in a bucket without versioning). Reading with it gives the newest version, also
from below a delete marker; deleting with it removes the ``null`` version and never makes a delete
marker.

**Listing** goes through ListObjectVersions, so that delete markers hide nothing; buckets without
versioning answer it too. Only a store that denies it or does not know it is listed by
ListObjectsV2, which shows what a delete marker leaves visible.

**Integrity.** Each PUT is signed over the SHA-256 of its body; the store refuses other bytes.

Nothing is retried here.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from itertools import islice, takewhile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from drd.core.address import S3Address
from drd.core.names import is_component, is_key
from drd.errors import ObjectMissingError, StoreError, TransientStoreError
from drd.model import Buffer, ObjectVersion, StoreAbilities
from drd.ports import Moved, Random
from drd.stores import names
from drd.stores.probing import probe
from drd.stores.s3_body import body_of

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef, HeadObjectOutputTypeDef

_NULL: Final = "null"
"""S3's name for the version of an object that was written without versioning."""

_PAGE: Final = 1000
"""Entries that one LIST gives at most (Amazon S3 API Reference, ListObjectVersions)."""

_SLICE: Final = 1 << 20
"""Bytes of an answer that are read at a time."""

_MARKERS: Final = frozenset({"KeyMarker", "VersionIdMarker"})


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How a store is reached. Times are seconds.

    ``connect_timeout_s`` also bounds the sending of each 128 KiB, ``read_timeout_s`` each wait for
    bytes of an answer. ``ca_bundle`` is a PEM file; None means the system's authorities.
    ``session_token`` belongs to keys that a token service gave out for a while.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    ca_bundle: Path | None = None
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    connections: int = 32
    session_token: str = field(default="", repr=False)


class S3Store:
    """The objects of one bucket or prefix.

    Args:
        address: bucket and prefix.
        settings: endpoint and keys.
        random: names of probes.
        moved: hears of each slice of a body, and of each page of a list.

    Raises:
        ConfigError: the settings cannot be used. The store is not talked to yet.
    """

    def __init__(
        self,
        address: S3Address,
        settings: S3Settings,
        *,
        random: Random = secrets.token_bytes,
        moved: Moved = lambda: None,
    ) -> None:
        # Not at the top: botocore takes 0.15 s, and `drctl --help` must not wait for it.
        from drd.stores import s3_client, s3_errors  # noqa: PLC0415

        self._client = s3_client.connect(settings)
        self._errors = s3_errors
        self._address = address
        self._above = f"{address.prefix}/" if address.prefix else ""
        self._random = random
        self._moved = moved
        self._lock = Lock()
        self._abilities: StoreAbilities | None = None
        self._lists_versions = True

    @property
    def url(self) -> str:
        """``s3://``, bucket and prefix."""
        return self._address.url

    def abilities(self) -> StoreAbilities:
        """Probed once, by effect."""
        with self._lock:
            known = self._abilities
        if known is None:
            known = probe(self, self._random)
            with self._lock:
                self._abilities = known
        return known

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """Write one object in one request; return its version id, ``""`` without versioning.

        A buffer with an attribute ``sha256`` is not hashed again (``s3_body.known_sha256``).

        Raises:
            RefusedError: not a key.
            ObjectExistsError: *if_absent*, the name is taken, and the store honours conditions.
            StoreError: denied, full, no such bucket, wrong keys, a certificate not trusted.
            TransientStoreError: busy, timed out, cut off, or the body was damaged on its way.
        """
        full = self._full(key)
        condition: Any = {"IfNoneMatch": "*"} if if_absent else {}
        with self._talk(key), body_of(data, self._moved) as body:
            answer = self._client.put_object(
                Bucket=self._address.bucket,
                Key=full,
                Body=body,  # type: ignore[arg-type]
                **condition,
            )
        self._errors.check_answered(answer, "ETag", about=key)
        return _version(answer.get("VersionId"), newest=True)

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """Read an object, or a range of it.

        Raises:
            RefusedError: not a key, or a negative range.
            ObjectMissingError: no such object, or no such version.
            StoreError: denied, no such bucket, wrong keys, a certificate not trusted.
            TransientStoreError: busy, timed out, cut off.
        """
        names.check_range(start, length)
        if length == 0:
            self.stat(key, version=version)
            return b""
        request: GetObjectRequestTypeDef = {
            "Bucket": self._address.bucket,
            "Key": self._full(key),
        }
        if version:
            request["VersionId"] = version
        end = None if length is None else start + length
        if start or end is not None:
            request["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        try:
            return self._read(key, request, start=start, end=end)
        except self._errors.RangeError:
            return b""
        except ObjectMissingError:
            if version:
                raise
            return self.get(key, version=self._hidden(key), start=start, length=length)

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        """Size, version and the store's modification time (to the second) of one object.

        Raises:
            RefusedError: not a key.
            ObjectMissingError: no such object, or no such version.
            StoreError: denied, no such bucket, wrong keys, a certificate not trusted.
            TransientStoreError: busy, timed out, cut off.
        """
        names.check_key(key)
        try:
            head = self._head(key, version)
        except ObjectMissingError:
            if version:
                raise
            return self.stat(key, version=self._hidden(key))
        self._errors.check_answered(head, "LastModified", about=key)
        return ObjectVersion(
            key=key,
            version=version or _version(head.get("VersionId"), newest=True),
            size=head["ContentLength"],
            modified_at=head["LastModified"],
            latest=not version,
        )

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        """Yield the newest version of each key; ``latest`` is False below a delete marker.

        The first request asks for *limit* entries; only when versions or delete markers took their
        places do further requests ask for twice as many.

        Raises:
            RefusedError: no key begins like *prefix* or *after*, or *limit* is negative.
            StoreError: (while iterating) denied, no such bucket, wrong keys.
            TransientStoreError: (while iterating) busy, timed out, cut off.
        """
        names.check_prefix(prefix)
        names.check_prefix(after)
        names.check_limit(limit)
        return islice(self._newest(prefix, after=after, limit=limit), limit)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the folders below *prefix*, sorted.

        Raises:
            RefusedError: *prefix* is not empty and does not end with a slash.
            StoreError: (while iterating) denied, no such bucket, wrong keys.
            TransientStoreError: (while iterating) busy, timed out, cut off.
        """
        names.check_folder(prefix)
        return self._folders(prefix)

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        """Every version of *key*, oldest first; delete markers are left out.

        Raises:
            RefusedError: not a key.
            StoreError: denied, no such bucket, wrong keys.
            TransientStoreError: busy, timed out, cut off.
        """
        names.check_key(key)
        found = self._entries(key, after="", limit=None)
        return list(takewhile(lambda entry: entry.key == key, found))[::-1]

    def remains(self, key: str) -> Sequence[str]:
        """The ids of every version and every delete marker of *key*, newest first.

        Raises:
            RefusedError: not a key.
            StoreError: denied, no such bucket, wrong keys.
            TransientStoreError: busy, timed out, cut off.
        """
        full = self._full(key)
        found: list[tuple[datetime, str]] = []
        for page in self._pages(key):
            lying = [*(page.get("Versions") or page.get("Contents") or [])]
            lying += page.get("DeleteMarkers") or []
            mine = [raw for raw in lying if raw["Key"] == full]
            found += [
                (raw["LastModified"], _version(raw.get("VersionId"), newest=True)) for raw in mine
            ]
            if len(mine) < len(lying):  # others sort behind: there is no more of this one
                break
        found.sort(key=lambda one: one[0], reverse=True)
        return [version for _, version in found]

    def delete(self, key: str, *, version: str = "") -> None:
        """Remove one version for good; without *version* the one that has no id.

        Raises:
            RefusedError: not a key.
            StoreError: denied, locked, no such bucket, wrong keys.
            TransientStoreError: busy, timed out, cut off.
        """
        full = self._full(key)
        try:
            with self._talk(key, version):
                self._client.delete_object(
                    Bucket=self._address.bucket, Key=full, VersionId=version or _NULL
                )
        except ObjectMissingError:
            return

    # ── one request ─────────────────────────────────────────────────────────────────────────────

    def _full(self, key: str) -> str:
        return self._above + names.check_key(key)

    def _talk(self, about: str, version: str = "") -> AbstractContextManager[None]:
        return self._errors.translated(bucket=self._address.bucket, about=about, version=version)

    def _read(
        self, key: str, request: GetObjectRequestTypeDef, *, start: int, end: int | None
    ) -> bytes:
        with self._talk(key, request.get("VersionId", "")):
            answer = self._client.get_object(**request)
            with closing(answer["Body"]) as body:
                pieces = []
                for piece in body.iter_chunks(_SLICE):
                    pieces.append(piece)
                    self._moved()
        data = b"".join(pieces)
        if "Range" in request and answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.OK:
            return data[start:end]  # the store sent all of it, as RFC 9110 (14.2) lets it
        return data

    def _hidden(self, key: str) -> str:
        """Return the newest version of a key that a delete marker hides.

        Raises:
            ObjectMissingError: there is none.
        """
        found = self.versions(key)
        if not found or not found[-1].version:
            raise ObjectMissingError("no such object", about=key)
        return found[-1].version

    def _head(self, key: str, version: str) -> HeadObjectOutputTypeDef:
        """HEAD, and where it fails a GET of one byte: an error of HEAD has no body to tell why."""
        request: GetObjectRequestTypeDef = {"Bucket": self._address.bucket, "Key": self._full(key)}
        if version:
            request["VersionId"] = version
        try:
            with self._talk(key):
                return self._client.head_object(**request)
        except TransientStoreError:
            raise
        except StoreError:
            with suppress(self._errors.RangeError):
                self._read(key, {**request, "Range": "bytes=0-0"}, start=0, end=1)
            raise

    # ── lists ───────────────────────────────────────────────────────────────────────────────────

    def _newest(self, prefix: str, *, after: str, limit: int | None) -> Iterator[ObjectVersion]:
        last = ""
        for entry in self._entries(prefix, after=after, limit=limit):
            if entry.key != last:
                last = entry.key
                yield entry

    def _entries(self, prefix: str, *, after: str, limit: int | None) -> Iterator[ObjectVersion]:
        """Every version after *after*: keys in order, the newest of each first."""
        if after > prefix and not after.startswith(prefix):
            return  # nothing that begins with prefix can follow
        marker = after if after.startswith(prefix) else ""
        for page in self._pages(prefix, after=marker, limit=limit):
            for raw in page.get("Versions") or page.get("Contents") or []:
                key = raw["Key"][len(self._above) :]
                # RGW begins with the versions of the marker's own key, MinIO behind them.
                if is_key(key) and (not after or key > after):
                    yield _described(key, raw)

    def _folders(self, prefix: str) -> Iterator[str]:
        last = ""
        for page in self._pages(prefix, delimiter="/"):
            for raw in page.get("CommonPrefixes") or []:
                name = raw["Prefix"][len(self._above) + len(prefix) : -1]
                if is_component(name) and name != last:
                    last = name  # a page may begin with the folder that ended the one before
                    yield name

    def _pages(
        self, prefix: str, *, after: str = "", limit: int | None = None, delimiter: str = ""
    ) -> Iterator[Mapping[str, Any]]:
        """Ask for pages until the store has no more, each twice as long as the one before.

        A list that ends too early is an error: what it leaves out would be taken for absent.
        """
        request: dict[str, Any] = {"Bucket": self._address.bucket, "Prefix": self._above + prefix}
        if delimiter:
            request["Delimiter"] = delimiter
        ask = _PAGE if limit is None else min(limit, _PAGE)
        marker = {"KeyMarker": self._above + after} if after else {}
        while True:
            page = self._page({**request, **marker, "MaxKeys": ask}, about=prefix)
            self._errors.check_answered(page, "IsTruncated", about=self.url)
            self._moved()
            yield page
            if not page["IsTruncated"]:
                return
            following = _next_marker(page)
            if following in ({}, marker):
                raise StoreError("the store's list neither ends nor goes on", about=self.url)
            marker, ask = following, min(_PAGE, 2 * ask)

    def _page(self, request: dict[str, Any], *, about: str) -> Mapping[str, Any]:
        if self._lists_versions:
            try:
                with self._talk(about):
                    return self._client.list_object_versions(**request)
            except (self._errors.DeniedError, self._errors.UnsupportedError):
                answer = self._plain_page(request, about=about)
            self._lists_versions = False  # the other way was answered
            return answer
        return self._plain_page(request, about=about)

    def _plain_page(self, request: dict[str, Any], *, about: str) -> Mapping[str, Any]:
        plain = {name: value for name, value in request.items() if name not in _MARKERS}
        if "KeyMarker" in request:
            plain["StartAfter"] = request["KeyMarker"]
        with self._talk(about):
            return self._client.list_objects_v2(**plain)


def _next_marker(page: Mapping[str, Any]) -> dict[str, str]:
    """Return where the page after *page* begins, in the words of the request that gave it."""
    if token := page.get("NextContinuationToken"):
        return {"ContinuationToken": token}
    marker = {
        "KeyMarker": page.get("NextKeyMarker"),
        "VersionIdMarker": page.get("NextVersionIdMarker"),
    }
    return {name: value for name, value in marker.items() if value}


def _version(reported: str | None, *, newest: bool) -> str:
    """Return drd's name of a version; only a ``null`` below newer ones keeps S3's own."""
    if reported is None or (reported == _NULL and newest):
        return ""
    return reported


def _described(key: str, raw: Mapping[str, Any]) -> ObjectVersion:
    newest = bool(raw.get("IsLatest", True))
    return ObjectVersion(
        key=key,
        version=_version(raw.get("VersionId"), newest=newest),
        size=raw["Size"],
        modified_at=raw["LastModified"],
        latest=newest,
    )
