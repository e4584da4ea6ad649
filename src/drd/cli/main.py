"""``drctl``: back up, restore, verify, and find out what there is."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import click

from drd import __version__
from drd.cli import (
    backup,
    catalogue,
    checkconfig,
    doctor,
    hold,
    ls,
    policy,
    prune,
    restore,
    run,
    setup,
    snapshots,
    status,
    verify,
)
from drd.cli.common import EXITS, Call, lists_of, shared_options
from drd.cli.output import Reply, say
from drd.errors import DrdError, StoppedError, UsageError

MAP = """\
Back up Ceph RBD images and block devices, encrypted, to S3 or a directory; restore them; prove it.

\b
POINT is NAME (newest), NAME@17 (sequence number), NAME@2026-11-21T10:00:00Z (newest at or
before), or NAME@latest. NAME is SOURCE/[NAMESPACE/]IMAGE, or the 32-hex id of a lineage.
"""


@click.group(
    name="drctl",
    help=MAP,
    epilog=EXITS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@shared_options
@click.version_option(__version__, prog_name="drctl")
def drctl() -> None:
    """See ``MAP``."""


for command in (
    setup.init,
    backup.backup,
    run.run,
    status.status,
    status.logs,
    ls.ls,
    ls.show,
    restore.restore,
    verify.verify,
    prune.prune,
    policy.policy,
    hold.hold,
    checkconfig.check_config,
    doctor.doctor,
    snapshots.snapshots,
    catalogue.catalogue,
):
    drctl.add_command(command)

for command in (
    *drctl.commands.values(),
    *policy.policy.commands.values(),
    *catalogue.catalogue.commands.values(),
    *hold.hold.commands.values(),
):
    command.epilog = EXITS


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``drctl`` and exit; wrong usage is told like every other error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    call = Call()
    try:
        with _sigterm_is_ctrl_c():
            code = drctl.main(given, prog_name="drctl", standalone_mode=False, obj=call)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except (click.Abort, KeyboardInterrupt):  # before a verb began, or twice: too late to be tidy
        click.echo("interrupted", err=True)
        code = StoppedError.exit_code
    except click.ClickException as error:
        code = _wrong_usage(error, call, given)
    except BrokenPipeError:
        code = 1
    except OSError as error:  # verbs turn theirs into errors of drd: this one is of what they say
        code = _untold(error)
    sys.exit(code if isinstance(code, int) else 0)


def _untold(error: OSError) -> int:
    """Say that the output could not be written, where that can be said; the exit code."""
    with suppress(OSError):
        click.echo(f"error: the output cannot be written: {error.strerror}", err=True)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # what is buffered would fail again at the end, with a traceback
            stream.flush()
            continue
        with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
    return DrdError.exit_code


@contextmanager
def _sigterm_is_ctrl_c() -> Iterator[None]:
    """A service that is stopped ends as tidily as a command that is interrupted."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _wrong_usage(error: click.ClickException, call: Call, given: Sequence[str]) -> int:
    """Tell what is wrong with the command line.

    Options are read before a wrong one is met, so ``--json`` and ``--to -`` may stand behind it.
    """
    context = error.ctx if isinstance(error, click.UsageError) else None
    if "status" in given and "--check" in given:
        return status.wrong_check(error.format_message())
    path = context.command_path if context else "drctl"
    as_json = call.as_json or "--json" in given
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and context and not as_json:
        click.echo(context.get_help(), err=True)
        return UsageError.exit_code
    message = error.format_message().partition("\n")[0]
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        message = "Missing command."
    reply = Reply(errors=[UsageError(message, about=path, hint=f"see '{path} --help'")])
    reply.lists = {one: [] for one in lists_of(context)}
    to_pipe = "--to=-" in given or ("--to", "-") in pairwise(given)
    say(reply, as_json=as_json, to_stderr=to_pipe)
    return reply.exit_code


if __name__ == "__main__":
    main()
