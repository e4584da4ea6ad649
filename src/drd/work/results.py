"""What a verify proved is said in the bucket, signed: other hosts learn it, and this one without its disk.

A result is worth having and never worth a failed verify: where it cannot be signed or put (a read-only
credential, a key that does not sign), that is a warning.

A lineage has a bounded number of them. The newest of each kind (level, rotating or not) stays; of the
others those that are younger than twice the coverage: by them ``show`` tells when an older point was
proven. A prune removes the rest (:func:`superseded`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from drd.core import result as results
from drd.core.result import Result, Told, told_by
from drd.core.statement import RESULT
from drd.errors import DrdError, IntegrityError, ObjectMissingError
from drd.model import Damage, Json, PointInfo, Proven
from drd.ports import Catalogue, Random
from drd.work.lineagekeys import LineageKeys
from drd.work.noting import harm
from drd.work.repository import Repository
from drd.work.statements import folder_of, hear, say
from drd.work.verify import OBJECT_LEVELS, Proof, Round

KEPT: Final = timedelta(days=60)
"""How long results stay that a newer one of their kind has followed: twice the coverage of a month."""
WORDS: Final = 20
"""So many findings are told in the sealed part; all of them are counted."""
LOOKED_BACK: Final = 30
"""So many results are read at most to find out when a point was proven last."""


@dataclass(frozen=True, slots=True)
class Scribe:
    """Who writes results down, and with what."""

    by: str
    random: Random


def write(keys: LineageKeys, result: Result, findings: Sequence[str], scribe: Scribe) -> str | None:
    """Say *result* in the bucket; what hinders that is a warning. Its name, None where it was not put."""
    words: dict[str, Json] = {"by": scribe.by, "findings": list(findings[:WORDS])}
    try:
        said = results.to_statement(result, keys.scope, words)
        return say(keys, said, random=scribe.random)
    except DrdError as error:
        keys.repository.warnings.append(
            f"the result of this verify was not written to the bucket: {error} (--no-record does not try)"
        )
        return None


def result_of(proven: Sequence[tuple[PointInfo, Proof]], round_: Round, at: datetime) -> Result:
    """What the proofs of points of one lineage, made in one round, come to."""
    lineage = proven[0][0].lineage
    looked, needed = round_.packs_of(lineage)
    return Result(
        level=round_.level,
        at=at,
        points=tuple(sorted(info.seq for info, proof in proven if not proof.findings)),
        bad=tuple(sorted(info.seq for info, proof in proven if proof.findings)),
        findings=sum(len(proof.findings) for _, proof in proven),
        damaged=any(harm(proof) for _, proof in proven),
        packs=looked,
        of=needed,
    )


def told_of(repository: Repository, lineage: bytes) -> list[Told]:
    """What the names of a lineage's results tell, the newest first; one LIST."""
    listed = repository.store.list(f"{folder_of(repository, lineage)}{RESULT}-")
    found = (told_by(one.key) for one in listed)
    return sorted((one for one in found if one is not None), key=_age, reverse=True)


def _age(one: Told) -> tuple[datetime, str]:
    return one.at, one.key


def read(repository: Repository, lineage: bytes, told: Told) -> Result | None:
    """One result; None, and a warning, where it cannot be heard."""
    try:
        return results.from_statement(hear(repository, lineage, told.key).statement)
    except (IntegrityError, ObjectMissingError) as error:
        repository.warnings.append(f"{told.key}: {error.message}")
        return None


def newest(repository: Repository, lineage: bytes, some: Iterable[Told]) -> Iterator[Result]:
    """Of each kind the newest result that can be heard; *some* are the newest first."""
    seen: set[tuple[int, bool]] = set()
    for one in some:
        if (one.level, one.rotating) not in seen:
            result = read(repository, lineage, one)
            if result is not None:
                seen.add((one.level, one.rotating))
                yield result


def rotating(repository: Repository, lineage: bytes, level: int) -> Result | None:
    """Where the rotating coverage of a level stands; None before its first run."""
    some = [one for one in told_of(repository, lineage) if one.rotating and one.level == level]
    return next(newest(repository, lineage, some), None)


def proofs_of(repository: Repository, lineage: bytes, seq: int) -> list[Result]:
    """Of each level the newest result that speaks of point *seq*; at most ``LOOKED_BACK`` are read."""
    found: dict[int, Result] = {}
    some = [one for one in told_of(repository, lineage) if one.seq >= seq]
    for one in some[:LOOKED_BACK]:
        if one.level not in found:
            result = read(repository, lineage, one)
            if result is not None and seq in (*result.points, *result.bad):
                found[one.level] = result
    return [found[level] for level in sorted(found)]


def superseded(
    repository: Repository, lineage: bytes, now: datetime, *, kept: timedelta = KEPT
) -> list[str]:
    """Names of results that a prune removes: older than *kept*, with a newer one of their kind that can be
    heard. By the time in their names: what is lost by a wrong clock is a proof, never a point.
    """
    some = told_of(repository, lineage)
    if all(now - one.at <= kept for one in some):
        return []  # one LIST is all that it costs while nothing is old
    stand = {
        (result.level, result.cursor is not None, result.at)
        for result in newest(repository, lineage, some)
    }
    return [
        one.key
        for one in some
        if now - one.at > kept and (one.level, one.rotating, one.at) not in stand
    ]


def words_of(proofs: Iterable[tuple[PointInfo, Proof]]) -> list[str]:
    """What was found wrong, a sentence each, as the sealed part of a result has it."""
    return [f"{found.about}: {found.what}" for _, proof in proofs for found in proof.findings]


def proven(lineage: bytes, result: Result) -> Proven:
    """What a catalogue remembers of a result."""
    return Proven(
        lineage=lineage,
        level=result.level,
        seq=result.seq,
        at=result.at,
        ok=result.ok,
        findings=result.findings,
        covered=result.covered,
    )


def learn_results(repository: Repository, catalogue: Catalogue, lineages: Iterable[bytes]) -> None:
    """Make *catalogue* know the newest result of each level, from one LIST of all statements; and the
    damage that they tell of, where no verify of this host has said anything of a lineage. *lineages* are
    all that the catalogue knows: from then on it knows all results.
    """
    wanted: Mapping[str, bytes] = {folder_of(repository, one): one for one in lineages}
    told: dict[bytes, list[Told]] = {}
    for one in repository.store.list(folder_of(repository)):
        lineage = wanted.get(one.key.rpartition("/")[0] + "/")
        found = told_by(one.key)
        if lineage is not None and found is not None:
            told.setdefault(lineage, []).append(found)
    for lineage, some in told.items():
        some.sort(key=_age, reverse=True)
        known = list(newest(repository, lineage, some))
        catalogue.note_proven(repository.tenant, [proven(lineage, one) for one in known])
        damage = damage_told(known)
        if damage is not None and catalogue.damage_of(repository.tenant, lineage) is None:
            catalogue.note_damage(repository.tenant, lineage, damage)
    catalogue.note_proven(repository.tenant, (), whole=True)


def damage_told(known: Iterable[Result]) -> Damage | None:
    """The damage of packs and tables that stands after these results: a later look at all of a point as
    new, at that level or a higher one, that found nothing there takes it back (as ``noting.weigh``).
    """
    stands: Damage | None = None
    for one in sorted(known, key=lambda one: one.at):
        if one.level not in OBJECT_LEVELS:
            continue
        if one.bad and one.damaged:
            what = f"{one.findings} findings of a verify"
            stands = Damage(max(one.bad), one.level, one.at, what)
        elif stands is not None and one.cursor is None:
            whole = max(one.points, default=0) >= stands.seq and one.level >= stands.level
            stands = None if whole else stands
    return stands
