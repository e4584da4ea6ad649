"""drd's snapshots of one image: made, listed, removed. Foreign ones are only ever looked at.

They are never protected: a protected snapshot keeps its image from being deleted.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

from drd.ceph.bounded import bounded
from drd.ceph.cluster import Cluster
from drd.ceph.errors import as_drd, code_of, foreign
from drd.errors import RefusedError, SourceError
from drd.model import Snapshot
from drd.sources.labels import is_ours, parse_snapshot, snapshot_name
from drd.sources.rbd_images import Place

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """One snapshot of an image, ours or not. ``rollback`` when an image could be rolled back to it."""

    number: int
    name: str
    size: int
    user: bool
    rollback: bool

    @property
    def ours(self) -> bool:
        """Made by drd: a user snapshot whose name says so."""
        return self.user and is_ours(self.name)

    @property
    def foreign_rollback(self) -> bool:
        """Made by somebody else, and fit to roll the image back to."""
        return self.rollback and not self.ours


def listed(cluster: Cluster, image: Any, *, about: str) -> list[Listed]:
    """All snapshots of an open image, oldest first, those of groups, mirrors and trash included."""
    rbd = cluster.ceph.rbd
    user, group = rbd.RBD_SNAP_NAMESPACE_TYPE_USER, rbd.RBD_SNAP_NAMESPACE_TYPE_GROUP
    with cluster.calls(about=about):
        found = [
            Listed(
                number=int(one["id"]),
                name=str(one["name"]),
                size=int(one["size"]),
                user=one["namespace"] == user,
                rollback=one["namespace"] in (user, group),
            )
            for one in image.list_snaps()
        ]
    return sorted(found, key=lambda one: one.number)


def as_snapshot(cluster: Cluster, image: Any, one: Listed, *, about: str) -> Snapshot:
    """The noun for a listed snapshot; its time is the cluster's (UTC, whole seconds)."""
    with cluster.calls(about=about):
        taken: datetime = image.get_snap_timestamp(one.number)
    return Snapshot(str(one.number), one.name, taken.replace(tzinfo=UTC), one.size)


def same(snapshots: Sequence[Listed], wanted: Snapshot | None) -> Listed | None:
    """The snapshot of that id *and* name; None when it is gone, or its id is another's."""
    if wanted is None:
        return None
    for one in snapshots:
        if str(one.number) == wanted.id and one.name == wanted.name and one.user:
            return one
    return None


def older_mark(snapshots: Sequence[Listed], before: int | None = None) -> str:
    """8 hex digits for the foreign snapshots older than *before* that one could roll back to.

    ``""`` when there are none. Part of the name of a snapshot, so that a later run knows which
    were there; see ``rbd_trust`` for what follows.
    """
    numbers = [
        one.number
        for one in snapshots
        if one.foreign_rollback and (before is None or one.number < before)
    ]
    if not numbers:
        return ""
    return sha256(",".join(map(str, numbers)).encode()).hexdigest()[:8]


class Snapshots:
    """Makes and removes drd's snapshots of the image at *place*, each with a handle of its own."""

    def __init__(self, cluster: Cluster, pool: str, place: Place, *, about: str) -> None:
        self._cluster = cluster
        self._pool = pool
        self._place = place
        self._about = about

    def present(self) -> list[Listed]:
        """What is there now."""
        place, about = self._place, self._about
        with (
            self._cluster.pool(self._pool, place.namespace) as ioctx,
            self._cluster.image(ioctx, place.image_id, about=about) as image,
        ):
            return listed(self._cluster, image, about=about)

    def create(self, lineage: bytes, run: bytes, known: Sequence[Listed]) -> Listed:
        """Make the snapshot of *run*; *known* is what was listed just before.

        Without an answer in time it may have been made, or may be made later: so the list is asked
        what happened, and the name carries the run.

        Raises:
            SourceError: it was not made, or cannot be told.
        """
        name = snapshot_name(lineage, run, older_mark(known))

        def make(image: Any) -> Listed:
            image.create_snap(name)
            after = listed(self._cluster, image, about=self._about)
            made = self._named(after, name)
            right = snapshot_name(lineage, run, older_mark(after, made.number))
            if right != name:  # somebody made or removed an older one meanwhile
                image.rename_snap(name, right)
            return replace(made, name=right)

        try:
            return self._change(make)
        except TimeoutError:
            return self._named(self.present(), name)
        except foreign(self._cluster.ceph) as error:
            if code_of(error) not in (errno.ETIMEDOUT, errno.EEXIST):
                raise as_drd(error, about=self._about) from error
            return self._named(self.present(), name)

    def _named(self, snapshots: Sequence[Listed], name: str) -> Listed:
        """The snapshot of ours that is called *name*."""
        for one in snapshots:
            if one.name == name and one.user:
                return one
        raise SourceError(
            "Ceph did not make the snapshot in time",
            about=f"{self._about}@{name}",
            hint="look at who holds the image's lock (`rbd lock ls`, `rbd status`); "
            "should it appear later, the next run removes it",
        )

    def remove(self, one: Listed) -> bool:
        """Remove one of ours; False when it is busy or Ceph is slow: it stays for the next run.

        Raises:
            RefusedError: it is not ours.
            SourceError: Ceph refuses for another reason.
        """
        if not one.ours:
            raise RefusedError("this snapshot is not drd's to remove", about=one.name)
        try:
            self._change(lambda image: image.remove_snap(one.name))
        except TimeoutError:
            return False
        except foreign(self._cluster.ceph) as error:
            if code_of(error) == errno.ENOENT:
                return True
            if code_of(error) in (errno.EBUSY, errno.ETIMEDOUT):
                return False
            raise as_drd(error, about=f"{self._about}@{one.name}") from error
        return True

    def _change(self, change: Callable[[Any], T]) -> T:
        """Open the image for writing, change it, close it; all in a thread that may be left behind.

        Raises what the bindings raise, and ``TimeoutError``.
        """
        handle, ceph, place = self._cluster.handle(), self._cluster.ceph, self._place

        def run() -> T:
            with handle.open_ioctx(self._pool) as ioctx:
                ioctx.set_namespace(place.namespace)
                with ceph.rbd.Image(ioctx, image_id=place.image_id) as image:
                    return change(image)

        return bounded(run, self._cluster.access.snapshot_timeout_s)


def lineage_of(one: Listed) -> bytes | None:
    """The lineage that a snapshot of ours was made for; None when its name cannot be read."""
    name = parse_snapshot(one.name)
    return name.lineage if name else None
