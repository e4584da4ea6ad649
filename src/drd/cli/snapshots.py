"""``drctl snapshots``."""

from __future__ import annotations

import click

from drd.cli import shapes
from drd.cli.common import Call, verb
from drd.cli.output import Reply
from drd.errors import DrdError


@click.command()
@click.option(
    "--release", metavar="IMAGE", help="Remove all of drd's snapshots of this image (SOURCE/IMAGE)."
)
@verb
def snapshots(call: Call, release: str | None) -> Reply:
    """List drd's snapshots on the sources; mark those that nothing needs."""
    house = call.house()
    try:
        reply = Reply()
        if release is not None:
            source = house.source(release.split("/", 1)[0])
            removed = list(source.release(release))
            reply.lists["snapshots"] = [
                {"image": release, "name": name, "state": "removed"} for name in removed
            ]
            reply.shown = [dict(row) for row in reply.lists["snapshots"]]
            reply.text = [f"{len(removed)} snapshots removed; the next backup re-reads the image"]
            return reply
        needs = house.needs()
        for source in house.sources():
            try:
                rows = needs.of(source)
            except DrdError as error:
                error.about = error.about or source.name
                reply.errors.append(error)
                continue
            reply.done += 1
            reply.lists.setdefault("snapshots", []).extend(
                {
                    "image": one.image,
                    "name": one.snapshot.name,
                    "id": one.snapshot.id,
                    "time": shapes.when(one.snapshot.taken_at),
                    "lineage": one.lineage.hex() if one.lineage else None,
                    "state": one.state,
                }
                for one in rows
            )
        reply.lists.setdefault("snapshots", [])
        reply.shown = [dict(row) for row in reply.lists["snapshots"]]
        if not reply.shown and not reply.errors:
            reply.text.append("no snapshots of drd")
        reply.warnings = house.warnings
        return reply
    finally:
        house.close()
