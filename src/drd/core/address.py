"""What the operator writes as the address of a repository, as a frozen value."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

from drd.core.names import is_key
from drd.errors import ConfigError

_FORMS: Final = "write file:///path/of/folder or s3://bucket or s3://bucket/prefix"

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
"""Names that every S3 store takes (Amazon S3 User Guide, "General purpose bucket naming rules")."""

MAX_PREFIX: Final = 255
"""Characters of a prefix, so that prefix, slash and the longest key stay within S3's 1,024."""


@dataclass(frozen=True, slots=True)
class FileAddress:
    """A directory of this machine; *path* is absolute and without ``..``."""

    path: str

    @property
    def url(self) -> str:
        """The address in its normal form."""
        return f"file://{self.path}"


@dataclass(frozen=True, slots=True)
class S3Address:
    """A bucket, or what lies below *prefix* in it; *prefix* has no slash at its ends."""

    bucket: str
    prefix: str = ""

    @property
    def url(self) -> str:
        """The address in its normal form."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"


Address: TypeAlias = FileAddress | S3Address


def parse_address(url: str) -> Address:
    """Read an address.

    A path may be percent-encoded (RFC 8089); a prefix is taken as it stands.

    Raises:
        ConfigError: anything but the forms that the hint names. The text is shown only where it
            cannot hold a secret: somebody may have put keys before an ``@``.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        hint = f"write file://{url}" if url.startswith("/") else _FORMS
        raise ConfigError("the repository's address has no scheme", about=url, hint=hint)
    if "@" in (rest.partition("/")[0] if scheme == "file" else rest):
        raise ConfigError(
            "the repository's address holds an @",
            hint="credentials stand in their own files, never in the address; " + _FORMS,
        )
    if scheme == "file":
        return _file(url, rest)
    if scheme == "s3":
        return _s3(url, rest)
    raise ConfigError("the repository's address has an unknown scheme", about=url, hint=_FORMS)


def _file(url: str, rest: str) -> FileAddress:
    path = unquote(rest)
    if not rest.startswith("/"):
        message, hint = "the path of the repository is not absolute", f"write file:///{rest}"
    elif "?" in rest or "#" in rest:
        message, hint = "the repository's address has a ? or a #", "write them as %3F and %23"
    elif "\0" in path or ".." in path.split("/"):
        message, hint = "the path of the repository has a .. in it", "write it without detours"
    elif not path.strip("/."):
        message, hint = "the repository cannot be the root folder", _FORMS
    else:
        return FileAddress(posixpath.normpath("/" + path.strip("/")))
    raise ConfigError(message, about=url, hint=hint)


def _s3(url: str, rest: str) -> S3Address:
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    if not _BUCKET.match(bucket):
        raise ConfigError(
            "not a name for a bucket: 3 to 63 small letters, digits, dots and hyphens",
            about=url,
            hint="the endpoint belongs into [repository.s3] endpoint; " + _FORMS,
        )
    if prefix and (len(prefix) > MAX_PREFIX or not is_key(prefix)):
        raise ConfigError(
            "not a prefix: letters, digits, dots, hyphens, underlines, single slashes",
            about=url,
            hint=f"choose a plain prefix of at most {MAX_PREFIX} characters",
        )
    return S3Address(bucket, prefix)
