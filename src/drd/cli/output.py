"""What a command says: one reply, as a table for a person or as one JSON object for a program."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Final

import click

from drd.errors import DrdError, common_exit_code
from drd.model import Json

Row = Mapping[str, Json]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(slots=True)
class Reply:
    """The outcome of a command.

    ``lists`` are the named lists of the JSON object (``points``, ``lineages``, ``findings`` …), ``facts``
    its other fields. ``shown`` is the table for a person, ``colours`` are those of words in its column
    ``state``, for a terminal. ``done`` counts what succeeded. ``reasons`` are errors that JSON lists and a
    person reads in the text.
    """

    lists: dict[str, list[Row]] = field(default_factory=dict)
    facts: dict[str, Json] = field(default_factory=dict)
    shown: list[Row] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    errors: list[DrdError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reasons: list[DrdError] = field(default_factory=list)
    colours: Mapping[str, str] = field(default_factory=dict)
    done: int = 0
    forced_exit: int | None = None

    @property
    def exit_code(self) -> int:
        """Exit code: the common cause, 3 when some succeeded, 1 when causes differ."""
        if self.forced_exit is not None:
            return self.forced_exit
        codes = [error.exit_code for error in self.errors]
        return common_exit_code(codes, some_done=self.done > 0)

    def as_json(self) -> dict[str, Json]:
        """The JSON object of the contract."""
        reply: dict[str, Json] = {"ok": self.exit_code == 0, "exit": self.exit_code}
        reply.update({name: [dict(row) for row in rows] for name, rows in self.lists.items()})
        reply.update(self.facts)
        reply["errors"] = [error_json(error) for error in (*self.errors, *self.reasons)]
        reply["warnings"] = list(dict.fromkeys(self.warnings))
        return reply


def error_json(error: DrdError) -> dict[str, Json]:
    """An error of the contract."""
    return {
        "code": error.code,
        "object": error.about,
        "message": error.message,
        "hint": _hint(error),
    }


def _hint(error: DrdError) -> str:
    """What to do next: as the error says, else what its kind calls for."""
    return error.hint or error.next_step


def say(reply: Reply, *, as_json: bool, to_stderr: bool = False) -> None:
    """Write *reply*; errors and warnings go to stderr unless all of it is JSON."""
    out = sys.stderr if to_stderr else sys.stdout
    if as_json:
        text = json.dumps(reply.as_json(), ensure_ascii=False)
        # A name that is not UTF-8 has surrogates (PEP 383); escaped they are JSON still (RFC 8259, 7).
        click.echo(text.encode(errors="backslashreplace").decode(), file=out)
        return
    try:
        if reply.shown:
            lines = table(reply.shown, reply.colours if _is_terminal(out) else {})
            click.echo("\n".join(lines), file=out)  # at once: each call writes to the terminal
        for line in reply.text:
            _print(line, out)
    finally:  # what went wrong is told also where the table could not be written
        for warning in dict.fromkeys(reply.warnings):
            _print(f"warning: {warning}", sys.stderr)
        for error in reply.errors:
            _print(f"error: {error}", sys.stderr)
            _print(f"       {_hint(error)}", sys.stderr)


def _print(line: str, out: IO[str]) -> None:
    """One line for a person, whatever the names in it hold."""
    click.echo(printable(line), file=out)


def printable(text: str) -> str:
    """*text* with its control characters escaped: a name of an image must not steer a terminal.

    C0, DEL and C1 (ECMA-48, 5.2 and 5.3), and what is not UTF-8.
    """
    if text.isprintable():  # nearly all of ten thousand lines: none of these is
        return text
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _is_terminal(out: IO[str]) -> bool:
    """Whether colours are welcome (no-color.org)."""
    return out.isatty() and not os.environ.get("NO_COLOR")


def table(rows: Sequence[Row], colours: Mapping[str, str]) -> Iterator[str]:
    """Lines of a table that fits a terminal, and that lines up in a file; at least one row.

    Words in the column ``state`` have their *colours*.
    """
    columns = list(rows[0])
    shown = [[printable(cell(row.get(column))) for column in columns] for row in rows]
    heads = [column.replace("_", " ") for column in columns]
    widths = [max(map(len, line)) for line in zip(heads, *shown, strict=True)]
    numbers = [all(_is_number(row.get(column)) for row in rows) for column in columns]
    painted = columns.index("state") if colours and "state" in columns else None
    # One pattern for all: status has ten thousand lines.
    pattern = "  ".join(
        f"%{width}s" if right else f"%-{width}s"
        for width, right in zip(widths, numbers, strict=True)
    )
    for line in (heads, *shown):
        if painted is not None and line[painted] in colours:
            colour, padded = colours[line[painted]], line[painted].ljust(widths[painted])
            line[painted] = click.style(padded, fg=colour)
        yield (pattern % tuple(line)).rstrip()


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def cell(value: Json) -> str:
    """One cell, for a person."""
    if isinstance(value, str):
        return value
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, list):
        return ", ".join(cell(one) for one in value)
    return str(value)


def size(count: int) -> str:
    """Bytes for a person, in binary units (IEC 80000-13)."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":  # noqa: PLR2004
            return f"{int(value)} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")
