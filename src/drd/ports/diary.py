"""The socket of what this host alone knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from drd.model import Deed, Image, Pause, RunRecord


class Diary(Protocol):
    """What this host alone knows, and a lost disk loses: images, runs, pauses. No bucket has it.

    One process writes it (the daemon); any may read. Every method MUST raise ``ConfigError`` when the
    file cannot be used.
    """

    def images(self) -> Sequence[Image]:
        """Every image ever seen and not dropped, by label; those that are gone have ``gone_at``."""
        ...

    def note_images(self, images: Iterable[Image]) -> None:
        """Add images, or replace those of the same identity. ``first_seen`` of a known one MUST stay."""
        ...

    def drop_images(self, identities: Iterable[str]) -> None:
        """Forget images."""
        ...

    def begin_run(self, run: RunRecord) -> None:
        """Note that a run begins (``outcome`` is None)."""
        ...

    def end_run(self, run: RunRecord, pause: Pause | None) -> None:
        """Note how a run ended, and the pause of its subject (None: there is none), in one transaction."""
        ...

    def runs(self, *, subject: str = "", kind: str = "", limit: int = 100) -> Sequence[RunRecord]:
        """The newest runs first, of all subjects or kinds where none is named. Old ones are dropped."""
        ...

    def note_deed(self, deed: Deed) -> None:
        """Note what a run did in one lineage. The newest of a lineage and kind MUST stay until it is
        one of the oldest of all.
        """
        ...

    def deeds(self, *, lineage: str = "", run: str = "", limit: int = 100) -> Sequence[Deed]:
        """The newest first: of a lineage (hex), else of a run."""
        ...

    def last_runs(self, kind: str) -> Mapping[str, RunRecord]:
        """Of each subject the run of *kind* that ended last. It MUST stay, however old it gets."""
        ...

    def running(self) -> Sequence[RunRecord]:
        """Runs that have no end yet; to a daemon that just started, those that died with the last one."""
        ...

    def pauses(self) -> Mapping[str, Pause]:
        """Pauses by subject."""
        ...

    def end_pause(self, subject: str) -> None:
        """Somebody wants it tried now."""
        ...

    def note_tick(self, at: datetime) -> None:
        """The daemon looked at what is due: by this ``drctl status`` knows that it lives."""
        ...

    def last_tick(self) -> datetime | None:
        """When the daemon looked last; None when it never did."""
        ...
