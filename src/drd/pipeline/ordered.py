"""Do work in many threads, take the results in order, never hold more than a few."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def ordered(
    pool: Executor, work: Callable[[Given], Made], things: Iterable[Given], *, ahead: int
) -> Iterator[Made]:
    """Apply *work* to each of *things* in *pool*; yield results in the order of *things*.

    At most *ahead* results are under way or waiting. The first failure is raised where its result
    would have come; what is then still queued is cancelled.
    """
    under_way: deque[Future[Made]] = deque()
    try:
        for thing in things:
            if len(under_way) >= ahead:
                yield under_way.popleft().result()
            under_way.append(pool.submit(work, thing))
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()
