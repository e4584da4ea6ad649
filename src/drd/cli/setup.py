"""``drctl init``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from drd.cli.common import Call, verb
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
        path = Path(sheet) if sheet else key_file.with_name(f"{key_file.name}.sheet.txt")
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
            "Print the recovery sheet, keep it in a safe, and delete it from this host:",
            f"  lp {path} && shred -u {path}",
            "Whoever has it can read every backup; without it and without the key file nobody can.",
        ]
        return reply
    finally:
        house.close()
