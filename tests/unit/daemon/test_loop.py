"""What the loop decides, by what happens to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from typing_extensions import override

from drd.daemon.happenings import Asked, Ended, Line, Signalled, Tick
from drd.daemon.worker import failure
from drd.errors import (
    ConfigError,
    DrdError,
    NotFoundError,
    PlaceMissingError,
    StoppedError,
    TransientStoreError,
)
from drd.model import Json, Outcome, RunRecord
from drd.testing.diary import MemoryDiary
from tests.unit.daemon.stage import BEGIN, CONFIG, Stage, fails

HOUR = 3600.0


def test_nothing_begins_before_source_and_bucket_were_looked_at() -> None:
    stage = Stage()
    stage.happens(Tick())
    assert list(stage.under_way("discover")) == ["vms"]
    assert list(stage.under_way("learn")) == ["learn"]
    stage.shows("a")
    assert not stage.under_way()
    stage.learns()
    assert list(stage.under_way()) == ["vms/a"]


def test_a_bucket_that_cannot_be_looked_at_holds_nothing_back() -> None:
    stage = Stage()
    stage.happens(Tick())
    stage.shows("a")
    stage.ends(
        stage.under_way("learn")["learn"], 13, outcome="failed", code="store", message="away"
    )
    assert list(stage.under_way()) == ["vms/a"]
    assert not stage.under_way("learn")
    stage.passes(75)
    assert stage.under_way("learn"), "it is tried again after a minute"


@pytest.mark.parametrize(
    "error, reached",
    [(PlaceMissingError, False), (TransientStoreError, False), (NotFoundError, True)],
)
def test_a_bucket_that_is_gone_is_out_of_reach_and_an_image_that_is_gone_is_not(
    error: type[DrdError], *, reached: bool
) -> None:
    stage = Stage().begun("a", "b")
    stage.makes("vms/a")
    job = stage.under_way()["vms/b"]
    stage.ends(job, error.exit_code, outcome="failed", code=error.code, message="not there")
    stage.passes(30)
    assert stage.seen[-1].store_reachable is reached


def test_an_image_that_is_done_is_due_at_its_next_slot_and_not_before() -> None:
    stage = Stage().begun("a")
    stage.makes("vms/a")
    assert not stage.under_way()
    stage.passes(HOUR - 60)
    assert not stage.under_way()
    stage.passes(60)
    assert list(stage.under_way()) == ["vms/a"]
    assert stage.under_way()["vms/a"]["slot"] == "2027-03-01T13:00:00+00:00"


def test_one_worker_is_kept_free_of_slow_runs() -> None:
    stage = Stage().begun("a", "b", "c")
    assert len(stage.under_way()) == 1, "none has a point, so each may take days"


def test_the_loop_asks_to_be_woken_at_the_next_slot() -> None:
    stage = Stage(CONFIG.replace("workers = 2", 'workers = 2\ntick = "1h"')).begun("a")
    stage.at = BEGIN + timedelta(minutes=59, seconds=50)
    stage.makes("vms/a")
    slot = BEGIN + timedelta(hours=1)
    assert slot <= stage.woken[-1] <= slot + timedelta(seconds=1)


@pytest.mark.parametrize("ahead", [600, 3600, 90_000])
def test_a_source_whose_clock_is_ahead_has_each_slot_served_once(ahead: int) -> None:
    stage = Stage().begun("a")
    for hour in range(4):
        job = stage.under_way()["vms/a"]
        dated = (stage.at + timedelta(seconds=ahead)).isoformat()
        stage.ends(job, outcome="done", point_at=dated, lineage="0a" * 16, seq=hour + 1, size=1)
        assert not stage.under_way(), "no sooner because the point is of the future"
        stage.passes(HOUR)
        assert list(stage.under_way()) == ["vms/a"], "no later either"


def test_no_pause_is_longer_than_the_interval_of_its_image() -> None:
    config = CONFIG.replace('every = "1h"', 'every = "5m"').replace(
        "workers = 2", 'workers = 2\nbackoff = "1h"\nbackoff_max = "1d"'
    )
    stage = Stage(config).begun("a")
    fails(stage, "vms/a")
    assert stage.said("run_failed")[-1]["pause_s"] <= 300 * 1.2


def test_failures_pause_one_image_alone_and_longer_each_time() -> None:
    stage = Stage().begun("a")
    pauses = []
    for _ in range(4):
        fails(stage, "vms/a")
        line = stage.said("run_failed")[-1]
        pauses.append(line["pause_s"])
        assert (line["code"], line["message"], line["hint"]) == ("source", "no luck", "look")
        stage.passes(line["pause_s"] - 1)
        assert not stage.under_way()
        stage.passes(2)
        assert list(stage.under_way()) == ["vms/a"]
    assert all(1.4 * a < b < 3 * a for a, b in pairwise(pauses)), pauses
    stage.makes("vms/a")
    assert not stage.diary.pauses()


def test_a_source_that_fails_delays_no_other() -> None:
    two = CONFIG + '[source.disks]\ntype = "device"\npaths = ["/x"]\npolicy = "gold"\n'
    stage = Stage(two)
    stage.happens(Tick())
    stage.ends(stage.under_way("discover")["vms"], 14, outcome="failed", code="source", message="x")
    stage.shows("d", source="disks")
    stage.learns()
    assert list(stage.under_way()) == ["disks/d"]
    assert [one["source"] for one in stage.said("source_unreachable")] == ["vms"]
    stage.passes(120)
    stage.shows("a")
    assert [one["source"] for one in stage.said("source_back")] == ["vms"]


def test_a_source_that_fails_makes_no_image_gone() -> None:
    stage = Stage().begun("a")
    stage.makes("vms/a")
    stage.passes(120)
    stage.ends(stage.under_way("discover")["vms"], -11)
    assert not stage.said("image_gone")
    assert stage.loop.board.images["rbd:a"].gone_at is None


def test_a_look_that_is_not_complete_makes_no_image_gone() -> None:
    stage = Stage().begun("a", "b")
    stage.passes(120)
    stage.shows("a", complete=False)
    assert not stage.said("image_gone")


def test_gone_back_renamed_and_unprotected_are_told_once() -> None:
    stage = Stage().begun("a", "b")
    stage.passes(120)
    stage.shows("a")
    assert [one["image"] for one in stage.said("image_gone")] == ["vms/b"]
    for _ in range(2):
        stage.passes(120)
        stage.shows("a", "b", b="none-such")
    assert [one["image"] for one in stage.said("image_back")] == ["vms/b"]
    assert [one["policy"] for one in stage.said("image_policy_unknown")] == ["none-such"]
    stage.passes(120)
    job = stage.under_way("discover")
    row: dict[str, Json] = {"identity": "rbd:a", "label": "vms/z", "policy": ""}
    stage.ends(job["vms"], outcome="done", images=[row], complete=True)
    (told,) = stage.said("image_renamed")
    assert (told["image"], told["renamed_from"]) == ("vms/z", "vms/a")


def test_what_the_image_says_of_its_policy_wins() -> None:
    stage = Stage()
    stage.happens(Tick())
    stage.shows("a", a="silver")
    assert stage.loop.board.images["rbd:a"].policy == "silver"


def test_elsewhere_is_no_failure_and_makes_it_due_no_more() -> None:
    stage = Stage().begun("a")
    stage.ends(
        stage.under_way()["vms/a"],
        outcome="elsewhere",
        point_at=stage.at.isoformat(),
        lineage="0b" * 16,
        seq=7,
        size=1,
    )
    assert not stage.under_way()
    assert stage.loop.board.heads["rbd:a"].seq == 7
    assert not stage.diary.pauses()


def test_busy_is_left_alone_for_a_while_and_is_no_failure() -> None:
    stage = Stage().begun("a")
    stage.ends(stage.under_way()["vms/a"], 15, outcome="busy", code="busy", message="somebody else")
    assert not stage.under_way()
    assert not stage.diary.pauses()
    stage.passes(31)
    assert list(stage.under_way()) == ["vms/a"]


@pytest.mark.parametrize(
    "left_s, again_s",
    [(7, 8), (40, 41), (-3600, 1), (3600, 61)],
    ids=["soon", "later", "a clock behind ours", "a clock ahead of ours"],
)
def test_what_another_holds_is_looked_at_when_its_lease_runs_out(left_s: int, again_s: int) -> None:
    """So an image of a node that died is taken over within the lease time."""
    stage = Stage().begun("a")
    until = (stage.at + timedelta(seconds=left_s)).isoformat()
    stage.ends(stage.under_way()["vms/a"], 15, outcome="busy", code="busy", until=until)
    if again_s > 1:
        stage.passes(again_s - 1)
        assert not stage.under_way()
    stage.passes(2)
    assert list(stage.under_way()) == ["vms/a"]


@pytest.mark.parametrize("status", [-11, -6, 3, 0])
def test_a_worker_that_dies_without_a_word_has_crashed(status: int) -> None:
    stage = Stage().begun("a")
    stage.ends(stage.under_way()["vms/a"], status)
    (line,) = stage.said("run_crashed")
    assert line["failures"] == 1
    assert stage.diary.last_runs("backup")["rbd:a"].outcome is Outcome.CRASHED


def test_a_run_without_progress_is_killed_and_one_that_moves_is_not() -> None:
    stage = Stage(CONFIG.replace("workers = 2", 'workers = 2\nstall_after = "60s"')).begun("a")
    run = str(stage.under_way()["vms/a"]["run"])
    for done in range(5):
        stage.happens(Line(run, {"is": "progress", "stage": "backup", "done": done, "total": 9}))
        stage.passes(50)
    assert run not in stage.workers.killed
    stage.happens(Line(run, {"is": "progress", "stage": "backup", "done": 4, "total": 9}))
    stage.passes(30)
    assert run in stage.workers.killed, "the same place again is no progress"
    stage.happens(Ended(run, -9))
    assert stage.said("run_stalled")


def test_a_run_whose_bytes_still_move_is_not_killed() -> None:
    """On a slow line one pack can take longer than the limit."""
    stage = Stage(CONFIG.replace("workers = 2", 'workers = 2\nstall_after = "60s"')).begun("a")
    run = str(stage.under_way()["vms/a"]["run"])
    for _ in range(5):
        stage.happens(Line(run, {"is": "moved"}))
        stage.passes(50)
    assert run not in stage.workers.killed
    stage.passes(30)
    assert run in stage.workers.killed


@pytest.mark.parametrize("how", ["failed", "busy"])
def test_a_wait_that_a_wrong_clock_noted_is_no_longer_for_it(how: str) -> None:
    stage = Stage(CONFIG.replace('every = "1h"', 'every = "5m"')).begun("a")
    stage.passes(HOUR, timer=30)
    stage.ends(stage.under_way()["vms/a"], 14, outcome=how, code="source", message="", hint="")
    stage.passes(1)
    assert not stage.under_way()
    stage.passes(-HOUR, timer=1)
    assert not stage.under_way()
    stage.passes(90)
    assert list(stage.under_way()) == ["vms/a"]


def test_what_somebody_works_on_is_left_alone_no_longer_than_its_interval() -> None:
    stage = Stage(CONFIG.replace('every = "1h"', 'every = "5s"')).begun("a")
    stage.ends(stage.under_way()["vms/a"], 15, outcome="busy", code="busy", until="")
    stage.passes(6)
    assert list(stage.under_way()) == ["vms/a"]


def test_sigterm_begins_nothing_asks_backups_to_stop_and_kills_in_the_end() -> None:
    stage = Stage().begun("a", "b")
    run = str(stage.under_way()["vms/a"]["run"])
    stage.happens(Signalled("SIGTERM"))
    assert (run, {"order": "stop"}) in stage.workers.told
    for chore in list(stage.workers.killed):
        stage.happens(Ended(chore, -9))
    stage.passes(30)
    assert run not in stage.workers.killed
    assert list(stage.under_way()) == ["vms/a"]
    stage.passes(31)
    assert run in stage.workers.killed
    stage.happens(Ended(run, -9))
    assert stage.said("daemon_stopped")
    assert stage.diary.last_runs("backup")["rbd:a"].outcome is Outcome.STOPPED


def test_a_run_that_was_stopped_tells_what_it_put_and_its_partial_point() -> None:
    stage = Stage(CONFIG.replace("workers = 2", "workers = 3")).begun("a", "b")
    a, b = (stage.under_way()[f"vms/{name}"] for name in "ab")
    stage.happens(Signalled("SIGTERM"))
    stopped = StoppedError("as was asked")
    stopped.lineage, stopped.seq, stopped.bytes_uploaded = b"l" * 16, 7, 4096
    stage.ends(a, 130, **failure(stopped))
    stage.happens(Ended(str(b["run"]), -9))
    first, second = stage.said("run_stopped")
    assert (first["seq"], first["bytes_uploaded"]) == (7, 4096)
    assert first["lineage"] == (b"l" * 16).hex()
    assert not {"seq", "bytes_uploaded"} & second.keys(), "it was killed: nobody knows"
    kept = stage.diary.last_runs("backup")["rbd:a"]
    assert (kept.seq, kept.bytes_uploaded, kept.exit_code) == (7, 4096, 130)


def test_the_hint_of_an_error_is_kept_with_its_run() -> None:
    stage = Stage().begun("a")
    fails(stage, "vms/a")
    assert stage.diary.last_runs("backup")["rbd:a"].hint == "look"
    assert stage.said("run_failed")[0]["hint"] == "look"


def test_what_runs_when_the_daemon_dies_is_noted_by_the_next() -> None:
    diary = MemoryDiary()
    Stage(diary=diary).begun("a")
    Stage(diary=diary)
    assert diary.last_runs("backup")["rbd:a"].outcome is Outcome.STOPPED
    assert not diary.running()


def test_a_wrong_configuration_is_refused_and_the_old_one_stays() -> None:
    stage = Stage().begun("a")
    stage.text = CONFIG.replace("[policy.gold]", "[policy.gold")
    stage.happens(Signalled("SIGHUP"))
    assert stage.said("config_refused")
    assert "gold" in stage.loop.config.policy
    stage.text = CONFIG.replace('every = "1h"', 'every = "2h"')
    stage.happens(Signalled("SIGHUP"))
    assert stage.said("config_reloaded")
    assert stage.loop.config.policy["gold"].every == 7200


def test_a_source_that_is_configured_no_more_has_images_that_are_gone() -> None:
    stage = Stage().begun("a")
    stage.text = CONFIG.replace("[source.vms]", "[source.others]")
    stage.happens(Signalled("SIGHUP"))
    assert [one["image"] for one in stage.said("image_gone")] == ["vms/a"]


def test_asked_for_runs_whatever_pauses() -> None:
    stage = Stage().begun("a")
    fails(stage, "vms/a")
    heard: list[object] = []
    stage.happens(Asked({"ask": "run", "names": ["vms/a"]}, heard.append))
    assert heard == [{"images": ["vms/a"], "missing": [], "unscheduled": []}]
    assert stage.under_way()["vms/a"]["slot"] == ""


def test_a_name_that_nobody_has_is_told_with_the_nearest() -> None:
    stage = Stage().begun("abc")
    heard: list[object] = []
    stage.happens(Asked({"ask": "run", "names": ["vms/abd"]}, heard.append))
    assert heard == [
        {"images": [], "missing": ["vms/abd (the nearest is vms/abc)"], "unscheduled": []}
    ]
    stage.happens(Asked({"ask": "nonsense"}, heard.append))
    assert heard[-1] == {"error": "unknown question 'nonsense'"}


@pytest.mark.parametrize("hours", [-1, 24])
def test_a_clock_that_jumps_is_told_and_doubles_nothing(hours: int) -> None:
    stage = Stage().begun("a")
    stage.makes("vms/a")
    stage.passes(hours * HOUR + 30, timer=30)
    (line,) = stage.said("clock_jumped")
    assert line["seconds"] == hours * HOUR
    begun = len(stage.under_way())
    assert begun == (1 if hours > 0 else 0)
    for label in list(stage.under_way()):
        stage.makes(label)
    stage.passes(30)
    assert not stage.under_way()


@pytest.mark.parametrize("how", ["failed", "busy"])
def test_a_run_that_ends_between_a_jump_and_the_next_tick_waits_no_longer_for_it(how: str) -> None:
    stage = Stage(CONFIG.replace('every = "1h"', 'every = "5m"')).begun("a")
    stage.at += timedelta(hours=1)
    stage.ends(stage.under_way()["vms/a"], 14, outcome=how, code="source", message="", hint="")
    assert len(stage.said("clock_jumped")) == 1
    assert not stage.under_way()
    stage.passes(301)
    assert list(stage.under_way()) == ["vms/a"]


def test_a_chore_that_pauses_waits_no_longer_because_the_clock_was_put_back() -> None:
    stage = Stage()
    stage.happens(Tick())
    stage.shows("a")
    job = stage.under_way("learn")["learn"]
    stage.ends(job, 13, outcome="failed", code="store", message="away")
    stage.passes(30 - HOUR, timer=30)
    assert not stage.under_way("learn"), "it goes on waiting"
    stage.passes(45)
    assert stage.under_way("learn")


class Full(MemoryDiary):
    """A diary whose disk is full, while ``full`` is set."""

    full = False

    @override
    def begin_run(self, run: RunRecord) -> None:
        if self.full:
            raise ConfigError("the catalogue cannot be used: disk is full", hint="free it")
        super().begin_run(run)


def test_a_catalogue_that_cannot_be_used_stops_nothing_for_ever() -> None:
    diary = Full()
    stage = Stage(diary=diary).begun("a")
    stage.makes("vms/a")
    diary.full = True
    stage.passes(HOUR)
    stage.passes(30)
    assert len(stage.said("catalogue_unusable")) == 1
    diary.full = False
    stage.passes(30)
    assert list(stage.under_way()) == ["vms/a"]


def test_a_long_run_makes_one_run_afterwards_not_as_many_as_were_missed() -> None:
    stage = Stage().begun("a")
    stage.heads = []
    stage.at += timedelta(hours=7, minutes=30)
    job = stage.under_way()["vms/a"]
    stage.ends(job, outcome="done", point_at=BEGIN.isoformat(), lineage="0a" * 16, seq=1, size=1)
    assert list(stage.under_way()) == ["vms/a"]
    stage.makes("vms/a")
    assert not stage.under_way()


def test_what_was_asked_by_a_signal_and_what_began_is_told() -> None:
    stage = Stage().begun("a")
    stage.happens(Signalled("SIGUSR1"))
    assert [one["what"] for one in stage.said("asked")] == ["run"]
    (begun,) = (one for one in stage.said("run_started") if one["kind"] == "backup")
    assert (begun["source"], begun["policy"]) == ("vms", "gold")


def test_images_are_remembered_over_a_restart() -> None:
    diary = MemoryDiary()
    first = Stage(diary=diary).begun("a")
    seen = first.loop.board.images["rbd:a"]
    again = Stage(diary=diary)
    again.happens(Tick())
    again.at += timedelta(days=1)
    again.shows("a")
    assert not again.said("image_found")
    assert again.loop.board.images["rbd:a"].first_seen == seen.first_seen
    assert replace(again.loop.board.images["rbd:a"], last_seen=seen.last_seen) == seen


def test_sigusr1_wants_a_point_of_everything_now() -> None:
    stage = Stage().begun("a", "b")
    for label in ("vms/a", "vms/b"):
        stage.makes(label)
    assert not stage.under_way()
    stage.happens(Signalled("SIGUSR1"))
    assert sorted(stage.under_way()) == ["vms/a", "vms/b"]


def test_a_thousand_due_at_once_each_run_once_and_never_too_many() -> None:
    names = [f"i{number:04}" for number in range(1000)]
    stage = Stage(CONFIG.replace("workers = 2", "workers = 4"))
    stage.happens(Tick())
    stage.shows(*names)
    stage.learns()
    begun: list[str] = []
    while stage.under_way():
        at_once = stage.under_way()
        assert len(at_once) <= 4
        label = next(iter(at_once))
        begun.append(label)
        stage.makes(label)
    assert sorted(begun) == [f"vms/{name}" for name in names]
    stage.passes(30)
    assert not stage.under_way()
