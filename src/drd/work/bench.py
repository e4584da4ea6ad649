"""What a verb works with, and what the configuration decides about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from drd.core import merge
from drd.core.seal import sha256
from drd.errors import BusyError
from drd.model import Json
from drd.ports import Catalogue, Held, Lease, Now, Random, Report
from drd.work.repository import Repository

PARTIAL_PACKS: Final = 16
"""Packs after which a long run commits a partial point (issue: at most 16 are put again)."""


def lease_name(identity: str) -> str:
    """What a run for the image of that identity holds, whatever it does.

    By the identity, because a new image has no lineage yet: two nodes that see it at the same time would
    begin one each.
    """
    return sha256(identity.encode()).hex()


@contextmanager
def leased(lease: Lease, identity: str, name: str) -> Iterator[Held]:
    """Hold the lease of the image of that identity, which people call *name*.

    Raises:
        BusyError: somebody else works on it; it is told by its name.
    """
    with ExitStack() as stack:
        try:
            held = stack.enter_context(lease.hold(lease_name(identity)))
        except BusyError as error:
            error.about = name
            raise
        yield held


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the configuration decides: zstd level, sizes in bytes, counts.

    ``refill``: whether sparse packs are refilled. ``fanout`` is how many runs of a level are merged into
    one; only tests have a reason to change it.
    """

    zstd_level: int = 1
    frame_size: int = 256 * 1024
    pack_size: int = 32 * 1024 * 1024
    workers: int = 2
    in_flight: int = 4
    sample_cells: int = 64
    partial_packs: int = PARTIAL_PACKS
    fanout: int = merge.FANOUT
    refill: bool = True


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything a backup works with. ``cpu`` and ``transfers`` are the two pools of threads;
    ``timer`` gives seconds, ``uploads`` the objects and bytes put so far. ``stopping`` says whether
    somebody wants the run to end soon.
    """

    repository: Repository
    catalogue: Catalogue
    lease: Lease
    cpu: Executor
    transfers: Executor
    now: Now
    random: Random
    report: Report
    timer: Callable[[], float]
    uploads: Callable[[], tuple[int, int]]
    knobs: Knobs = field(default_factory=Knobs)
    stopping: Callable[[], bool] = bool
    heals_clock: bool = False
    """Whether a point of the future may be followed when host and store agree that it is one: who runs
    unattended must be well again by itself when a wrong clock was set right."""
    tools: dict[str, Json] = field(default_factory=dict)
    promise: timedelta | None = None
    """How long after a point the next is promised (the policy's RPO): each manifest says it in clear, so
    that a checker without keys can tell that one is missing (``docs/second-site.md``).
    """
