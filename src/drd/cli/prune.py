"""``drctl prune``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drd.cli import shapes
from drd.cli.common import Call, stopped, unexpected, verb
from drd.cli.output import Reply, Row, size
from drd.errors import DrdError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drd.model import PointInfo
    from drd.wiring import House
    from drd.work.prune import Pruned, Pruner
    from drd.work.repository import Repository


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|GLOB]...")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--orphans",
    is_flag=True,
    help="Also delete what runs that died left behind (lists the whole lineage).",
)
@verb
def prune(call: Call, names: tuple[str, ...], *, dry_run: bool, orphans: bool) -> Reply:
    """Delete what no policy and no hold keeps, in two phases.

    A point that expires is doomed first: it is not restored any more, and 'drctl hold add' can still save
    it. A prune after the grace period ([prune] grace) deletes it, and what nothing else needs.

    Without names, images of other hosts are left out where [daemon] lease is "local".
    """
    from drd.model import Role  # noqa: PLC0415
    from drd.wiring.pruning import make_pruner  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415

    house = call.house(progress="prune")
    reply = Reply()
    try:
        house.need_config()
        repository = house.repository(Role.PRUNE)
        points = listing.known_points(repository, house.spare_catalogue(), pool=house.readers())
        chosen = _choose(points, names, reply)
        pruner = make_pruner(house, repository, orphans=orphans, dry_run=dry_run)
        results = prune_each(house, pruner, chosen, reply, named=bool(names))
        tell(reply, results, dry_run=dry_run)
        if orphans and not names:
            _tell_of_keys(repository, reply)
        reply.warnings += repository.warnings
        return reply
    finally:
        house.close()


def _choose(
    points: Sequence[PointInfo], names: Sequence[str], reply: Reply
) -> list[list[PointInfo]]:
    """The lineages that *names* mean, all without; what means nothing is an error."""
    from drd.work import listing  # noqa: PLC0415

    lineages = listing.by_lineage(points)
    if not names:
        return sorted(lineages.values(), key=lambda one: (one[-1].name, one[-1].lineage))
    chosen: dict[bytes, list[PointInfo]] = {}
    for name in names:
        try:
            hits = listing.matching(points, [name])
        except DrdError as error:
            reply.errors.append(error)
            continue
        chosen.update({one[-1].lineage: lineages[one[-1].lineage] for one in hits})
    return list(chosen.values())


def prune_each(
    house: House,
    pruner: Pruner,
    chosen: Sequence[Sequence[PointInfo]],
    reply: Reply,
    *,
    named: bool,
) -> list[Pruned]:
    """One lineage after the other; what stops one goes to the errors of *reply*, and stops no other.
    Those that are another host's are left out, unless they were *named*.
    """
    from drd.wiring.pruning import Realm, prune_lineage  # noqa: PLC0415

    results = []
    realm = None if named else Realm(house)
    for points in chosen:
        name = points[-1].name
        try:
            result, warning = prune_lineage(house, pruner, points, realm=realm)
        except KeyboardInterrupt as stop:
            reply.errors.append(stopped(stop, name))
            reply.forced_exit = StoppedError.exit_code
            break
        except Exception as error:  # noqa: BLE001 - a bug met with one lineage must not stop the others
            reply.errors.append(unexpected(error, name))
            continue
        results.append(result)
        reply.warnings += [warning] if warning else []
        if result.stopped is not None:
            reply.errors.append(_about(result.stopped, name))
    return results


def _about(error: DrdError, name: str) -> DrdError:
    """*error*, saying also which image's lineage it stopped."""
    if name not in error.about:
        error.about = f"{name}: {error.about}" if error.about else name
    return error


def _tell_of_keys(repository: Repository, reply: Reply) -> None:
    from drd.work.orphans import keys_without_points  # noqa: PLC0415

    reply.warnings += [
        f"{folder} has keys of a lineage without any point; they are left"
        for folder in keys_without_points(repository)
    ]


def tell(reply: Reply, results: Sequence[Pruned], *, dry_run: bool) -> None:
    """Put what was done into *reply*: decisions with reasons, points and bytes of each lineage."""
    reply.done = sum(one.stopped is None for one in results)
    reply.facts["dry_run"] = dry_run
    reply.lists["lineages"] = [lineage_row(one) for one in results]
    reply.shown = [_line(one) for one in results]
    if not results and not reply.errors:
        reply.text.append("no recovery points yet")
    for one in results:
        states = {
            seq: word for word in ("doomed", "deleted", "spared") for seq in getattr(one, word)
        }
        for decision in one.decisions:
            state = states.get(decision.seq or 0, "keep" if decision.keep else "doomed before")
            reasons = "; ".join(decision.reasons)
            reply.text.append(
                f"{one.name}@{decision.seq}  {shapes.when(decision.time)}  {state}: {reasons}"
            )
    others = [one for one in results if one.left_out]
    if others:
        reply.text.append(
            f"{len(others)} left out, the first is {others[0].name}: {others[0].left_out}; if that host is "
            "gone for good, name what is to be pruned here: drctl prune NAME"
        )
    if dry_run:
        reply.text.append("dry run: nothing was changed")


def lineage_row(one: Pruned) -> Row:
    """A lineage as the contract lists it."""
    return {
        "name": one.name,
        "lineage": one.lineage.hex(),
        "policy": one.policy,
        "points": one.points,
        "doomed": len(one.doomed),
        "waiting": len(one.waiting),
        "deleted": len(one.deleted),
        "spared": len(one.spared),
        "bytes_freed": one.bytes_freed,
        "bytes_doomed": one.bytes_doomed,
        "packs": one.packs,
        "tables": one.tables,
        "orphans": one.orphans,
        "decisions": [
            {
                "seq": decision.seq,
                "time": shapes.when(decision.time),
                "keep": decision.keep,
                "reasons": list(decision.reasons),
            }
            for decision in one.decisions
        ],
        "stopped": None if one.stopped is None else one.stopped.message,
        "left_out": one.left_out or None,
        "state": _state(one),
    }


def _line(one: Pruned) -> Row:
    return {
        "name": one.name,
        "points": one.points,
        "doomed": len(one.doomed),
        "waiting": len(one.waiting),
        "deleted": len(one.deleted),
        "spared": len(one.spared),
        "freed": size(one.bytes_freed),
        "to be freed": size(one.bytes_doomed),
        "state": _state(one),
    }


def _state(one: Pruned) -> str:
    if one.left_out:
        return "left out"
    return "done" if one.stopped is None else "STOPPED"
