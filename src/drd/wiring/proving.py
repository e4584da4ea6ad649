"""A verify on a schedule: the lineages of one policy, one after the other, each proven as it wants."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

from drd.core.selectors import Selector
from drd.errors import (
    DrdError,
    IntegrityError,
    KeyAccessError,
    NotFoundError,
    StoppedError,
    TransientStoreError,
)
from drd.model import Json, PointInfo, Role
from drd.wiring.clock import now
from drd.wiring.person import caller
from drd.wiring.pruning import policy_of
from drd.work import listing
from drd.work.gaps import choose_whole
from drd.work.keeping import without_deleted
from drd.work.noting import note_damage
from drd.work.proving import SOURCE_LEVEL, Prover
from drd.work.results import Scribe, proven, result_of, told_of, words_of, write
from drd.work.rotating import Rotation, Turned, look_at_each, verify_turn
from drd.work.verify import Eyes, Proof, Round

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from drd.config.policies import VerifyPlan
    from drd.ports import Catalogue
    from drd.wiring import House
    from drd.work.repository import Repository

ROTATES: Final = (1, 2)
"""Levels that read packs, and so take turns; the others look at all each time."""
OPENS: Final = (2,)
"""Levels that open packs."""
READS: Final = (0, 1, 2)
"""Levels that ask the store for packs: to ask for their size needs the same right."""
NOT_HERE: Final = (
    "this host's keys cannot prove that: where the verify role has a host or a unit of its own, write "
    "verify = false below [daemon] here"
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of one lineage: the newest point that was looked at (0: none), ``facts`` as
    :class:`drd.model.Deed` has them of a verify, and the first of what was wrong.
    """

    seq: int
    facts: Mapping[str, Json]
    failure: DrdError | None = None


Tell: TypeAlias = "Callable[[bytes, Looked, float], None]"
"""Hears what came of a lineage (its id), and how many seconds that took."""


@dataclass(slots=True)
class Proved:
    """What one verify of a policy came to; in ``failures`` damage comes first."""

    lineages: int = 0
    points: int = 0
    findings: int = 0
    damage: list[DrdError] = field(default_factory=list)
    others: list[DrdError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[DrdError]:
        """What was found damaged, and then what could not be looked at."""
        return [*self.damage, *self.others]


def prove_policy(house: House, name: str, tell: Tell) -> Proved:
    """Prove every lineage of the policy *name* whose last result is not too young (see ``_Watch.is_done``);
    *tell* hears of each that was looked at what came of it.

    Raises:
        NotFoundError: the configuration has no such policy, or it wants nothing proven.
        KeyAccessError, RefusedError, StoreError: the repository cannot be opened.
        StoppedError: somebody wants drd to stop.
    """
    config = house.need_config()
    policy = config.policy.get(name)
    if policy is None or policy.verify is None:
        raise NotFoundError("the configuration has no such policy with a verify", about=name)
    # Not through the cache: what is to be proven is what the bucket has.
    repository = house.repository(Role.VERIFY, cached=False)
    eyes = house.eyes()
    points = listing.known_points(repository, house.known_here(), pool=eyes.transfers)
    watch = _Watch(house, repository, eyes=eyes, plan=policy.verify)
    for lineage in listing.by_lineage(points).values():
        if policy_of(config, lineage) != name:
            continue
        began, goes_on = now(), watch.prove(lineage)
        if looked := watch.deed():
            tell(lineage[-1].lineage, looked, (now() - began).total_seconds())
        if not goes_on:
            break
    return watch.proved


class _Watch:
    """Proves lineages, and keeps count."""

    def __init__(
        self,
        house: House,
        repository: Repository,
        *,
        eyes: Eyes,
        plan: VerifyPlan,
    ) -> None:
        self.proved = Proved()
        self._told = 0, 0  # failures that deeds told of
        self._turned: Turned | None = None
        self._repository = repository
        self._catalogue: Catalogue = house.known_here()
        self._eyes = eyes
        self._plan = plan
        self._scribe = Scribe(caller(), os.urandom)
        self._at_source = Prover(house.sources, repository, SOURCE_LEVEL, eyes)

    def prove(self, points: Sequence[PointInfo]) -> bool:
        """One lineage, whose *points* these are, by number; False when there is no use in going on."""
        full = [one for one in listing.full_points(points) if not one.doomed]
        if not full:
            return True
        name, at = full[-1].name, now()
        try:
            if not self.is_done(full[-1].lineage, at):
                self._look_at_newest(points, name)
                found = self._proofs(full, at)
                if found is not None:  # else a prune deleted every point meanwhile: warnings tell
                    self._note(found, at)
        except StoppedError:
            raise
        except NotFoundError as error:  # gone from its source: that is no news of its points
            self.proved.warnings.append(str(error))
        except IntegrityError as error:
            error.about = error.about or name
            self.proved.damage.append(error)
        except DrdError as error:
            error.about = error.about or name
            if isinstance(error, KeyAccessError):
                error.hint = error.hint or NOT_HERE
            self.proved.others.append(error)
            return not isinstance(error, TransientStoreError)
        return True

    def deed(self) -> Looked | None:
        """What came of the lineage that was proven last; None where it was not looked at."""
        proved, turned = self.proved, self._turned
        failures = [*proved.damage[self._told[0] :], *proved.others[self._told[1] :]]
        self._told, self._turned = (len(proved.damage), len(proved.others)), None
        failure = failures[0] if failures else None
        if turned is not None:
            seq = max(point.seq for point, _ in turned.proofs)
            result, points = turned.result, len(turned.proofs)
            facts: dict[str, Json] = {"level": result.level, "points": points}
            facts |= {"findings": result.findings, "covered": result.covered}
            return Looked(seq, facts, failure)
        return Looked(0, {"level": self._plan.level}, failure) if failure else None

    def is_done(self, lineage: bytes, at: datetime) -> bool:
        """Whether the last such result is younger than half of ``every``: another node's, or that of a run
        which failed with a later lineage. So nodes share the work, and a new try goes on.
        """
        half = timedelta(seconds=self._plan.every) / 2
        return any(
            one.level == self._plan.level
            and one.rotating == (self._plan.level in ROTATES)
            and timedelta(0) <= at - one.at < half
            for one in told_of(self._repository, lineage)
        )

    def _look_at_newest(self, points: Sequence[PointInfo], name: str) -> None:
        """A newest manifest that is damaged is among no points: it would be passed over in silence."""
        try:
            choose_whole(self._repository, points, Selector(name))
        except IntegrityError as error:
            self.proved.damage.append(error)

    def _proofs(self, full: Sequence[PointInfo], at: datetime) -> Turned | None:
        plan, repository, eyes = self._plan, self._repository, self._eyes
        if plan.level == SOURCE_LEVEL:
            one = full[-1]
            return self._written(((one, self._at_source.prove(one)),), self._at_source.round, at)
        # A round for each lineage: what it remembers of objects serves no other.
        round_ = Round(repository, plan.level, eyes)
        if plan.level in ROTATES:
            rotation = Rotation(timedelta(seconds=plan.every), timedelta(seconds=plan.coverage))
            return verify_turn(full, round_, rotation, at, scribe=self._scribe)
        looked = list(look_at_each(full, round_))
        proofs = tuple(without_deleted(repository, looked, self._catalogue.ledger))
        return self._written(proofs, round_, at) if proofs else None

    def _written(
        self, proofs: tuple[tuple[PointInfo, Proof], ...], round_: Round, at: datetime
    ) -> Turned:
        result = result_of(proofs, round_, at)
        keys = round_.keys[proofs[0][0].lineage]
        return Turned(proofs, result, write(keys, result, words_of(proofs), self._scribe))

    def _note(self, turned: Turned, at: datetime) -> None:
        """Into the catalogue, and into the count."""
        tenant, lineage = self._repository.tenant, turned.proofs[0][0].lineage
        note_damage(self._catalogue, tenant, turned.proofs, now=at)
        if turned.written is not None:
            self._catalogue.note_proven(tenant, [proven(lineage, turned.result)])
        proved, self._turned = self.proved, turned
        proved.lineages += 1
        proved.points += len(turned.proofs)
        proved.findings += turned.result.findings
        bad = [proof for _, proof in turned.proofs if proof.findings]
        if bad:
            found = bad[-1].findings[0]
            proved.damage.append(
                IntegrityError(
                    f"level {self._plan.level}: {turned.result.findings} findings, the first is "
                    f"{found.about or found.offset}: {found.what}",
                    about=found.point,
                    hint=bad[-1].hint,
                )
            )
