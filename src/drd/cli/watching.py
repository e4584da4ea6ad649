"""``drctl status --watch``: the table on the whole terminal, until Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import TYPE_CHECKING, Final

from drd.cli.output import Reply, cell, printable
from drd.errors import DrdError, UsageError

if TYPE_CHECKING:
    from rich.console import Group

EVERY_S: Final = 2.0
LESS: Final = ("point", "next_run", "verified")
"""Columns that a narrow terminal does without, the first first: the age tells what ``point`` does."""
GAP: Final = 2
"""Cells between two columns."""
REASON_LEAST: Final = 16
"""Characters of a reason that say something; for fewer, a column of :data:`LESS` goes before."""


def keep_showing(look: Callable[[], Reply]) -> Reply:
    """Show what *look* tells again and again; the last look is the reply.

    What fails for a while (the file is made anew, its disk is full) is shown in its place.

    Raises:
        UsageError: standard output is no terminal.
        NotFoundError: the first look says so.
    """
    if not sys.stdout.isatty():
        raise UsageError("--watch needs a terminal", about="--watch", hint="leave it out")
    from rich.console import Console  # noqa: PLC0415 - rich takes its time
    from rich.live import Live  # noqa: PLC0415

    last, console = look(), Console()
    try:
        first = drawn(last, console.width)
        with Live(first, console=console, screen=True, auto_refresh=False) as live:
            while True:
                Event().wait(EVERY_S)
                try:
                    last = look()
                except DrdError as error:
                    last.warnings = [str(error)]
                live.update(drawn(last, console.width), refresh=True)
    except KeyboardInterrupt:
        return last


def widths(
    rows: Sequence[Mapping[str, str]], room: int, measure: Callable[[str], int] = len
) -> dict[str, int]:
    """The columns of *rows* (those of ``drctl status``) that a terminal of *room* cells shows, with the
    width of each: what is too much goes from the reason first, then from :data:`LESS`; name, age and
    state stay, of which only the name is ever cut. *measure* gives the cells that a text takes.
    """
    wide = {
        column: max(measure(text) for text in (_head(column), *(row[column] for row in rows)))
        for column in rows[0]
    }
    reason = wide["why"]

    def cut(column: str, least: int) -> None:
        over = max(_whole(wide) - room, 0)
        wide[column] = max(wide[column] - over, min(least, wide[column]))

    cut("why", REASON_LEAST)
    for column in LESS:
        if _whole(wide) > room:
            del wide[column]
    wide["why"] = reason
    cut("why", REASON_LEAST)
    if _whole(wide) > room:
        del wide["why"]
    cut("name", 1)
    return wide


def _whole(wide: Mapping[str, int]) -> int:
    """Cells of a line."""
    return sum(wide.values()) + GAP * (len(wide) - 1)


def _head(column: str) -> str:
    return column.replace("_", " ")


def drawn(reply: Reply, room: int) -> Group:
    """What a terminal of *room* columns shows of *reply*."""
    from rich.cells import cell_len  # noqa: PLC0415
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    lines = [Text(printable(line)) for line in reply.text]
    lines += [Text(f"warning: {printable(one)}", style="yellow") for one in reply.warnings]
    if not reply.shown:
        return Group(*lines)
    rows = [{name: printable(cell(value)) for name, value in row.items()} for row in reply.shown]
    wide = widths(rows, room, cell_len)

    def line(words: Mapping[str, str], style: str = "", colour: str = "") -> Text:
        found = Text(no_wrap=True, overflow="crop")
        for place, (column, cells) in enumerate(wide.items()):
            word = Text(words[column], style=colour if column == "state" else style)
            word.truncate(cells, overflow="ellipsis", pad=True)
            found.append(" " * GAP * (place > 0)).append_text(word)
        return found

    # What is told first: a table may be longer than the terminal.
    lines.append(line({column: _head(column) for column in wide}, "bold", "bold"))
    lines += [line(row, colour=reply.colours.get(row.get("state", ""), "")) for row in rows]
    return Group(*lines)
