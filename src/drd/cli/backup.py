"""``drctl backup``."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import click

from drd.cli import shapes
from drd.cli.common import Call, stopped, unexpected, verb
from drd.cli.output import Reply
from drd.errors import DrdError, NotFoundError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from drd.model import BackupResult, Found
    from drd.ports import Source

AN_ID: Final = re.compile(r"[0-9a-f]{32,64}")
"""Of a lineage, or of its lock: it tells an operator nothing, the name of the image does."""


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|GLOB]...")
@click.option("--no-limits", is_flag=True, help="Read sources as fast as they can be read.")
@verb
def backup(call: Call, names: tuple[str, ...], *, no_limits: bool) -> Reply:
    """Make one recovery point of each matching image (of all, when none is named)."""
    from drd.model import Role  # noqa: PLC0415
    from drd.work.backup import backup as back_up  # noqa: PLC0415

    house = call.house(progress="backup")
    reply = Reply()
    try:
        house.need_config()
        chosen = _choose(house.sources(), names, reply)
        repository = house.repository(Role.BACKUP)
        bench = house.bench(repository)

        def make(source: Source, found: Found) -> BackupResult:
            if not no_limits:
                house.limit_by_hand(source, found)
            return back_up(house.tuned(bench, source), source, found)

        points = back_up_each(chosen, make, reply)
        reply.warnings += repository.warnings
        reply.lists["points"] = [shapes.backed_up(result) for result in points]
        reply.shown = [shapes.backed_up_line(result) for result in points]
        reply.done = len(points)
        return reply
    finally:
        house.close()


def back_up_each(
    chosen: Iterable[tuple[Source, Found]],
    back_up: Callable[[Source, Found], BackupResult],
    reply: Reply,
) -> list[BackupResult]:
    """The points of *chosen*, one image after the other; what fails goes to the errors of *reply*.

    Whatever becomes of one image, the others have their turn, and what was committed is told.
    """
    points = []
    for source, found in chosen:
        try:
            result = back_up(source, found)
        except DrdError as error:
            if not error.about or AN_ID.fullmatch(error.about):
                error.about = found.label
            reply.errors.append(error)
            continue
        except KeyboardInterrupt as stop:
            reply.errors.append(stopped(stop, found.label))
            reply.forced_exit = StoppedError.exit_code
            break
        except Exception as error:  # noqa: BLE001 - a bug met with one image must not stop the others
            reply.errors.append(unexpected(error, found.label))
            continue
        points.append(result)
        reply.warnings += [f"{found.label}: {warning}" for warning in result.warnings]
    return points


def _choose(
    sources: list[Source], names: tuple[str, ...], reply: Reply
) -> list[tuple[Source, Found]]:
    """Images that match; a source that cannot be asked, and a pattern that hits nothing, are errors."""
    everything: list[tuple[Source, Found]] = []
    for source in sources:
        if names and not any(_may_match(source.name, name) for name in names):
            continue
        try:
            everything += [(source, found) for found in source.discover()]
        except DrdError as error:
            error.about = error.about or source.name
            reply.errors.append(error)
            continue
        if not names or not {found.label for _, found in everything}.issuperset(names):
            tell_overlooked(source, reply.errors, reply.warnings, of_all=not names)
    if not names:
        if not everything and not reply.errors:
            reply.errors.append(_nothing("no source of the configuration matches any image", ""))
        return everything
    chosen = {}
    unasked = bool(reply.errors)
    for name in names:
        hits = [
            one for one in everything if fnmatchcase(one[1].label, name) or one[1].label == name
        ]
        if not hits and not unasked:  # else it may be where nobody could look
            reply.errors.append(_nothing("no image of this name", name))
        chosen.update({found.label: (source, found) for source, found in hits})
    return [chosen[label] for label in sorted(chosen)]


def tell_overlooked(
    source: Source, errors: list[DrdError], warnings: list[str], *, of_all: bool
) -> None:
    """What *source* could not look into is an error; a pattern that matches nothing a warning, where
    its images *of_all* names are meant.
    """
    for one in source.overlooked():
        if isinstance(one, NotFoundError):
            warnings += [str(one)] if of_all else []
        else:
            errors.append(one)


def _may_match(source: str, pattern: str) -> bool:
    first = pattern.split("/", 1)[0]
    return first == source or fnmatchcase(source, first)


def _nothing(message: str, about: str) -> NotFoundError:
    return NotFoundError(
        message,
        about=about,
        hint="names are SOURCE/[NAMESPACE/]IMAGE; see [source.*] in the configuration",
    )
