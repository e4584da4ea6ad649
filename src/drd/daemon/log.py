"""The log: one line per event worth reading, as JSON for journald and Loki, or for people.

:data:`EVENTS` lists every one with its level, what it means and what to do; ``docs/events.md`` shows the
same list, and a test holds them together. No secret ever enters a line: only the fields below do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TextIO, cast

import structlog

from drd.daemon.spool import LOST, Spool
from drd.model import Json

NAMES: Final = frozenset({"image", "renamed_from", "source"})
"""Fields that name what belongs to a tenant; left out where the log must not."""
WORDS: Final = frozenset({"message", "hint"})
"""Fields of sentences; of what a worker said they may name such things, too."""
OWN_WORDS: Final = frozenset({"run_stalled", "run_crashed"})
"""Ends of runs of which the daemon tells in its own words, without names."""


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of line: *level* as logging has them, *means* for people, *do* what follows from it."""

    level: str
    means: str
    do: str = "nothing"


EVENTS: Final[Mapping[str, Event]] = {
    "daemon_started": Event("info", "drd began to schedule"),
    "daemon_stopping": Event("info", "SIGTERM: no new runs; those under way get a bounded time"),
    "daemon_stopped": Event("info", "drd ended; nothing runs any more"),
    "config_reloaded": Event("info", "SIGHUP: the new configuration is in force"),
    "config_refused": Event(
        "error",
        "SIGHUP: the new configuration is wrong, or moves state_dir or repository.url; the old one "
        "stays in force",
        "correct what `message` names (drctl check-config), and reload again; or restart",
    ),
    "config_warning": Event(
        "warning", "the configuration is right, and probably not meant", "read it"
    ),
    "run_started": Event(
        "info",
        "a worker began: `kind`, and where there is one `image`, `source`, `policy`, `slot`",
    ),
    "run_done": Event("info", "a worker did what it was for; a backup has made point `seq`"),
    "run_elsewhere": Event("info", "another node has made the point of this slot"),
    "run_busy": Event("info", "another node, or somebody at a terminal, works on this image"),
    "run_stopped": Event(
        "info",
        "a run was asked to stop: `bytes_uploaded` is what it put, `seq` the partial point that it "
        "committed; without `seq` it committed none, and without either it was killed",
    ),
    "run_failed": Event(
        "error",
        "a run failed; it is tried again after `pause_s` seconds",
        "read `message` and `hint`; `drctl logs NAME` has the earlier ones",
    ),
    "run_stalled": Event(
        "error",
        "a run made no progress for its limit and was killed",
        "look at the cluster and the store; drctl doctor tries both",
    ),
    "run_crashed": Event(
        "error",
        "the process of a run died: `status` is its signal (negative) or exit code",
        "-11 and -6 are of librbd: see its log; one image alone is affected",
    ),
    "run_warning": Event(
        "warning", "a run did its work and saw something strange", "read `message`"
    ),
    "image_found": Event("info", "a source shows an image for the first time"),
    "image_gone": Event(
        "warning",
        "a source does not show an image any more; its points stay",
        "nothing, when it was deleted on purpose",
    ),
    "image_back": Event("info", "an image that was gone is there again"),
    "image_renamed": Event("info", "an image has another name; its history goes on"),
    "image_unprotected": Event(
        "warning",
        "no policy covers an image",
        "give its source a policy, or the image metadata drd.policy",
    ),
    "image_policy_unknown": Event(
        "error",
        "an image names a policy that the configuration does not have; it is unprotected",
        "correct the image metadata drd.policy, or add the policy",
    ),
    "source_unreachable": Event(
        "error", "a source could not be looked into; its images are not backed up", "read `message`"
    ),
    "source_back": Event("info", "a source that failed can be looked into again"),
    "clock_jumped": Event(
        "warning",
        "the clock moved by `seconds` against the time that passed",
        "see that NTP runs; runs are neither lost nor doubled by it",
    ),
    "nursery_died": Event(
        "error",
        "the process that starts workers died, and every run with it",
        "see the kernel's log",
    ),
    "catalogue_unusable": Event(
        "error",
        "the local catalogue cannot be used: nothing is scheduled until it can",
        "free its disk; a damaged file is begun anew by itself",
    ),
    "textfile_unwritable": Event(
        "error",
        "the metrics cannot be written to `[daemon] textfile`; the daemon goes on without",
        "let its user write there",
    ),
    "log_lost": Event(
        "warning",
        "so many `lines` of this log could not be written: nobody took them, or a disk was full",
        "look at what reads the log; drctl logs NAME has the runs",
    ),
    "asked": Event("info", "somebody asked on the control socket, or (`what` is `run`) by SIGUSR1"),
}


class Log:
    """Writes events; fields are those of the event, with ``run``, ``lineage``, ``seq`` where known.

    Args:
        out: where lines go.
        as_json: one JSON object a line; else for people.
        names: whether names of images may stand in it.
    """

    def __init__(self, out: TextIO | Spool, *, as_json: bool, names: bool = True) -> None:
        self._spool = out if isinstance(out, Spool) else None
        self._names = names
        renderer: Any = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if as_json
            else structlog.dev.ConsoleRenderer(colors=out.isatty())
        )
        self._log = structlog.wrap_logger(
            structlog.PrintLogger(cast("TextIO", out)),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                renderer,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=True,
        )

    def say(self, event: str, **fields: Json) -> None:
        """Write one line. *event* must be in :data:`EVENTS`; empty fields are left out.

        A line that cannot be written (a full disk, a reader that went away) is lost: no backup is.
        """
        hidden = frozenset() if self._names else _hidden(event)
        spool = self._spool
        if spool is not None and spool.has_room() and (lost := spool.take_lost()):
            self.say(LOST, lines=lost)
        kept = {
            name: value
            for name, value in fields.items()
            if value not in ("", None) and name not in hidden
        }
        with suppress(OSError):
            getattr(self._log, EVENTS[event].level)(event, **kept)


def _hidden(event: str) -> frozenset[str]:
    """Fields of *event* that name, or may name, what belongs to a tenant."""
    from_worker = event.startswith("run_") or event == "source_unreachable"
    return NAMES | WORDS if from_worker and event not in OWN_WORDS else NAMES
