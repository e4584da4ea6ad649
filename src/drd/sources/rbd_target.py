"""Target: an RBD image, written under a quarantine name and renamed at the end.

Order of ``finish``: everything written is flushed and has no error → metadata → the old image, if
any, into the trash (from where it can be taken back under its own name) → rename. If the rename
fails, the old image comes back out of the trash; if that fails, too, its id there is told.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from drd.ceph.cluster import Cluster
from drd.ceph.errors import as_drd, foreign
from drd.errors import DrdError, NotFoundError, RefusedError, SourceError
from drd.model import Buffer, Json
from drd.ports import Random
from drd.sources.rbd_facts import feature_mask
from drd.sources.rbd_images import QUARANTINE_MARK
from drd.sources.rbd_reading import Writer

IN_FLIGHT: Final = 10
"""Writes under way: of up to 4 MiB each, held here and once more in librbd; 32 took 600 MB at most."""

LATE: Final = "journaling"
"""Switched on at the end: each write would go through the journal, and so to the disks twice."""

NOT_RESTORED: Final = frozenset({LATE, "data-pool", "operations", "migrating", "non-primary"})
"""Features that are not asked for when an image is made: late ones, one that follows from another
argument, and those that tell of a state that the new image is not in."""


@dataclass(frozen=True, slots=True)
class RbdAddress:
    """``rbd:POOL[/NAMESPACE]/IMAGE``."""

    pool: str
    namespace: str
    image: str

    def named(self, image: str) -> str:
        """The address of another image of the same pool and namespace."""
        return "rbd:" + "/".join(part for part in (self.pool, self.namespace, image) if part)

    @property
    def text(self) -> str:
        """As the operator wrote it."""
        return self.named(self.image)


class RbdTarget:
    """See the top of this file. The cluster is this target's own, and is left at the end; *random*
    makes the quarantine name.
    """

    ordered = False

    def __init__(
        self, address: RbdAddress, cluster: Cluster, *, overwrite: bool, random: Random
    ) -> None:
        self._address = address
        self._cluster = cluster
        self._overwrite = overwrite
        self._quarantine = f"{address.image}{QUARANTINE_MARK}{random(4).hex()}"
        self._open = ExitStack()
        self._ioctx: Any = None
        self._image: Any = None
        self._writer: Writer | None = None
        self._metadata: dict[str, str] = {}
        self._journaling = False
        self._made = False
        self.warnings: list[str] = []

    @property
    def name(self) -> str:
        """``rbd:POOL[/NAMESPACE]/IMAGE``."""
        return self._address.text

    def prepare(self, size: int, facts: Mapping[str, Json]) -> None:
        """Check everything, then make an image like the one that *facts* tell of.

        Raises:
            NotFoundError: no such pool or namespace.
            RefusedError: the image exists and may not be overwritten, or has watchers.
            SourceError: Ceph refuses or does not answer.
        """
        try:
            self._ioctx = self._open.enter_context(
                self._cluster.pool(self._address.pool, self._address.namespace)
            )
            self._check_existing()
            self._create(size, facts)
        except DrdError:
            self._unmake()
            self._leave()
            raise
        stored, names = facts.get("metadata"), facts.get("features")
        self._journaling = isinstance(names, list) and LATE in names
        if isinstance(stored, dict):
            self._metadata = {key: str(value) for key, value in stored.items()}

    def write(self, offset: int, data: Buffer) -> None:
        """Begin to write; a failure comes out at a later call."""
        self._writing().write(offset, data)

    def skip(self, offset: int, length: int) -> None:
        """Nothing to do: what was never written is zero."""

    def finish(self) -> None:
        """Flush, then give the image its name.

        Raises:
            RefusedError: the old image is in use, or somebody made one of that name meanwhile.
            SourceError: a write failed, or Ceph does not answer; or the old image is in the trash, and
                the new one without its name.
        """
        self._writing().drain()
        with self._cluster.calls(about=self.name):
            self._image.flush()
            for key, value in sorted(self._metadata.items()):
                self._image.metadata_set(key, value)
            if self._journaling:
                self._image.update_features(self._cluster.ceph.rbd.RBD_FEATURE_JOURNALING, True)  # noqa: FBT003
        self._close_image()
        self._check_existing()
        self._swap()
        self._made = False
        self._leave()

    def abandon(self) -> str:
        """Stop; the name of the quarantine image, ``""`` when there is none."""
        if not self._made:
            self._leave()
            return ""
        self._despite(self._writing().drain)
        self._despite(self._close_image)
        self._leave()
        return self._address.named(self._quarantine)

    def _despite(self, step: Callable[[], None]) -> None:
        """Take a step of giving up; its failure is told, and does not keep the others from being taken.

        The image must be closed here and now: left to the garbage collector, librbd's closing would
        wait for callbacks that wait for the interpreter's lock.
        """
        try:
            step()
        except DrdError as error:
            self.warnings.append(f"the unfinished image may lack its last writes: {error}")

    def _leave(self) -> None:
        """Close the pool, and the connection that is this target's own."""
        self._open.close()
        self._cluster.close()

    def _writing(self) -> Writer:
        if self._writer is None:
            raise RefusedError("the target was not prepared", about=self.name)
        return self._writer

    def _close_image(self) -> None:
        if self._image is not None:
            image, self._image = self._image, None
            with self._cluster.calls(about=self.name):
                image.close()

    def _check_existing(self) -> None:
        """Refuse an image of the final name, unless it may go and nobody uses it."""
        with self._existing() as image:
            if image is None:
                return
            if not self._overwrite:
                raise RefusedError(
                    "the target exists",
                    about=self.name,
                    hint="choose another name, or allow it to be replaced with --overwrite",
                )
            with self._cluster.calls(about=self.name):
                watchers = [str(one["addr"]) for one in image.watchers_list()]
                group = str(image.group()["name"]) if image.group() else ""
        if watchers or group:
            raise RefusedError(
                f"the target is open at {', '.join(watchers)}"
                if watchers
                else f"the target belongs to group {group}",
                about=self.name,
                hint="stop who uses it" if watchers else "take it out with `rbd group image rm`",
            )

    @contextmanager
    def _existing(self) -> Iterator[Any]:
        """The image of the final name, open; None when there is none."""
        ceph = self._cluster.ceph
        try:
            image = ceph.rbd.Image(self._ioctx, self._address.image, read_only=True)
        except ceph.rbd.ImageNotFound:
            image = None
        except foreign(ceph) as error:
            raise as_drd(error, about=self.name) from error
        if image is None:
            yield None
            return
        try:
            yield image
        finally:
            image.close()

    def _create(self, size: int, facts: Mapping[str, Json]) -> None:
        """Make the quarantine image and open it.

        The object map is on from the start and librbd keeps it; switched on at the end it would be
        marked invalid and have to be rebuilt, with one request per object.
        """
        options = self._options(facts)
        rbd = self._cluster.ceph.rbd
        with self._cluster.calls(about=self.name):
            rbd.RBD().create(self._ioctx, self._quarantine, size, old_format=False, **options)
            self._made = True
            self._image = rbd.Image(self._ioctx, self._quarantine)
        self._writer = Writer(
            self._cluster.ceph,
            self._image,
            about=self._address.named(self._quarantine),
            in_flight=IN_FLIGHT,
            wait_s=self._cluster.access.wait_s,
        )

    def _options(self, facts: Mapping[str, Json]) -> dict[str, Any]:
        """Arguments of ``RBD.create`` for the recorded layout; Ceph's defaults for other sources."""
        if facts.get("kind") != "rbd":
            return {}
        options: dict[str, Any] = {"order": _number(facts, "order")}
        period = 1 << _number(facts, "order")
        if (_number(facts, "stripe_unit"), _number(facts, "stripe_count")) != (period, 1):
            options["stripe_unit"] = _number(facts, "stripe_unit")
            options["stripe_count"] = _number(facts, "stripe_count")
        names = facts.get("features")
        wanted = [str(one) for one in names] if isinstance(names, list) else []
        options["features"] = feature_mask(
            self._cluster.ceph, [one for one in wanted if one not in NOT_RESTORED]
        )
        pool = facts.get("data_pool")
        if isinstance(pool, str) and self._has_pool(pool):
            options["data_pool"] = pool
        return options

    def _unmake(self) -> None:
        """Remove the empty image of a ``prepare`` that failed."""
        if not self._made:
            return
        self._made = False
        try:
            self._close_image()
            with self._cluster.calls(about=self.name):
                self._cluster.ceph.rbd.RBD().remove(self._ioctx, self._quarantine)
        except DrdError as error:
            left = self._address.named(self._quarantine)
            self.warnings.append(f"the empty image {left} stayed behind: {error}")

    def _has_pool(self, pool: str) -> bool:
        """Whether the recorded data pool exists; without it the image's own pool takes the data."""
        try:
            self._cluster.pool_id(pool)
        except NotFoundError:
            self.warnings.append(
                f"the data pool {pool} of the original is not there: "
                f"the data goes into {self._address.pool}"
            )
            return False
        return True

    def _swap(self) -> None:
        """The old image into the trash, the new one to its place."""
        rbd, final = self._cluster.ceph.rbd.RBD(), self._address.image
        old = self._old_id()
        with self._cluster.calls(about=self.name):
            if old:
                rbd.trash_move(self._ioctx, final)
            try:
                rbd.rename(self._ioctx, self._quarantine, final)
            except foreign(self._cluster.ceph) as error:
                if old:
                    self._take_back(rbd, old, error)
                raise
        if old:
            self.warnings.append(
                f"what was there is kept in the trash of {self._address.pool} as {old}: "
                "`rbd trash rm` when it is not needed"
            )

    def _take_back(self, rbd: Any, old: str, why: BaseException) -> None:
        """The old image out of the trash, because the new one did not get its name (*why*).

        Raises:
            SourceError: it stays there; the hint says how to take it back.
        """
        try:
            rbd.trash_restore(self._ioctx, old, self._address.image)
        except foreign(self._cluster.ceph) as error:
            place = self._address.named(old).removeprefix("rbd:")
            name = self._address.image
            raise SourceError(
                f"the new image did not get its name ({as_drd(why, about=name).message}), and the old "
                f"one did not come back out of the trash ({as_drd(error, about=name).message})",
                about=self.name,
                hint=f"the old image lies whole in the trash as {old}: take it back, once the name is "
                f"free, with `rbd trash restore {shlex.quote(place)} --image {shlex.quote(name)}`",
            ) from error

    def _old_id(self) -> str:
        """Id of the image that has the final name; ``""`` when there is none."""
        with self._existing() as image:
            return "" if image is None else str(image.id())


def _number(facts: Mapping[str, Json], key: str) -> int:
    """A whole number out of the facts; 0 when it is not there."""
    value = facts.get(key)
    return value if isinstance(value, int) else 0
