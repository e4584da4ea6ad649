"""Progress bars with rate and time left, on a terminal only."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from drd.model import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars


def reporter(*, quiet: bool) -> Bars | None:
    """Where progress goes: a bar on stderr when it is a terminal; None when nobody is looking."""
    if quiet or not sys.stderr.isatty():
        return None
    return Bars()


class Bars:
    """A bar per stage, drawn by rich when the first step comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, int] = {}
        self._bars: RichBars | None = None
        self._closed = False

    def __call__(self, progress: Progress) -> None:
        """Move the bar of a stage; a finished one stays until the next begins."""
        from rich.progress import TaskID  # noqa: PLC0415 - rich takes its time

        with self._lock:
            if self._closed:
                return
            if self._bars is None:
                self._bars = _make()
            bars = self._bars
            if progress.stage not in self._tasks:
                bars.start()
                total = progress.total or None  # None: rich draws that something moves
                self._tasks[progress.stage] = bars.add_task(progress.stage, total=total)
            task = TaskID(self._tasks[progress.stage])
            bars.update(task, completed=progress.done, total=progress.total or None)
            if progress.total and progress.done >= progress.total:
                bars.stop()
                self._tasks.clear()
                self._bars = None

    def close(self) -> None:
        """Give the terminal back, its cursor included, however far the stages came."""
        with self._lock:
            self._closed = True
            if self._bars is not None:
                self._bars.stop()
                self._bars = None


def _make() -> RichBars:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as RichBars  # noqa: PLC0415

    return RichBars(
        TextColumn("{task.description:8}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
