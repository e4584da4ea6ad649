"""A diary that goes with its process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from drd.model import Deed, Image, Pause, RunRecord


class MemoryDiary:
    """A :class:`drd.ports.Diary` in dictionaries; it keeps every run."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}
        self._runs: dict[str, RunRecord] = {}
        self._pauses: dict[str, Pause] = {}
        self._deeds: list[Deed] = []
        self._tick: datetime | None = None

    def images(self) -> Sequence[Image]:
        """See :class:`drd.ports.Diary`."""
        return sorted(self._images.values(), key=lambda image: (image.label, image.identity))

    def note_images(self, images: Iterable[Image]) -> None:
        """See :class:`drd.ports.Diary`."""
        for image in images:
            known = self._images.get(image.identity, image)
            self._images[image.identity] = replace(image, first_seen=known.first_seen)

    def drop_images(self, identities: Iterable[str]) -> None:
        """See :class:`drd.ports.Diary`."""
        for identity in identities:
            self._images.pop(identity, None)

    def begin_run(self, run: RunRecord) -> None:
        """See :class:`drd.ports.Diary`."""
        self._runs.pop(run.run, None)
        self._runs[run.run] = run

    def end_run(self, run: RunRecord, pause: Pause | None) -> None:
        """See :class:`drd.ports.Diary`."""
        self.begin_run(run)
        self._pauses.pop(run.subject, None)
        if pause is not None:
            self._pauses[pause.subject] = pause

    def runs(self, *, subject: str = "", kind: str = "", limit: int = 100) -> Sequence[RunRecord]:
        """See :class:`drd.ports.Diary`."""
        chosen = [
            run
            for run in reversed(self._runs.values())
            if subject in ("", run.subject) and kind in ("", run.kind)
        ]
        return chosen[:limit]

    def note_deed(self, deed: Deed) -> None:
        """See :class:`drd.ports.Diary`."""
        self._deeds.insert(0, deed)

    def deeds(self, *, lineage: str = "", run: str = "", limit: int = 100) -> Sequence[Deed]:
        """See :class:`drd.ports.Diary`."""
        return [
            one for one in self._deeds if lineage == one.record.subject or run == one.record.run
        ][:limit]

    def last_runs(self, kind: str) -> Mapping[str, RunRecord]:
        """See :class:`drd.ports.Diary`."""
        ended = [run for run in self._runs.values() if run.kind == kind and run.outcome]
        return {run.subject: run for run in ended}

    def running(self) -> Sequence[RunRecord]:
        """See :class:`drd.ports.Diary`."""
        return [run for run in self._runs.values() if run.outcome is None]

    def pauses(self) -> Mapping[str, Pause]:
        """See :class:`drd.ports.Diary`."""
        return dict(self._pauses)

    def end_pause(self, subject: str) -> None:
        """See :class:`drd.ports.Diary`."""
        self._pauses.pop(subject, None)

    def note_tick(self, at: datetime) -> None:
        """See :class:`drd.ports.Diary`."""
        self._tick = at

    def last_tick(self) -> datetime | None:
        """See :class:`drd.ports.Diary`."""
        return self._tick
