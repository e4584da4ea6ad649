"""The socket of leases."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Held(Protocol):
    """A lease that is held. What is lost stays lost: both MUST raise from then on."""

    def heed(self) -> None:
        """``RefusedError`` when it is known to be lost, or was not renewed in time. MUST ask nobody and
        return at once: looked at with each batch of work.
        """
        ...

    def check(self) -> None:
        """``RefusedError`` when it may be another's by now. MUST ask who keeps it: before each manifest
        is put, and before anything is removed.
        """
        ...


class Lease(Protocol):
    """One run for one lineage at a time."""

    def hold(self, name: str) -> AbstractContextManager[Held]:
        """Hold *name* while the context lasts.

        MUST raise ``BusyError`` when somebody else holds it. A lease that may be lost while it is held
        (its holder was suspended, or cut off) MUST say so in ``Held`` from then on, and leaving the
        context MUST NOT take it from its new holder.
        """
        ...
