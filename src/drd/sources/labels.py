"""Names that a source gives: labels of images, and drd's snapshots.

A snapshot is called ``drd.<lineage hex>.<run hex>``, with ``.<8 hex>`` appended where the image had
older snapshots that somebody could roll back to when it was made (see ``rbd_trust``).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

SNAPSHOT_PREFIX: Final = "drd."

_SNAPSHOT: Final = re.compile(r"drd\.([0-9a-f]{32})\.([0-9a-f]{2,64})(?:\.([0-9a-f]{8}))?")


class SnapshotName(NamedTuple):
    """The parts of a name: *older* is ``""`` when no older snapshots were there."""

    lineage: bytes
    run: bytes
    older: str


def snapshot_name(lineage: bytes, run: bytes, older: str = "") -> str:
    """Name of the snapshot that *run* makes for *lineage* (16 bytes)."""
    end = f".{older}" if older else ""
    return f"{SNAPSHOT_PREFIX}{lineage.hex()}.{run.hex()}{end}"


def parse_snapshot(name: str) -> SnapshotName | None:
    """The parts of one of drd's snapshot names; None for any other name."""
    match = _SNAPSHOT.fullmatch(name)
    if match is None or len(match[2]) % 2:
        return None
    return SnapshotName(bytes.fromhex(match[1]), bytes.fromhex(match[2]), match[3] or "")


def is_ours(name: str) -> bool:
    """Whether drd made a snapshot of this name, and so may remove it."""
    return name.startswith(SNAPSHOT_PREFIX)


def label(source: str, image: str, namespace: str = "") -> str:
    """``SOURCE/[NAMESPACE/]IMAGE``."""
    return "/".join(part for part in (source, namespace, image) if part)
