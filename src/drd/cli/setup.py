"""``drctl init``."""

from __future__ import annotations

import os
from shlex import quote

import click

from drd.cli.common import Call, sheet_path, verb
from drd.cli.output import Reply


@click.command()
@click.option(
    "--sheet", metavar="FILE", help="Where the recovery sheet goes (default: beside the key file)."
)
@click.option(
    "--no-recovery", is_flag=True, help="Make no recovery key: the sheet has the root alone."
)
@verb
def init(call: Call, sheet: str | None, *, no_recovery: bool) -> Reply:
    """Make the repository, its key file and its recovery sheet."""
    from drd.wiring.founding import make_repository  # noqa: PLC0415

    house = call.house()
    try:
        config = house.need_config()
        key_file = config.keys.file
        path = sheet_path(sheet) or key_file.with_name(f"{key_file.name}.sheet.txt")
        made = make_repository(house, path, recovery=not no_recovery)
        reply = Reply(
            facts={
                "repository": made.repository.hex(),
                "url": config.repository.url,
                "tenant": made.tenant.hex(),
                "root_fingerprint": made.root_fingerprint.hex(),
                "key_file": os.fspath(key_file),
                "sheet": os.fspath(path),
                "recovery_key": not no_recovery,
            }
        )
        reply.text = [
            f"repository   {made.repository.hex()} at {config.repository.url}",
            f"root         {made.root_fingerprint.hex()}",
            f"key file     {key_file}",
            f"sheet        {path}",
            "",
            "Move the recovery sheet off this host: print it, keep it in a safe, delete the file:",
            f"  lp {quote(str(path))} && shred -u {quote(str(path))}",
            _what_it_opens(recovery=not no_recovery),
        ]
        return reply
    finally:
        house.close()


def _what_it_opens(*, recovery: bool) -> str:
    if recovery:
        return "Whoever has it can read every backup; without it and the key file nobody can."
    return (
        "It has no recovery key: without the key file (or a holder in keys.recovery) nobody can read "
        "a backup. Keep a copy of the key file elsewhere, too."
    )
