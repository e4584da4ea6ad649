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
from drd.errors import ConfigError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, tzinfo

    from drd.core.retention import Decision, Keep
    from drd.model import PointInfo
    from drd.wiring import House
    from drd.work.repository import Repository


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
    """Say which points of an image (or which of these times) would stay, and why. Nothing is changed.

    Without --keep and --policy, the points of an image are judged by the policy that covers it, as a prune
    would.
    """
    from drd.core.selectors import parse_time  # noqa: PLC0415
    from drd.model import Role  # noqa: PLC0415
    from drd.wiring.clock import now  # noqa: PLC0415

    _check_rules(options, covered=name is not None)
    if (name is None) == (options["times"] is None):
        raise UsageError("it needs either the name of an image or --times", hint="see --help")
    moment = parse_time(options["at"]) if options["at"] else now()
    zone = None if options["timezone"] is None else _zone(options["timezone"])
    house = call.house() if name is not None or options["named"] is not None else None
    reply = Reply()
    try:
        rules = _given(house, options)
        if house is not None and name is not None:
            repository = house.repository(Role.BACKUP)
            points = _points(house, repository, name)
            reply.warnings = repository.warnings
            if rules is None:
                rules = _covering(house, name, points)
                reply.text.append(f"by policy {rules[0]}, which covers it")
            decisions = _of_points(repository, points, (rules[1], zone or rules[2], moment))
        else:
            rules = rules or ("", None, UTC)  # without NAME they were asked for: there are some
            decisions = _of_times(_read(options["times"]), (rules[1], zone or rules[2], moment))
        reply.facts["policy"] = rules[0] or None
        reply.lists["decisions"] = [_row(one) for one in decisions]
        reply.shown = list(reply.lists["decisions"])
        if not decisions:
            reply.text.append("nothing to decide on")
        return reply
    finally:
        if house is not None:
            house.close()


_Asked = tuple["Keep | None", "tzinfo", "datetime"]
_Rules = tuple[str, "Keep | None", "tzinfo"]
"""Name of a policy (``""``: of the command line), its keep rules (None: it loses nothing), its zone."""


def _check_rules(options: dict[str, Any], *, covered: bool) -> None:
    """Rules come from one place; where an image is *covered* by its policy, they need not be named."""
    given = [options[one] is not None for one in ("keep", "named")]
    if all(given) or not (any(given) or covered):
        told = "it needs either --keep or --policy"
        raise UsageError(told, hint="see 'drctl policy preview --help'")


def _given(house: House | None, options: dict[str, Any]) -> _Rules | None:
    """The rules that the command line names; None where it names none."""
    from drd.core import retention  # noqa: PLC0415

    if options["keep"] is not None:
        return "", retention.parse_keep(options["keep"]), UTC
    if house is None or options["named"] is None:
        return None
    return _of_policy(house, options["named"])


def _of_policy(house: House, name: str, *, by: str = "") -> _Rules:
    """Those of a policy of the configuration; *by* says who names it, where no option does."""
    known = house.need_config().policy
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, cutoff=0.0)
        raise NotFoundError(
            f"the configuration has no such policy{by}",
            about=name,
            hint=f"the nearest is {near[0]!r}" if near else "it has none; see config/drd.toml",
        )
    return name, known[name].rules, known[name].zone


def _covering(house: House, name: str, points: Sequence[PointInfo]) -> _Rules:
    """Those of the policy that covers the image of *points*, as a prune finds it.

    Raises:
        ConfigError: none does.
        NotFoundError: the configuration does not have it.
    """
    from drd.wiring.pruning import policy_of, source_of  # noqa: PLC0415

    config = house.need_config()
    found = policy_of(config, points)
    if found:
        return _of_policy(house, found, by=f"; {name} is to have it")
    source, known = source_of(points), sorted(config.policy)
    try_one = f"--policy {known[0]} tries one" if known else "--keep last=3 tries some rules"
    if source in config.source:
        chosen = known[0] if known else "NAME"
        hint = f'write policy = "{chosen}" below [source.{source}]; {try_one}'
    else:
        near = difflib.get_close_matches(source, config.source, 1, cutoff=0.0)
        told = f"; the nearest is {near[0]!r}" if near else ""
        hint = f"the configuration has no source {source!r}{told}; {try_one}"
    raise ConfigError("no policy covers it: nothing of it is deleted", about=name, hint=hint)


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


def _points(house: House, repository: Repository, name: str) -> list[PointInfo]:
    """What there is of an image."""
    from drd.cli.ls import meant, named  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415

    known = listing.known_points(
        repository, house.spare_catalogue(), of=meant(name), pool=house.readers()
    )
    return named(known, name)


def _of_points(
    repository: Repository, points: list[PointInfo], asked: _Asked
) -> Sequence[Decision]:
    """Decisions on full *points* of an image; partial ones are no recovery points."""
    from drd.core import retention  # noqa: PLC0415
    from drd.core.trust import last_good  # noqa: PLC0415
    from drd.wiring.clock import now  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415
    from drd.work.holds import holds_of  # noqa: PLC0415

    keep, zone, moment = asked
    points = listing.full_points(points)
    held = good = frozenset[int]()
    if points:
        lineage = points[0].lineage
        held = holds_of(repository, None, lineage, now=now()).seqs
        good = last_good(repository.trust, lineage)
    return retention.decide_points(points, keep, moment, zone=zone, held=held, last_good=good)


def _row(one: Decision) -> Row:
    seq: Row = {} if one.seq is None else {"seq": one.seq}
    return {"time": shapes.when(one.time), **seq, "keep": one.keep, "reasons": list(one.reasons)}


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file of times cannot be read: {error}", about=path) from error
