"""Ranges of bytes that a source names: sorted, merged, clipped. Pure.

librbd before 16.2.8 calls back out of order in fast-diff mode (tracker 53885), and neighbouring
extents are never merged by it; so everything that comes from outside goes through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from drd.model import ByteRange, Changed


def merged(changes: Iterable[Changed]) -> list[Changed]:
    """Sort, and join neighbours of one kind. Where data and hole overlap, data wins.

    A hole that is claimed over data would lose the data; data that is claimed over a hole costs
    one read.
    """
    edges = sorted(
        edge
        for change in changes
        if change.length > 0
        for edge in ((change.offset, change.data, 1), (change.end, change.data, -1))
    )
    out: list[Changed] = []
    data = holes = 0
    for (at, is_data, step), (until, _, _) in pairwise([*edges, (0, False, 0)]):
        data += step if is_data else 0
        holes += 0 if is_data else step
        if until > at and (data or holes):
            _append(out, Changed(at, until - at, data=data > 0))
    return out


def _append(out: list[Changed], change: Changed) -> None:
    """Add *change*, joined with the last one where they touch and are of one kind."""
    if out and out[-1].end == change.offset and out[-1].data == change.data:
        last = out.pop()
        change = Changed(last.offset, change.end - last.offset, data=last.data)
    out.append(change)


def clipped(changes: Iterable[Changed], offset: int, end: int) -> list[Changed]:
    """The parts of *changes* inside ``[offset, end)``."""
    cut = ((max(change.offset, offset), min(change.end, end), change.data) for change in changes)
    return [Changed(first, last - first, data=data) for first, last, data in cut if last > first]


def without(ranges: Iterable[Changed], taken: Sequence[Changed]) -> list[ByteRange]:
    """The parts of *ranges* that no range of *taken* covers. Both sorted and merged."""
    out: list[ByteRange] = []
    index = 0
    for one in ranges:
        at = one.offset
        while index < len(taken) and taken[index].end <= at:
            index += 1
        scan = index
        while at < one.end:
            if scan == len(taken) or taken[scan].offset >= one.end:
                out.append(ByteRange(at, one.end - at))
                break
            if taken[scan].offset > at:
                out.append(ByteRange(at, taken[scan].offset - at))
            at = max(at, taken[scan].end)
            scan += 1
    return out


def spans(changes: Iterable[Changed], *, unit: int, gap: int, end: int) -> list[ByteRange]:
    """Whole units that *changes* touch, as runs; runs at most *gap* units apart become one.

    Args:
        changes: sorted by offset.
        unit: bytes of a unit; runs begin at a multiple of it.
        gap: how many units that nothing touches may lie inside of a run.
        end: no run goes beyond this byte.
    """
    out: list[ByteRange] = []
    for change in changes:
        first = change.offset // unit * unit
        last = min(-(-change.end // unit) * unit, end)
        if out and first <= out[-1].end + gap * unit:
            before = out.pop()
            out.append(ByteRange(before.offset, max(last, before.end) - before.offset))
        else:
            out.append(ByteRange(first, last - first))
    return out
