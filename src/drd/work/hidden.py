"""Newest points that this host knew of and the bucket does not show any more.

Older points may have been expired by somebody. The newest one of a lineage never is, nor the newest full
one: what is gone of these was removed, or is hidden, or the bucket is older than it should be.
"""

from __future__ import annotations

from collections.abc import Sequence

from drd.core.selectors import Selector
from drd.errors import NotFoundError
from drd.model import PointInfo
from drd.work.history import heads
from drd.work.listing import matching


class Hidden:
    """What of the points *known* here before the bucket was looked at is not among its *points*.

    Before: else a point that a backup commits meanwhile were known, and not among those listed.
    """

    def __init__(self, known: Sequence[PointInfo], points: Sequence[PointInfo]) -> None:
        there = {one.manifest_key for one in points}
        lost = [one for one in known if one.manifest_key not in there]
        self._ever = sorted([*lost, *points], key=lambda one: (one.lineage, one.seq))
        newest = heads(self._ever)
        self.points = [one for one in lost if one.manifest_key in newest]

    def meant_by(self, selector: Selector) -> list[PointInfo]:
        """Those that *selector* (its name may be a pattern) would mean if they were there."""
        try:
            lineages = {one[0].lineage for one in matching(self._ever, [selector.name])}
        except NotFoundError:  # told by who looks for it in the bucket
            return []
        return [
            one
            for one in self.points
            if one.lineage in lineages
            and selector.seq in (None, one.seq)
            and (selector.at is None or one.point_at <= selector.at)
        ]
