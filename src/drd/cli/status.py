"""``drctl status`` and ``drctl logs``: what stands, and what happened. They ask this host alone."""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from drd.cli import shapes
from drd.cli.common import Call, verb
from drd.cli.output import Reply, Row, say, size
from drd.errors import DrdError, UsageError
from drd.model import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from drd.model import Deed, Json, Outcome, Proven, RunRecord, Standing
    from drd.wiring import House
    from drd.wiring.standing import Survey

COLOURS: Final = {
    State.LATE: "red",
    State.NEVER: "red",
    State.DAMAGED: "red",
    State.FAILING: "yellow",
    State.UNPROTECTED: "yellow",
    State.GONE: "bright_black",
    State.WAITING: "cyan",
    State.RUNNING: "cyan",
    State.OK: "green",
    State.STRANGE: "bright_black",
}
"""Of each state on a terminal (names of click, which are those of ECMA-48, 8.3.117)."""
NEVER_RAN: Final = "no daemon has run on this host yet"
UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|GLOB]...")
@click.option(
    "--check",
    is_flag=True,
    help="One line for Nagios, Icinga and their like; exits with 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
)
@click.option("--watch", is_flag=True, help="Show it on the terminal, and keep it up to date.")
@verb
def status(call: Call, names: tuple[str, ...], *, check: bool, watch: bool) -> Reply:
    """Show how each image stands: newest point, next run, last verify; the worst comes first.

    It asks neither bucket nor source, and needs no key: it tells what the daemon of this host knows.
    Exits with 0 whatever the states are. With --check it exits with 0 (OK), 1 (WARNING), 2 (CRITICAL) or
    3 (UNKNOWN: called wrongly, or nothing can be known), and never with another code of drctl.
    """
    if check:
        from drd.cli.checking import checked  # noqa: PLC0415

        return checked(call, names)
    if watch and call.as_json:
        raise UsageError("--watch shows a table, --json is for programs", about="--watch")
    house = call.house()
    try:
        if watch:
            from drd.cli.watching import keep_showing  # noqa: PLC0415

            return keep_showing(lambda: looked(house, names))
        gc.disable()  # of what 10,000 lines are made nothing goes before the end
        return looked(house, names, as_json=call.as_json)
    finally:
        house.close()


def wrong_check(what: str) -> int:
    """Say that a check was called wrongly; its exit code, which is no other command's."""
    from drd.cli.checking import UNKNOWN, unknown  # noqa: PLC0415

    say(unknown(UsageError(what, hint="see 'drctl status --help'")), as_json=False)
    return UNKNOWN


def looked(house: House, names: Sequence[str], *, as_json: bool = False) -> Reply:
    """One look: a line for each lineage that *names* mean, for a person or for a program.

    Raises:
        NotFoundError: one of them means nothing.
        ConfigError: what is known here cannot be read.
    """
    from drd.wiring.standing import named, survey  # noqa: PLC0415

    house.settle_in()
    seen = survey(house)
    chosen = named(seen.standings, names)
    reply = Reply(warnings=[*house.warnings, *doubts(seen)], lists={"lineages": []})
    if as_json:
        reply.lists["lineages"] = [lineage_row(one) for one in chosen]
        reply.facts = facts(seen, chosen)
        return reply
    reply.shown = [_line(one, seen) for one in chosen]
    reply.colours = {state.value: colour for state, colour in COLOURS.items()}
    reply.text = [_told(seen, chosen)]
    return reply


def facts(seen: Survey, chosen: Sequence[Standing]) -> dict[str, Json]:
    """What the JSON object says besides the lines."""
    return {
        "summary": dict[str, "Json"](counts(chosen)),
        "as_of": shapes.when(seen.at),
        "ticked": _when(seen.ticked_at),
    }


def counts(chosen: Iterable[Standing]) -> dict[str, int]:
    """How many there are of each state, the worst first."""
    found = Counter(one.state for one in chosen)
    return {state.value: found[state] for state in State}


def doubts(seen: Survey) -> list[str]:
    """Why all of it may be other than told."""
    if seen.missing:
        return [f"{seen.missing}: {NEVER_RAN}"]
    if seen.ticked_at is None:
        return [f"{NEVER_RAN}: what its images are, and when they are due, is not known here"]
    return [*_silence(seen, seen.ticked_at), *troubles(seen)]


def _silence(seen: Survey, ticked_at: datetime) -> list[str]:
    """That nobody keeps it up to date."""
    if seen.deserted:
        ago = span(max((seen.at - ticked_at).total_seconds(), 0.0))
        return [f"no daemon runs on this host; its last tick was {ago} ago: 'systemctl status drd'"]
    if seen.is_silent:
        silent = (seen.at - ticked_at).total_seconds()
        if silent < 0:
            return [f"the daemon is silent since the clock was set back by {span(-silent)} or more"]
        return [f"the daemon of this host is silent for {span(silent)}: is drd.service running?"]
    return []


def troubles(seen: Survey) -> list[str]:
    """What is wrong with the daemon's own work, whatever each image's state is."""
    told = []
    if seen.refused is not None:
        since = shapes.when(seen.refused.started_at)
        why = seen.refused.message
        told.append(f"the daemon runs with an older configuration: {why}, refused at {since}")
    if seen.prunes:
        since = shapes.when(seen.prunes[-1].started_at)
        told.append(f"nothing is deleted: prune fails since {since}: {seen.prunes[0].message}")
    return told


def _told(seen: Survey, chosen: Sequence[Standing]) -> str:
    """The line under the table: how many of what, and from when it is known."""
    some = [f"{count} {state}" for state, count in counts(chosen).items() if count]
    if seen.ticked_at is None:
        known = f"as of {shapes.when(seen.at)}"
    else:
        ago = span(max((seen.at - seen.ticked_at).total_seconds(), 0.0))
        known = f"the daemon looked {ago} ago"
    lineages = "1 lineage" if len(chosen) == 1 else f"{len(chosen)} lineages"
    return f"{lineages}{': ' if some else ''}{', '.join(some)}; {known}"


def _when(at: datetime | None) -> str | None:
    return None if at is None else shapes.when(at)


def span(seconds: float) -> str:
    """A duration for a person, in its largest unit or two: ``1h 30m``, ``42m``, ``9m 5s``, ``12s``."""
    left = round(seconds)
    if left >= 600:  # noqa: PLR2004 - ten minutes: from here on nobody asks for seconds
        left -= left % 60
    for place, (unit, name) in enumerate(UNITS):
        if left >= unit:
            count, rest = divmod(left, unit)
            below, below_name = UNITS[place + 1] if place + 1 < len(UNITS) else (1, "s")
            more = rest // below
            return f"{count}{name} {more}{below_name}" if more else f"{count}{name}"
    return f"{left}s"


def lineage_row(one: Standing) -> Row:
    """A lineage as the contract lists it."""
    return {
        "name": one.label,
        "source": one.source,
        "policy": one.policy or None,
        "state": one.state.value,
        "point": _when(one.point_at),
        "age_s": None if one.age is None else round(one.age, 3),
        "rpo_s": one.rpo,
        "next_run": _when(one.next_run),
        "points": one.points,
        "size": one.size,
        "verified": [_result(result) for result in one.verified],
        "failures": one.failures,
        "last_run": _last_run(one.last_run),
        "first_seen": _when(one.first_seen),
        "lineage": one.lineage or None,
        "identity": one.identity,
        "message": one.message,
    }


def _result(one: Proven) -> dict[str, Json]:
    return {
        "level": one.level,
        "time": shapes.when(one.at),
        "seq": one.seq,
        "ok": one.ok,
        "findings": one.findings,
        "covered": one.covered,
    }


def _last_run(run: RunRecord | None) -> Json:
    if run is None or run.outcome is None:
        return None
    return {
        "outcome": run.outcome.value,
        "code": run.code,
        "message": run.message,
        "ended": _when(run.ended_at),
    }


def _line(one: Standing, seen: Survey) -> Row:
    """The same for a person."""
    age = "-" if one.age is None else span(one.age)
    return {
        "name": one.label,
        "point": "-" if one.point_at is None else f"{one.point_at.isoformat(' ')[:16]}Z",
        "age": f"{age} / {span(one.rpo)}" if one.rpo is not None else age,
        "next_run": _ahead(one.next_run, seen.at),
        "verified": _verified(one, seen),
        "state": one.state.value,
        "why": one.message,
    }


def _ahead(next_run: datetime | None, at: datetime) -> str:
    if next_run is None:
        return "-"
    seconds = (next_run - at).total_seconds()
    return "now" if seconds <= 0 else f"in {span(seconds)}"


def _verified(one: Standing, seen: Survey) -> str:
    """The newest result: at which level, how long ago, and that it was bad. That there is none where a
    policy wants some is known only when all were learnt.
    """
    newest = max(one.verified, key=lambda result: (result.at, result.level), default=None)
    if newest is None:
        aim = seen.aims.get(one.policy)
        wanted = aim is not None and aim.verify_every is not None
        return "unknown" if wanted and not seen.knows_proven else "-"
    ago = span(max((seen.at - newest.at).total_seconds(), 0.0))
    return f"L{newest.level} {ago} ago{'' if newest.ok else ', damage'}"


# ── logs ────────────────────────────────────────────────────────────────────────────────────────
@click.command()
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Runs at most."
)
@verb
def logs(call: Call, name: str, limit: int) -> Reply:
    """Show the last runs of one image (or of a source) by the daemon: how they ended, and what to do.

    Of an image: its backups, the verifies that looked at it, the prunes that did something of it; of a
    source: when its images were looked for. All events are in the journal: journalctl -u drd.
    """
    from drd.wiring.standing import runs_of  # noqa: PLC0415

    house = call.house()
    try:
        runs = runs_of(house, name, limit)
        reply = Reply(warnings=house.warnings)
        reply.lists["runs"] = [_run_row(one) for one in runs]
        reply.shown = [_run_line(one) for one in runs]
        reply.colours = {"failed": "red", "stalled": "red", "crashed": "red", "done": "green"}
        if not runs:
            reply.text.append("the daemon has made no run of it yet")
        newest: dict[str, RunRecord] = {}
        for one in runs:
            newest.setdefault(one.record.kind, one.record)
        hints = dict.fromkeys(hint_of(run) for run in newest.values())
        reply.text += [f"what to do: {hint}" for hint in hints if hint]
        return reply
    finally:
        house.close()


FACTS: Final = (
    "level",
    "points",
    "findings",
    "covered",
    "doomed",
    "deleted",
    "spared",
    "bytes_freed",
)
"""What rows of verifies and prunes tell, see :class:`drd.model.Deed`; of other rows it is null."""


def _run_row(deed: Deed) -> Row:
    run = deed.record
    return {
        "run": run.run,
        "kind": run.kind,
        "name": run.label,
        "source": run.source,
        "policy": run.policy or None,
        "started": shapes.when(run.started_at),
        "ended": _when(run.ended_at),
        "slot": _when(run.slot),
        "outcome": run.outcome.value if run.outcome else None,
        "exit": run.exit_code if run.outcome else None,
        "code": run.code,
        "message": run.message,
        "hint": hint_of(run),
        "seq": run.seq or None,
        "lineage": run.lineage or None,
        "bytes_read": run.bytes_read,
        "bytes_changed": run.bytes_changed,
        "bytes_uploaded": run.bytes_uploaded,
        "seconds": round(run.seconds, 3),
        **{fact: deed.facts.get(fact) for fact in FACTS},
    }


def _run_line(deed: Deed) -> Row:
    run = deed.record
    moved = run.kind == "backup"
    return {
        "started": f"{run.started_at:%Y-%m-%d %H:%M:%S}Z",
        "run": run.kind,
        "state": run.outcome.value if run.outcome else "running",
        "seq": run.seq or None,
        "read": size(run.bytes_read) if moved else None,
        "uploaded": size(run.bytes_uploaded) if moved else None,
        "took": span(run.seconds) if run.outcome else "-",
        "why": run.message or _done(deed.facts),
    }


def _done(facts: Mapping[str, Json]) -> str:
    """What a verify or a prune did in a lineage, in words."""
    if "level" in facts:
        found, points = facts.get("findings"), facts.get("points")
        return f"level {facts['level']}: {found} findings in {points} points"
    words = [f"{facts[one]} {one}" for one in ("doomed", "deleted", "spared") if facts.get(one)]
    freed = facts.get("bytes_freed")
    if isinstance(freed, int) and freed:
        words.append(f"{size(freed)} freed")
    return ", ".join(words)


def hint_of(run: RunRecord) -> str:
    """What to do about a run that failed; ``""`` for any other."""
    outcome: Outcome | None = run.outcome
    if outcome is None or not outcome.is_failure:
        return ""
    if outcome.value in _ENDINGS:
        return _ENDINGS[outcome.value]
    return run.hint or class_of(run).next_step  # one that an older drd wrote down has none


def class_of(run: RunRecord) -> type[DrdError]:
    """Which error ended *run*, as far as its code and exit code tell."""
    told = (run.code, run.exit_code)
    return next((one for one in _family(DrdError) if (one.code, one.exit_code) == told), DrdError)


_ENDINGS: Final = {
    "stalled": "it is tried again; look at the store's and the cluster's health ('ceph -s', "
    "'drctl doctor'), and at [daemon] stall_after where they are slow",
    "crashed": "it is tried again; when it goes on, look at 'journalctl -u drd' and report it",
}


def _family(of: type[DrdError]) -> Iterable[type[DrdError]]:
    """A class and all below it, the lowest first: of one code the first class is what is told."""
    for one in of.__subclasses__():
        yield from _family(one)
    yield of
