"""``drctl catalogue``."""

from __future__ import annotations

from typing import Final

import click

from drd.cli.common import Call, shared_options, verb
from drd.cli.output import Reply


@click.group()
@shared_options
def catalogue() -> None:
    """The local cache of what the bucket holds."""


LOCAL: Final = ("history of runs", "pauses after failures", "when each image was first seen")
"""What no bucket has: it outlives a rebuild, and is lost with the file."""


@catalogue.command()
@verb
def rebuild(call: Call) -> Reply:
    """Forget the local cache, and learn all from the bucket.

    The history of runs, pauses after failures, and when each image was first seen are kept; where the file
    itself was lost, they are, too.
    """
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
        lost = house.diary().last_tick() is None
        reply.facts["not_known"] = list(LOCAL) if lost else []
        if lost:
            reply.text.append(f"not in the bucket, and not known here: {', '.join(LOCAL)}")
        return reply
    finally:
        house.close()
