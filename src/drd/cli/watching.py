"""``drctl status --watch``: the table on the whole terminal, until Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Final

from drd.cli.output import Reply, cell, printable
from drd.errors import DrdError, UsageError

if TYPE_CHECKING:
    from rich.console import Group

EVERY_S: Final = 2.0


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

    last = look()
    try:
        with Live(_drawn(last), console=Console(), screen=True, auto_refresh=False) as live:
            while True:
                Event().wait(EVERY_S)
                try:
                    last = look()
                except DrdError as error:
                    last.warnings = [str(error)]
                live.update(_drawn(last), refresh=True)
    except KeyboardInterrupt:
        return last


def _drawn(reply: Reply) -> Group:
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    lines = [Text(printable(line)) for line in reply.text]
    lines += [Text(f"warning: {printable(one)}", style="yellow") for one in reply.warnings]
    if not reply.shown:
        return Group(*lines)
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = list(reply.shown[0])
    for column in columns:
        table.add_column(column.replace("_", " "), no_wrap=True)
    for row in reply.shown:
        words = {column: printable(cell(row[column])) for column in columns}
        colour = reply.colours.get(words.get("state", ""), "")
        table.add_row(
            *(Text(word, style=colour if name == "state" else "") for name, word in words.items())
        )
    return Group(*lines, table)  # first: a table may be longer than the terminal
