"""A turn of the rotating coverage of a lineage: which of its packs a verify looks at this time.

``drctl verify --rotate`` begins turns and tells of each point as it does without; a process that verifies
on a schedule calls :func:`verify_turn`, which does all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from drd.core.coverage import Cursor, Turn, Weighed, plan
from drd.core.result import Result
from drd.errors import IntegrityError, KeyAccessError, ObjectMissingError
from drd.model import PointInfo
from drd.work.keeping import is_passed_over, without_deleted
from drd.work.repository import Repository
from drd.work.results import Scribe, result_of, rotating, words_of, write
from drd.work.verify import Proof, Round, needed, verify_objects


@dataclass(frozen=True, slots=True)
class Rotation:
    """Runs are at most *every* apart, and each pack is looked at within *coverage*."""

    every: timedelta
    coverage: timedelta


@dataclass(frozen=True, slots=True)
class Turned:
    """What a turn proved of each point, and the result that says so; ``written`` is its name, None where it
    could not be written (the repository's warnings tell why).
    """

    proofs: tuple[tuple[PointInfo, Proof], ...]
    result: Result
    written: str | None


def packs_of(points: Iterable[PointInfo], now: Round) -> list[Weighed]:
    """Every pack that some of *points*, all of one lineage, needs. A point that does not open is left out:
    who looks at it tells why.
    """
    found: dict[bytes, Weighed] = {}
    for info in points:
        try:
            wanted = needed(now.open(info))
        except (IntegrityError, KeyAccessError, ObjectMissingError):
            continue
        for one in wanted:
            if one.row is not None:
                row = one.row
                found[row.pack_id] = Weighed(row.pack_id, row.ordinal, row.size)
    return list(found.values())


def begin_turn(
    repository: Repository,
    points: Sequence[PointInfo],
    now: Round,
    *,
    rotation: Rotation,
    at: datetime,
) -> Turn:
    """Plan a turn over all *points* of a lineage; from then on *now* looks at its packs alone.

    Raises:
        StoreError: the store failed.
    """
    lineage = points[0].lineage
    last = rotating(repository, lineage, now.level)
    cursor = last.cursor if last is not None and last.cursor is not None else Cursor()
    turn = plan(packs_of(points, now), cursor, at, every=rotation.every, coverage=rotation.coverage)
    now.turns[lineage] = turn.packs
    return turn


def verify_turn(
    points: Sequence[PointInfo], now: Round, rotation: Rotation, at: datetime, *, scribe: Scribe
) -> Turned | None:
    """One turn of a lineage whose full *points* these are, at the round's level (1 or 2); written down.
    None where a prune deleted them all meanwhile: nothing is known, and nothing written.

    Raises:
        IntegrityError, KeyAccessError, StoreError: a point cannot be opened, or the store failed. Then
            nothing is written, and the next turn has this one's packs to look at, too.
    """
    turn = begin_turn(now.repository, points, now, rotation=rotation, at=at)
    proofs = tuple(without_deleted(now.repository, list(look_at_each(points, now)), None))
    if not proofs:
        return None
    result = turned(result_of(proofs, now, at), turn, rotation)
    written = write(now.keys[points[0].lineage], result, words_of(proofs), scribe)
    return Turned(proofs, result, written)


def look_at_each(points: Iterable[PointInfo], now: Round) -> Iterator[tuple[PointInfo, Proof]]:
    """Prove each of *points*, but for those that a prune deletes meanwhile (a warning each)."""
    for one in points:
        try:
            yield one, verify_objects(now.open(one), now, point=f"{one.name}@{one.seq}")
        except ObjectMissingError as error:
            if not is_passed_over(now.repository, one, error, None):
                raise


def turned(result: Result, turn: Turn, rotation: Rotation) -> Result:
    """*result* with where the cursor stands after *turn*, and how much of the window is covered."""
    covered = turn.cursor.covered(result.at - rotation.coverage)
    return replace(result, cursor=turn.cursor, covered=covered)
