"""``drd``: run the daemon; ``drd check-config``; ``drd worker``, which the daemon starts itself."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from drd import __version__
from drd.errors import EXIT_CODES, DrdError

EXITS = "\b\nExit codes:\n" + "\n".join(f"  {code:>3}  {text}" for code, text in EXIT_CODES.items())


@click.group(
    name="drd",
    invoke_without_command=True,
    epilog=EXITS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config",
    metavar="FILE",
    help="Configuration (else DRD_CONFIG, else /etc/drd/drd.toml).",
)
@click.version_option(__version__, prog_name="drd")
@click.pass_context
def drd(context: click.Context, config: str | None) -> None:
    """Back up what the policies of the configuration say, when they say it, until told to stop.

    \b
    SIGTERM  no new runs; those under way get [daemon] drain to commit what they have
    SIGHUP   read the configuration again; a wrong one is refused, and the old one stays
    SIGUSR1  make a point of everything now
    """  # noqa: D301 - click wants the character itself
    context.obj = config
    if context.invoked_subcommand is None:
        from drd.daemon.service import serve  # noqa: PLC0415 - 'drd worker' needs none of it

        serve(config)


@drd.command("check-config", epilog=EXITS)
@click.option("--config", metavar="FILE", help="Configuration, when not named before.")
@click.option("--online", is_flag=True, help="Also try what it names.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.pass_obj
def check_config(given: str | None, config: str | None, *, online: bool, as_json: bool) -> None:
    """Say what is wrong with the configuration; as 'drctl check-config'."""
    words = ["--config", named] if (named := config or given) else []
    words += ["check-config"]
    words += [word for word, on in (("--online", online), ("--json", as_json)) if on]
    os.execv(sys.executable, [sys.executable, "-m", "drd.cli.main", *words])  # noqa: S606 - ourselves


@drd.command(hidden=True)
def worker() -> None:
    """Do one job for the daemon, read from stdin; or, with a socket there, one for each that comes."""
    from drd.daemon.worker import main as work  # noqa: PLC0415 - imports all that workers need

    work()


def main() -> NoReturn:
    """Run ``drd`` and exit."""
    try:
        code = drd.main(prog_name="drd", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        code = 2
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except DrdError as error:
        click.echo(f"error: {error}", err=True)
        click.echo(f"       {error.hint or error.next_step}", err=True)
        code = error.exit_code
    except RuntimeError as error:  # threading has no class of its own for it
        if "start new thread" not in str(error):
            raise
        click.echo("error: this host lets drd start no more threads", err=True)
        click.echo("       look at its limits for drd: processes (TasksMax), memory", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
