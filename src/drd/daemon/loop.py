"""The one thread that decides: it takes happenings from a queue, and nobody else changes what it knows.

A tick looks at everything anew: what the clock says, what sources show, what is due, what does not move
any more. So a tick that is late, or comes twice, does no harm, and nothing depends on one that was missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Final, assert_never

from drd.config import Config
from drd.core import schedule
from drd.core.lines import number, rows, text
from drd.daemon.agenda import Agenda
from drd.daemon.answers import answer
from drd.daemon.board import Board, Shown
from drd.daemon.chores import DISCOVER, LEARN, PRUNE, SNAPSHOTS, VERIFY, Chores
from drd.daemon.happenings import Asked, Ended, Happening, Line, NurseryGone, Signalled, Tick
from drd.daemon.log import Log
from drd.daemon.notify import Notifier
from drd.daemon.nursery import Workers
from drd.daemon.restart import later, note_taken
from drd.daemon.running import BACKUP, Running, deed_of
from drd.daemon.shares import Shares
from drd.daemon.telling import say_begin, say_change, say_end, say_unseen
from drd.daemon.view import View
from drd.errors import ConfigError
from drd.model import Head, Json, Outcome, Pause, RunRecord
from drd.ports import Diary
from drd.wiring.standing import RELOAD

NOTED: Final = (BACKUP, VERIFY, PRUNE)
"""Runs that the diary and the log tell of from their beginning on; of the others only failures are news."""
LATE: Final = 2
"""So many of its own ticks the loop waits before it does without being woken."""
SHOW_S: Final = 1.0
"""Least seconds between two views: runs that end in quick succession need not each have one."""
SHOW_SHARE: Final = 0.01
"""Of the time at most so much goes into views: with 10,000 lineages one takes a tenth of a second."""
JUMP_S: Final = 5.0
"""A clock that moved by so much more or less than the timer has jumped (or the machine slept)."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that was read and checked, and its text, as workers get it."""

    config: Config
    text: str
    path: str
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """With what the loop works. ``timer`` gives seconds that only grow; ``wake`` asks for a tick at a
    time, in place of what was asked before; ``load`` reads the configuration again (``ConfigError``);
    ``ours`` raises one when the state folder is another one than at the start.
    """

    now: Callable[[], datetime]
    timer: Callable[[], float]
    random: Callable[[int], bytes]
    diary: Diary
    newest: Callable[[], Sequence[Head]]
    workers: Workers
    log: Log
    notifier: Notifier
    wake: Callable[[datetime], None]
    load: Callable[[], Loaded]
    view: View
    ours: Callable[[], None] = lambda: None


class Loop:
    """See the module. :meth:`serve` runs it; *queue* is where happenings are put."""

    def __init__(self, desk: Desk, loaded: Loaded, queue: SimpleQueue[Happening]) -> None:
        self.queue = queue
        self._desk = desk
        self._loaded = loaded
        self._first = loaded.config  # what was opened with it stays open
        self.board = Board(loaded.config, desk.diary, desk.newest)
        self.running: dict[str, Running] = {}
        self.agenda = Agenda(self.board)
        self._chores = Chores(desk.diary)
        self._unseen: set[str] = set()
        self._shown_at, self._show_every = -SHOW_S, SHOW_S
        self._may_begin = False
        self._shares = Shares(desk.workers)
        self._last: tuple[datetime, float] | None = None
        self._ticked_at = desk.timer()
        self._stop_by: float | None = None
        self._over = False
        self._blind = False
        self._noted = False

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._loaded.config

    def serve(self) -> None:
        """React to what happens, until it is over."""
        self.queue.put(Tick())
        while not self._over:
            self.handle(self._next())

    def _next(self) -> Happening:
        """What happens next: a tick, where none came in time, whatever else did: runs report all the time.
        Who wakes may have failed; it goes by the host's clock, and waits for as long as that was put back.
        """
        left = self._ticked_at + LATE * self._patience() - self._desk.timer()
        with suppress(Empty):
            return self.queue.get(timeout=max(left, 0.0))
        return Tick()

    def handle(self, happening: Happening) -> None:
        """React to one happening."""
        self._look_at_clock()  # first: what is noted from here on goes by the clock as it is now
        match happening:
            case Tick():
                self._tick()
            case Line():
                self._hear(happening)
            case Ended():
                self._end(happening)
            case NurseryGone():
                self._desk.log.say("nursery_died", status=happening.status)
            case Signalled():
                self._obey(happening.name)
            case Asked():
                happening.answer(self._answer(happening.question))
            case _:
                assert_never(happening)

    # ── ticks ─────────────────────────────────────────────────────────────────────────────────
    def start(self) -> None:
        """Read what is known, and say that this daemon is there.

        Raises:
            ConfigError: the catalogue cannot be used.
        """
        for left in self._desk.diary.running():
            told = "the daemon ended before the run did"
            self._desk.diary.end_run(replace(left, outcome=Outcome.STOPPED, message=told), None)
        self.board.load()
        self._note_config()
        for change in self.board.drop_sources(self._desk.now()):
            say_change(self._desk.log, change)
        self._desk.log.say(
            "daemon_started", sources=len(self.config.source), images=len(self.board.images)
        )

    def _tick(self) -> None:
        self._desk.ours()
        at, now = self._desk.timer(), self._desk.now()
        self._ticked_at = at
        self._kill_what_does_not_move()
        try:
            if self._stop_by is None:
                self._begin_chores(now)
                self._begin_due(now)
            self._note_tick(now)
        except ConfigError as error:
            self._go_blind(error)
        else:
            self._blind = False
        self._stop_if_done()
        self._tell(now)
        self._show(at)

    def _show(self, began_at: float) -> None:
        """Let others see how things stand."""
        at = self._desk.timer()
        if at - self._shown_at >= self._show_every:
            self._shown_at = at
            self._desk.view.prune_failures = self._chores.prune_failures(self.config)
            try:
                self._desk.view.tick(
                    self.board,
                    self.running.values(),
                    self.agenda,
                    at=self._desk.now(),
                    seconds=at - began_at,
                )
            except ConfigError as error:
                self._go_blind(error)
            took = self._desk.timer() - at
            self._show_every = max(SHOW_S, took / SHOW_SHARE)

    def _note_tick(self, now: datetime) -> None:
        """Say that the daemon lives, and all that the file should hold when it is another, or was full.

        A file that was removed, or put aside as damaged, is begun anew by whoever comes first, and knows no
        image. While its disk was full ends of runs were not written.
        """
        diary = self._desk.diary
        if self._blind:
            for left in diary.running():
                if left.run not in self.running:
                    told = "how it ended could not be written down"
                    diary.end_run(replace(left, outcome=Outcome.STOPPED, message=told), None)
        if self._noted and diary.last_tick() is None:
            self.board.note_all()
            self._chores.forget_times()
        diary.note_tick(now)
        self._noted = True

    def _go_blind(self, error: ConfigError) -> None:
        """The catalogue cannot be used now: say so once, and try again with each tick."""
        if not self._blind:
            self._desk.log.say("catalogue_unusable", message=str(error), hint=error.hint)
        self._blind = True

    @contextmanager
    def _blindly(self) -> Iterator[None]:
        """Go on where the catalogue cannot be used: it is asked again with each tick."""
        try:
            yield
        except ConfigError as error:
            self._go_blind(error)

    def _look_at_clock(self) -> None:
        at, now = self._desk.timer(), self._desk.now()
        if self._last is not None:
            jump = (now - self._last[0]).total_seconds() - (at - self._last[1])
            if abs(jump) > JUMP_S:
                self._desk.log.say("clock_jumped", seconds=round(jump, 1))
                self.agenda.forget()
                self.board.clock_moved(timedelta(seconds=jump))
                if jump < 0:  # what was noted with the clock of before must not hold anything back
                    self._chores.fell_back(timedelta(seconds=jump))
        self._last = (now, at)

    def _kill_what_does_not_move(self) -> None:
        limit = self.config.daemon.stall_after
        for run, one in self.running.items():
            still_s = self._desk.timer() - one.moved_at
            if still_s > (2 * limit if one.stalled else limit):  # told again: its mother hangs, too
                one.stalled = True
                self._desk.workers.kill(run)

    def _begin_chores(self, now: datetime) -> None:
        under = [one.record for one in self.running.values()]
        for chore in list(self._chores.due(self.config, under, now)):
            self._chores.begun(chore, now)
            self._start(self._record(chore.kind, chore.subject, source=chore.source), chore.job)

    def _begin_due(self, now: datetime) -> None:
        daemon = self.config.daemon
        under = {one.record.subject: one.slow for one in self._of(BACKUP)}
        rules = schedule.Rules(daemon.workers, daemon.blackout, daemon.timezone)
        if not self._may_begin:
            return
        for start in self.agenda.begin(rules, under, now):
            image = self.board.images[start.identity]
            forced = start.identity in self.board.asked
            job: dict[str, Json] = {
                "source": image.source,
                "label": image.label,
                "identity": image.identity,
                "policy": image.policy,
                "slot": "" if forced else start.slot.isoformat(),
            }
            record = self._record(BACKUP, image.identity, source=image.source)
            record = replace(
                record, label=image.label, policy=image.policy, slot=None if forced else start.slot
            )
            self._start(record, job, slow=start.slow)
            self.agenda.took(image.identity)

    def _record(self, kind: str, subject: str, *, source: str) -> RunRecord:
        run = self._desk.random(8).hex()
        return RunRecord(run, kind, subject, "", source, "", self._desk.now())

    def _start(self, record: RunRecord, job: Mapping[str, Json], *, slow: bool = False) -> None:
        """Begin a worker."""
        if record.kind in NOTED:
            self.board.diary.begin_run(record)
            say_begin(self._desk.log, record)
        self.running[record.run] = Running(record, slow=slow, moved_at=self._desk.timer())
        config: Mapping[str, Json] = {"config": self._loaded.text, "path": self._loaded.path}
        self._shares.spread(self.config, self.running)
        told: Mapping[str, Json] = {
            "job": record.kind,
            "run": record.run,
            **self._shares.of(record.run),
            **job,
        }
        self._desk.workers.start(record.run, (config, told))

    def _of(self, kind: str) -> list[Running]:
        return [one for one in self.running.values() if one.record.kind == kind]

    def _tell(self, now: datetime) -> None:
        """Tell systemd, and ask for the next tick."""
        self._desk.notifier.tell(WATCHDOG="1", status=self.status())
        if self._over:
            return
        again = now + timedelta(seconds=self._patience())
        if self._stop_by is None:
            again = min(again, self._chores.next_at(self.config, now))
        first = self.agenda.next_at()
        if first is not None and self._stop_by is None:
            again = min(again, max(first[0], now + timedelta(milliseconds=100)))
        self._desk.wake(again)

    def _patience(self) -> float:
        """Seconds until the next tick at the latest: soon enough for the watchdog, and for who stops."""
        tick = float(self.config.daemon.tick)
        if self._desk.notifier.watchdog_s is not None:
            tick = min(tick, self._desk.notifier.watchdog_s / 3)
        return min(tick, 1.0) if self._stop_by is not None else tick

    def status(self) -> str:
        """One line for people: what runs, what comes next."""
        if self._stop_by is not None:
            return f"stopping: {len(self.running)} runs under way"
        images = [one for one in self.board.images.values() if one.gone_at is None]
        words = [f"{len(images)} images", f"{len(self._of(BACKUP))} running"]
        words.append(f"{len(self.agenda.waiting)} waiting")
        first = self.agenda.next_at()
        if first is not None:
            label = self.board.images[first[1]].label
            words.append(f"next run {first[0]:%Y-%m-%dT%H:%M:%SZ} {label}")
        return ", ".join(words)

    # ── workers ───────────────────────────────────────────────────────────────────────────────
    def _hear(self, line: Line) -> None:
        one = self.running.get(line.run)
        if one is not None:
            one.hear(line.said, self._desk.timer())
            if (deed := deed_of(one.record, line.said, self._desk.now())) is not None:
                with self._blindly():
                    self.board.diary.note_deed(deed)

    def _end(self, ended: Ended) -> None:
        """A worker is no more: what it did is known now, whatever became of it."""
        one = self.running.pop(ended.run, None)
        if one is None:
            return
        self._shares.spread(self.config, self.running)
        now = self._desk.now()
        record = one.ended(ended.status, now)
        self._desk.view.ended(record)
        try:
            if record.kind == BACKUP:
                self._end_backup(one, record, now)
            else:
                self._end_chore(one, record, now)
        except ConfigError as error:
            self._go_blind(error)
        self._tick()

    def _end_backup(self, one: Running, record: RunRecord, now: datetime) -> None:
        pause = self._pause(record, now)
        if record.outcome is Outcome.BUSY:
            subject, ttl_s = record.subject, float(self.config.daemon.lease_ttl)
            longest_s = self.board.longest_pause(subject, now)
            self.board.hold_off(subject, one.free_at(now, ttl_s, longest_s))
        say_end(self._desk.log, one, record, pause, now=now)
        self.board.note_end(record, pause, one.head(record.subject, now))

    def _pause(self, record: RunRecord, now: datetime) -> Pause | None:
        """How long to leave the image of a run that failed alone; None when it did not fail."""
        if record.outcome is None or not record.outcome.is_failure:
            return None
        failures, first = self.board.failures_of(record.subject) + 1, self.config.daemon.backoff
        longest = self.board.longest_pause(record.subject, now)
        seconds = schedule.pause(record.subject, failures, first=first, longest=longest)
        until = now + timedelta(seconds=seconds)
        return Pause(record.subject, failures, until, record.code, record.message)

    def _end_chore(self, one: Running, record: RunRecord, now: datetime) -> None:
        pause = self._chores.ended(record, self.config, now)
        if record.kind == DISCOVER:
            self._end_look(one, record, now)
        else:
            say_end(self._desk.log, one, record, pause, now=now)
        if record.kind == LEARN:
            # Looked through or not: a worker reads the newest manifest itself, and decides last.
            self._may_begin = True
        if record.kind == SNAPSHOTS and record.outcome is Outcome.DONE:
            self._desk.view.counted(record.source, number(one.result, "orphans"))
        if record.kind in NOTED:
            self.board.diary.end_run(record, pause)
        if record.kind in (LEARN, PRUNE) and record.outcome is Outcome.DONE:
            self.board.load_heads()

    def _end_look(self, one: Running, record: RunRecord, now: datetime) -> None:
        """A look into a source ended; one that failed changes nothing that is known."""
        name = record.subject
        if record.outcome is Outcome.STOPPED:
            return
        if record.outcome is not Outcome.DONE:
            self._desk.view.looked(name, now, images=None, unprotected=None)
            if name not in self._unseen:
                say_unseen(self._desk.log, record)
            self._unseen.add(name)
            return
        if name in self._unseen:
            self._unseen.discard(name)
            self._desk.log.say("source_back", source=name)
        images = rows(one.result, "images")
        shown = Shown(
            name,
            {text(row, "identity"): text(row, "label") for row in images},
            {text(row, "identity"): text(row, "policy") for row in images},
            complete=one.result.get("complete") is True,
        )
        for change in self.board.take(shown, now):
            say_change(self._desk.log, change)
        unprotected = sum(not self.board.images[one].policy for one in shown.labels)
        self._desk.view.looked(name, now, images=len(images), unprotected=unprotected)

    # ── signals and questions ─────────────────────────────────────────────────────────────────
    def _obey(self, name: str) -> None:
        if name == "SIGHUP":
            self._reload()
        elif name == "SIGUSR1":
            self._desk.log.say("asked", what="run")
            for image in self.board.images.values():
                if self.board.is_scheduled(image):
                    with self._blindly():
                        self.board.want(image.identity)
            self._tick()
        elif self._stop_by is not None:  # told twice: at once
            self._stop_by = self._desk.timer()
            self._tick()
        else:
            self._stop()

    def _answer(self, question: Mapping[str, Json]) -> Mapping[str, Json]:
        """What somebody on the control socket gets to hear."""
        self._desk.log.say("asked", what=text(question, "ask"))
        reply = answer(question, self.board, self.running.values(), self.status())
        self.queue.put(Tick())
        return reply

    def _stop(self) -> None:
        self._desk.log.say("daemon_stopping", running=len(self.running))
        self._desk.notifier.tell(STOPPING="1")
        self._stop_by = self._desk.timer() + self.config.daemon.drain
        for run, one in self.running.items():
            one.stopping = True
            if one.record.kind == BACKUP:
                self._desk.workers.tell(run, {"order": "stop"})
            else:
                self._desk.workers.kill(run)
        self._tick()

    def _stop_if_done(self) -> None:
        if self._stop_by is None:
            return
        if not self.running:
            self._over = True
            self._desk.log.say("daemon_stopped")
        elif self._desk.timer() >= self._stop_by:
            for run in self.running:
                self._desk.workers.kill(run)

    def _reload(self) -> None:
        """Take the new configuration, or keep the old one; never something between."""
        self._desk.notifier.tell(RELOADING="1", MONOTONIC_USEC=str(int(self._desk.timer() * 1e6)))
        try:
            loaded = self._desk.load()
            waits = later(self._first, loaded.config)
        except ConfigError as error:
            self._desk.view.config_refused = True
            self._note_config(str(error))
            self._desk.log.say("config_refused", message=str(error), hint=error.hint)
        else:
            self._loaded = loaded
            self.board.config = loaded.config
            self._shares.spread(loaded.config, self.running)
            self._chores.forget_times()
            self.agenda.forget()
            self._desk.view.config_refused = False
            self._note_config()
            self._desk.log.say("config_reloaded")
            for warning in (*waits, *loaded.warnings):
                self._desk.log.say("config_warning", message=warning)
            with self._blindly():
                for change in self.board.drop_sources(self._desk.now()):
                    say_change(self._desk.log, change)
        self._desk.notifier.tell(READY="1")
        self._tick()

    def _note_config(self, refused: str = "") -> None:
        with self._blindly():
            note_taken(self._desk.diary, self._record(*RELOAD, source=""), refused)
