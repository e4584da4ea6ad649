"""Whether what a daemon is given is enough for the verifies that its policies want of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drd.errors import DrdError, KeyAccessError, ObjectMissingError, StoreError
from drd.model import Role
from drd.wiring.proving import NOT_HERE, OPENS, READS

if TYPE_CHECKING:
    from drd.wiring import House


def wanted_of_daemon(house: House) -> dict[str, int]:
    """Level of the verify that the daemon makes for each policy, by its name; empty where it makes none."""
    config = house.need_config()
    if not config.daemon.verify:
        return {}
    return {name: one.verify.level for name, one in config.policy.items() if one.verify is not None}


def hindrances(house: House) -> Iterator[DrdError]:
    """What keeps the daemon from the verifies that its policies want; nothing where none are wanted.

    Raises:
        DrdError: the repository cannot be opened.
    """
    wanted = wanted_of_daemon(house)
    opening = [name for name, level in wanted.items() if level in OPENS]
    if opening and not house.ring(Role.VERIFY).generation_slots():
        yield KeyAccessError(
            f"the key file opens no packs, and policy {opening[0]!r} wants a verify of level "
            f"{wanted[opening[0]]}: each will fail",
            about=str(house.need_config().keys.file),
            hint=NOT_HERE,
        )
    reading = [name for name, level in wanted.items() if level in READS]
    if reading:
        yield from _unreadable(house, reading[0])


def _unreadable(house: House, policy: str) -> Iterator[DrdError]:
    """Whether packs can be read: the first byte of one, or of one that is not there."""
    repository = house.repository(Role.VERIFY)
    store, folder = house.store(cached=False), f"p/{repository.tenant.hex()}/"
    key = next((one.key for one in store.list(folder, limit=1)), f"{folder}probe")
    try:
        store.get(key, start=0, length=1)
    except ObjectMissingError:
        pass
    except StoreError as error:
        yield StoreError(
            f"packs cannot be read, and policy {policy!r} wants them verified: {error.message}",
            about=key,
            hint=NOT_HERE,
        )
