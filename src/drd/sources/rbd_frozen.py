"""One snapshot of one image, open for reading, with the base that it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from drd.ceph.cluster import Cluster
from drd.errors import SourceError
from drd.model import Buffer, Changed, Json, Snapshot
from drd.ports import ReadAt
from drd.sources.rbd_diff import Diff
from drd.sources.rbd_reading import Reader
from drd.sources.rbd_settings import RbdSettings
from drd.sources.rbd_snapshots import Listed
from drd.sources.windowed import Window, in_order

Present = Callable[[], Sequence[Listed]]
"""The snapshots that the image has now, asked anew: an open handle goes on with what it knew."""


@dataclass(frozen=True, slots=True)
class OpenSnapshot:
    """A snapshot, the handle that is open at it, what the image is called, and what it has now."""

    snapshot: Snapshot
    image: Any
    about: str
    present: Present


class RbdFrozen:
    """Lists and reads; whoever opened the handles closes them."""

    def __init__(
        self,
        cluster: Cluster,
        settings: RbdSettings,
        *,
        new: OpenSnapshot,
        base: OpenSnapshot | None,
        diff: Diff,
        facts: Mapping[str, Json],
    ) -> None:
        self._cluster = cluster
        self._new = new
        self._base = base
        self._diff = diff
        self._facts = facts
        self._window = Window(reads=settings.in_flight, wait_s=cluster.access.wait_s)
        self._gate = settings.gate
        self._reader = self._reading(new)
        self._base_reader = self._reading(base) if base else None

    def _reading(self, one: OpenSnapshot) -> Reader:
        return Reader(self._cluster.ceph, one.image, size=one.snapshot.size, about=one.about)

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that is read."""
        return self._new.snapshot

    @property
    def base(self) -> Snapshot | None:
        """The snapshot that it is compared with."""
        return self._base.snapshot if self._base else None

    @property
    def facts(self) -> Mapping[str, Json]:
        """See ``rbd_facts``."""
        return self._facts

    def changed(self, offset: int, length: int) -> Sequence[Changed]:
        """Ranges that may differ from the base; without one, those that hold data."""
        with self._cluster.calls(about=self._new.about, missing="a snapshot is gone"):
            return self._diff.changed(offset, length)

    def read(self, wanted: Iterable[ReadAt]) -> Iterator[tuple[ReadAt, Buffer]]:
        """Read in the order asked, many in flight; at the end, prove that it was the snapshot.

        Raises:
            SourceError: a read failed, or a snapshot was removed meanwhile.
        """
        about = self._new.about
        yield from in_order(wanted, self._start, self._window, about=about, gate=self._gate)
        self._must_be_there()

    def _must_be_there(self) -> None:
        """From a snapshot that somebody removed librbd reads zeros and lists no changes, and says
        nothing of it. So what was read counts only when the snapshots are there afterwards.
        """
        there = {str(one.number) for one in self._new.present()}
        for one in (self._new, self._base):
            if one is not None and one.snapshot.id not in there:
                raise SourceError(
                    "the snapshot was removed while it was being read",
                    about=f"{one.about}@{one.snapshot.name}",
                    hint="no point was made of it; see who removes snapshots called drd.*, and run "
                    "the backup again",
                )

    def _start(self, offset: int, length: int, base: bool) -> Future[Buffer]:  # noqa: FBT001
        reader = self._base_reader if base else self._reader
        if reader is None:
            raise SourceError("a read of a base that is not there", about=self._new.about)
        return reader.start(offset, length)
