"""The nursery, with real processes."""

from __future__ import annotations

import os
import signal
import threading
from queue import SimpleQueue

from drd.daemon.happenings import Ended, Line, NurseryGone
from drd.daemon.nursery import Nursery


def test_a_worker_that_takes_nothing_holds_nobody_up() -> None:
    """Its mother is stopped before it is born: no pipe is read, and pipes hold 64 KiB."""
    heard: SimpleQueue[Line | Ended | NurseryGone] = SimpleQueue()
    nursery = Nursery(heard.put, dict(os.environ))
    try:
        os.kill(nursery.pid, signal.SIGSTOP)

        def talk() -> None:
            nursery.start("00", ({"config": "x" * (1 << 20)}, {"job": "none"}))
            for number in range(10_000):
                nursery.tell("00", {"order": "limits", "bytes_per_s": number})

        talking = threading.Thread(target=talk, daemon=True)
        talking.start()
        talking.join(30)
        assert not talking.is_alive()
    finally:
        os.kill(nursery.pid, signal.SIGKILL)
        assert isinstance(heard.get(timeout=30), NurseryGone)
        ended = heard.get(timeout=30)
        assert ended == Ended("00", -signal.SIGKILL)
        nursery.close()
