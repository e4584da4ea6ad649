"""Man pages from the help of the commands: `tools/man.py FOLDER` writes man1/ and man8/ there.

One page for a program and one for each of its commands, as git has them: drctl(1), drctl-restore(1). The
date is SOURCE_DATE_EPOCH's, else none is given: the same checkout makes the same pages.
"""

import inspect
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from drd import __version__
from drd.cli.main import drctl
from drd.daemon.__main__ import drd

PROGRAMS = ((drctl, "drctl", 1), (drd, "drd", 8))
SEE_ALSO = "/usr/share/doc/drd"


def main(folder: Path) -> int:
    """Write all pages below *folder*; return the exit code."""
    for command, name, section in PROGRAMS:
        place = folder / f"man{section}"
        place.mkdir(parents=True, exist_ok=True)
        for path, context in walk(command, name):
            page = "-".join(path)
            (place / f"{page}.{section}").write_text(
                "\n".join(render(context, path, section)) + "\n", encoding="utf-8"
            )
    return 0


def walk(command: click.Command, name: str) -> Iterator[tuple[list[str], click.Context]]:
    """Yield each command that is shown, with the words that call it and a context for its help."""
    stack = [([name], click.Context(command, info_name=name, **command.context_settings))]
    while stack:
        path, context = stack.pop(0)
        yield path, context
        for word, inner in shown(context):
            stack.append(([*path, word], click.Context(inner, info_name=word, parent=context)))


def shown(context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of a group that are not hidden."""
    if isinstance(context.command, click.Group):
        for word in context.command.list_commands(context):
            inner = context.command.get_command(context, word)
            if inner is not None and not inner.hidden:
                yield word, inner


def render(context: click.Context, path: list[str], section: int) -> Iterator[str]:
    """Yield the lines of one page, roff with the man macros (groff_man(7))."""
    command, page = context.command, "-".join(path)
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    date = f"{datetime.fromtimestamp(int(epoch), UTC):%Y-%m-%d}" if epoch else ""
    yield f'.TH {page.upper()} {section} "{date}" "drd {__version__}"'
    yield ".SH NAME"
    yield f"{roff(page)} \\- {roff(command.get_short_help_str(limit=200).rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {roff(' '.join(path))}"
    yield roff(" ".join(command.collect_usage_pieces(context)))
    yield ".SH DESCRIPTION"
    yield from prose(command.help or "")
    yield ".SH OPTIONS"
    for parameter in command.get_params(context):
        if record := parameter.get_help_record(context):
            yield from item(*record)
    commands = list(shown(context))
    if commands:
        yield ".SH COMMANDS"
        for word, inner in commands:
            yield from item(f"{page}-{word}({section})", inner.get_short_help_str(limit=200))
    if command.epilog:
        yield ".SH EXIT STATUS"
        yield from prose(command.epilog.replace("Exit codes:\n", ""))
    yield ".SH SEE ALSO"
    parent = "-".join(path[:-1] or ["drctl" if path == ["drd"] else "drd"])
    other = section if path[1:] else 9 - section
    yield f"{roff(parent)}({other}), files in {SEE_ALSO}"


def item(term: str, text: str) -> Iterator[str]:
    """Yield a term and what it means."""
    yield ".TP"
    yield f".B {roff(term)}"
    yield roff(" ".join(text.split()))


def prose(text: str) -> Iterator[str]:
    """Yield paragraphs; those that click marks with a backspace keep their lines."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(text))):
        if number:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield ".nf"
            yield from (roff(line) for line in paragraph.splitlines()[1:])
            yield ".fi"
        else:
            yield roff(" ".join(paragraph.split()))


def roff(text: str) -> str:
    """Return text that means itself: no escapes, no control lines, hyphens that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
