"""When runs are merged, and what is written anew: cost follows change.

Runs have levels. Each point adds a run of level 0; when 32 runs of a level have gathered they become
one run of the next. Merging never rewrites the base: a window's shard (or digest table, or shard of
items) is written anew only when what the merged runs say of it is more than half as large as what
stands there; the others stay shared between points. So reading a point takes a bounded number of
objects, at most 31 runs a level, and each byte of a run is rewritten once per level.

A shard holds everything *through* some sequence number, runs of higher levels included. A run that is
not newer than that is not painted in that window; it may still list packs that nothing needs any
more, until it is merged in turn (an overestimate, never the contrary).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drd.core.kinds import TableKind
from drd.core.manifest import Reference

FANOUT: Final = 32
ROLL_CHANGES: Final = 64
"""Changes of the roll that a manifest carries before the base is written anew (48 bytes each)."""


def runs_to_merge(
    references: Sequence[Reference], kind: TableKind, *, fanout: int = FANOUT
) -> tuple[Reference, ...]:
    """The runs (or pack tables) of the lowest level that is full, oldest first; or none."""
    levels: dict[int, list[Reference]] = {}
    for reference in references:
        if reference.kind is kind:
            levels.setdefault(reference.level, []).append(reference)
    for level in sorted(levels):
        if len(levels[level]) >= fanout:
            return tuple(sorted(levels[level], key=lambda one: one.through))
    return ()


def rewrite(merged_bytes: int, base: Reference | None) -> bool:
    """Whether a base of that size is written anew, given the bytes that the merged runs have for it."""
    return base is None or merged_bytes * 2 > base.size


def paint_order(references: Sequence[Reference]) -> list[Reference]:
    """Runs in the order in which they are painted: oldest to newest.

    A merged run is older than every run of a lower level, and holds a contiguous stretch of points.
    """
    runs = [reference for reference in references if reference.kind is TableKind.RUN]
    return sorted(runs, key=lambda run: run.through)


def base_of(references: Sequence[Reference], kind: TableKind, number: int) -> Reference | None:
    """The shard, digest table or item table of one window; None when there is none."""
    for reference in references:
        if reference.kind is kind and reference.number == number:
            return reference
    return None
