"""``drctl``: back up, restore, verify, and find out what there is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from drd import __version__
from drd.cli import backup, catalogue, doctor, ls, policy, restore, setup, snapshots, verify
from drd.cli.common import EXITS, Call, shared_options
from drd.cli.output import Reply, say
from drd.errors import DrdError, UsageError

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
    ls.ls,
    ls.show,
    restore.restore,
    verify.verify,
    policy.policy,
    doctor.doctor,
    snapshots.snapshots,
    catalogue.catalogue,
):
    command.epilog = command.epilog or EXITS
    drctl.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``drctl`` and exit; wrong usage is told like every other error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    call = Call()
    try:
        code = drctl.main(given, prog_name="drctl", standalone_mode=False, obj=call)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.Abort:
        code = 130
    except click.ClickException as error:
        # Options are read before a wrong one is met; "--json" may stand behind it.
        code = _wrong_usage(error, as_json=call.as_json or "--json" in given)
    except KeyboardInterrupt:
        click.echo("interrupted; what was not committed is not visible", err=True)
        code = 130
    except BrokenPipeError:
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _wrong_usage(error: click.ClickException, *, as_json: bool) -> int:
    hint = "see 'drctl --help'"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"see '{error.ctx.command_path} --help'"
    told: DrdError = UsageError(error.format_message(), hint=hint)
    reply = Reply(errors=[told])
    say(reply, as_json=as_json)
    return reply.exit_code


if __name__ == "__main__":
    main()
