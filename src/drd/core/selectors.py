"""What an operator types to name a point: ``NAME``, ``NAME@17``, ``NAME@latest``, ``NAME@<time>``.

Rules, and why:

1. The last ``@`` splits only before digits, ``latest`` or a time: RBD images may have ``@`` in their
   names. An image that is itself called ``db@17`` is reached as ``db@17@latest``.
2. Times are RFC 3339 with an offset. One without is an error, never a guess: nobody knows at 3 am
   which zone the person who wrote it down was in.
3. A time means the newest full point at or before it. Partial points are no recovery points.
4. 32 hex digits are a lineage id: they reach the history of an image that was replaced by another of
   the same name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from drd.core.names import MAX_SEQ
from drd.errors import NotFoundError, UsageError
from drd.model import PointInfo, PointKind

_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
"""RFC 3339, 5.6: ``date-time``; a space instead of the T is allowed by its note."""

_LIKE_A_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9:.+\-Zz ]*)?")
_DIGITS: Final = re.compile(r"[0-9]+")
_LINEAGE: Final = re.compile(r"[0-9a-f]{32}")
_LATEST: Final = "latest"
_MICROSECOND_DIGITS: Final = 6
_LEAP_SECOND: Final = 60
_NEAREST: Final = 3


@dataclass(frozen=True, slots=True)
class Selector:
    """Which point is meant: ``seq``, or the newest at or before ``at``, or the newest of all.

    ``lineage`` is the id (16 bytes) when ``name`` is one.
    """

    name: str
    lineage: bytes | None = None
    seq: int | None = None
    at: datetime | None = None


def parse_time(text: str) -> datetime:
    """A time of RFC 3339, in UTC.

    Digits below a microsecond are dropped; a leap second (``:60``) is the last microsecond of its
    minute.

    Raises:
        UsageError: it is none, or has no offset.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise _no_time(text)
    day, minute, second, fraction, offset = match.groups()
    micro = (fraction or "0")[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
    if int(second) == _LEAP_SECOND:
        second, micro = "59", "9" * _MICROSECOND_DIGITS
    offset = "+00:00" if offset in "Zz" else offset
    try:
        found = datetime.fromisoformat(f"{day}T{minute}:{second}.{micro}{offset}")
        return found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no time: {error}") from error


def _no_time(text: str) -> UsageError:
    if _LIKE_A_TIME.fullmatch(text) and not text.upper().endswith("Z"):
        return UsageError(
            f"the time {text!r} is not complete: date, time and offset are needed",
            hint="write 2026-11-21T10:00:00Z, or with an offset: 2026-11-21T11:00:00+01:00",
        )
    return UsageError(
        f"{text!r} is no time", hint="write it as RFC 3339 says: 2026-11-21T10:00:00Z"
    )


def show_time(when: datetime) -> str:
    """RFC 3339 in UTC with ``Z``; fractions of a second only where there are some."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_point(text: str) -> Selector:
    """Understand a POINT.

    Raises:
        UsageError: the name is empty, a time has no offset or is none, or a number is too large.
    """
    name, at_sign, suffix = text.rpartition("@")
    if not at_sign or not (
        suffix == _LATEST or _DIGITS.fullmatch(suffix) or _LIKE_A_TIME.fullmatch(suffix)
    ):
        return _selector(text)
    if suffix == _LATEST:
        return _selector(name)
    if _DIGITS.fullmatch(suffix):
        if len(suffix) > len(str(MAX_SEQ)):
            raise UsageError(
                f"{suffix[:20]} is no sequence number: it has over ten digits",
                about=text,
                hint="'drctl ls NAME' shows the points that there are",
            )
        return _selector(name, seq=int(suffix))
    try:
        return _selector(name, at=parse_time(suffix))
    except UsageError as error:
        more = f"an image that is really called {text!r} is {text + '@latest'!r}"
        hint = "; ".join(filter(None, (error.hint, more)))
        raise UsageError(error.message, about=text, hint=hint) from error


def _selector(name: str, *, seq: int | None = None, at: datetime | None = None) -> Selector:
    if not name:
        raise UsageError(
            "a point needs the name of an image", hint="write SOURCE/IMAGE, see 'drctl ls'"
        )
    lineage = bytes.fromhex(name) if _LINEAGE.fullmatch(name) else None
    return Selector(name, lineage, seq, at)


def choose(points: Sequence[PointInfo], selector: Selector) -> PointInfo:
    """The point that *selector* means among the *points* of one lineage, in any order.

    Raises:
        NotFoundError: there is none; the nearest ones are named.
    """
    full = sorted((one for one in points if one.kind is PointKind.FULL), key=lambda one: one.seq)
    if not full:
        raise NotFoundError(
            "there is no recovery point of this name",
            about=selector.name,
            hint="an unfinished first backup is none; 'drctl ls' shows what there is",
        )
    if selector.seq is not None:
        return _by_number(points, full, selector.name, selector.seq)
    if selector.at is not None:
        return _by_time(full, selector.name, selector.at)
    return full[-1]


def _by_number(
    points: Sequence[PointInfo], full: Sequence[PointInfo], name: str, seq: int
) -> PointInfo:
    for one in full:
        if one.seq == seq:
            return one
    if any(one.seq == seq for one in points):
        why = f"point {seq} is only part of an unfinished backup"
    else:
        why = f"there is no point {seq}"
    nearest = sorted(sorted(full, key=lambda one: abs(one.seq - seq))[:_NEAREST], key=_seq)
    raise NotFoundError(
        why, about=name, hint="nearest: " + ", ".join(_show(one) for one in nearest)
    )


def _by_time(full: Sequence[PointInfo], name: str, at: datetime) -> PointInfo:
    before = [one for one in full if one.point_at <= at]
    if not before:
        first = min(full, key=lambda one: (one.point_at, one.seq))
        raise NotFoundError(
            f"there is no point at or before {show_time(at)}",
            about=name,
            hint=f"the first is {_show(first)}",
        )
    return max(before, key=lambda one: (one.point_at, one.seq))


def _seq(point: PointInfo) -> int:
    return point.seq


def _show(point: PointInfo) -> str:
    return f"@{point.seq} ({show_time(point.point_at)})"
