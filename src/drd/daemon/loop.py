"""The one thread that decides: it takes happenings from a queue, and nobody else changes what it knows.

A tick looks at everything anew: what the clock says, what sources show, what is due, what does not move
any more. So a tick that is late, or comes twice, does no harm, and nothing depends on one that was missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Final, assert_never

from drd.config import Config
from drd.core import schedule
from drd.core.lines import rows, text
from drd.daemon.answers import answer
from drd.daemon.board import BACKUP, Board, Shown
from drd.daemon.happenings import Asked, Ended, Happening, Line, NurseryGone, Signalled, Tick
from drd.daemon.log import Log
from drd.daemon.notify import Notifier
from drd.daemon.nursery import Workers
from drd.daemon.running import Running
from drd.daemon.telling import say_change, say_end
from drd.errors import ConfigError
from drd.model import Head, Image, Json, Outcome, Pause, RunRecord
from drd.ports import Diary

DISCOVER: Final = "discover"
LEARN: Final = "learn"
JUMP_S: Final = 5.0
"""A clock that moved by so much more or less than the timer has jumped (or the machine slept)."""
BUSY_AGAIN_S: Final = 15
"""How long to leave an image alone that somebody else works on, at least."""


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
    time, in place of what was asked before; ``load`` reads the configuration again (``ConfigError``).
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


class Loop:
    """See the module. :meth:`serve` runs it; *queue* is where happenings are put."""

    def __init__(self, desk: Desk, loaded: Loaded, queue: SimpleQueue[Happening]) -> None:
        self.queue = queue
        self._desk = desk
        self._loaded = loaded
        self.board = Board(loaded.config, desk.diary, desk.newest)
        self.running: dict[str, Running] = {}
        self.plan: schedule.Plan | None = None
        self._looked: dict[str, datetime] = {}
        self._unseen: set[str] = set()
        self._learnt_at: datetime | None = None
        self._may_begin = False
        self._last: tuple[datetime, float] | None = None
        self._stop_by: float | None = None
        self._over = False
        self._blind = False

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._loaded.config

    def serve(self) -> None:
        """React to what happens, until it is over."""
        self.queue.put(Tick())
        while not self._over:
            self.handle(self.queue.get())

    def handle(self, happening: Happening) -> None:
        """React to one happening."""
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
        for change in self.board.drop_sources(self._desk.now()):
            say_change(self._desk.log, change)
        self._desk.log.say(
            "daemon_started", sources=len(self.config.source), images=len(self.board.images)
        )

    def _tick(self) -> None:
        now = self._desk.now()
        self._look_at_clock(now)
        self._kill_what_does_not_move()
        try:
            if self._stop_by is None:
                self._look_into_sources(now)
                self._learn(now)
                self._begin_due(now)
            self._desk.diary.note_tick(now)
        except ConfigError as error:
            self._go_blind(error)
        else:
            self._blind = False
        self._stop_if_done()
        self._tell(now)

    def _go_blind(self, error: ConfigError) -> None:
        """The catalogue cannot be used now: say so once, and try again with each tick."""
        if not self._blind:
            self._desk.log.say("catalogue_unusable", message=str(error), hint=error.hint)
        self._blind = True

    def _look_at_clock(self, now: datetime) -> None:
        at = self._desk.timer()
        if self._last is not None:
            jump = (now - self._last[0]).total_seconds() - (at - self._last[1])
            if abs(jump) > JUMP_S:
                self._desk.log.say("clock_jumped", seconds=round(jump, 1))
                if jump < 0:  # what was noted with the clock of before must not hold anything back
                    self._looked.clear()
                    self._learnt_at = None
        self._last = (now, at)

    def _kill_what_does_not_move(self) -> None:
        limit = self.config.daemon.stall_after
        for run, one in self.running.items():
            if not one.stalled and self._desk.timer() - one.moved_at > limit:
                one.stalled = True
                self._desk.workers.kill(run)

    def _look_into_sources(self, now: datetime) -> None:
        every = timedelta(seconds=self.config.daemon.discover_every)
        looking = {one.record.subject for one in self._of(DISCOVER)}
        for name in sorted(self.config.source):
            pause = self.board.pauses.get(_source(name))
            due = self._looked.get(name, now - every) + every
            if pause is not None and name in self._unseen:
                due = max(due, pause.until)
            if name not in looking and due <= now:
                self._looked[name] = now
                self._start(DISCOVER, name, {"source": name}, source=name)

    def _learn(self, now: datetime) -> None:
        every = timedelta(seconds=self.config.daemon.learn_every)
        due = self._learnt_at is None or self._learnt_at + every <= now
        if due and not self._of(LEARN):
            self._learnt_at = now
            self._start(LEARN, LEARN, {})

    def _begin_due(self, now: datetime) -> None:
        daemon = self.config.daemon
        under = {one.record.subject: one.slow for one in self._of(BACKUP)}
        rules = schedule.Rules(daemon.workers, daemon.blackout, daemon.timezone)
        self.plan = schedule.plan(self.board.wanted(now), rules, under, now)
        if not self._may_begin:
            return
        for start in self.plan.begin:
            image = self.board.images[start.identity]
            forced = start.identity in self.board.asked
            job: dict[str, Json] = {
                "source": image.source,
                "label": image.label,
                "identity": image.identity,
                "slot": "" if forced else start.slot.isoformat(),
            }
            self._start(BACKUP, image.identity, job, source=image.source, image=image, slot=start)

    def _start(
        self,
        kind: str,
        subject: str,
        job: Mapping[str, Json],
        *,
        source: str = "",
        image: Image | None = None,
        slot: schedule.Start | None = None,
    ) -> None:
        """Begin a worker."""
        run = self._desk.random(8).hex()
        record = RunRecord(
            run=run,
            kind=kind,
            subject=subject,
            label=image.label if image else "",
            source=source,
            policy=image.policy if image else "",
            started_at=self._desk.now(),
            slot=slot.slot if slot else None,
        )
        if kind == BACKUP:
            self.board.diary.begin_run(record)
            self._desk.log.say(
                "run_started",
                run=run,
                kind=kind,
                image=record.label,
                slot=slot.slot.isoformat() if slot else "",
            )
        slow = slot.slow if slot else False
        self.running[run] = Running(record, slow=slow, moved_at=self._desk.timer())
        config: Mapping[str, Json] = {"config": self._loaded.text, "path": self._loaded.path}
        self._desk.workers.start(run, (config, {"job": kind, "run": run, **job}))

    def _of(self, kind: str) -> list[Running]:
        return [one for one in self.running.values() if one.record.kind == kind]

    def _tell(self, now: datetime) -> None:
        """Tell systemd, and ask for the next tick."""
        self._desk.notifier.tell(WATCHDOG="1", status=self.status())
        if self._over:
            return
        again = now + timedelta(seconds=self._patience())
        if self.plan is not None and self._may_begin and self._stop_by is None:
            again = min(again, max(self.plan.look_again, now + timedelta(milliseconds=100)))
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
        if self.plan is not None:
            words.append(f"{self.plan.waiting} waiting")
            if self.plan.next_run:
                identity, at = min(self.plan.next_run.items(), key=lambda one: one[1])
                words.append(
                    f"next run {at:%Y-%m-%dT%H:%M:%SZ} {self.board.images[identity].label}"
                )
        return ", ".join(words)

    # ── workers ───────────────────────────────────────────────────────────────────────────────
    def _hear(self, line: Line) -> None:
        one = self.running.get(line.run)
        if one is not None:
            one.hear(line.said, self._desk.timer())

    def _end(self, ended: Ended) -> None:
        """A worker is no more: what it did is known now, whatever became of it."""
        one = self.running.pop(ended.run, None)
        if one is None:
            return
        now = self._desk.now()
        record = one.ended(ended.status, now)
        try:
            match record.kind:
                case "backup":
                    self._end_backup(one, record, now)
                case "discover":
                    self._end_look(one, record, now)
                case _:
                    self._end_learn(record)
        except ConfigError as error:
            self._go_blind(error)
        self._tick()

    def _end_backup(self, one: Running, record: RunRecord, now: datetime) -> None:
        pause = self._pause(record, now)
        if record.outcome is Outcome.BUSY:
            wait = max(BUSY_AGAIN_S, self.config.daemon.lease_ttl // 2)
            self.board.holds_off[record.subject] = now + timedelta(seconds=wait)
        say_end(self._desk.log, one, record, pause, now=now)
        self.board.note_end(record, pause, one.head(record.subject))

    def _end_look(self, one: Running, record: RunRecord, now: datetime) -> None:
        """A look into a source ended; one that failed changes nothing that is known."""
        name, subject = record.subject, _source(record.subject)
        if record.outcome is not Outcome.DONE:
            pause = self._pause(record, now, subject=subject)
            if name not in self._unseen:
                self._desk.log.say(
                    "source_unreachable",
                    run=record.run,
                    source=name,
                    code=record.code,
                    message=record.message,
                )
            self._unseen.add(name)
            if pause is not None:
                self.board.pauses[subject] = pause
            return
        self.board.pauses.pop(subject, None)
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

    def _end_learn(self, record: RunRecord) -> None:
        """The bucket was looked through, or could not be: either way the worker decides last."""
        self._may_begin = True
        if record.outcome is Outcome.DONE:
            self.board.load_heads()
        else:
            self._learnt_at = None if self._learnt_at is None else self._retry_learn()
            self._desk.log.say(
                "run_failed", run=record.run, kind=LEARN, code=record.code, message=record.message
            )

    def _retry_learn(self) -> datetime:
        """A look through the bucket that failed is made again after a minute, not after an hour."""
        every = timedelta(seconds=self.config.daemon.learn_every)
        return self._desk.now() - every + timedelta(seconds=self.config.daemon.backoff)

    def _pause(self, record: RunRecord, now: datetime, *, subject: str = "") -> Pause | None:
        """How long to leave the subject of a run that failed alone; None when it did not fail."""
        if record.outcome is None or not record.outcome.is_failure:
            return None
        subject = subject or record.subject
        failures = self.board.failures_of(subject) + 1
        daemon = self.config.daemon
        seconds = schedule.pause(
            subject, failures, first=daemon.backoff, longest=daemon.backoff_max
        )
        until = now + timedelta(seconds=seconds)
        return Pause(subject, failures, until, record.code, record.message)

    # ── signals and questions ─────────────────────────────────────────────────────────────────
    def _obey(self, name: str) -> None:
        if name == "SIGHUP":
            self._reload()
        elif name == "SIGUSR1":
            self.board.asked |= {
                one.identity for one in self.board.images.values() if self.board.is_scheduled(one)
            }
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
        except ConfigError as error:
            self._desk.log.say("config_refused", message=str(error), hint=error.hint)
        else:
            self._loaded = loaded
            self.board.config = loaded.config
            self._looked.clear()
            self._desk.log.say("config_reloaded")
            for warning in loaded.warnings:
                self._desk.log.say("config_warning", message=warning)
            for change in self.board.drop_sources(self._desk.now()):
                say_change(self._desk.log, change)
        self._desk.notifier.tell(READY="1")
        self._tick()


def _source(name: str) -> str:
    """What the pause of a source is kept under: no identity of an image begins so."""
    return f"source:{name}"
