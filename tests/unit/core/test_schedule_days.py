"""A daemon in small, played over the days on which clocks change: no run lost, none doubled.

It asks :func:`drd.core.schedule.plan` as the real one does, at odd times; it is restarted (and loses the
run under way), suspended, its clock jumps by an hour, and runs take longer than their interval. Like the
real one it refuses a run while its clock is behind the newest point, and pauses.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drd.core.schedule import Rhythm, Rules, Wanted, newest_slot, next_slot, pause, plan
from tests.unit.core.zones import EU_ZONES, change_days

RULES = Rules(2, (), "UTC")
SECOND = timedelta(seconds=1)
IMAGE = "rbd:fsid/2//1a2b"


@dataclass
class Daemon:
    """One image, one clock, and what a person with a list of slots would count."""

    rhythm: Rhythm
    now: datetime
    newest: datetime
    ends: datetime | None = None
    slot: datetime | None = None
    frozen_at: datetime | None = None
    failures: int = 0
    paused: datetime | None = None
    served: Counter[datetime] = field(default_factory=Counter)

    def tick(self, seconds: int, *, run_takes: int) -> None:
        """Time goes by; then the daemon looks at its clock. A run under way may end in between."""
        self.now += timedelta(seconds=seconds)
        if self.ends is not None and self.ends <= self.now:
            self.commit()
        if self.ends is None:
            self.look(run_takes)

    def look(self, run_takes: int) -> None:
        wanted = Wanted(IMAGE, "s", self.rhythm, self.newest, self.paused, slow=False, asked=False)
        for start in plan([wanted], RULES, {}, self.now).begin:
            if self.now <= self.newest:
                self.failures += 1
                seconds = pause(IMAGE, self.failures, first=60, longest=600)
                self.paused = self.now + timedelta(seconds=seconds)
                continue
            self.slot, self.frozen_at = start.slot, self.now
            self.ends = self.now + timedelta(seconds=run_takes)

    def commit(self) -> None:
        assert self.slot is not None
        assert self.frozen_at is not None
        self.newest, self.failures, self.paused = self.frozen_at, 0, None
        self.served[self.slot] += 1
        self.ends = None

    def restart(self) -> None:
        """What it remembered is gone; the point of a run under way was not committed."""
        self.ends = None

    def jump(self, seconds: int) -> None:
        """Somebody sets the clock: what runs still takes as long as it takes."""
        by = timedelta(seconds=seconds)
        self.now += by
        if self.ends is not None:
            self.ends += by

    @property
    def nothing_missed(self) -> bool:
        """After a look nothing is due that does not run."""
        return self.ends is not None or self.newest >= newest_slot(self.rhythm, IMAGE, self.now)


def slots(rhythm: Rhythm, begin: datetime, end: datetime) -> list[datetime]:
    found, at = [], begin
    while (at := next_slot(rhythm, IMAGE, at)) <= end:
        found.append(at)
    return found


def rhythms(zone: str) -> list[Rhythm]:
    return [
        Rhythm(3600, None, zone, None),
        Rhythm(7 * 3600 + 11, None, zone, None),
        Rhythm(None, "15 * * * *", zone, None),
        Rhythm(None, "*/20 * * * *", zone, 300),
        Rhythm(None, "30 2 * * *", zone, None),
        Rhythm(None, "30 2 * * *", zone, 3600),
        Rhythm(None, "0,30 0-4 * * *", zone, None),
        Rhythm(None, "0 */2 * * 0", zone, None),
    ]


@pytest.mark.parametrize("zone", EU_ZONES)
def test_each_slot_of_the_change_days_is_served_once(zone: str) -> None:
    for change in change_days(2026, 2028):
        begin, end = change - timedelta(hours=30), change + timedelta(hours=30)
        for rhythm in rhythms(zone):
            daemon = Daemon(rhythm, begin, begin)
            while daemon.now < end:
                daemon.tick(277, run_takes=100)
                assert daemon.nothing_missed
            wanted = slots(rhythm, begin, end - timedelta(seconds=600))
            assert list(daemon.served)[: len(wanted)] == wanted
            assert set(daemon.served.values()) == {1}


STEPS = st.one_of(
    st.tuples(st.just("tick"), st.integers(1, 900)),
    st.tuples(st.just("tick"), st.integers(1, 900)),
    st.tuples(st.just("suspend"), st.integers(900, 40_000)),
    st.tuples(st.just("restart"), st.integers(1, 600)),
    st.tuples(st.just("jump"), st.sampled_from([3600, -3600])),
)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([*EU_ZONES, "Australia/Lord_Howe"]),
    st.sampled_from(change_days(2025, 2030)),
    st.integers(0, 7),
    st.lists(st.tuples(STEPS, st.integers(1, 9000)), min_size=5, max_size=60),
)
def test_whatever_happens_no_slot_is_served_twice_and_none_is_forgotten(
    zone: str, change: datetime, choice: int, steps: list[tuple[tuple[str, int], int]]
) -> None:
    rhythm = rhythms(zone)[choice]
    begin = change - timedelta(hours=20)
    daemon = Daemon(rhythm, begin, begin)
    for (what, seconds), run_takes in steps:
        if what == "restart":
            daemon.restart()
        if what == "jump":
            daemon.jump(seconds)
        daemon.tick(1 if what == "jump" else seconds, run_takes=run_takes)
        # A clock that went back waits for its own newest point, and begins no run before it.
        assert daemon.nothing_missed or daemon.paused is not None
    assert set(daemon.served.values()) <= {1}
    # When all is calm again, and the clock has passed its newest point, every slot is served.
    while daemon.now <= daemon.newest or daemon.ends is not None or daemon.paused is not None:
        daemon.tick(293, run_takes=30)
    calm = daemon.now
    for _ in range(300):
        daemon.tick(293, run_takes=30)
        assert daemon.nothing_missed
    wanted = slots(rhythm, calm, daemon.now - timedelta(seconds=600))
    assert set(wanted) <= set(daemon.served)
    assert set(daemon.served.values()) <= {1}


@pytest.mark.parametrize("choice", range(8))
def test_slots_missed_while_suspended_are_served_by_one_run(choice: int) -> None:
    change = change_days(2027, 2027)[1]
    rhythm = rhythms("Europe/Stockholm")[choice]
    daemon = Daemon(rhythm, change - timedelta(days=9), change - timedelta(days=9))
    daemon.tick(10 * 86400, run_takes=5)
    assert daemon.slot == newest_slot(rhythm, IMAGE, daemon.now)
    daemon.tick(6, run_takes=5)
    assert daemon.served == {daemon.slot: 1}


def test_a_run_longer_than_its_interval_is_followed_by_one_for_the_newest_slot() -> None:
    rhythm = Rhythm(None, "0 * * * *", "UTC", None)
    noon = change_days(2027, 2027)[0].replace(hour=12)
    daemon = Daemon(rhythm, noon - SECOND, noon - timedelta(minutes=30))
    daemon.tick(1, run_takes=3 * 3600 + 600)
    for _ in range(4 * 60 + 5):
        daemon.tick(60, run_takes=60)
    assert [slot.hour for slot in daemon.served] == [12, 15, 16]
