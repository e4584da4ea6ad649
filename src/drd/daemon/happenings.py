"""What happens to the daemon: the only things that its loop reacts to, in the order they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from drd.model import Json


@dataclass(frozen=True, slots=True)
class Tick:
    """The clock says: look what is due."""


@dataclass(frozen=True, slots=True)
class Line:
    """A worker said something."""

    run: str
    said: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker's process ended: *status* as ``os.waitstatus_to_exitcode`` gives it (negative: signal)."""

    run: str
    status: int


@dataclass(frozen=True, slots=True)
class NurseryGone:
    """The process that makes workers ended, and all workers with it."""

    status: int


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal came in, by its name: ``SIGTERM``, ``SIGHUP``, ``SIGUSR1``."""

    name: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody asks on the control socket; *answer* may be called once, from any thread."""

    question: Mapping[str, Json]
    answer: Callable[[Mapping[str, Json]], None]


Happening: TypeAlias = Tick | Line | Ended | NurseryGone | Signalled | Asked
