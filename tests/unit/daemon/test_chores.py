"""When each chore is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from drd.config import Config
from drd.config.loading import read_config
from drd.daemon.chores import BUCKET, PRUNE, VERIFY, Chore, Chores, chores_of
from drd.model import Outcome, RunRecord
from drd.testing.diary import MemoryDiary
from tests.unit.daemon.stage import BEGIN, CONFIG

VERIFYING = CONFIG.replace(
    "[policy.gold]\n", '[policy.gold]\nverify = { level = 2, every = "1d", coverage = "30d" }\n'
)
PRUNING = CONFIG.replace("[policy.gold]\n", "[policy.gold]\nkeep = { last = 3 }\n")
DAY = timedelta(days=1)


def config_of(text: str) -> Config:
    return read_config(text, Path("/etc/drd/drd.toml"))


def due(chores: Chores, at: datetime, text: str = VERIFYING) -> list[Chore]:
    return [one for one in chores.due(config_of(text), [], at) if one.kind == VERIFY]


def ran(at: datetime, outcome: Outcome) -> RunRecord:
    record = RunRecord("r", VERIFY, "gold", "", "", "", at)
    return replace(record, ended_at=at, outcome=outcome)


def others_began(chores: Chores, at: datetime, text: str = VERIFYING) -> None:
    """Of heavy chores one runs at a time: the others have just begun."""
    for one in chores_of(config_of(text)):
        if one.kind != VERIFY:
            chores.begun(one, at)


def test_each_policy_that_has_a_verify_has_a_chore_in_its_rhythm() -> None:
    (chore,) = (one for one in chores_of(config_of(VERIFYING)) if one.kind == VERIFY)
    assert (chore.subject, chore.every, chore.job) == ("gold", 86400, {"policy": "gold"})
    chores = Chores(MemoryDiary())
    others_began(chores, BEGIN)
    assert due(chores, BEGIN) == [chore]
    chores.begun(chore, BEGIN)
    others_began(chores, BEGIN + DAY)
    assert not due(chores, BEGIN + DAY - timedelta(seconds=1))
    assert due(chores, BEGIN + DAY) == [chore]


@pytest.mark.parametrize(
    "text", [CONFIG, VERIFYING.replace("workers = 2", "workers = 2\nverify = false")]
)
def test_there_is_none_without_a_plan_or_where_another_unit_does_it(text: str) -> None:
    assert not due(Chores(MemoryDiary()), BEGIN, text)


def test_a_restart_does_not_do_it_again() -> None:
    diary = MemoryDiary()
    diary.begin_run(replace(ran(BEGIN, Outcome.DONE), outcome=None))
    diary.end_run(ran(BEGIN, Outcome.DONE), None)
    chores = Chores(diary)
    others_began(chores, BEGIN + DAY)
    assert not due(chores, BEGIN + DAY / 2)
    assert due(chores, BEGIN + DAY)


def test_one_that_failed_is_tried_again_after_a_pause_and_not_a_day() -> None:
    chores = Chores(MemoryDiary())
    (chore,) = (one for one in chores_of(config_of(VERIFYING)) if one.kind == VERIFY)
    chores.begun(chore, BEGIN)
    others_began(chores, BEGIN)
    pause = chores.ended(ran(BEGIN, Outcome.FAILED), config_of(VERIFYING), BEGIN)
    assert pause is not None
    assert not due(chores, pause.until - timedelta(seconds=1))
    assert due(chores, pause.until) == [chore]


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.FAILED])
def test_what_was_noted_by_a_clock_far_ahead_holds_nothing_back(outcome: Outcome) -> None:
    """Without a battery a clock may begin in another year, until the network sets it."""
    diary, ahead = MemoryDiary(), BEGIN + 3000 * DAY
    first = Chores(diary)
    record = ran(ahead, outcome)
    diary.begin_run(replace(record, outcome=None))
    diary.end_run(record, first.ended(record, config_of(VERIFYING), ahead))
    chores = Chores(diary)
    others_began(chores, BEGIN)
    (chore,) = due(chores, BEGIN)
    chores.begun(chore, BEGIN)
    chores.ended(ran(BEGIN, Outcome.DONE), config_of(VERIFYING), BEGIN)
    assert not due(chores, BEGIN)


def test_prunes_that_failed_in_a_row_are_counted_over_a_restart_until_one_succeeds() -> None:
    diary, config = MemoryDiary(), config_of(PRUNING)
    for count, outcome in enumerate((Outcome.FAILED, Outcome.FAILED, Outcome.DONE)):
        chores = Chores(diary)
        assert chores.prune_failures(config) == count
        record = replace(ran(BEGIN, outcome), run=str(count), kind=PRUNE, subject=BUCKET)
        diary.end_run(record, chores.ended(record, config, BEGIN))
        after = 0 if outcome is Outcome.DONE else count + 1
        assert chores.prune_failures(config) == after
    assert Chores(diary).prune_failures(config) == 0
    assert Chores(diary).prune_failures(config_of(CONFIG)) is None
