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


@dataclass(frozen=True, slots=True)
class Damage:
    """Damage of packs or tables of a lineage, as a verify found it.

    ``seq`` is the newest point that has it, ``level`` (0, 1 or 2) at which it was found, ``what`` one
    finding for people.
    """

    seq: int
    level: int
    found_at: datetime
    what: str

    def warning(self, label: str) -> str:
        """What to tell of it, of the image called *label*."""
        return (
            f"verify found damage on {self.found_at:%Y-%m-%dT%H:%M:%SZ} ({self.what}): points that use it "
            f"may not restore, and no backup heals it ('drctl verify {label} --level {self.level}' looks "
            "again; docs/exit-codes.md, code 11, has the ways out)"
        )


@dataclass(frozen=True, slots=True)
class BackupResult:
    """What one run of ``drctl backup`` did for one image; every count in bytes."""

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


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of a long work, for bars: bytes done of bytes in total (0 when not known)."""

    stage: str
    done: int
    total: int
