"""Calls into C code that may never come back, with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def bounded(call: Callable[[], T], seconds: float) -> T:
    """Run *call* in a thread of its own and wait for it at most *seconds*.

    librbd waits without end for a dead owner of an image's lock, so *call* must own what it uses
    (its own handle): after the time limit the thread stays behind and ends when the call does.

    Raises:
        TimeoutError: no answer within *seconds*; the effect may still come later.
        BaseException: whatever *call* raised.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            future.set_exception(error)

    threading.Thread(target=run, name="drd-bounded", daemon=True).start()
    return future.result(timeout=seconds)
