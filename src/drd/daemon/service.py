"""From a configuration to a daemon that runs: everything that the loop works with is made here."""

from __future__ import annotations

import faulthandler
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from drd.daemon.control import Control
from drd.daemon.happenings import Happening, Signalled
from drd.daemon.log import Log
from drd.daemon.loop import Desk, Loaded, Loop
from drd.daemon.notify import Notifier
from drd.daemon.nursery import Nursery
from drd.daemon.seen import Seen
from drd.daemon.serving import Metrics, MetricsServer, remove
from drd.daemon.spool import Spool
from drd.daemon.view import View
from drd.daemon.waking import Waker
from drd.errors import ConfigError, RefusedError
from drd.wiring import House, config_path
from drd.wiring.clock import now
from drd.wiring.loaded import load

Put = Callable[[Happening], None]
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
QUIET: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
"""For workers: their mother must have one thread alone when it forks."""


def serve(given: str | None) -> None:
    """Run the daemon until it is told to stop.

    Raises:
        ConfigError: the configuration is wrong, the state folder or the address of the metrics cannot
            be used.
        RefusedError: another daemon works in the same state folder.
    """
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2)  # where every thread is, on stderr: for who must know why
    path = config_path(given, os.environ)
    loaded = Loaded(*load(path))
    config = loaded.config
    with ExitStack() as stack:
        ours = stack.enter_context(_alone(config.state_dir))
        house = House(config)
        stack.callback(house.close)
        spool = Spool(sys.stdout.fileno())
        stack.callback(spool.close)
        log = _make_log(loaded, spool)
        for warning in loaded.warnings:
            log.say("config_warning", message=warning)
        clock, queue = Waker(), SimpleQueue[Happening]()
        metrics = Metrics(now)
        if config.daemon.metrics:
            stack.enter_context(MetricsServer(metrics, config.daemon.metrics))
        nursery = Nursery(queue.put, {**os.environ, **QUIET})
        stack.callback(nursery.close)
        desk = Desk(
            now=now,
            timer=time.monotonic,
            random=os.urandom,
            diary=house.diary(),
            newest=house.newest,
            workers=nursery,
            log=log,
            notifier=Notifier(os.environ),
            wake=clock.wake,
            load=lambda: Loaded(*load(path)),
            view=View(
                _shower(metrics, lambda: loop.config.daemon.textfile, log),
                house.proofs,
                house.tenant,
            ),
            ours=ours,
        )
        loop = Loop(desk, loaded, queue)
        loop.start()
        control = Control(config.state_dir, queue.put)
        stack.callback(control.close)
        stack.enter_context(clock.running(queue.put))
        stack.enter_context(_signals(queue.put))
        desk.notifier.tell(READY="1", status=loop.status())
        loop.serve()


def _shower(
    metrics: Metrics, wanted: Callable[[], Path | None], log: Log
) -> Callable[[Seen], None]:
    """What takes each view: the server's threads, and a file where one is *wanted* now.

    A file that cannot be written is told once, and tried again with each view. One that is not wanted
    any more is removed: its numbers would stand still, and alarms go by that.
    """
    told, written = set[str](), list[Path]()

    def show(seen: Seen) -> None:
        metrics.show(seen)
        textfile = wanted()
        try:
            while written and written[-1] != textfile:
                remove(written.pop())
            if textfile is None:
                return
            metrics.write(textfile)
            written[:] = [textfile]
            told.clear()
        except ConfigError as error:
            if error.message not in told:
                log.say("textfile_unwritable", message=str(error), hint=error.hint)
            told.add(error.message)

    return show


@contextmanager
def _signals(put: Put) -> Iterator[None]:
    """Signals become happenings: a handler does nothing else (SimpleQueue.put may be called in one)."""
    before = {}
    for one in SIGNALS:
        name = "SIGTERM" if one is signal.SIGINT else one.name
        before[one] = signal.signal(one, lambda *_, name=name: put(Signalled(name)))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _alone(state: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock of a state folder; what it gives raises when the folder is not that one any more.

    Raises:
        RefusedError: another daemon holds it.
        ConfigError: the folder cannot be used.
    """
    file = state / "daemon.lock"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(state, error) from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            raise RefusedError(
                f"another daemon (process {holder or '?'}) works with this state folder",
                about=str(state),
                hint="stop it, or give this one a state_dir of its own; several nodes share work "
                'through lease = "rados", each with its own folder',
            ) from error
        except OSError as error:
            raise _unusable(state, error) from error
        yield lambda: _check_ours(file, fd)
    finally:
        os.close(fd)


def _unusable(state: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the state folder cannot be used: {error.strerror}",
        about=str(state),
        hint="give the user that drd runs as a state_dir with room that it may write to",
    )


def _check_ours(file: Path, fd: int) -> None:
    """That the lock *fd* still is *file*: whoever comes now would take another one, and begin beside us.

    Raises:
        ConfigError: it was removed or replaced.
    """
    try:
        same = os.path.samestat(file.lstat(), os.fstat(fd))
    except (FileNotFoundError, NotADirectoryError):
        same = False
    except OSError:  # a disk that does not answer now is the same one
        return
    if not same:
        raise ConfigError(
            "the state folder was removed, or another one took its place, while drd worked in it",
            about=str(file.parent),
            hint="start drd again: it learns from the bucket what was there",
        )


def _make_log(loaded: Loaded, spool: Spool) -> Log:
    daemon = loaded.config.daemon
    as_json = daemon.log == "json" or (daemon.log == "auto" and not spool.isatty())
    return Log(spool, as_json=as_json, names=daemon.log_names)
