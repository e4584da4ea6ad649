"""``drctl policy preview``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from drd.cli import shapes
from drd.cli.common import Call, shared_options, verb
from drd.cli.output import Reply
from drd.errors import UsageError


@click.group()
@shared_options
def policy() -> None:
    """Try out policies."""


@policy.command()
@click.option("--keep", required=True, help="For example hourly=24,daily=7,weekly=4.")
@click.option(
    "--times", required=True, metavar="FILE", help="One RFC 3339 time a line; - for stdin."
)
@click.option("--now", "at", metavar="TIME", help="Instead of the clock.")
@verb
def preview(call: Call, keep: str, times: str, at: str | None) -> Reply:
    """Say which of these times would be kept, and why."""
    from drd.core import retention  # noqa: PLC0415
    from drd.core.selectors import parse_time  # noqa: PLC0415
    from drd.wiring.clock import now  # noqa: PLC0415

    del call
    moment = parse_time(at) if at else now()
    decisions = retention.decide(
        retention.parse_times(_read(times)), retention.parse_keep(keep), moment
    )
    reply = Reply()
    reply.lists["decisions"] = [
        {"time": shapes.when(one.time), "keep": one.keep, "reasons": list(one.reasons)}
        for one in decisions
    ]
    reply.shown = [
        {"time": shapes.when(one.time), "keep": one.keep, "reasons": list(one.reasons)}
        for one in decisions
    ]
    return reply


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file of times cannot be read: {error}", about=path) from error
