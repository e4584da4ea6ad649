"""Results of a verify as statements: what was proven of a lineage, for how much, and when.

1. One result for each lineage and run, not for each point. Its number is the newest point looked at.
2. Its tag tells level and time (``u8``: level, + 128 for a run of rotating coverage ‖ 7 bytes: microseconds
   since 1970), so a listing alone tells which is the newest of its kind, and which are old. A result whose
   time is another than its name's does not count.
3. The clear part has no words: points, counts, and the cursor of :mod:`drd.core.coverage`. What was found,
   and by whom, is sealed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from drd.core import names
from drd.core.coverage import Cursor, Mark
from drd.core.manifest import micros, moment
from drd.core.seal import Scope
from drd.core.statement import RESULT, Statement
from drd.errors import IntegrityError
from drd.model import Json

ROTATING: Final = 128
_TIME_BYTES: Final = names.TAG_BYTES - 1


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of a verify found of one lineage.

    ``points`` are those without a finding, ``bad`` those with one; the number of the result is the highest
    of both. ``packs`` were looked at, of ``of`` that these points need. ``cursor`` is there for a run of
    rotating coverage, and ``covered`` its share of the packs that were looked at within the window (1 for
    any other). ``damaged``: some of the findings are about packs or tables, which a restore reads.
    """

    level: int
    at: datetime
    points: tuple[int, ...]
    bad: tuple[int, ...] = ()
    findings: int = 0
    damaged: bool = False
    packs: int = 0
    of: int = 0
    covered: float = 1.0
    cursor: Cursor | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings

    @property
    def seq(self) -> int:
        """The newest point that was looked at."""
        return max((*self.points, *self.bad))


@dataclass(frozen=True, slots=True)
class Told:
    """What the name of a result tells: kind of run and time; the newest point it is about."""

    key: str
    seq: int
    level: int
    rotating: bool
    at: datetime


def told_by(key: str) -> Told | None:
    """What the name of a result tells; None for any other name, and for one that tells no time."""
    place = names.parse_statement_key(key)
    if place is None or place[0] != RESULT:
        return None
    _, seq, tag = place
    at = moment(int.from_bytes(tag[1:], "big"))  # 7 bytes end in the year 4253
    if at is None:
        return None
    return Told(key, seq, tag[0] % ROTATING, rotating=tag[0] >= ROTATING, at=at)


def to_statement(result: Result, scope: Scope, sealed: Mapping[str, Json]) -> Statement:
    """The statement that says *result*, with the words *sealed*."""
    clear: dict[str, Json] = {
        "level": result.level,
        "points": list(result.points),
        "bad": list(result.bad),
        "findings": result.findings,
        "damaged": result.damaged,
        "packs": result.packs,
        "of": result.of,
        "covered": round(result.covered, 6),
    }
    if result.cursor is not None:
        clear["through"] = result.cursor.through
        clear["marks"] = [[micros(one.at), f"{one.turned:x}"] for one in result.cursor.marks]
    first = result.level + (ROTATING if result.cursor is not None else 0)
    return Statement(
        kind=RESULT,
        scope=scope,
        number=result.seq,
        at=result.at,
        clear=clear,
        sealed=sealed,
        tag=bytes([first]) + micros(result.at).to_bytes(_TIME_BYTES, "big"),
    )


def from_statement(said: Statement) -> Result:
    """What a statement that verified says.

    Raises:
        IntegrityError: it is no result, or says what no verify says.
    """
    told = told_by(said.key)
    clear = said.clear
    if told is None or told.at != said.at:
        raise IntegrityError("a result has another time than its name", about=said.key)
    try:
        result = Result(
            level=_count(clear["level"]),
            at=said.at,
            points=_counts(clear["points"]),
            bad=_counts(clear["bad"]),
            findings=_count(clear["findings"]),
            damaged=clear["damaged"] is True,
            packs=_count(clear["packs"]),
            of=_count(clear["of"]),
            covered=_share(clear["covered"]),
            cursor=_cursor(clear) if told.rotating else None,
        )
        fits = result.seq == said.number and result.level == told.level
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise IntegrityError("a result is damaged", about=said.key) from error
    if not fits:
        raise IntegrityError("a result is about something else than its name", about=said.key)
    return result


def _count(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= names.MAX_SEQ:
        raise ValueError("no count")
    return value


def _counts(value: Json) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return tuple(_count(one) for one in value)


def _share(value: Json) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("no share")
    return float(value)


def _cursor(clear: Mapping[str, Json]) -> Cursor:
    marks = clear["marks"]
    if not isinstance(marks, list):
        raise TypeError("no list")
    return Cursor(tuple(_mark(one) for one in marks), _count(clear["through"]))


_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _mark(value: Json) -> Mark:
    if not isinstance(value, list):
        raise TypeError("no mark")
    at, turned = value
    if not isinstance(at, int) or not isinstance(turned, str):
        raise TypeError("no mark")
    return Mark(_EPOCH + timedelta(microseconds=at), int(turned, 16))
