"""``drctl status --check``: a plugin for Nagios, Icinga and what speaks like them.

Output and exit codes are those of the Monitoring Plugins Development Guidelines: the first line is
``DRD STATE - words | performance data``, further lines are details; 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
Whatever happens is one of these: a plugin that dies is a check that nobody sees failing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from drd.cli import status
from drd.cli.common import Call, stopped, unexpected
from drd.cli.output import Reply, printable
from drd.errors import DrdError, NotFoundError
from drd.model import State

if TYPE_CHECKING:
    from drd.model import Standing
    from drd.wiring import House
    from drd.wiring.standing import Survey

OK, WARNING, CRITICAL, UNKNOWN = range(4)
WORDS: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
CRITICAL_STATES: Final = (State.LATE, State.NEVER, State.DAMAGED)
WARNING_STATES: Final = (State.FAILING, State.UNPROTECTED)
NAMED: Final = 3
"""So many are named in the first line, which may go into an SMS."""
HINT: Final = "see 'drctl status', and 'drctl logs NAME'"
UNHEARD: Final = "the results in the bucket were not all learnt yet"
LISTED: Final = 20
"""So many have a line of their own."""


def checked(call: Call, names: Sequence[str]) -> Reply:
    """The reply of a check, which never fails in another way."""
    try:
        house = call.house()
        try:
            return _judged(house, names, as_json=call.as_json)
        finally:
            house.close()
    except DrdError as error:
        return unknown(error)
    except KeyboardInterrupt as stop:
        return unknown(stopped(stop))
    except Exception as error:  # noqa: BLE001 - the last door: see the top
        return unknown(unexpected(error))


def _judged(house: House, names: Sequence[str], *, as_json: bool) -> Reply:
    from drd.core.standing import is_verify_overdue  # noqa: PLC0415
    from drd.wiring.standing import named, survey  # noqa: PLC0415

    house.settle_in()
    seen = survey(house)
    if seen.missing:
        return unknown(NotFoundError(seen.missing, hint="start drd.service"))
    chosen = named(seen.standings, names)
    unproven = [
        one
        for one in chosen
        if one.policy in seen.aims and is_verify_overdue(one, seen.aims[one.policy], seen.at)
    ]
    bad = [one for one in chosen if one.state in (*CRITICAL_STATES, *WARNING_STATES)]
    reply = Reply(forced_exit=_verdict(seen, chosen, unproven))
    problems = [(one.label, f"{one.state.value}: {one.message}") for one in bad]
    told = "its verify is overdue" if seen.knows_proven else f"verify unknown: {UNHEARD}"
    problems += [(one.label, told) for one in unproven]
    problems[:0] = [("drd", doubt) for doubt in status.doubts(seen)]
    first = f"{_words(seen, chosen, unproven)} | {_numbers(seen, chosen, unproven)}"
    _fill(reply, first, problems)
    reply.lists["lineages"] = [status.lineage_row(one) for one in chosen] if as_json else []
    reply.facts |= status.facts(seen, chosen)
    return reply


def _verdict(seen: Survey, chosen: Sequence[Standing], unproven: Sequence[Standing]) -> int:
    """What was missed is missed, whether or not the daemon lives; that all is well only a daemon can
    know that does, and that has heard what verifies found. Until then the *unproven* are not overdue.
    """
    states = {one.state for one in chosen}
    if states.intersection(CRITICAL_STATES):
        return CRITICAL
    if seen.is_silent:
        return UNKNOWN
    troubled = bool(status.troubles(seen))  # a daemon that just ended is none: it may start again
    overdue = bool(unproven) and seen.knows_proven
    if troubled or overdue or states.intersection(WARNING_STATES):
        return WARNING
    return UNKNOWN if unproven else OK


def _words(seen: Survey, chosen: Sequence[Standing], unproven: Sequence[Standing]) -> str:
    """What is wrong, in the words of a pager."""
    counts = status.counts(chosen)
    said = [
        f"{counts[state.value]} {state.value}"
        for state in (*CRITICAL_STATES, *WARNING_STATES)
        if counts[state.value]
    ]
    if unproven and seen.knows_proven:
        said.append(f"{len(unproven)} verify overdue")
    wrong = [one for one in chosen if one.state in (*CRITICAL_STATES, *WARNING_STATES)]
    if wrong:
        more = ", …" if len(wrong) > NAMED else ""
        said[-1] += f" ({', '.join(one.label for one in wrong[:NAMED])}{more})"
    if unproven and not seen.knows_proven:
        said.append(f"{len(unproven)} verify unknown: {UNHEARD}")
    said += status.doubts(seen)
    return ", ".join(said) or f"{len(chosen)} lineages"


def _numbers(seen: Survey, chosen: Sequence[Standing], unproven: Sequence[Standing]) -> str:
    """Performance data: ``label=value[unit];warn;crit;min``; ``U`` is a value that cannot be told."""
    counts = status.counts(chosen)
    told = [f"lineages={len(chosen)};;;0"]
    told += [f"{state.value}={counts[state.value]};;0;0" for state in CRITICAL_STATES]
    told += [f"{state.value}={counts[state.value]};0;;0" for state in WARNING_STATES]
    overdue = len(unproven) if seen.knows_proven or not unproven else "U"
    told.append(f"verify_overdue={overdue};0;;0")
    ages = [one.age for one in chosen if one.age is not None and one.rpo is not None]
    if ages:
        told.append(f"oldest={max(ages):.0f}s;;;0")
    if seen.ticked_at is not None:
        silence = max((seen.at - seen.ticked_at).total_seconds(), 0.0)
        told.append(f"tick_age={silence:.0f}s;;;0")
    return " ".join(told)


def _fill(reply: Reply, first: str, problems: Sequence[tuple[str, str]]) -> None:
    """Put the lines into *reply*. In JSON each problem is an error: there an exit code has its reasons."""
    code = reply.exit_code
    line = f"DRD {WORDS[code]} - {first}"
    # In performance data a bar begins; one in a name of an image would begin it too early.
    said, bar, numbers = line.rpartition(" | ")
    line = f"{said.replace('|', '/')}{bar}{numbers}" if bar else line.replace("|", "/")
    reply.facts["check"] = {"status": WORDS[code], "line": line}
    if code:
        reply.reasons = [DrdError(told, about=about, hint=HINT) for about, told in problems]
    reply.text = [printable(line)]
    reply.text += [f"{about}: {told}".replace("|", "/") for about, told in problems[:LISTED]]
    if len(problems) > LISTED:
        reply.text.append(f"and {len(problems) - LISTED} more: 'drctl status'")


def unknown(error: DrdError) -> Reply:
    """Nothing can be said. The error itself is told on stdout, where a plugin is read."""
    reply = Reply(forced_exit=UNKNOWN, lists={"lineages": []})
    line = f"DRD UNKNOWN - {error}".replace("|", "/")
    reply.facts["check"] = {"status": WORDS[UNKNOWN], "line": line}
    reply.text = [line, error.hint or error.next_step]
    reply.reasons = [error]
    return reply
