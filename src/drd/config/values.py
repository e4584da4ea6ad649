"""Single values of the configuration: what is written, what is meant, and what is refused.

Each raises ``ValueError`` with a sentence; ``loading`` puts file, line and key before it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from drd.core.address import parse_address
from drd.errors import ConfigError

KIB: Final = 1024
MIB: Final = 1024 * 1024
_SIZE: Final = re.compile(r"([0-9]{1,9}) ?(KiB|MiB|GiB)")
_SIZE_UNITS: Final[Mapping[str, int]] = {"KiB": KIB, "MiB": MIB, "GiB": 1024 * MIB}

_DURATION: Final = re.compile(r"([0-9]{1,9}) ?(s|m|h|d|w)")
_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
LONGEST: Final = 36525 * 86400
"""Seconds of a century: a moment so far from now is still one that a datetime can hold."""

_WINDOW: Final = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])")
PORTS: Final = 1 << 16

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
_AGE_RECIPIENT: Final = re.compile(r"age1[02-9ac-hj-np-z]{58}")
"""Bech32 of 32 bytes (age v1, X25519); ``keys`` checks the rest."""


def parse_size(value: object) -> object:
    """Bytes as a number, or as ``"256 KiB"`` or ``"32 MiB"``."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError('is no size: write bytes as a number, or "256 KiB", or "32 MiB"')
    return int(match[1]) * _SIZE_UNITS[match[2]]


def parse_duration(value: object) -> object:
    """Seconds as a number, or as ``"30s"``, ``"15m"``, ``"4h"``, ``"10d"`` or ``"2w"``."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError('is no duration: write "30s", "15m", "4h", "10d" or "2w"')
    return int(match[1]) * _SECONDS[match[2]]


def not_too_long(seconds: int) -> int:
    """Refuse what no calendar holds."""
    if seconds > LONGEST:
        raise ValueError(f"is too long: at most a century, {LONGEST // _SECONDS['w']}w")
    return seconds


def parse_cron(value: str) -> str:
    """A line of crontab(5), as :mod:`drd.core.crontab` reads it."""
    from drd.core.crontab import parse_crontab  # noqa: PLC0415 - rarely needed

    try:
        parse_crontab(value)
    except ConfigError as error:
        raise ValueError(f"is no cron line: {error.message}: {error.hint}") from error
    return value


def parse_zone(value: str) -> str:
    """A time zone of the IANA database."""
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415 - reads files

    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError) as error:
        near = difflib.get_close_matches(value, sorted(available_timezones()), 1, cutoff=0.0)
        told = f", the nearest is {near[0]!r}" if near else ""
        raise ValueError(f"is {value!r}, which is no time zone{told}") from error
    return value


def parse_listen(value: str) -> str:
    """Where a server listens: ``HOST:PORT``, an IPv6 address in brackets; ``""`` for nowhere."""
    if not value:
        return value
    host, colon, port = value.rpartition(":")
    good = colon and host and port.isdecimal() and 0 < int(port) < PORTS
    if not good or not _is_host(host):
        raise ValueError(f"is {value!r}: write HOST:PORT, such as 127.0.0.1:9750 or [::1]:9750")
    return value


def _is_host(text: str) -> bool:
    """A name, an IPv4 address, or an IPv6 address in brackets: without them its end looks like a port."""
    if not set(text) & set(":[]"):
        return True
    try:
        IPv6Address(text[1:-1])
    except ValueError:
        return False
    return text[0] == "[" and text[-1] == "]"


def parse_window(value: str) -> str:
    """A window of the day, ``22:00-23:30``; one that ends before it begins goes over midnight."""
    match = _WINDOW.fullmatch(value)
    if match is None or match[1] == match[2]:
        raise ValueError(f'holds {value!r}, which is no window of the day: write "22:00-23:30"')
    return value


def parse_path(value: object) -> object:
    """A path from text; a relative one is resolved later, against the folder of the file."""
    if not isinstance(value, str):
        return value
    if not value or "\0" in value:
        raise ValueError("is no path")
    return Path(value)


def parse_list(value: object) -> object:
    """A list of the file as a tuple, so that nobody changes it later."""
    return tuple(value) if isinstance(value, list) else value


def filled(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """At least one, and none twice."""
    if not values:
        raise ValueError("needs at least one entry")
    return distinct(values)


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """None twice."""
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"names {str(twice[0])!r} twice")
    return values


def parse_name(value: str) -> str:
    """A name of a section: it becomes part of names of images, and a label of metrics."""
    if not _NAME.fullmatch(value):
        raise ValueError("is no name: use a-z, 0-9, _ and -, and begin with a letter or digit")
    return value


def parse_recipient(value: str) -> str:
    """An age recipient, as far as it can be told by its letters. A secret key is never repeated."""
    if value.strip().upper().startswith("AGE-SECRET-KEY-"):
        raise ValueError(
            "holds an age secret key: name its public half (age-keygen -y), and take the secret "
            "key off this host"
        )
    if not _AGE_RECIPIENT.fullmatch(value):
        raise ValueError(f"holds {value[:70]!r}, which is no age X25519 recipient (age1…)")
    return value


def parse_client(value: str) -> str:
    """A Ceph user."""
    if not value.startswith("client.") or value == "client.":
        raise ValueError(f"is no Ceph user: write client.NAME, not {value!r}")
    return value


def _split(value: str) -> SplitResult:
    """Parts of a URL without anything that could carry a secret or be lost."""
    try:
        parts = urlsplit(value)
        named = parts.port  # raises for what is no number
    except ValueError as error:
        raise ValueError(f"is no address: {error}") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or a password: name files or variables for them")
    if parts.query or parts.fragment or (named is not None and not named):
        raise ValueError("must not hold '?' or '#' (write %3F and %23) or port 0")
    return parts


def parse_url(value: str) -> str:
    """The address of a repository, as :mod:`drd.core.address` reads it."""
    try:
        parse_address(value)
    except ConfigError as error:
        raise ValueError(f"is wrong: {error.message} ({error.hint})") from error
    return value


def parse_endpoint(value: str) -> str:
    """The address of an S3 service."""
    parts = _split(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ValueError("is no address of a service: write https://HOST or https://HOST:PORT")
    return value.rstrip("/")


Size = Annotated[int, BeforeValidator(parse_size)]
Duration = Annotated[
    int, Field(gt=0), BeforeValidator(parse_duration), AfterValidator(not_too_long)
]
Rate = Annotated[int, BeforeValidator(parse_size)]
Zone = Annotated[str, AfterValidator(parse_zone)]
Listen = Annotated[str, AfterValidator(parse_listen)]
Window = Annotated[str, AfterValidator(parse_window)]
Windows = Annotated[tuple[Window, ...], BeforeValidator(parse_list), AfterValidator(distinct)]
FilePath = Annotated[Path, BeforeValidator(parse_path)]
Name = Annotated[str, AfterValidator(parse_name)]
Cron = Annotated[str, AfterValidator(parse_cron)]
Client = Annotated[str, AfterValidator(parse_client)]
Url = Annotated[str, AfterValidator(parse_url)]
Endpoint = Annotated[str, AfterValidator(parse_endpoint)]
Recipient = Annotated[str, AfterValidator(parse_recipient)]
Texts = Annotated[tuple[str, ...], BeforeValidator(parse_list), AfterValidator(filled)]
FilePaths = Annotated[tuple[FilePath, ...], BeforeValidator(parse_list), AfterValidator(filled)]
Recipients = Annotated[tuple[Recipient, ...], BeforeValidator(parse_list), AfterValidator(distinct)]
