"""What all commands share: the options before and after COMMAND, the house, the one place for errors."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec

import click

from drd.cli.output import Reply, say
from drd.errors import EXIT_CODES, DrdError, StoppedError, UsageError

if TYPE_CHECKING:
    from drd.wiring import House
    from drd.wiring.reach import Asked

P = ParamSpec("P")

LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "backup": ("points",),
    "ls": ("lineages",),
    "show": ("points",),
    "restore": ("points",),
    "verify": ("findings", "points", "results", "repairs"),
    "preview": ("decisions",),
    "prune": ("lineages",),
    "doctor": ("findings",),
    "check-config": ("findings",),
    "snapshots": ("snapshots",),
    "rebuild": ("lineages",),
    "run": ("runs",),
    "hold add": ("holds",),
    "hold ls": ("holds",),
    "hold rm": ("holds",),
    "status": ("lineages",),
    "logs": ("runs",),
}
"""The lists of each command's JSON object: a program that reads it need not ask for them first. A command
of a group is looked for with the group's name first."""


def lists_of(context: click.Context | None) -> tuple[str, ...]:
    """The lists of the command that *context* is of."""
    if context is None:
        return ()
    name = context.info_name or ""
    group = context.parent.info_name if context.parent else ""
    return LISTS.get(f"{group} {name}", LISTS.get(name, ()))


EXITS = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in EXIT_CODES.items())


@dataclass(slots=True)
class Call:
    """How drctl was called: options that may stand before or after COMMAND.

    ``lists`` are the lists that the JSON object has in any case, with nothing in them on failure.
    """

    config: str | None = None
    as_json: bool = False
    to_stderr: bool = False
    lists: tuple[str, ...] = ()
    opened: House | None = None

    def house(self, *, asked: Asked | None = None, progress: str = "") -> House:
        """The wired house for this call."""
        from drd.cli.progress import reporter  # noqa: PLC0415 - only verbs pay for what they use
        from drd.wiring import open_house  # noqa: PLC0415

        bars = reporter(quiet=self.as_json or not progress)
        self.opened = open_house(self.config, asked=asked, report=bars)
        if bars is not None:
            self.opened.closes(bars.close)
        return self.opened

    @property
    def warnings(self) -> list[str]:
        """What was strange until now: worth telling beside the failure that may come of it."""
        return [] if self.opened is None else self.opened.warnings

    def house_of_sheet(self, options: Mapping[str, Any], *, progress: str = "") -> House:
        """The house for a verb with ``sheet_options``."""
        from drd.wiring.reach import Asked  # noqa: PLC0415

        asked = Asked(sheet_path(options["sheet"]), options["url"], options["endpoint"])
        return self.house(asked=asked, progress=progress)


def sheet_path(given: str | None) -> Path | None:
    """What ``--sheet`` names.

    Raises:
        UsageError: nothing: an empty variable of a shell must not choose other keys.
    """
    if given == "":
        raise UsageError("the name of the sheet is empty", about="--sheet", hint="name a file")
    return None if given is None else Path(given)


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        call = context.ensure_object(Call)
        if value:
            setattr(call, name, value)
        return value

    return callback


def shared_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """``--config`` and ``--json``, before or after COMMAND."""
    for option in (
        click.option(
            "--config",
            metavar="FILE",
            expose_value=False,
            callback=_remember("config"),
            help="Configuration (else DRD_CONFIG, else /etc/drd/drd.toml).",
        ),
        click.option(
            "--json",
            is_flag=True,
            expose_value=False,
            callback=_remember("as_json"),
            help="One JSON object instead of tables.",
        ),
    ):
        command = option(command)
    return command


def sheet_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """``--sheet`` and what goes with it: a verb that works with bucket and sheet alone."""
    for option in (
        click.option(
            "--endpoint",
            default="",
            help="With --sheet: S3 endpoint, in place of the configuration's or the sheet's.",
        ),
        click.option(
            "--url",
            default="",
            help="With --sheet: repository, in place of the configuration's or the sheet's.",
        ),
        click.option(
            "--sheet",
            metavar="FILE",
            help="Use the recovery sheet; needs neither configuration nor key file.",
        ),
    ):
        command = option(command)
    return command


def stopped(stop: KeyboardInterrupt, about: str = "") -> StoppedError:
    """Ctrl-C or SIGTERM as an error; notes on the way up tell what was left behind."""
    left = "; ".join(getattr(stop, "__notes__", ()))
    return StoppedError(
        "interrupted; what was not committed is not visible", about=about, hint=left
    )


def unexpected(error: Exception, about: str = "") -> DrdError:
    """A bug of drd's own, met with *about*: told in one line, in full where asked for."""
    if os.environ.get("DRD_TRACEBACK"):
        traceback.print_exception(error)
    return DrdError(
        f"a bug in drd: {type(error).__name__}: {error}",
        about=about,
        hint="run it again with DRD_TRACEBACK=1 and report what it prints; nothing half-done is visible",
    )


def verb(function: Callable[..., Reply]) -> Callable[..., None]:
    """Make a verb of a function: shared options, one reply, errors turned into it, the exit code."""

    @shared_options
    @click.pass_context
    def run(context: click.Context, /, *args: Any, **kwargs: Any) -> None:
        call = context.ensure_object(Call)
        try:
            reply = function(call, *args, **kwargs)
        except DrdError as error:
            reply = Reply(errors=[error], warnings=call.warnings)
        except KeyboardInterrupt as stop:
            reply = Reply(errors=[stopped(stop)], warnings=call.warnings)
        except Exception as error:  # noqa: BLE001 - the last door: an operator gets no traceback
            reply = Reply(errors=[unexpected(error)], warnings=call.warnings)
        if not reply.lists:
            names = call.lists or lists_of(context)
            reply.lists = {name: [] for name in names}
        say(reply, as_json=call.as_json, to_stderr=call.to_stderr)
        context.exit(reply.exit_code)

    return functools.update_wrapper(run, function)
