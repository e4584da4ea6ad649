"""A run that gives way: to whom, how far, when it comes back. Cluster and time are simulated."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drd.core.neighbour import MEMORY_S, Neighbour, Ticket

MIB = 1 << 20
READ = 4 * MIB
MOST = 16


@dataclass
class Cluster:
    """*disks* that serve one read at a time, each in its turn, at *speed* bytes a second; and before
    that, each read takes *trip* seconds. Others keep *others* reads of the same size under way. *uneven*:
    the standard deviation of the logarithm of the time that a disk takes.
    """

    speed: float = 400.0 * MIB
    disks: int = 1
    trip: float = 0.002
    others: int = 0
    uneven: float = 0.0
    free: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free = [0.0] * self.disks
        self._turn = count()
        self._dice = Random(7)  # noqa: S311 - a simulation, the same each time

    def serve(self, at: float) -> float:
        """When a read that is asked for at *at* has its answer."""
        disk = next(self._turn) % self.disks
        begun = max(at + self.trip, self.free[disk])
        self.free[disk] = begun + READ / self.speed * self._dice.lognormvariate(0, self.uneven)
        return self.free[disk]


@dataclass
class Play:
    """A run that reads as much as it may, beside others who do what they want."""

    cluster: Cluster
    neighbour: Neighbour | None
    at: float = 0.0

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Ticket | None]] = []
        self._order = count()
        self._mine = self._theirs = 0

    def goes_on(self, seconds: float) -> float:
        """Bytes a second that the run read while *seconds* passed."""
        until, read = self.at + seconds, 0
        self._fill()
        while self._events and self._events[0][0] <= until:
            self.at, _, ticket = heapq.heappop(self._events)
            if ticket is None:
                self._theirs -= 1
            else:
                self._mine -= 1
                read += READ
                if self.neighbour is not None:
                    self.neighbour.ended(ticket, self.at)
            self._fill()
        self.at = until
        return read / seconds

    def _fill(self) -> None:
        allowed = self.neighbour.reads if self.neighbour else MOST
        while self._theirs < self.cluster.others:
            self._theirs += 1
            self._ask(None)
        while self._mine < allowed:
            self._mine += 1
            watched = self.neighbour.began(READ, self.at) if self.neighbour else None
            self._ask(watched or Ticket(self.at, READ, READ))

    def _ask(self, ticket: Ticket | None) -> None:
        event = (self.cluster.serve(self.at), next(self._order), ticket)
        heapq.heappush(self._events, event)


@pytest.mark.parametrize("disks", [1, 8, 40])
@pytest.mark.parametrize("speed", [100 * MIB, 2000 * MIB])
@pytest.mark.parametrize("trip", [0.0005, 0.030])
def test_on_an_idle_cluster_nothing_is_given_away(disks: int, speed: float, trip: float) -> None:
    neighbour = Neighbour(MOST, 0.0)
    polite = Play(Cluster(speed / disks, disks, trip), neighbour)
    rude = Play(Cluster(speed / disks, disks, trip), None)
    assert polite.goes_on(120) == rude.goes_on(120)
    assert neighbour.reads == MOST


@pytest.mark.parametrize("disks", [1, 8, 40])
@pytest.mark.parametrize("speed", [200 * MIB, 2000 * MIB])
@pytest.mark.parametrize("uneven", [0.5, 1.2])
def test_disks_that_are_slow_now_and_then_are_not_taken_for_busy(
    disks: int, speed: float, uneven: float
) -> None:
    neighbour = Neighbour(MOST, 0.0)
    polite = Play(Cluster(speed / disks, disks, uneven=uneven), neighbour)
    rude = Play(Cluster(speed / disks, disks, uneven=uneven), None)
    assert polite.goes_on(300) >= 0.98 * rude.goes_on(300)


@pytest.mark.parametrize("disks", [1, 8])
def test_a_run_gives_way_to_foreign_load_and_comes_back_after_it(disks: int) -> None:
    def play(neighbour: Neighbour | None) -> tuple[float, float, float]:
        one = Play(Cluster(400.0 * MIB / disks, disks), neighbour)
        idle = one.goes_on(60)
        one.cluster.others = 64
        one.goes_on(10)
        loaded = one.goes_on(60)
        one.cluster.others = 0
        one.goes_on(MOST + 14)
        return idle, loaded, one.goes_on(60)

    polite, rude = play(Neighbour(MOST, 0.0)), play(None)
    assert polite[0] == rude[0]
    assert rude[1] > 0.15 * rude[0], "who does not care keeps its part of the queue"
    assert 0 < polite[1] < 0.25 * rude[1], "who does leaves the cluster to the others"
    assert polite[2] >= 0.98 * rude[2]


def test_a_little_foreign_load_is_lived_with() -> None:
    neighbour = Neighbour(MOST, 0.0)
    play = Play(Cluster(), neighbour)
    play.goes_on(30)
    play.cluster.others = MOST // 2
    play.goes_on(60)
    assert neighbour.reads == MOST


def test_one_slow_period_is_no_load() -> None:
    neighbour = Neighbour(MOST, 0.0)
    play = Play(Cluster(), neighbour)
    play.goes_on(30)
    play.cluster.free = [play.at + 1.5]  # it stands still for a while, as in a failover
    play.goes_on(60)
    assert neighbour.reads == MOST


def test_what_lasts_is_the_new_normal() -> None:
    neighbour = Neighbour(MOST, 0.0)
    play = Play(Cluster(), neighbour)
    play.goes_on(MEMORY_S)
    play.cluster.others = 64
    play.goes_on(60)
    assert neighbour.reads == 1
    play.goes_on(MEMORY_S)
    assert neighbour.reads == MOST, "a run is not put off for ever"


def test_a_cache_that_answers_at_once_is_no_measure() -> None:
    neighbour, at = Neighbour(MOST, 0.0), 0.0
    for second in range(200):
        took = 0.0002 if second < 100 else 0.025
        for _ in range(40):
            ticket = neighbour.began(65536, at)
            at += took
            neighbour.ended(ticket, at)
    assert neighbour.reads == MOST


@settings(max_examples=60)
@given(
    st.integers(min_value=1, max_value=64),
    st.lists(
        st.tuples(
            st.integers(min_value=1, max_value=READ),
            st.floats(min_value=0, max_value=5),
            st.floats(min_value=0, max_value=100),
        ),
        max_size=300,
    ),
)
def test_whatever_happens_one_read_is_always_allowed(
    most: int, reads: list[tuple[int, float, float]]
) -> None:
    neighbour, at = Neighbour(most, 0.0), 0.0
    under_way: list[tuple[float, int, Ticket]] = []
    for number, (length, pause, took) in enumerate(reads):
        at += pause
        while under_way and under_way[0][0] <= at:
            ended, _, ticket = heapq.heappop(under_way)
            neighbour.ended(ticket, ended)
            assert 1 <= neighbour.reads <= most
        heapq.heappush(under_way, (at + took, number, neighbour.began(length, at)))
    while under_way:
        ended, _, ticket = heapq.heappop(under_way)
        neighbour.ended(ticket, ended)
    assert 1 <= neighbour.reads <= most
