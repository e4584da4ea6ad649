"""The socket of what holds reads of a source back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Gate(Protocol):
    """Which reads of a source may begin, and when. A source asks it before each one.

    One thread enters; answers may come in any.
    """

    def reads(self, most: int) -> int:
        """How many reads may be in flight now: 1 to *most*."""
        ...

    def is_open(self, length: int) -> bool:
        """Whether a read of *length* bytes could begin at once. A source MUST hand on what it has read
        before it enters a gate that is not open: nobody knows how long that takes.
        """
        ...

    def enter(self, length: int) -> None:
        """Wait until a read of *length* bytes may begin. ``StoppedError`` when the run is to end."""
        ...

    def began(self, length: int) -> Callable[[object], None]:
        """A read of *length* bytes is under way; what is returned MUST be called, with anything, when it
        has its answer.
        """
        ...
