"""``drctl run``: the daemon makes points now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Event
from typing import TYPE_CHECKING, Final

import click

from drd.cli import shapes
from drd.cli.common import Call, verb
from drd.cli.output import Reply
from drd.cli.status import class_of, hint_of
from drd.errors import DrdError, NotFoundError, RefusedError, UsageError
from drd.model import Json, Outcome, RunRecord

if TYPE_CHECKING:
    from drd.wiring import House

LOOK_S: Final = 0.2
WAIT_S: Final = 3600.0
STOPPED: Final = (
    "'systemctl status drd' says why, 'systemctl start drd' starts it; "
    "'drctl backup NAME' makes a point without it"
)
LATE: Final = (
    "it goes on, or waits for its turn: 'drctl status NAME' shows it, 'drctl logs NAME' how it ends; "
    "--timeout SECONDS waits longer"
)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--wait", is_flag=True, help="Wait until the runs have ended, and say how.")
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    help=f"With --wait: at most so long (default: {WAIT_S:g}).",
)
@verb
def run(call: Call, names: tuple[str, ...], *, wait: bool, timeout: float | None) -> Reply:
    """Have the daemon make a point of each image now, before all others, whatever is due.

    NAME is SOURCE/[NAMESPACE/]IMAGE, or a pattern of it. Without a daemon: 'drctl backup NAME'.
    """
    from drd.wiring.asking import ask  # noqa: PLC0415
    from drd.wiring.clock import now  # noqa: PLC0415

    if timeout is not None and not wait:
        raise UsageError("it says how long --wait waits", about="--timeout", hint="add --wait")
    house = call.house()
    since = now()
    answer = ask(house.need_config().state_dir, {"ask": "run", "names": [*names]})
    _check(answer)
    images = _words(answer, "images")
    if not wait:
        reply = Reply(done=len(images))
        reply.lists["runs"] = [{"name": one, "outcome": None} for one in images]
        reply.text = [f"asked for    {one}" for one in images]
        return reply
    return _tell(_wait(house, images, since, WAIT_S if timeout is None else timeout), images)


def _check(answer: Mapping[str, Json]) -> None:
    missing, unscheduled = _words(answer, "missing"), _words(answer, "unscheduled")
    if missing:
        raise NotFoundError(
            "the daemon knows no image of this name",
            about=", ".join(missing),
            hint="'drctl status' lists them; a new one is seen within [daemon] discover_every",
        )
    if unscheduled:
        raise RefusedError(
            "no policy schedules this image, so the daemon leaves it alone",
            about=", ".join(unscheduled),
            hint="give its source a policy, or use 'drctl backup NAME'",
        )


def _words(answer: Mapping[str, Json], name: str) -> list[str]:
    value = answer.get(name)
    return [str(one) for one in value] if isinstance(value, list) else []


def _wait(
    house: House, images: Sequence[str], since: datetime, timeout: float
) -> dict[str, RunRecord]:
    """The runs of *images* that ended since then; those that did not end in time are left out.

    Raises:
        NotFoundError: the daemon ended meanwhile.
    """
    give_up, ended = time.monotonic() + timeout, dict[str, RunRecord]()
    from drd.wiring.asking import is_deserted  # noqa: PLC0415

    folder = house.need_config().state_dir
    _, diary = house.knowledge()
    while len(ended) < len(images) and time.monotonic() < give_up:
        deserted = is_deserted(folder)  # before the look: what it wrote last is seen
        for one in diary.last_runs("backup").values():
            if one.label in images and one.started_at >= since and one.outcome is not None:
                ended[one.label] = one
        if deserted and len(ended) < len(images):
            raise NotFoundError(
                "no daemon runs here any more: it ended before the run did",
                about=", ".join(one for one in images if one not in ended),
                hint=STOPPED,
            )
        Event().wait(LOOK_S)
    return ended


def failure_of(name: str, run: RunRecord | None) -> DrdError:
    """What ``drctl run --wait`` tells of a *run* of *name* that did not end well, or in time (None)."""
    if run is None:
        return DrdError("the run has not ended in time", about=name, hint=LATE)
    return class_of(run)(
        run.message.removesuffix(f" [{name}]") or "the run did not end well",
        about=name,
        hint=hint_of(run),
    )


def _tell(ended: Mapping[str, RunRecord], images: Sequence[str]) -> Reply:
    reply = Reply()
    rows: list[Mapping[str, Json]] = []
    for name in images:
        one = ended.get(name)
        rows.append(
            {
                "name": name,
                "outcome": one.outcome.value if one and one.outcome else None,
                "seq": one.seq if one and one.seq else None,
                "seconds": round(one.seconds, 3) if one else None,
                "message": one.message if one else "it has not ended yet",
                "ended": shapes.when(one.ended_at) if one and one.ended_at else None,
            }
        )
        if one is not None and one.outcome in (Outcome.DONE, Outcome.ELSEWHERE):
            reply.done += 1
        else:
            reply.errors.append(failure_of(name, one))
    reply.lists["runs"] = rows
    reply.shown = rows
    return reply
