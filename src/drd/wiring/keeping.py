"""With what a restore holds its point: keys that sign for a host, a store that does not try for long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from drd.errors import KeyAccessError
from drd.model import PointInfo, Role
from drd.wiring.clock import now
from drd.wiring.person import caller
from drd.work.holds import Speaker
from drd.work.keeping import Holder, kept

if TYPE_CHECKING:
    from drd.ports import Ledger
    from drd.wiring import House
    from drd.work.repository import Repository


@contextmanager
def held_meanwhile(house: House, repository: Repository, info: PointInfo) -> Iterator[None]:
    """Hold *info* while the block reads it; see :mod:`drd.work.keeping`.

    Raises:
        RefusedError: it is doomed by now.
        NotFoundError: it is gone.
    """

    def signing() -> Repository:
        if house.by_sheet:
            raise KeyAccessError("a sheet signs no hold")
        ring = house.ring(Role.BACKUP)
        return replace(repository, ring=ring, store=house.first_contact())

    holder = Holder(
        opens=signing,
        warnings=repository.warnings,
        speaker=Speaker(caller(), now, os.urandom),
        threads=house.one_thread("drd-hold"),
        ledger=ledger_of(house),
    )
    with kept(holder, info):
        yield


def ledger_of(house: House) -> Ledger | None:
    """What this host remembers of journals; None where it keeps nothing."""
    catalogue = house.spare_catalogue()
    return catalogue.ledger if catalogue is not None else None
