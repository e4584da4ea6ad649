"""The nouns, frozen. Sizes are bytes, times are aware UTC, ids are 16 raw bytes unless said.

The words are those of the glossary that opens ``docs/design.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Buffer: TypeAlias = bytes | bytearray | memoryview

ID_BYTES = 16
KEY_BYTES = 32


class Role(Enum):
    """What a process may do with keys (``docs/format.md``, Keys)."""

    BACKUP = "backup"
    VERIFY = "verify"
    RESTORE = "restore"
    PRUNE = "prune"


class PointKind(IntEnum):
    """A full point can be restored; a partial one only carries a long run over an interruption."""

    FULL = 1
    PARTIAL = 2


@dataclass(frozen=True, slots=True)
class Geometry:
    """Units of a lineage: *block* of change, *cell* of digest, *window* of map (in blocks)."""

    block: int = 4096
    cell: int = 65536
    window_blocks: int = 4 * 1024 * 1024

    @property
    def cell_blocks(self) -> int:
        """Blocks in a cell."""
        return self.cell // self.block

    @property
    def window_cells(self) -> int:
        """Cells in a window."""
        return self.window_blocks // self.cell_blocks


IMAGE_GEOMETRY = Geometry()


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """Bytes ``[offset, offset + length)`` of a byte space."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """First byte after the range."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Changed:
    """What a source says of a range: *data* is False where it claims a hole."""

    offset: int
    length: int
    data: bool = True

    @property
    def end(self) -> int:
        """First byte after the range."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot on the source. ``id`` is the source's own (RBD: the number), never the name."""

    id: str
    name: str
    taken_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """One protectable thing that a source discovered.

    ``identity`` never changes over renames (RBD: fsid, pool id, namespace, image id); ``label`` is
    what people call it, ``SOURCE/[NAMESPACE/]IMAGE``.
    """

    source: str
    label: str
    identity: str


@dataclass(frozen=True, slots=True)
class HeldSnapshot:
    """One of drd's snapshots on a source.

    ``lineage`` is None when the name cannot be read; ``state`` is ``kept`` (base of the newest
    point), ``orphan`` (left behind by a run that died) or ``unknown`` (of no lineage known here).
    """

    image: str
    snapshot: Snapshot
    lineage: bytes | None
    state: str


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of one object; *version* is empty where the store has none."""

    key: str
    version: str
    size: int
    modified_at: datetime
    latest: bool = True


@dataclass(frozen=True, slots=True)
class StoreAbilities:
    """What was found out about a store by trying it (never by asking who it says it is)."""

    conditional_put: bool
    versioned: bool


@dataclass(frozen=True, slots=True)
class PointInfo:
    """What the catalogue and ``drctl ls`` know of one committed point.

    ``committed_here`` is known to a catalogue alone: this host put the manifest itself, so it knows
    of the point from another place than the bucket.
    """

    tenant: bytes
    lineage: bytes
    seq: int
    name: str
    identity: str
    kind: PointKind
    point_at: datetime
    committed_at: datetime
    size: int
    manifest_sha256: bytes
    manifest_key: str
    predecessor_seq: int
    facts: Mapping[str, Json] = field(default_factory=dict)
    suspect: bool = False
    committed_here: bool = False
    doomed: bool = False


@dataclass(frozen=True, slots=True)
class KnownPoint:
    """A manifest that was read and verified under the trust document whose SHA-256 is ``trust``."""

    seq: int
    sha256: bytes
    kind: PointKind
    point_at: datetime
    committed_at: datetime
    trust: bytes


@dataclass(frozen=True, slots=True)
class TableSpan:
    """A table (an ``x/`` object), and the first and last number of the points that name it.

    Points that name a table are neighbours, so whatever lies between names it, too. ``kind`` is its
    number in manifests; ``version`` locates, ``sha256`` identifies.
    """

    table_id: bytes
    kind: int
    size: int
    sha256: bytes
    version: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Damage of packs or tables of a lineage, as a verify found it.

    ``seq`` is the newest point that has it, ``level`` (0, 1 or 2) at which it was found, ``what`` one
    finding for people. ``packs`` are ids of those that a repair could not heal: the next backup puts
    again what the newest point has in them.
    """

    seq: int
    level: int
    found_at: datetime
    what: str
    packs: tuple[bytes, ...] = ()

    def warning(self, label: str) -> str:
        """What to tell of it, of the image called *label*."""
        ways = f"'drctl verify {label} --level {self.level}'"
        what = (
            "this backup puts again what it needs of them" if self.packs else "no backup heals it"
        )
        return (
            f"verify found damage on {self.found_at:%Y-%m-%dT%H:%M:%SZ} ({self.what}): points that use it "
            f"may not restore, and {what} ({ways} looks again, and with --repair heals what it can; "
            "docs/exit-codes.md, code 11)"
        )


@dataclass(frozen=True, slots=True)
class BackupResult:
    """What one run of ``drctl backup`` did for one image; every count in bytes. ``bytes_refilled`` did not
    change, and were put again so that sparse packs can go.
    """

    lineage: bytes
    name: str
    seq: int
    point_at: datetime
    kind: PointKind
    bytes_logical: int
    bytes_changed: int
    bytes_read: int
    bytes_uploaded: int
    objects_put: int
    seconds: float
    snapshot_seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    bytes_refilled: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of a long work, for bars: bytes done of bytes in total (0 when not known)."""

    stage: str
    done: int
    total: int


# ── what the daemon knows ───────────────────────────────────────────────────────────────────────
class Outcome(Enum):
    """How a run ended. Only ``FAILED``, ``STALLED`` and ``CRASHED`` are failures, and count for the pause
    before the next try.
    """

    DONE = "done"
    ELSEWHERE = "elsewhere"
    """Another node made the point of this slot."""
    BUSY = "busy"
    """Somebody else holds the lease."""
    FAILED = "failed"
    STALLED = "stalled"
    """Killed: it made no progress for its limit."""
    CRASHED = "crashed"
    """The process died of a signal, or without saying how it ended."""
    STOPPED = "stopped"
    """Asked to stop; what it had is in a partial point."""

    @property
    def is_failure(self) -> bool:
        """Whether it counts as one."""
        return self in (Outcome.FAILED, Outcome.STALLED, Outcome.CRASHED)


@dataclass(frozen=True, slots=True)
class Image:
    """One thing that this host's sources have shown, by its identity; times are when it was seen here.

    ``policy`` is ``""`` for an image that no policy covers; ``gone_at`` is when it was first missed in a
    complete look at its source, None while it is there; ``renamed_from`` its label before the last one.
    """

    identity: str
    source: str
    label: str
    policy: str
    first_seen: datetime
    last_seen: datetime
    gone_at: datetime | None = None
    renamed_from: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest full point of a lineage, and how many there are; what a tick and a status need."""

    lineage: bytes
    name: str
    identity: str
    seq: int
    point_at: datetime
    committed_at: datetime
    size: int
    points: int
    oldest_at: datetime

    @property
    def as_of(self) -> datetime:
        """When it was made, as far as clocks can be trusted: by its source's clock, and not after it
        was committed by that of the host. A source whose clock is ahead must not hold back slots.
        """
        return min(self.point_at, self.committed_at)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a worker, for people and for the next decision. ``subject`` is the identity of an image
    (backup), the name of a policy (verify) or of a source (discover), or "bucket" (learn, prune).

    ``outcome`` is None while it runs. Counts are bytes; ``run`` is 16 hex digits; ``hint`` is what the
    error that ended it says of what to do. Of a stopped one ``seq`` is the partial point it committed.
    """

    run: str
    kind: str
    subject: str
    label: str
    source: str
    policy: str
    started_at: datetime
    slot: datetime | None = None
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    exit_code: int = 0
    code: str = ""
    message: str = ""
    seq: int = 0
    lineage: str = ""
    bytes_read: int = 0
    bytes_changed: int = 0
    bytes_uploaded: int = 0
    seconds: float = 0.0
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Deed:
    """What a run over many lineages (a verify, a prune) came to in one of them.

    ``record`` has the run's number and kind, the lineage (hex) as its subject, and how it went there.
    ``facts`` are numbers. Of a verify: ``level``, ``points`` that were looked at, ``findings``, ``covered``
    (as in :class:`Proven`). Of a prune: ``points`` that are left, of those that were there how many became
    ``doomed``, ``deleted``, ``spared``, and ``bytes_freed``.
    """

    record: RunRecord
    facts: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Pause:
    """Why *subject* is not tried before ``until``: it failed *failures* times in a row."""

    subject: str
    failures: int
    until: datetime
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Proven:
    """The newest result of a verify of one lineage at one level, as a signed object says it."""

    lineage: bytes
    level: int
    seq: int
    at: datetime
    ok: bool
    findings: int = 0
    covered: float = 1.0
    """Share of the packs of the point that were looked at within the coverage window."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A point that must not expire, and why; ``why`` and ``by`` are words of people.

    ``until`` (UTC) is when it is over by itself, as that of a restore is; None: somebody has to end it.
    """

    lineage: bytes
    seq: int
    at: datetime
    why: str
    by: str
    until: datetime | None = None


class State(Enum):
    """What ``drctl status`` says of one thing, the worst first."""

    LATE = "late"
    """Its newest point is older than the policy's RPO."""
    NEVER = "never"
    """It has no point, and was first seen longer ago than the RPO."""
    DAMAGED = "damaged"
    """A verify found damage."""
    FAILING = "failing"
    """Its last run failed, and its newest point is still within the RPO."""
    UNPROTECTED = "unprotected"
    """No policy covers it."""
    GONE = "gone"
    """Its source does not show it any more; its points stay."""
    WAITING = "waiting"
    """It has no point yet, and was first seen less than an RPO ago."""
    RUNNING = "running"
    OK = "ok"
    STRANGE = "elsewhere"
    """It has points, and no source of this configuration shows it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One line of ``drctl status``, and one set of metrics: all that is known of one image or lineage.

    ``age`` and ``rpo`` are seconds, None when there is no point, or no policy.
    """

    label: str
    source: str
    identity: str
    lineage: str
    policy: str
    state: State
    point_at: datetime | None
    age: float | None
    rpo: int | None
    next_run: datetime | None
    points: int
    size: int
    first_seen: datetime | None
    failures: int = 0
    last_run: RunRecord | None = None
    verified: tuple[Proven, ...] = ()
    message: str = ""
