"""``drctl doctor``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from drd.cli.backup import tell_overlooked
from drd.cli.common import Call, verb
from drd.cli.output import Reply, Row
from drd.errors import ConfigError, DrdError, StoreError

if TYPE_CHECKING:
    from drd.ports import Store
    from drd.wiring import House


_NEXT: Final = {
    "store": "look at its address and keys in the configuration, at the network, and at its own log",
    "source": "check that it is up, and what the user that drd runs as may read",
}
"""What to do about errors that know no more, by their codes: others say to run this command."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    detail: str
    error: DrdError | None = None


@click.command()
@verb
def doctor(call: Call) -> Reply:
    """Check configuration, state, keys, store and sources, by trying them.

    The store is tried with real objects below probe/, which are removed again; the credentials need
    the right to delete there.
    """
    house = call.house()
    try:
        house.need_config()
        reply = Reply()
        rows: list[Row] = []
        for check in examine(house):
            rows.append({"check": check.name, "ok": check.error is None, "detail": check.detail})
            if check.error is not None:
                reply.errors.append(check.error)
        reply.lists["findings"] = rows
        reply.warnings = house.warnings
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


def examine(house: House) -> Iterator[Check]:
    """Try everything, one after the other; what fails does not stop the rest.

    A store that does not answer, or whose keys cannot be read, is not asked fifteen times more.
    """
    yield _tried("configuration", partial(_configuration, house))
    yield _tried("state", partial(_state, house))
    yield _tried("keys", partial(_keys, house))
    repository = _tried("repository", partial(_repository, house))
    yield repository
    if not isinstance(repository.error, StoreError | ConfigError):
        store = _tried("store", partial(_abilities, house))
        yield store
        for name, check in house.store_checks() if store.error is None else ():
            yield _tried(f"store: {name}", partial(_promise, house, check))
    if repository.error is None:
        yield from _verify(house)
    for name in house.need_config().source:
        source = _tried(f"source {name}", partial(_source, house, name))
        yield source
        if source.error is None:
            yield from _overlooked(house, name)
            yield _tried(f"source {name}: change lists", partial(_doubts, house, name))
            if house.shares_leases(name):
                yield _tried(f"source {name}: lease", partial(_lease, house, name))


def _verify(house: House) -> Iterator[Check]:
    """Whether the daemon can make the verifies that policies want of it."""
    from drd.wiring.rights import hindrances, wanted_of_daemon  # noqa: PLC0415

    name, wanted = "daemon: verify", wanted_of_daemon(house)
    if not wanted:
        return
    try:
        found = list(hindrances(house))
    except DrdError as error:
        found = [error]
    for one in found:
        yield Check(name, one.message, one)
    if not found:
        levels = ", ".join(str(level) for level in sorted(set(wanted.values())))
        yield Check(name, f"level {levels}: the key file opens, and the store gives, what it takes")


def _tried(name: str, step: Callable[[], str]) -> Check:
    try:
        return Check(name, step())
    except DrdError as error:
        error.hint = error.hint or _NEXT.get(error.code, "")
        return Check(name, error.message, error)


def _configuration(house: House) -> str:
    return f"{len(house.need_config().source)} sources"


def _state(house: House) -> str:
    house.try_state()
    return f"written to and read: {house.need_config().state_dir}"


def _keys(house: House) -> str:
    from drd.model import Role  # noqa: PLC0415

    ring = house.ring(Role.RESTORE)
    opens = "yes" if ring.generation_slots() else "no"
    return f"{len(ring.holders())} holders; opens data: {opens}"


def _abilities(house: House) -> str:
    able = house.store(cached=False).abilities()
    return f"conditional PUT: {able.conditional_put}, versions: {able.versioned}"


def _repository(house: House) -> str:
    from drd.model import Role  # noqa: PLC0415

    return house.repository(Role.BACKUP).format.repository.hex()


def _lease(house: House, name: str) -> str:
    house.try_lease(name)
    return "taken, renewed and given back"


def _promise(house: House, check: Callable[[Store], None]) -> str:
    try:
        check(house.store(cached=False))
    except AssertionError as error:
        raise StoreError(
            f"the store breaks a promise: {error}",
            about=house.need_config().repository.url,
            hint="drd is not safe on this store; see docs/stores.md",
        ) from error
    return "kept"


def _source(house: House, name: str) -> str:
    return f"{len(house.source(name).discover())} images"


def _overlooked(house: House, name: str) -> Iterator[Check]:
    """Places that could not be looked into, a check each; patterns without a match are warnings."""
    errors: list[DrdError] = []
    tell_overlooked(house.source(name), errors, house.warnings, of_all=True)
    for error in errors:
        yield Check(f"source {name}: {error.about}", error.message, error)


def _doubts(house: House, name: str) -> str:
    """Flags and defects that make change lists slow or unsure: drd copes, so they are warnings."""
    found = house.doubts(name)
    house.warnings.extend(found)
    return f"{len(found)} doubts, see the warnings" if found else "trusted"
