"""What changed between two snapshots of an image, in two stages, or which parts hold data.

Stage one asks the object maps and gets the names of changed objects; stage two asks just those
objects for their exact extents. Measured on 1 TiB with 500 scattered 4 KiB changes: exact alone
9.7 s, two stages 0.23 s, the same extents.

Pitfalls of ``diff_iterate`` (src/librbd/api/DiffIterate.cc), and what is done about them:

- From a snapshot to itself it gives nothing, as if nothing had changed: such a pair never gets here
  (``rbd.RbdSource``).
- It compares with the version that the handle is open at: the handles here are open at snapshots.
- Data of a parent is named only without a base and with ``include_parent``.
- Fast mode gave wrong offsets for ranges that do not begin with an object (53784), and nothing
  sorted (53885): ranges are widened to whole stripe periods here, and results sorted and cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from drd.model import ByteRange, Changed
from drd.sources.ranges import clipped, merged, spans, without
from drd.sources.rbd_trust import Trust

GAP_OBJECTS: Final = 2
"""Named objects at most so far apart share a call: a call costs as much as two objects more."""

WHOLE_SHARE: Final = 0.5
"""From this share of named objects on, one exact call over all of them is cheaper than many."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Stripe period in bytes (object size times stripe count), and size of the image in the snapshot."""

    period: int
    size: int


class Diff:
    """Lists changes. *new* and *base* are open at their snapshots; *since* is the base's name."""

    def __init__(
        self, new: Any, base: Any | None, *, since: str | None, layout: Layout, trust: Trust
    ) -> None:
        self._new = new
        self._base = base
        self._since = since
        self._layout = layout
        self._trust = trust

    def changed(self, offset: int, length: int) -> Sequence[Changed]:
        """Sorted, merged ranges within ``[offset, offset + length)`` and the size.

        Raises what the bindings raise.
        """
        period, size = self._layout.period, self._layout.size
        end = min(offset + length, size)
        if offset >= end:
            return []
        first = offset // period * period
        last = min(-(-end // period) * period, size)
        named: list[Changed] = []
        for part in self._named(ByteRange(first, last - first)):
            named += self._exact(part)
        return clipped(merged(named), offset, end)

    def _named(self, within: ByteRange) -> list[ByteRange]:
        """Runs of whole periods in which something changed, or everything when fast is no help."""
        trust, period = self._trust, self._layout.period
        if not trust.fast:
            return [within]
        named = _list(self._new, self._since, within, whole=True)
        if trust.since and self._base is not None:
            named += self._suspect(within)
        parts = spans(merged(named), unit=period, gap=GAP_OBJECTS, end=within.end)
        if sum(part.length for part in parts) > WHOLE_SHARE * within.length:
            return [within]
        return parts

    def _suspect(self, within: ByteRange) -> list[Changed]:
        """Objects changed between the oldest snapshot that one could roll back to and the base."""
        size = int(self._base.size()) if self._base is not None else 0
        length = min(within.end, size) - within.offset
        if length <= 0:
            return []
        inside = ByteRange(within.offset, length)
        return _list(self._base, self._trust.since, inside, whole=True)

    def _exact(self, part: ByteRange) -> list[Changed]:
        """Extents of a run of periods."""
        found = _list(self._new, self._since, part, whole=False)
        if self._trust.exact or self._base is None:
            return found
        size = int(self._base.size())
        inside = ByteRange(part.offset, max(0, min(part.end, size) - part.offset))
        before = merged(_list(self._base, None, inside, whole=False))
        after = merged(_list(self._new, None, part, whole=False))
        gone = without(before, after)
        return found + [Changed(one.offset, one.length, data=False) for one in gone]


def _list(image: Any, since: str | None, within: ByteRange, *, whole: bool) -> list[Changed]:
    """One call of ``diff_iterate``; the callback holds the interpreter's lock, so it only notes."""
    found: list[Changed] = []

    def note(offset: int, length: int, exists: bool) -> None:  # noqa: FBT001  # librbd's signature
        found.append(Changed(offset, length, bool(exists)))

    if within.length > 0:
        image.diff_iterate(
            within.offset,
            within.length,
            since,
            note,
            include_parent=since is None,
            whole_object=whole,
        )
    return found
