"""``drctl check-config``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from drd.cli.common import Call, verb
from drd.cli.output import Reply
from drd.errors import ConfigError, DrdError

if TYPE_CHECKING:
    from drd.config.faults import Fault


@click.command("check-config")
@click.option(
    "--online",
    is_flag=True,
    help="Also try what it names: state folder, metrics port, sources and their images, the store.",
)
@verb
def check_config(call: Call, *, online: bool) -> Reply:
    """Say what is wrong with the configuration, all at once, each with its line. Nothing is changed.

    Errors (exit 2) are what the daemon refuses at its start and at a reload; warnings (exit 0) are what
    is right and probably not meant.
    """
    from drd.config.checking import inspect  # noqa: PLC0415
    from drd.config.loading import read_text  # noqa: PLC0415
    from drd.wiring import config_path  # noqa: PLC0415

    path = config_path(call.config, os.environ)
    text = read_text(path)
    config, faults = inspect(text, path)
    if online and config is not None:
        from drd.wiring.checking import try_out  # noqa: PLC0415 - opens what it tries

        faults += try_out(config, text, path)
    reply = Reply(forced_exit=_exit_code(faults))
    reply.lists["findings"] = [
        {
            "level": one.level,
            "file": one.file,
            "line": one.line,
            "key": one.key,
            "message": one.message,
            "hint": one.hint,
        }
        for one in faults
    ]
    reply.errors = [_as_error(one) for one in faults if one.level == "error"]
    reply.warnings = [_as_warning(one) for one in faults if one.level == "warning"]
    if not reply.errors:
        reply.text.append(f"{path}: {_count(len(faults), 'warning') if faults else 'all is well'}")
    return reply


def _exit_code(faults: list[Fault]) -> int:
    return ConfigError.exit_code if any(one.level == "error" for one in faults) else 0


def _as_error(fault: Fault) -> DrdError:
    return ConfigError(fault.sentence, about=fault.file, hint=fault.hint)


def _as_warning(fault: Fault) -> str:
    return f"{fault.sentence} [{fault.file}]" + (f": {fault.hint}" if fault.hint else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
