"""The socket of leases."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Held(Protocol):
    """A lease that is held."""

    def check(self) -> None:
        """``RefusedError`` when it may be another's by now: asked before each manifest is put."""
        ...


class Lease(Protocol):
    """One run for one lineage at a time."""

    def hold(self, name: str) -> AbstractContextManager[Held]:
        """Hold *name* while the context lasts.

        MUST raise ``BusyError`` when somebody else holds it. A lease that may be lost while it is held
        (its holder was suspended, or cut off) MUST say so in ``Held.check`` from then on.
        """
        ...
