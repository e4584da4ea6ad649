"""``drctl policy preview``."""

from __future__ import annotations

import difflib
import sys
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drd.cli import shapes
from drd.cli.common import Call, shared_options, verb
from drd.cli.output import Reply, Row
from drd.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, tzinfo

    from drd.config.policies import Policy
    from drd.core.retention import Decision, Keep
    from drd.wiring import House


@click.group()
@shared_options
def policy() -> None:
    """Try out policies."""


@policy.command()
@click.argument("name", required=False)
@click.option("--keep", help="For example hourly=24,daily=7,weekly=4; -1 keeps all of a kind.")
@click.option("--policy", "named", metavar="NAME", help="A policy of the configuration.")
@click.option(
    "--times",
    metavar="FILE",
    help="One RFC 3339 time a line, - for stdin; instead of the points of an image.",
)
@click.option("--timezone", metavar="ZONE", help="Instead of the policy's (without one: UTC).")
@click.option("--now", "at", metavar="TIME", help="Instead of the clock.")
@verb
def preview(call: Call, name: str | None, **options: Any) -> Reply:
    """Say which points of an image (or which of these times) would stay, and why. Nothing is changed."""
    from drd.core.selectors import parse_time  # noqa: PLC0415
    from drd.wiring.clock import now  # noqa: PLC0415

    _one_of(options, "keep", "named", told="--keep or --policy")
    if (name is None) == (options["times"] is None):
        raise UsageError("it needs either the name of an image or --times", hint="see --help")
    moment = parse_time(options["at"]) if options["at"] else now()
    house = call.house() if name is not None or options["named"] is not None else None
    try:
        keep, zone = _rules(house, options)
        reply = Reply()
        if house is not None and name is not None:
            decisions = _of_points(house, name, (keep, zone, moment), reply)
        else:
            decisions = _of_times(_read(options["times"]), (keep, zone, moment))
        reply.lists["decisions"] = [_row(one) for one in decisions]
        reply.shown = list(reply.lists["decisions"])
        if not decisions:
            reply.text.append("nothing to decide on")
        return reply
    finally:
        if house is not None:
            house.close()


_Asked = tuple["Keep | None", "tzinfo", "datetime"]


def _one_of(options: dict[str, Any], first: str, second: str, *, told: str) -> None:
    if (options[first] is None) == (options[second] is None):
        raise UsageError(f"it needs either {told}", hint="see 'drctl policy preview --help'")


def _rules(house: House | None, options: dict[str, Any]) -> tuple[Keep | None, tzinfo]:
    """The keep rules, None for a policy that loses nothing; and the zone."""
    from drd.core import retention  # noqa: PLC0415

    zone: tzinfo = UTC
    keep: Keep | None
    if options["keep"] is not None or house is None:
        keep = retention.parse_keep(options["keep"])
    else:
        chosen = _policy(house, options["named"])
        keep, zone = chosen.rules, chosen.zone
    if options["timezone"] is not None:
        zone = _zone(options["timezone"])
    return keep, zone


def _policy(house: House, name: str) -> Policy:
    known = house.need_config().policy
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, cutoff=0.0)
        raise NotFoundError(
            "the configuration has no such policy",
            about=name,
            hint=f"the nearest is {near[0]!r}" if near else "it has none; see config/drd.toml",
        )
    return known[name]


def _zone(text: str) -> tzinfo:
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from drd.config.values import parse_zone  # noqa: PLC0415

    try:
        return ZoneInfo(parse_zone(text))
    except ValueError as error:
        raise UsageError(
            f"--timezone {error}", hint="write a name of the IANA database: Europe/Stockholm"
        ) from error


def _of_times(text: str, asked: _Asked) -> Sequence[Decision]:
    from drd.core import retention  # noqa: PLC0415

    keep, zone, moment = asked
    times = retention.parse_times(text)
    return retention.decide(times, keep, moment, zone=zone)


def _of_points(house: House, name: str, asked: _Asked, reply: Reply) -> Sequence[Decision]:
    """Decisions on what there is of an image: full points; partial ones are no recovery points."""
    from drd.cli.ls import meant, named  # noqa: PLC0415
    from drd.core import retention  # noqa: PLC0415
    from drd.model import Role  # noqa: PLC0415
    from drd.wiring.clock import now  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415
    from drd.work.holds import holds_of  # noqa: PLC0415

    keep, zone, moment = asked
    repository = house.repository(Role.BACKUP)
    known = listing.known_points(
        repository, house.spare_catalogue(), of=meant(name), pool=house.readers()
    )
    points = listing.full_points(named(known, name))
    reply.warnings = repository.warnings
    held = frozenset[int]()
    if points:
        held = holds_of(repository, None, points[0].lineage, now=now()).seqs
    return retention.decide_points(points, keep, moment, zone=zone, held=held)


def _row(one: Decision) -> Row:
    seq: Row = {} if one.seq is None else {"seq": one.seq}
    return {"time": shapes.when(one.time), **seq, "keep": one.keep, "reasons": list(one.reasons)}


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file of times cannot be read: {error}", about=path) from error
