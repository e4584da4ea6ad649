"""``drctl hold``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from drd.cli import shapes
from drd.cli.common import Call, shared_options, verb
from drd.cli.output import Reply, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from drd.model import Hold, PointInfo
    from drd.wiring import House
    from drd.work.holds import Holds, Speaker
    from drd.work.repository import Repository

DOOMED = (
    "this point was written on a list of what is to be deleted before it was held: it is not restored "
    "until the next 'drctl prune' has spared it, which it does if nothing of it was deleted yet"
)

_WHY = click.option("--why", required=True, metavar="TEXT", help="The reason; it is kept, sealed.")


@click.group()
@shared_options
def hold() -> None:
    """Keep points from expiring: for a court, an audit, a release."""


@hold.command()
@click.argument("point")
@_WHY
@verb
def add(call: Call, point: str, why: str) -> Reply:
    """Hold a recovery point: nothing deletes it until 'drctl hold rm'."""
    from drd.work import holds  # noqa: PLC0415

    house = call.house()
    try:
        repository, info = _point(house, point)
        made = holds.hold(repository, info, why, _speaker())
        reply = _told(house, repository, info, [made.hold])
        if info.doomed:
            reply.warnings.append(DOOMED)
        return reply
    finally:
        house.close()


@hold.command()
@click.argument("point")
@_WHY
@verb
def rm(call: Call, point: str, why: str) -> Reply:
    """End every hold on a recovery point: from then on the policy decides."""
    from drd.work import holds  # noqa: PLC0415

    house = call.house()
    try:
        repository, info = _point(house, point)
        ended = holds.release(repository, info, why, _speaker())
        return _told(house, repository, info, ended)
    finally:
        house.close()


@hold.command("ls")
@click.argument("name", required=False)
@verb
def list_(call: Call, name: str | None) -> Reply:
    """List what is held, and why: of one image, or of all."""
    from drd.cli.ls import meant, named  # noqa: PLC0415
    from drd.model import Role  # noqa: PLC0415
    from drd.wiring.clock import now  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415
    from drd.work.holds import every_hold  # noqa: PLC0415
    from drd.work.lineagekeys import load_keys  # noqa: PLC0415

    call.lists = ("holds",)
    house = call.house()
    try:
        repository = house.repository(Role.BACKUP)
        points = listing.known_points(
            repository, house.spare_catalogue(), of=meant(name), pool=house.readers()
        )
        chosen = points if name is None else named(points, name)
        lineages = listing.by_lineage(chosen)
        reply = Reply(warnings=repository.warnings)
        rows: list[Row] = []
        keys_of = partial(load_keys, repository)
        for found in every_hold(repository, lineages, keys_of, now=now()):
            _remember(house, repository, found)
            rows += _rows((one.hold for one in found.held), lineages[found.lineage])
        reply.lists["holds"] = rows
        reply.shown = [_line(row) for row in rows]
        if not rows:
            reply.text.append("nothing is held")
        return reply
    finally:
        house.close()


def _point(house: House, text: str) -> tuple[Repository, PointInfo]:
    from drd.core.selectors import parse_point  # noqa: PLC0415
    from drd.model import Role  # noqa: PLC0415
    from drd.wiring.naming import look_up  # noqa: PLC0415
    from drd.work import gaps  # noqa: PLC0415

    selector = parse_point(text)
    repository = house.repository(Role.BACKUP)
    every = look_up(house, repository, selector, house.readers()).points
    points = gaps.find_whole(repository, every, selector)
    return repository, gaps.choose_whole(repository, points, selector)


def _speaker() -> Speaker:
    import os  # noqa: PLC0415

    from drd.wiring.clock import now  # noqa: PLC0415
    from drd.wiring.person import caller  # noqa: PLC0415
    from drd.work.holds import Speaker  # noqa: PLC0415

    return Speaker(caller(), now, os.urandom)


def _told(house: House, repository: Repository, info: PointInfo, changed: Sequence[Hold]) -> Reply:
    """What was changed; the catalogue learns what is held now."""
    from drd.work.holds import holds_of  # noqa: PLC0415
    from drd.work.lineagekeys import load_keys  # noqa: PLC0415

    keys = load_keys(repository, info.lineage)
    _remember(house, repository, holds_of(repository, keys, info.lineage))
    reply = Reply(warnings=repository.warnings)
    reply.lists["holds"] = _rows(changed, [info])
    reply.shown = [_line(row) for row in reply.lists["holds"]]
    return reply


def _remember(house: House, repository: Repository, found: Holds) -> None:
    """Let the catalogue learn what is held of a lineage."""
    from drd.work.holds import newest_each  # noqa: PLC0415

    catalogue = house.spare_catalogue()
    if catalogue is not None:
        catalogue.note_holds(repository.tenant, found.lineage, newest_each(found.held))


def _rows(some: Iterable[Hold], points: Sequence[PointInfo]) -> list[Row]:
    """Holds as the contract lists them; *points* are those of the lineage."""
    at = {one.seq: one for one in points}
    name = points[-1].name
    return [_row(one, name, at) for one in some]


def _row(one: Hold, name: str, points: Mapping[int, PointInfo]) -> Row:
    info = points.get(one.seq)
    return {
        "point": f"{name}@{one.seq}",
        "lineage": one.lineage.hex(),
        "name": name,
        "seq": one.seq,
        "time": shapes.when(info.point_at) if info else None,
        "why": one.why,
        "by": one.by,
        "at": shapes.when(one.at),
        **until(one),
    }


def until(one: Hold) -> Row:
    """When a hold is over by itself, of one that is."""
    return {"until": shapes.when(one.until)} if one.until else {}


def _line(row: Row) -> Row:
    return {name: row[name] for name in ("point", "time", "why", "by", "at")}
