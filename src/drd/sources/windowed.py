"""Many reads in flight, answered in the order they were asked, in bounded memory.

The reader of a source must fail, never hang: each answer is waited for with a time limit, and what
went wrong in another thread comes out here, in the thread that consumes (backy2's reader died in a
thread of its own while the main thread waited on a queue for ever).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from drd.errors import SourceError
from drd.model import Buffer
from drd.ports import Gate, ReadAt

GATHER_BYTES: Final = 4 * 1024 * 1024
"""Neighbouring requests become one read of at most this size, and do not cross a multiple of it.

Measured on one OSD, 2 cores: 256 KiB reads give 560 MiB/s, 1 MiB 960, 4 MiB 1,090."""


@dataclass(frozen=True, slots=True)
class Window:
    """Bounds of what is under way.

    *reads* and *bytes* limit what is in flight or not yet consumed (one read is always let
    through); *wait_s* is how long one read may take, in seconds, before the run fails.
    """

    reads: int = 32
    bytes: int = 96 * 1024 * 1024
    wait_s: float = 120.0


Start = Callable[[int, int, bool], "Future[Buffer]"]
"""Begin to read *length* bytes at *offset*, of the base when True; the answer has that length."""


@dataclass(slots=True)
class _Group:
    """Neighbouring requests that are answered by one read."""

    offset: int
    base: bool
    length: int
    asked: list[ReadAt]


def in_order(
    wanted: Iterable[ReadAt], start: Start, window: Window, *, about: str, gate: Gate | None = None
) -> Iterator[tuple[ReadAt, Buffer]]:
    """Yield each request of *wanted* with its bytes, in order.

    Args:
        wanted: what to read; consumed only as far as the window reaches.
        start: begins one read, see ``Start``.
        window: bounds of memory and time.
        about: the image, for messages.
        gate: what each read passes before it begins, when given.

    Raises:
        SourceError: a read failed, or took longer than ``window.wait_s``.
        StoppedError: the run was to end while it waited at the gate.
    """
    under_way: deque[tuple[_Group, Future[Buffer]]] = deque()
    held = 0
    try:
        for group in _gathered(wanted):
            while under_way and (
                len(under_way) >= (window.reads if gate is None else gate.reads(window.reads))
                or held + group.length > window.bytes
                or (gate is not None and not gate.is_open(group.length))
            ):
                held -= under_way[0][0].length
                yield from _answers(*under_way.popleft(), window, about)
            under_way.append((group, _begin(group, start, gate)))
            held += group.length
        while under_way:
            yield from _answers(*under_way.popleft(), window, about)
    finally:
        _settle([future for _, future in under_way], window.wait_s)


def _begin(group: _Group, start: Start, gate: Gate | None) -> Future[Buffer]:
    """Begin the read of *group*, when the gate lets it."""
    if gate is None:
        return start(group.offset, group.length, group.base)
    gate.enter(group.length)
    future = start(group.offset, group.length, group.base)
    if (
        not future.done()
    ):  # what needed no read, beyond the end of an image, says nothing of the source
        future.add_done_callback(gate.began(group.length))
    return future


def _gathered(wanted: Iterable[ReadAt]) -> Iterator[_Group]:
    """Join requests that follow each other directly, up to the next multiple of ``GATHER_BYTES``."""
    group: _Group | None = None
    for request in wanted:
        if (
            group is not None
            and request.base == group.base
            and request.offset == group.offset + group.length
            and request.offset % GATHER_BYTES
            and group.length + request.length <= GATHER_BYTES
        ):
            group.length += request.length
            group.asked.append(request)
            continue
        if group is not None:
            yield group
        group = _Group(request.offset, request.base, request.length, [request])
    if group is not None:
        yield group


def _answers(
    group: _Group, future: Future[Buffer], window: Window, about: str
) -> Iterator[tuple[ReadAt, Buffer]]:
    """Wait for one read and cut it into the requests that it answers, without copying."""
    try:
        data = future.result(timeout=window.wait_s)
    except TimeoutError:
        raise SourceError(
            f"a read of {group.length} bytes at {group.offset} had no answer for {window.wait_s:g} s",
            about=about,
            hint="look at the health of the source (slow or missing OSDs, a failing disk)",
        ) from None
    if len(data) != group.length:
        raise SourceError(
            f"a read of {group.length} bytes at {group.offset} gave {len(data)}", about=about
        )
    if len(group.asked) == 1:
        yield group.asked[0], data
        return
    view = memoryview(data)
    for request in group.asked:
        first = request.offset - group.offset
        yield request, view[first : first + request.length]


def _settle(futures: list[Future[Buffer]], wait_s: float) -> None:
    """Before the image may be closed, reads that nobody wants any more must have ended."""
    until = time.monotonic() + wait_s
    for future in futures:
        try:
            future.exception(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            return
