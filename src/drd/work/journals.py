"""The journals of deletion in the bucket: hear what they say, and write the next statement.

What lies below ``g/`` was put once and is never put again, so what was heard is kept in the ledger, as
bytes, and its signature is checked each time: trust may have changed. What cannot be heard is a
*problem*: it explains no gap, and nothing is deleted where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from drd.core import names, statement
from drd.core.journal import Journal
from drd.core.statement import Statement
from drd.errors import (
    BusyError,
    IntegrityError,
    ObjectExistsError,
    ObjectMissingError,
    RefusedError,
)
from drd.model import Json, PointInfo
from drd.ports import Ledger, Now, Random
from drd.work.lineagekeys import LineageKeys
from drd.work.repository import Repository
from drd.work.statements import heard, say


@dataclass(slots=True)
class Heard:
    """The journal of one lineage, and what in its folder could not be heard (a sentence each)."""

    journal: Journal = field(default_factory=Journal)
    problems: list[str] = field(default_factory=list)


def journal_of(repository: Repository, lineage: bytes, ledger: Ledger | None) -> Heard:
    """The journal of *lineage*: one LIST, and two requests for each statement not heard before.

    Raises:
        StoreError: the store failed.
    """
    folder = names.journal_folder(repository.tenant, lineage)
    listed = [one.key for one in repository.store.list(folder)]
    return _hear(repository, lineage, listed, ledger)


def every_journal(repository: Repository, ledger: Ledger | None) -> Mapping[bytes, Heard]:
    """The journals of all lineages that have one, in one LIST."""
    above = f"g/{repository.tenant.hex()}/"
    listed: dict[bytes, list[str]] = {}
    for one in repository.store.list(above):
        lineage = one.key[len(above) :].partition("/")[0]
        if names.is_id(lineage):
            listed.setdefault(bytes.fromhex(lineage), []).append(one.key)
    return {lineage: _hear(repository, lineage, some, ledger) for lineage, some in listed.items()}


def _hear(
    repository: Repository, lineage: bytes, listed: Iterable[str], ledger: Ledger | None
) -> Heard:
    folder = names.journal_folder(repository.tenant, lineage)
    known = dict(ledger.statements(folder)) if ledger is not None else {}
    found, fresh = Heard(), {}
    for key in listed:
        number = names.journal_number(key)
        if number is None:
            found.problems.append(f"{key} is not one of drd's objects")
            continue
        data = known.pop(key, None)
        found.journal.last = max(found.journal.last, number)
        try:
            said = _checked(repository, lineage, key, data) if data is not None else None
            if said is None:
                shut, fresh[key], _ = heard(repository, lineage, key)
                said = shut.statement
            found.journal.add(said)
        except (IntegrityError, ObjectMissingError) as error:
            fresh.pop(key, None)
            found.problems.append(f"{key}: {error.message}")
    found.problems += [f"{key} was known here and is gone from the bucket" for key in known]
    if fresh and ledger is not None:
        ledger.note_statements(fresh)
    return found


def _checked(repository: Repository, lineage: bytes, key: str, data: bytes) -> Statement | None:
    """A statement that was heard before; None when trust does not bear it any more."""
    try:
        shut = statement.decode(data)
        statement.verify(shut, repository.trust, scope=repository.scope(lineage), key=key)
    except IntegrityError:
        return None
    return shut.statement


def put_at(repository: Repository, lineage: bytes, number: int) -> datetime:
    """When the store took statement *number* of the journal, by the store's own clock.

    Raises:
        IntegrityError: it does not verify any more.
        ObjectMissingError: it is gone.
    """
    folder = names.journal_folder(repository.tenant, lineage)
    return heard(repository, lineage, f"{folder}{number}")[2].modified_at


def write(
    keys: LineageKeys,
    journal: Journal,
    kind: str,
    clear: Mapping[str, Json],
    *,
    now: Now,
    random: Random,
) -> int:
    """Put the next statement of the journal, take it into *journal*, and return its number.

    Raises:
        RefusedError: somebody else wrote that number first.
        IntegrityError: trust does not let this key write the journal.
        StoreError: the store failed; whether the statement is there is not known.
    """
    repository, lineage = keys.repository, keys.scope.lineage
    said = journal.next(kind, clear, scope=keys.scope, at=now())
    try:
        key = say(keys, said, random=random)
    except ObjectExistsError as error:
        raise _overtaken(said.key) from error
    # Where the store ignores the condition, the first of two versions counts.
    shut, data, _ = heard(repository, lineage, key)
    if statement.decode(data).statement.clear != clear or shut.statement.kind != kind:
        raise _overtaken(key)
    journal.add(said)
    return said.number


def _overtaken(key: str) -> RefusedError:
    return BusyError(
        "somebody else wrote this number of the journal first",
        about=key,
        hint="one prune at a time; run it again",
    )


def mark_doomed(
    repository: Repository, points: Iterable[PointInfo], ledger: Ledger | None
) -> list[PointInfo]:
    """*points*, those marked that a doomed list names: they are not restored any more.

    What of a journal cannot be heard dooms nothing, and is a warning. Of points of one lineage no other
    journal is asked for.
    """
    points = list(points)
    lineages = {one.lineage for one in points}
    if len(lineages) == 1:
        every = {one: journal_of(repository, one, ledger) for one in lineages}
    else:
        every = dict(every_journal(repository, ledger))
    repository.warnings.extend(problem for one in every.values() for problem in one.problems)
    doomed = {(lineage, seq) for lineage, one in every.items() for seq in one.journal.doomed()}
    return [
        replace(one, doomed=True) if (one.lineage, one.seq) in doomed else one for one in points
    ]


def unexplained(
    repository: Repository, gone: Mapping[str, bytes], ledger: Ledger | None
) -> list[str]:
    """Names of manifests among *gone* (with their SHA-256) that no journal says were deleted."""
    covered: dict[bytes, frozenset[tuple[int, bytes]]] = {}
    left = []
    for key in sorted(gone):
        place = names.parse_manifest_key(key)
        if place is None:
            left.append(key)
            continue
        _, lineage, seq = place
        if lineage not in covered:
            covered[lineage] = journal_of(repository, lineage, ledger).journal.covered()
        if (seq, gone[key]) not in covered[lineage]:
            left.append(key)
    return left


def covered_by(repository: Repository, lineage: bytes) -> frozenset[tuple[int, bytes]]:
    """Points of *lineage* whose absence its journal explains."""
    return journal_of(repository, lineage, None).journal.covered()
