"""Planning the few that can be other than before is planning all of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from drd.core import schedule
from drd.core.schedule import Rules
from drd.daemon.agenda import Agenda
from drd.daemon.board import Board, Shown
from drd.model import Head, Outcome, Pause, RunRecord
from drd.testing.diary import MemoryDiary
from tests.unit.daemon.stage import BEGIN, CONFIG, Stage

IMAGES = [f"rbd:{number}" for number in range(6)]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["time", "done", "failed", "ask", "gone", "back", "hold"]),
        st.sampled_from(IMAGES),
        st.integers(1, 5000),
    ),
    min_size=1,
    max_size=40,
)


def board_of(names: list[str]) -> Board:
    """A board that was shown images of these identities."""
    board = Board(Stage(CONFIG.replace('"1s"', '"1h"')).load().config, MemoryDiary(), list)
    shown = {name: f"vms/{name}" for name in names}
    board.take(Shown("vms", shown, {}, complete=True), BEGIN)
    return board


@given(STEPS, st.integers(1, 3))
def test_the_agenda_begins_what_a_plan_of_everything_begins(
    steps: list[tuple[str, str, int]], workers: int
) -> None:
    board = board_of(IMAGES)
    agenda, rules = Agenda(board), Rules(workers, ("13:00-13:20",), "UTC")
    now, running, there = BEGIN, dict[str, bool](), list(IMAGES)
    for what, identity, seconds in steps:
        if what == "time":
            now += timedelta(seconds=seconds)
        elif what == "ask":
            board.want(identity)
        elif what == "hold":
            board.hold_off(identity, now + timedelta(seconds=seconds))
        elif what in ("gone", "back"):
            there = [one for one in there if one != identity] + [identity] * (what == "back")
            shown = {name: f"vms/{name}" for name in there}
            board.take(Shown("vms", shown, {}, complete=True), now)
        elif identity in running:
            del running[identity]
            end(board, identity, what, now)
        whole = schedule.plan(board.wanted(list(board.images), now), rules, running, now)
        begun = agenda.begin(rules, running, now)
        assert begun == whole.begin
        assert agenda.next_run == dict(whole.next_run)
        first = agenda.next_at()
        ahead = [at for at in whole.next_run.values() if at > now]
        assert (first[0] if first else None) == min(ahead, default=None)
        for one in begun:
            agenda.took(one.identity)
            running[one.identity] = one.slow
    assert agenda.waiting <= set(board.images) - running.keys()


def end(board: Board, identity: str, what: str, at: datetime) -> None:
    """A run ends, with a point or a failure."""
    outcome = Outcome.DONE if what == "done" else Outcome.FAILED
    record = RunRecord("0" * 16, "backup", identity, "", "vms", "gold", at, outcome=outcome)
    pause = None
    head = None
    if what == "done":
        head = Head(identity.encode(), "", identity, 1, at, at, 1, 1, at)
    else:
        pause = Pause(identity, 1, at + timedelta(seconds=90))
    board.note_end(record, pause, head)
