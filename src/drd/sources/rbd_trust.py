"""How far a diff of librbd can be believed, for one image and one pair of snapshots.

Two listings exist. *Fast* compares object maps and names whole objects; it costs nothing. *Exact*
asks each object for its snapshots and names extents; it costs one request per object. Each can miss
a change, silently:

- Fast, when an object map is marked invalid, or was written by a librbd that got it wrong.
- Fast, after ``rbd snap rollback`` to a snapshot older than the base. The rollback puts the map of
  that snapshot in place, in which objects that were changed between it and the base are "clean"; so
  they do not count as changed since the base. (Found with 16.2.15; an integration test shows it.)
- Exact, in versions that overlook discards which shorten an object.

What is done: without trust in fast, exact everywhere; without trust in exact, what was allocated in
the base and is not any more is added. A possible rollback is known by the mark in the base's name:
the foreign snapshots that were older than it when it was made. If they are all still there, every
object changed since the oldest of them is looked at exactly; if one is gone, all objects are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from drd.ceph.bindings import Bindings, Version
from drd.sources.labels import parse_snapshot
from drd.sources.rbd_snapshots import Listed, older_mark


class Defect(NamedTuple):
    """A range of versions (from, up to and without) in which one of the listings is wrong."""

    tracker: int
    first: Version
    fixed: Version
    listing: str
    what: str


_MAP_UNDER_IO: Final = "an object map can be wrong in a snapshot that was taken under I/O"
_LIST_SNAPS: Final = "the exact diff can be wrong where objects were shortened or removed"

KNOWN_DEFECTS: Final = (
    # 61616: came with 16.0, mended by ceph#52285 (16.2.14), #52286 (17.2.7), #52148 (before 18.2.0).
    Defect(61616, (16, 0, 0), (16, 2, 14), "fast", _MAP_UNDER_IO),
    Defect(61616, (17, 0, 0), (17, 2, 7), "fast", _MAP_UNDER_IO),
    # 63770: mended by ceph#56212 (17.2.8) and #56213 (18.2.4); 19.2.0 has it from the start.
    Defect(63770, (17, 0, 0), (17, 2, 8), "exact", _LIST_SNAPS),
    Defect(63770, (18, 0, 0), (18, 2, 4), "exact", _LIST_SNAPS),
    # No mending of 63770 for 16.2 exists. Up to 16.2.14 the listing has further faults (ceph#54860);
    # in 16.2.15 no random sequence of writes, discards and resizes has shown one: docs/adr/0021.
    Defect(63770, (16, 0, 0), (16, 2, 15), "exact", _LIST_SNAPS),
)
"""Release notes of Ceph, doc/releases/{pacific,quincy,reef}.rst, name the pull requests."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a diff may use. ``since`` names the snapshot from which on all changes are suspect."""

    fast: bool
    exact: bool
    since: str = ""
    warnings: tuple[str, ...] = ()


def defects(version: Version) -> list[Defect]:
    """The known defects of a version of librbd."""
    return [one for one in KNOWN_DEFECTS if one.first <= version < one.fixed]


def judge(
    ceph: Bindings, images: Sequence[Any], snapshots: Sequence[Listed], base: Listed | None
) -> Trust:
    """How far to trust a diff.

    Args:
        ceph: the bindings, for the version and the constants.
        images: handles whose object maps count: at the new snapshot, and at the base if there is one.
        snapshots: all snapshots of the image.
        base: where the diff begins; None for "everything that holds data".

    Raises what the bindings raise.
    """
    wrong = defects(ceph.version)
    warnings = [
        f"librbd {ceph.version_text} has defect {one.tracker} of Ceph: {one.what}; "
        "the diff is made the slower, safe way; upgrade the ceph packages of this host"
        for one in wrong
    ]
    fast = _has_maps(ceph, images, warnings) and not any(one.listing == "fast" for one in wrong)
    exact = not any(one.listing == "exact" for one in wrong)
    since = ""
    if fast and base is not None:
        fast, since = _rollback(snapshots, base, warnings)
    if base is None and parent_of(ceph, images[0]) is not None:
        fast = False  # data of a parent was not named in fast mode before ceph#44496
    return Trust(fast, exact, since, tuple(warnings))


def _has_maps(ceph: Bindings, images: Sequence[Any], warnings: list[str]) -> bool:
    """Whether all of *images* have fast-diff, and no map is marked invalid."""
    rbd = ceph.rbd
    invalid = rbd.RBD_FLAG_OBJECT_MAP_INVALID | rbd.RBD_FLAG_FAST_DIFF_INVALID
    if not all(image.features() & rbd.RBD_FEATURE_FAST_DIFF for image in images):
        return False
    if any(image.flags() & invalid for image in images):
        warnings.append(
            "an object map of the image is marked invalid, so the slow exact diff is used; "
            "mend it with `rbd object-map rebuild`, for the image and for drd's snapshot"
        )
        return False
    return True


def _rollback(snapshots: Sequence[Listed], base: Listed, warnings: list[str]) -> tuple[bool, str]:
    """Whether fast is usable although the image may have been rolled back, and from where on it is
    suspect (the name of a snapshot; ``""`` when no rollback past the base was possible).
    """
    name = parse_snapshot(base.name)
    then = name.older if name else ""
    older = [one for one in snapshots if one.foreign_rollback and one.number < base.number]
    if not then and not older:
        return True, ""
    if older and older[0].user and then == older_mark(snapshots, base.number):
        return True, older[0].name
    warnings.append(
        "a snapshot older than drd's was removed, or belongs to a group: the image may have been "
        "rolled back to it, so the slow exact diff is used"
    )
    return False, ""


def parent_of(ceph: Bindings, image: Any) -> dict[str, Any] | None:
    """The parent of a clone, as librbd tells it; None when the image is no clone (any more)."""
    try:
        spec: dict[str, Any] = image.get_parent_image_spec()
    except ceph.rbd.ImageNotFound:
        return None
    return spec
