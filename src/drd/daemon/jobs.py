"""The jobs of workers: each one verb of the house, told in lines.

==========  =====================================  ===================================================
job         asks                                   brings
==========  =====================================  ===================================================
discover    ``source``                             ``images`` with identity, label, policy; ``overlooked``
learn       nothing                                how many points are known
snapshots   ``source``                             ``orphans`` of ``snapshots``
verify      ``policy``                             counts of lineages, points and findings
prune       nothing                                counts of what was doomed, deleted, spared
backup      ``source label identity slot limits``  ``seq``, ``point_at``, counts of bytes
==========  =====================================  ===================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drd.core.lines import text
from drd.daemon.chores import PRUNE, VERIFY
from drd.errors import DrdError, NotFoundError
from drd.model import BackupResult, Found, Json, Outcome, PointInfo, Progress, Role
from drd.ports import Moved, Report

if TYPE_CHECKING:
    from drd.wiring import House
    from drd.wiring.proving import Looked
    from drd.work.prune import Pruned


Tell = Callable[[Mapping[str, Json]], None]
"""Takes what a job did in one lineage of many, as ``daemon.running.deed_of`` reads it."""


@contextmanager
def opened(
    config: Mapping[str, Json], *, report: Report, stopping: Callable[[], bool], moved: Moved
) -> Iterator[House]:
    """The house of a configuration, as the daemon holds it."""
    from drd.config.loading import read_config  # noqa: PLC0415 - the daemon needs none of it
    from drd.wiring import House  # noqa: PLC0415

    read = read_config(text(config, "config"), Path(text(config, "path")))
    house = House(read, report=report, stopping=stopping, moved=moved)
    try:
        yield house
    finally:
        house.close()


def discover(house: House, job: Mapping[str, Json], tell: Tell) -> dict[str, Json]:
    """What a source shows now, and what each image itself says of its policy."""
    del tell
    source = house.source(text(job, "source"))
    found = list(source.discover())
    policies = house.policies(source, found)
    overlooked = source.overlooked()
    unseen = [one for one in overlooked if not isinstance(one, NotFoundError)]
    return {
        "outcome": (Outcome.FAILED if unseen and not found else Outcome.DONE).value,
        "complete": not unseen,
        "images": [
            {"identity": one.identity, "label": one.label, "policy": policies.get(one.identity, "")}
            for one in found
        ],
        "warnings": [str(one) for one in overlooked],
        **(_told(unseen[0]) if unseen and not found else {}),
    }


def _told(error: DrdError) -> dict[str, Json]:
    return {
        "exit": error.exit_code,
        "code": error.code,
        "message": str(error),
        "hint": error.hint or error.next_step,
    }


def learn(house: House, job: Mapping[str, Json], tell: Tell) -> dict[str, Json]:
    """Make the catalogue know what the bucket holds: points, holds, and what was proven, by whomever."""
    from drd.work.history import learn_each  # noqa: PLC0415
    from drd.work.holds import learn_holds  # noqa: PLC0415
    from drd.work.results import learn_results  # noqa: PLC0415

    del job, tell
    repository, catalogue = house.repository(Role.BACKUP), house.catalogue()
    counts = learn_each(repository, catalogue, pool=house.readers())
    learn_holds(repository, catalogue, counts)
    learn_results(repository, catalogue, counts)
    points, tenant = sum(counts.values()), repository.tenant.hex()
    return {"outcome": Outcome.DONE.value, "points": points, "tenant": tenant}


def snapshots(house: House, job: Mapping[str, Json], tell: Tell) -> dict[str, Json]:
    """How many of drd's snapshots on a source nobody needs: runs that died left them."""
    del tell
    held = house.needs().of(house.source(text(job, "source")))
    orphans = sum(one.state == "orphan" for one in held)
    return {"outcome": Outcome.DONE.value, "orphans": orphans, "snapshots": len(held)}


def verify(house: House, job: Mapping[str, Json], tell: Tell) -> dict[str, Json]:
    """Prove what a policy wants proven of its lineages; what hinders one hinders no other."""
    from drd.wiring.proving import prove_policy  # noqa: PLC0415

    policy = text(job, "policy")

    def tell_of(lineage: bytes, one: Looked, seconds: float) -> None:
        deed = _deed(lineage, policy, one.facts, one.failure)
        tell({**deed, "seq": one.seq, "seconds": seconds})

    proved = prove_policy(house, policy, tell_of)
    failures = proved.failures
    told: dict[str, Json] = {}
    if failures:
        first = failures[0]
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        told = {**_told(first), "message": f"{first}{more}"}
    return {
        "outcome": (Outcome.FAILED if failures else Outcome.DONE).value,
        "lineages": proved.lineages,
        "points": proved.points,
        "findings": proved.findings,
        "warnings": [*proved.warnings, *(str(one) for one in failures[1:])],
        **told,
    }


def prune(house: House, job: Mapping[str, Json], tell: Tell) -> dict[str, Json]:
    """Delete what no policy keeps; what stops one lineage stops no other."""
    from drd.wiring.clock import now  # noqa: PLC0415
    from drd.wiring.pruning import Realm, make_pruner, prune_lineage  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415

    del job
    repository = house.repository(Role.PRUNE)
    points = listing.known_points(repository, house.spare_catalogue(), pool=house.readers())
    pruner = make_pruner(house, repository, orphans=False, dry_run=False)
    lineages = listing.by_lineage(points)
    realm, pruned, warnings = Realm(house), [], list(repository.warnings)
    for done, lineage in enumerate(lineages.values()):
        house.report(Progress(PRUNE, done, len(lineages)))
        began = now()
        one, warning = prune_lineage(house, pruner, lineage, realm=realm)
        pruned.append(one)
        if deed := _pruned_deed(one):
            tell({**deed, "seconds": (now() - began).total_seconds()})
        warnings += [warning] if warning else []
    stopped = [one for one in pruned if one.stopped is not None and one.stopped.code != "busy"]
    return {
        "outcome": (Outcome.FAILED if stopped else Outcome.DONE).value,
        "lineages": len(pruned),
        "left_out": sum(bool(one.left_out) for one in pruned),
        "doomed": sum(len(one.doomed) for one in pruned),
        "deleted": sum(len(one.deleted) for one in pruned),
        "spared": sum(len(one.spared) for one in pruned),
        "bytes_freed": sum(one.bytes_freed for one in pruned),
        "warnings": [*warnings, *(f"{one.name}: {one.stopped}" for one in stopped)],
        **(_of_stopped(stopped)),
    }


def _pruned_deed(one: Pruned) -> dict[str, Json]:
    """What was done in one lineage, or stopped it; nothing is told where there was nothing to do."""
    error = one.stopped if one.stopped is not None and one.stopped.code != "busy" else None
    if error is None and not (one.doomed or one.deleted or one.spared or one.bytes_freed):
        return {}
    facts: dict[str, Json] = {
        "points": one.points,
        "doomed": len(one.doomed),
        "deleted": len(one.deleted),
        "spared": len(one.spared),
        "bytes_freed": one.bytes_freed,
    }
    return _deed(one.lineage, one.policy, facts, error)


def _deed(
    lineage: bytes, policy: str, facts: Mapping[str, Json], error: DrdError | None
) -> dict[str, Json]:
    """A line about one lineage; *error* is what went wrong there."""
    return {
        "lineage": lineage.hex(),
        "policy": policy,
        "outcome": (Outcome.FAILED if error else Outcome.DONE).value,
        "facts": dict(facts),
        **(_told(error) if error else {}),
    }


def _of_stopped(stopped: Sequence[Pruned]) -> dict[str, Json]:
    """The first of what stopped deletion, with how many there are."""
    if not stopped or stopped[0].stopped is None:
        return {}
    error = stopped[0].stopped
    return {
        "exit": error.exit_code,
        "code": error.code,
        "message": f"deletion stopped in {len(stopped)} lineages, the first is {stopped[0].name}: {error}",
        "hint": error.hint or error.next_step,
    }


def backup(house: House, job: Mapping[str, Json], tell: Tell) -> dict[str, Json]:
    """One point of one image, unless another node has made it."""
    from drd.work.backup import backup as make_point  # noqa: PLC0415
    from drd.work.backup import backup_unless  # noqa: PLC0415

    del tell
    source = house.source(text(job, "source"))
    found = Found(source.name, text(job, "label"), text(job, "identity"))
    slot = text(job, "slot")
    house.run = str(job.get("run", ""))
    repository = house.repository(Role.BACKUP)
    bench = house.tuned(house.bench(repository), source)
    bench = replace(bench, promise=house.promised(text(job, "policy")), heals_clock=True)
    made: BackupResult | PointInfo
    if slot:
        made = backup_unless(bench, source, found, since=datetime.fromisoformat(slot))
    else:
        made = make_point(bench, source, found)
    return {"tenant": repository.tenant.hex(), **_point(made)}


def _point(made: BackupResult | PointInfo) -> dict[str, Json]:
    shared: dict[str, Json] = {
        "lineage": made.lineage.hex(),
        "seq": made.seq,
        "point_at": made.point_at.isoformat(),
    }
    if isinstance(made, PointInfo):
        return {**shared, "outcome": Outcome.ELSEWHERE.value, "size": made.size}
    return {
        **shared,
        "outcome": Outcome.DONE.value,
        "size": made.bytes_logical,
        "bytes_read": made.bytes_read,
        "bytes_changed": made.bytes_changed,
        "bytes_uploaded": made.bytes_uploaded,
        "seconds": made.seconds,
        "warnings": list(made.warnings),
    }


JOBS: Final[Mapping[str, Callable[[House, Mapping[str, Json], Tell], dict[str, Json]]]] = {
    "discover": discover,
    "learn": learn,
    "snapshots": snapshots,
    VERIFY: verify,
    PRUNE: prune,
    "backup": backup,
}
