"""Source: images of a Ceph pool, read at a snapshot through librbd.

A run: find the image by its id → refuse what must not be touched → snapshot → open the snapshot and,
if it is still there, the base, each by a handle of its own → list changes (``rbd_diff``) → read
(``rbd_reading``). What lives here is the order of these steps, and what happens when one fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from drd.ceph.cluster import Cluster
from drd.errors import DrdError, NotFoundError, SourceError
from drd.model import Found, HeldSnapshot, Snapshot
from drd.ports import FreezeOrder
from drd.sources import rbd_facts
from drd.sources.labels import snapshot_name
from drd.sources.rbd_diff import Diff, Layout
from drd.sources.rbd_frozen import OpenSnapshot, RbdFrozen
from drd.sources.rbd_images import Listing, Place, find, must_be_whole, parse_identity, remove_left
from drd.sources.rbd_policies import policies
from drd.sources.rbd_settings import RbdSettings
from drd.sources.rbd_snapshots import Listed, Snapshots, as_snapshot, lineage_of, listed, same
from drd.sources.rbd_trust import judge

__all__ = ["RbdSettings", "RbdSource"]


class RbdSource:
    """Images of one pool. ``close`` ends the connection; it is made when first needed."""

    def __init__(self, name: str, settings: RbdSettings, cluster: Cluster | None = None) -> None:
        self._name = name
        self._settings = settings
        self._cluster = cluster or Cluster(settings.access)
        self._listing: Listing | None = None

    @property
    def name(self) -> str:
        """Section of the configuration."""
        return self._name

    def close(self) -> None:
        """Leave the cluster."""
        self._cluster.close()

    def discover(self) -> Sequence[Found]:
        """Everything that the patterns match now, sorted by label.

        Raises:
            NotFoundError: no such pool or namespace.
            SourceError: the cluster cannot be reached or refuses.
        """
        settings = self._settings
        self._listing = find(
            self._cluster,
            self._name,
            settings.pool,
            spaces=settings.namespaces,
            patterns=settings.images,
        )
        return self._listing.found

    def overlooked(self) -> Sequence[DrdError]:
        """Patterns that matched no image."""
        unmatched = self._listing.unmatched if self._listing else ()
        pool = self._settings.pool
        return [
            NotFoundError(
                "no image matches this pattern",
                about=f"{self._name}: {one}",
                hint=f"list the images with `rbd ls {pool}`, and correct the source",
            )
            for one in unmatched
        ]

    def policies(self, found: Sequence[Found]) -> Mapping[str, str]:
        """The policy that each image names in its metadata, by identity."""
        return policies(self._cluster, self._settings.pool, found)

    @contextmanager
    def freeze(self, found: Found, order: FreezeOrder) -> Iterator[RbdFrozen]:
        """Snapshot *found* and open it; the snapshot stays when the context is left.

        Raises:
            NotFoundError: no such image any more.
            SourceError: the image cannot be snapshotted or read; nothing of drd's is left behind,
                or the hint names it.
        """
        place, about = self._place(found), found.label
        snapshots = Snapshots(self._cluster, self._settings.pool, place, about=about)
        with ExitStack() as stack:
            ioctx = self._entered(stack, place, about)
            with self._cluster.image(ioctx, place.image_id, about=about) as image:
                must_be_whole(self._cluster, ioctx, image, about=about)
                known = listed(self._cluster, image, about=about)
            resumed, base = same(known, order.resume), same(known, order.base)
            if order.resume is not None and resumed is None:
                base = None  # the map holds neither base nor resume: everything is compared
            try:
                chosen = resumed or snapshots.create(order.lineage, order.run, known)
                if base is not None and base.number >= chosen.number:
                    base = None  # a diff from a snapshot to itself, or backwards, would be empty
                frozen = self._opened(stack, place, chosen, base, about=about)
            except DrdError as error:
                if resumed is None:
                    self._undo(snapshots, order, error)
                raise
            yield frozen

    @contextmanager
    def reopen(self, found: Found, snapshot: Snapshot) -> Iterator[RbdFrozen]:
        """Open a snapshot that exists.

        Raises:
            NotFoundError: the image or the snapshot is gone.
        """
        place, about = self._place(found), found.label
        with ExitStack() as stack:
            ioctx = self._entered(stack, place, about)
            with self._cluster.image(ioctx, place.image_id, about=about) as image:
                known = listed(self._cluster, image, about=about)
            chosen = same(known, snapshot)
            if chosen is None:
                raise NotFoundError(
                    "the source has this snapshot no more",
                    about=f"{about}@{snapshot.name}",
                    hint="only the snapshot of the newest point is kept on the source",
                )
            yield self._opened(stack, place, chosen, None, about=about)

    def settle(self, found: Found, lineage: bytes, *, keep: Sequence[str]) -> Sequence[str]:
        """Remove this lineage's snapshots whose ids are not in *keep*; names of what is busy."""
        try:
            place = self._place(found)
            snapshots = Snapshots(self._cluster, self._settings.pool, place, about=found.label)
            present = snapshots.present()
        except NotFoundError:
            return []  # the image is gone, and its snapshots with it
        ours = [one for one in present if one.ours and lineage_of(one) == lineage]
        going = [one for one in ours if str(one.number) not in keep]
        return [one.name for one in going if not snapshots.remove(one)]

    def snapshots(self, found: Found | None = None) -> Sequence[HeldSnapshot]:
        """All of drd's snapshots on what the patterns match, or on *found* alone.

        Their state is for who knows points.
        """
        held = []
        for one in self.discover() if found is None else [found]:
            place, about = self._place(one), one.label
            with (
                self._cluster.pool(self._settings.pool, place.namespace) as ioctx,
                self._cluster.image(ioctx, place.image_id, about=about) as image,
            ):
                for taken in listed(self._cluster, image, about=about):
                    if taken.ours:
                        snapshot = as_snapshot(self._cluster, image, taken, about=about)
                        held.append(HeldSnapshot(about, snapshot, lineage_of(taken), "unknown"))
        return held

    def doubts(self) -> Sequence[str]:
        """What makes the change lists of images slow or unsure, a sentence each: flags of object maps
        that are marked invalid, defects of this librbd, images without fast-diff. And what restores
        left unfinished.
        """
        ceph, told = self._cluster.ceph, []
        for found in self.discover():
            place, about = self._place(found), found.label
            with (
                self._cluster.pool(self._settings.pool, place.namespace) as ioctx,
                self._cluster.image(ioctx, place.image_id, about=about) as image,
            ):
                known = listed(self._cluster, image, about=about)
                with self._cluster.calls(about=about):
                    why = list(judge(ceph, [image], known, None).warnings)
                    if not image.features() & ceph.rbd.RBD_FEATURE_FAST_DIFF:
                        why.append(
                            "the image has no fast-diff, so changes are listed object by object: "
                            "`rbd feature enable IMAGE object-map fast-diff`"
                        )
            told += [f"{about}: {one}" for one in why]
        left = self._listing.unfinished if self._listing else ()
        told += [f"{one}: a restore did not finish it; {remove_left(one)}" for one in left]
        return told

    def release(self, label: str) -> Sequence[str]:
        """Remove all of drd's snapshots of one image, whether the patterns still match it or not.

        Raises:
            NotFoundError: no image of that label.
            SourceError: some are busy; the others are gone.
        """
        everything = find(
            self._cluster, self._name, self._settings.pool, spaces=("*",), patterns=("*",)
        )
        found = next((one for one in everything.found if one.label == label), None)
        if found is None:
            raise NotFoundError("no such image", about=label, hint="list them with `rbd ls`")
        snapshots = Snapshots(self._cluster, self._settings.pool, self._place(found), about=label)
        ours = [one for one in snapshots.present() if one.ours]
        busy = [one.name for one in ours if not snapshots.remove(one)]
        if busy:
            raise SourceError(
                f"busy, and left in place: {', '.join(busy)}",
                about=label,
                hint="unprotect them, or flatten their clones (`rbd children`), and try again",
            )
        return [one.name for one in ours]

    def _place(self, found: Found) -> Place:
        """Where *found* lives, proven to be in this cluster and pool."""
        place = parse_identity(found.identity)
        if place.fsid != self._cluster.fsid():
            raise NotFoundError(
                "the image belongs to another cluster",
                about=found.label,
                hint=f"its cluster is {place.fsid}: see ceph_conf of source {self._name}",
            )
        if place.pool_id != self._cluster.pool_id(self._settings.pool):
            raise NotFoundError(
                "the image belongs to another pool (or the pool was made anew)", about=found.label
            )
        return place

    def _entered(self, stack: ExitStack, place: Place, about: str) -> Any:
        """The ioctx of the image's pool and namespace."""
        try:
            return stack.enter_context(self._cluster.pool(self._settings.pool, place.namespace))
        except NotFoundError as error:
            raise NotFoundError(error.message, about=about, hint=error.hint) from error

    def _opened(
        self, stack: ExitStack, place: Place, chosen: Listed, base: Listed | None, *, about: str
    ) -> RbdFrozen:
        """Handles at the snapshots, what to trust, and the facts."""
        cluster = self._cluster
        ioctx = self._entered(stack, place, about)

        present = Snapshots(cluster, self._settings.pool, place, about=about).present

        def at(one: Listed) -> OpenSnapshot:
            image = stack.enter_context(cluster.image(ioctx, place.image_id, about=about))
            with cluster.calls(about=f"{about}@{one.name}", missing="the snapshot is gone"):
                image.set_snap_by_id(one.number)
            snapshot = as_snapshot(cluster, image, one, about=about)
            return OpenSnapshot(snapshot, image, about, present)

        opened, based = at(chosen), at(base) if base is not None else None
        new, old = opened.image, based.image if based else None
        known = listed(cluster, new, about=about)
        head = stack.enter_context(cluster.image(ioctx, place.image_id, about=about))
        with cluster.calls(about=about):
            images = [new, head] if old is None else [new, old, head]
            trust = judge(cluster.ceph, images, known, base)
            facts = rbd_facts.collect(cluster, new, size=chosen.size, trust=trust)
            period = int(new.stat()["obj_size"]) * int(new.stripe_count())
        since = base.name if base else None
        return RbdFrozen(
            cluster,
            self._settings,
            new=opened,
            base=based,
            diff=Diff(new, old, since=since, layout=Layout(period, chosen.size), trust=trust),
            facts=facts,
        )

    def _undo(self, snapshots: Snapshots, order: FreezeOrder, error: DrdError) -> None:
        """Remove the snapshot of a run that could not begin; what stays is named in the hint."""
        name = snapshot_name(order.lineage, order.run)
        try:
            made = [one for one in snapshots.present() if one.ours and one.name.startswith(name)]
            left = [one.name for one in made if not snapshots.remove(one)]
        except DrdError:
            left = [name]
        if left:
            error.hint = f"{error.hint}; the snapshot {left[0]} may have stayed behind".lstrip("; ")
