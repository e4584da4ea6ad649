"""``drctl catalogue``."""

from __future__ import annotations

import click

from drd.cli.common import Call, shared_options, verb
from drd.cli.output import Reply


@click.group()
@shared_options
def catalogue() -> None:
    """The local cache of what the bucket holds."""


@catalogue.command()
@verb
def rebuild(call: Call) -> Reply:
    """Forget the local cache, and learn all from the bucket."""
    from drd.cli.ls import lineage_row  # noqa: PLC0415
    from drd.model import Role  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415
    from drd.work.holds import learn_holds  # noqa: PLC0415
    from drd.work.results import learn_results  # noqa: PLC0415
    from drd.work.strangers import warn_of_strangers  # noqa: PLC0415

    house = call.house()
    try:
        repository = house.repository(Role.BACKUP)
        house.catalogue().clear()
        points = listing.known_points(repository, house.catalogue())
        lineages = listing.by_lineage(points)
        learn_holds(repository, house.catalogue(), lineages)
        learn_results(repository, house.catalogue(), lineages)
        owner = set(listing.owners(lineages).values())
        full = [one for one in lineages.values() if listing.full_points(one)]
        warn_of_strangers(repository, lineages)
        reply = Reply(warnings=repository.warnings)
        reply.lists["lineages"] = [
            lineage_row(one, current=one[-1].lineage in owner) for one in full
        ]
        reply.text = [f"{len(points)} points of {len(lineages)} lineages learnt from the bucket"]
        return reply
    finally:
        house.close()
