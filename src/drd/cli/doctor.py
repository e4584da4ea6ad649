"""``drctl doctor``."""

from __future__ import annotations

import click

from drd.cli.common import Call, verb
from drd.cli.output import Reply


@click.command()
@verb
def doctor(call: Call) -> Reply:
    """Check configuration, keys, store and sources, by trying them.

    The store is tried with real objects below probe/, which are removed again; the credentials need the
    right to delete there.
    """
    from drd.wiring import examine  # noqa: PLC0415

    house = call.house()
    try:
        reply = Reply()
        for check in examine(house):
            reply.lists.setdefault("findings", []).append(
                {"check": check.name, "ok": check.error is None, "detail": check.detail}
            )
            if check.error is not None:
                reply.errors.append(check.error)
        rows = reply.lists.get("findings", [])
        reply.shown = [
            {
                "check": row["check"],
                "result": "ok" if row["ok"] else "FAILED",
                "detail": row["detail"],
            }
            for row in rows
        ]
        return reply
    finally:
        house.close()
