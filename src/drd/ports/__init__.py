"""The sockets: what the house needs from the world, each with its contract as MUST sentences.

``drd.testing`` has one conformance suite per socket that tests each sentence against every adapter.
Adapters raise only errors of :mod:`drd.errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from drd.errors import DrdError
from drd.model import (
    Buffer,
    Changed,
    Damage,
    Found,
    Head,
    HeldSnapshot,
    Hold,
    Json,
    ObjectVersion,
    PointInfo,
    Progress,
    Proven,
    Role,
    Snapshot,
    StoreAbilities,
)
from drd.ports.diary import Diary as Diary
from drd.ports.gate import Gate as Gate
from drd.ports.leases import Held as Held
from drd.ports.leases import Lease as Lease
from drd.ports.ledger import Ledger as Ledger

Now: TypeAlias = Callable[[], datetime]
"""The clock: aware UTC."""

Random: TypeAlias = Callable[[int], bytes]
"""Unpredictable bytes, as ``os.urandom``."""

Report: TypeAlias = Callable[[Progress], None]
"""Where progress goes; called from any thread, must return at once."""

Moved: TypeAlias = Callable[[], None]
"""Hears that bytes went to a store or came from it, or that it answered; called from any thread, and
often. So who waits for a slow store knows it from one that hangs."""


class Store(Protocol):
    """A flat space of immutable objects: a bucket, a prefix of one, or a directory.

    - Keys are relative, ``/``-separated, of ``[A-Za-z0-9._-]`` only, at most 512 characters, no
      empty, ``.`` or ``..`` component; anything else MUST raise ``RefusedError`` before any effect.
    - An object MUST be readable in full, or absent: a torn write is never visible.
    - After ``put`` returned, the object MUST survive power loss (as far as the store promises).
    - Every method MUST raise ``ObjectMissingError`` for what is proven absent, ``StoreError`` for
      refusals, and ``TransientStoreError`` for what may pass. Nothing retries here but the one
      wrapper ``stores.retrying``.
    - All methods MUST be callable from several threads at once.
    """

    @property
    def url(self) -> str:
        """The address as the operator wrote it; no secret in it."""
        ...

    def abilities(self) -> StoreAbilities:
        """Try what the store can do, once, with a probe object below ``probe/``.

        MUST find out by effect: a second conditional PUT of other bytes to one key must fail.
        """
        ...

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """Write *data* (with an upload checksum); return its version, ``""`` where there is none.

        With *if_absent*, MUST raise ``ObjectExistsError`` when the key exists and the store honours
        conditions; a store that does not may write a further version. Without it, an existing
        key gets a new version (versioned store) or MUST be replaced atomically.
        """
        ...

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """Read *length* bytes from *start* (all when None) of the newest version, or of *version*.

        A range that begins at or after the end MUST give ``b""``; one that crosses the end is cut.
        With *version* and no such version, ``ObjectMissingError``.
        """
        ...

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        """Size and the store's own modification time of one object."""
        ...

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        """Yield objects whose key begins with *prefix* and sorts after *after*, in key order.

        One entry per key, its newest version. MUST show a key that has any version, even below a
        delete marker (somebody who may only delete-mark cannot hide a point). MUST ask for no
        more than *limit* entries.
        """
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the distinct next path components below *prefix* (which ends with ``/``), sorted."""
        ...

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        """Every version of *key*, oldest first in the store's own order; empty when absent.

        An unversioned store gives at most one, whose ``version`` is ``""``.
        """
        ...

    def remains(self, key: str) -> Sequence[str]:
        """The ids of all that lies under *key*, every version and every delete marker, newest first.

        An unversioned store gives ``[""]``, or nothing when absent.
        """
        ...

    def delete(self, key: str, *, version: str = "") -> None:
        """Remove one version, or one delete marker, for good (or the object, unversioned). Absent is
        not an error.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReadAt:
    """One read: *length* bytes at *offset*, from the new snapshot or from the base."""

    offset: int
    length: int
    base: bool = False


class Frozen(Protocol):
    """One snapshot of one image, open for reading, with the base it is compared with (or none)."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that is read; its ``size`` is the size of the image in it."""
        ...

    @property
    def base(self) -> Snapshot | None:
        """The base, found by id and proven to be of the same image; None when it is not there."""
        ...

    @property
    def facts(self) -> Mapping[str, Json]:
        """What a restore needs to make an image like this one again, and the consistency reached."""
        ...

    def changed(self, offset: int, length: int) -> Sequence[Changed]:
        """Ranges within ``[offset, offset + length)`` that may differ from the base.

        Without a base: the ranges that hold data (parents included). MUST be sorted, merged,
        inside the asked range and the size; a range not named is claimed equal to the base (or zero).
        """
        ...

    def read(self, wanted: Iterable[ReadAt]) -> Iterator[tuple[ReadAt, Buffer]]:
        """Read in the order asked, many in flight. Beyond a snapshot's size bytes MUST be zero.

        The buffer has exactly the asked length. A failed read MUST raise, never hang or shorten.
        """
        ...


@dataclass(frozen=True, slots=True)
class FreezeOrder:
    """What a run asks of a source: snapshot names carry *lineage* and *run* (hex).

    *base* is the snapshot of the newest full point. *resume* is the snapshot of an unfinished
    run: when the source still has it (same id), it MUST be opened instead of making a new one;
    when it is gone, a new one is made and *base* MUST be ignored (``Frozen.base`` is None): the map
    then holds neither the one nor the other, and everything is compared by digest.
    """

    lineage: bytes
    run: bytes
    base: Snapshot | None = None
    resume: Snapshot | None = None


class Source(Protocol):
    """Something that holds images: it reads them and puts them back; it knows no store and no key.

    - ``freeze`` MUST leave no snapshot behind when it raises; what it could not remove it names.
    - Only snapshots whose names begin with ``drd.`` are ever removed.
    """

    @property
    def name(self) -> str:
        """Section of the configuration."""
        ...

    def discover(self) -> Sequence[Found]:
        """Everything that the configuration's patterns match now, sorted by label."""
        ...

    def overlooked(self) -> Sequence[DrdError]:
        """What the last ``discover`` did not find, without stopping for it: a ``SourceError`` for each
        place that could not be looked into, a ``NotFoundError`` for each pattern without a match.
        """
        ...

    def freeze(self, found: Found, order: FreezeOrder) -> AbstractContextManager[Frozen]:
        """Snapshot *found* and open it. Leaving the context closes it and keeps the snapshot."""
        ...

    def reopen(self, found: Found, snapshot: Snapshot) -> AbstractContextManager[Frozen]:
        """Open an existing snapshot (for level 4); ``NotFoundError`` when it is gone."""
        ...

    def settle(self, found: Found, lineage: bytes, *, keep: Sequence[str]) -> Sequence[str]:
        """Remove this lineage's snapshots whose ids are not in *keep*; return what stayed behind.

        A snapshot that is busy is reported and left for the next run, never an error.
        """
        ...

    def snapshots(self, found: Found | None = None) -> Sequence[HeldSnapshot]:
        """All of drd's snapshots on everything this source matches; with *found*, on that alone."""
        ...

    def release(self, label: str) -> Sequence[str]:
        """Remove all of drd's snapshots of one image; return their names."""
        ...


class Target(Protocol):
    """Where a restore writes. Nothing is visible under the final name before ``finish``."""

    @property
    def name(self) -> str:
        """As the operator wrote it, e.g. ``rbd:rbd/vm-1``."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What the operator should know and what stopped nothing."""
        ...

    def prepare(self, size: int, facts: Mapping[str, Json]) -> None:
        """Check and make the quarantine. ``RefusedError`` when the target exists (and no overwrite
        was asked), is too small, or is in use. MUST have no effect when it refuses.
        """
        ...

    def write(self, offset: int, data: Buffer) -> None:
        """Write *data*; may return before it is durable; a later call MUST raise a failed one."""
        ...

    def skip(self, offset: int, length: int) -> None:
        """The range is zero. A fresh target has nothing to do; an existing one is zeroed."""
        ...

    def finish(self) -> None:
        """Make all durable and give it its final name; what had the name is kept aside, and named in
        ``warnings`` (not of a device or pipe: there the bytes themselves are the target).
        """
        ...

    def abandon(self) -> str:
        """Stop without finishing; return the name under which what was written can be found
        (``""`` when nothing is there).
        """
        ...

    @property
    def ordered(self) -> bool:
        """True when writes must come in order of offset and holes as zeros (a pipe)."""
        ...


class Holder(Protocol):
    """One public half that secrets are wrapped for; anybody may have it."""

    @property
    def slot(self) -> str:
        """Name in slot keys: kind and 16 hex digits of the SHA-256 of the public key."""
        ...

    def wrap(self, context: bytes, secret: bytes) -> bytes:
        """Encrypt *secret* so that it opens only with the same *context*."""
        ...


class KeyRing(Protocol):
    """The keys that this process holds, and what its role lets it do with them.

    - A role that may not open generations MUST raise ``KeyAccessError``, whatever the ring holds.
    """

    @property
    def repository(self) -> bytes | None:
        """Repository id that these keys belong to; None when they do not say (a bare age key)."""
        ...

    @property
    def tenant(self) -> bytes | None:
        """Tenant that these keys act for."""
        ...

    @property
    def root_fingerprint(self) -> bytes | None:
        """SHA-256 of the trust root's public key: what the bucket cannot say of itself."""
        ...

    @property
    def role(self) -> Role:
        """The role this ring was opened for."""
        ...

    def holders(self) -> Sequence[Holder]:
        """Everybody for whom the secrets of a new generation are wrapped."""
        ...

    def metadata_slots(self) -> Sequence[str]:
        """Slot names that this ring can open for metadata keys, best first."""
        ...

    def generation_slots(self) -> Sequence[str]:
        """Slot names that this ring can open for generations; empty for backup and prune."""
        ...

    def unwrap(self, slot: str, context: bytes, wrapped: bytes, *, generation: bool) -> bytes:
        """Open one slot. ``KeyAccessError`` when it does not open, or the role forbids it."""
        ...

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        """Ed25519 public key (32 bytes) and signature (64 bytes), with the key of the role."""
        ...


class Catalogue(Protocol):
    """What is known here of the bucket: a cache, and never more than that.

    - Losing it MUST lose nothing: all of it can be learnt again from the bucket.
    - It MUST NOT hold key material.
    """

    @property
    def ledger(self) -> Ledger:
        """What deletion needs to know."""
        ...

    def keys(self, tenant: bytes) -> Mapping[str, bytes]:
        """Manifests known here: key to SHA-256."""
        ...

    def points(self, tenant: bytes) -> Sequence[PointInfo]:
        """All points known here, by lineage and sequence number."""
        ...

    def points_of(self, tenant: bytes, lineage: bytes) -> Sequence[PointInfo]:
        """The points of one lineage, by sequence number."""
        ...

    def tails(self, tenant: bytes) -> Sequence[PointInfo]:
        """Of each lineage the newest full point and what comes after it, by lineage and number; of one
        without a full point the newest at least.
        """
        ...

    def heads(self, tenant: bytes) -> Sequence[Head]:
        """Of each lineage with a full point the newest one; costs as much as there are lineages."""
        ...

    def lineages(self, tenant: bytes) -> frozenset[bytes]:
        """Lineages of which any point is known, a partial one also."""
        ...

    def lineage_of(self, tenant: bytes, identity: str) -> bytes | None:
        """Lineage of the newest point of the image with that identity; None when none is known."""
        ...

    def highest(self, tenant: bytes, lineage: bytes) -> int:
        """The highest sequence number known of a lineage; 0 when none is."""
        ...

    def learn(self, points: Iterable[PointInfo]) -> None:
        """Add points; one that is there already is replaced.

        ``committed_here`` MUST stay set while the manifest is the same one: what the bucket says of
        a point does not unsay that this host made it.
        """
        ...

    def damage_of(self, tenant: bytes, lineage: bytes) -> Damage | None:
        """What was noted of damage in a lineage and not taken back; None for nothing."""
        ...

    def note_damage(self, tenant: bytes, lineage: bytes, damage: Damage | None) -> None:
        """Note what a verify found in a lineage, in place of what was noted before; None takes it back.

        It MUST outlive what else is learnt and forgotten, but not ``clear``.
        """
        ...

    def damages(self, tenant: bytes) -> Mapping[bytes, Damage]:
        """What is noted of damage, by lineage."""
        ...

    def note_proven(self, tenant: bytes, results: Iterable[Proven], *, whole: bool = False) -> None:
        """Learn results; the newest of a lineage and level MUST stay. *whole*: the bucket has no more."""
        ...

    def proven(self, tenant: bytes) -> Sequence[Proven]:
        """The newest result of each lineage and level, by lineage and level."""
        ...

    def knows_proven(self, tenant: bytes) -> bool:
        """Whether results were ever *whole* since ``clear``; else ``proven`` lacks some, or all."""
        ...

    def note_holds(self, tenant: bytes, lineage: bytes, holds: Iterable[Hold]) -> None:
        """Learn all holds of a lineage, in place of what was known of it; none: nothing is held."""
        ...

    def holds(self, tenant: bytes) -> Sequence[Hold]:
        """Every hold known here, by lineage, number and time; several people may hold one point."""
        ...

    def forget(self, manifest_keys: Iterable[str]) -> None:
        """Drop points that the bucket does not have any more."""
        ...

    def clear(self) -> None:
        """Forget everything that is known of the bucket (a diary in the same file MUST stay)."""
        ...
