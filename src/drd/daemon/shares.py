"""Limits of policies, sources and the node, divided among the runs under way.

Workers are processes and know nothing of each other: each is told its share when it begins, and again
whenever that changes because another begins or ends, or the configuration is another. The others hear of
it before a new one begins, so that together they are not above a limit for longer than a line takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drd.config import Config, as_limit
from drd.core.pacing import Limit, Reading, shares
from drd.daemon.nursery import Workers
from drd.daemon.running import BACKUP, Running
from drd.model import Json, RunRecord

READERS: Final = frozenset({BACKUP})
"""Kinds of runs that read their source. What others read of it (lists of images) is little."""


class Shares:
    """What each run was told last."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._told: dict[str, Limit] = {}

    def spread(self, config: Config, running: Mapping[str, Running]) -> None:
        """Divide anew, and tell those whose share is another now. A new run is told with its job."""
        divided = shares(
            {
                run: _reading(config, one.record)
                for run, one in running.items()
                if one.record.kind in READERS
            },
            {name: as_limit(section.limits) for name, section in config.source.items()},
            as_limit(config.daemon.limits),
        )
        for run, share in divided.items():
            if self._told.get(run, share) != share:
                self._workers.tell(run, {"order": "limits", **share.said()})
        self._told = divided

    def of(self, run: str) -> dict[str, Json]:
        """What the job of *run* says of its limits; nothing, where it reads no source."""
        share = self._told.get(run)
        return {} if share is None else {"limits": share.said()}


def _reading(config: Config, record: RunRecord) -> Reading:
    policy = config.policy.get(record.policy)
    return Reading(record.source, as_limit(policy.limits if policy else None))
