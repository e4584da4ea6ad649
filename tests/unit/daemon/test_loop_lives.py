"""What must not end the loop, or leave it asleep: a full disk, words it does not know, a clock put back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from typing_extensions import override

from drd.daemon.happenings import Ended, Line, Signalled
from drd.daemon.loop import Loop
from drd.errors import ConfigError
from drd.model import Image, Json, Outcome
from drd.testing.diary import MemoryDiary
from tests.unit.daemon.stage import BEGIN, CONFIG, Stage, fails

HOUR = 3600.0


class Full(MemoryDiary):
    """A diary that takes nothing more, while ``full`` is set."""

    full = False

    def _check(self) -> None:
        if self.full:
            raise ConfigError("the catalogue cannot be used: disk is full", hint="free it")

    @override
    def end_pause(self, subject: str) -> None:
        self._check()
        super().end_pause(subject)

    @override
    def note_images(self, images: Iterable[Image]) -> None:
        self._check()
        super().note_images(images)


def test_sigusr1_while_the_disk_is_full_runs_everything_all_the_same() -> None:
    diary = Full()
    stage = Stage(diary=diary).begun("a", "b")
    fails(stage, "vms/a")
    fails(stage, "vms/b")
    diary.full = True
    stage.happens(Signalled("SIGUSR1"))
    assert len(stage.said("catalogue_unusable")) == 1
    assert stage.loop.board.asked == {"rbd:a", "rbd:b"}
    assert stage.under_way()


def test_a_reload_while_the_disk_is_full_is_taken() -> None:
    diary = Full()
    stage = Stage(diary=diary).begun("a")
    diary.full = True
    stage.text = stage.text.replace("[source.vms]", "[source.others]")
    stage.happens(Signalled("SIGHUP"))
    assert len(stage.said("config_reloaded")) == 1
    assert list(stage.loop.config.source) == ["others"]


@pytest.mark.parametrize(
    "result",
    [
        {"outcome": "splendid"},
        {"outcome": "busy", "until": "soon"},
        {"outcome": "busy", "until": "2027-03-01T12:00:00"},
        {"outcome": "done", "point_at": "today", "lineage": "0a" * 16, "seq": 1},
        {"outcome": "done", "point_at": BEGIN.isoformat(), "lineage": "junk", "seq": 1},
        {"outcome": "failed", "exit": float("nan"), "bytes_read": 1 << 70},
    ],
    ids=str,
)
def test_a_worker_that_talks_nonsense_harms_nobody_else(result: dict[str, Json]) -> None:
    """As one of another version may, after an update under a daemon that runs."""
    stage = Stage().begun("a", "b")
    job = stage.under_way()["vms/a"]
    run_id = str(job["run"])
    stage.happens(Line(run_id, {"is": "progress", "done": float("inf")}))
    stage.happens(Line(run_id, {"is": "result", **result}))
    stage.happens(Ended(run_id, 0))
    assert "vms/a" not in stage.under_way()
    stage.makes("vms/b")
    (run,) = stage.diary.runs(subject="rbd:a")
    assert run.outcome is not None
    assert run.outcome.is_failure == (result["outcome"] != "busy")


DEED: dict[str, Json] = {
    "is": "deed",
    "lineage": "0a" * 16,
    "policy": "gold",
    "outcome": "failed",
    "exit": 11,
    "code": "damage",
    "message": "m",
    "hint": "h",
    "seq": 3,
    "seconds": 5.0,
    "facts": {"level": 2, "findings": 1},
}
VERIFIED = CONFIG.replace(
    "[policy.silver]", 'verify = { level = 2, every = "1d" }\n[policy.silver]'
)


def verifies() -> tuple[Stage, str]:
    """A stage on which a verify is under way, and its number."""
    stage = Stage(VERIFIED).begun("a")
    stage.ends(stage.under_way("snapshots")["vms"], outcome="done", orphans=0)
    return stage, str(stage.under_way("verify")["verify"]["run"])


def test_what_a_verify_did_in_a_lineage_is_noted_as_it_comes() -> None:
    stage, run = verifies()
    stage.at += timedelta(seconds=60)
    stage.happens(Line(run, DEED))
    (deed,) = stage.diary.deeds(lineage="0a" * 16)
    assert (deed.record.run, deed.record.kind, deed.record.policy) == (run, "verify", "gold")
    assert deed.record.outcome is Outcome.FAILED
    assert (deed.record.code, deed.record.message, deed.record.hint) == ("damage", "m", "h")
    assert (deed.record.seq, deed.record.ended_at) == (3, stage.at)
    assert deed.record.started_at == stage.at - timedelta(seconds=5)
    assert deed.facts == {"level": 2, "findings": 1}


@pytest.mark.parametrize(
    "wrong",
    [{"lineage": "x"}, {"outcome": "blue"}, {"lineage": 7}, {"outcome": None}],
)
def test_nonsense_about_a_lineage_is_not_noted(wrong: dict[str, Json]) -> None:
    stage, run = verifies()
    stage.happens(Line(run, {**DEED, **wrong}))
    assert stage.diary.deeds(run=run) == []
    for seconds in (-1, 1e300, "5", None):
        stage.happens(Line(run, {**DEED, "seconds": seconds, "facts": [1]}))
    assert [one.record.seconds for one in stage.diary.deeds(run=run)] == [0.0] * 4


def test_a_run_that_tells_of_lineages_moves() -> None:
    stage, run = verifies()
    for _ in range(8):
        stage.passes(300)
        stage.happens(Line(run, DEED))
    assert run not in stage.workers.killed
    stage.passes(3600)
    assert run in stage.workers.killed


def test_a_clock_that_is_put_back_leaves_nobody_asleep() -> None:
    """Who wakes goes by the host's clock; here it never does."""
    stage = Stage(Stage().text.replace("workers = 2", 'workers = 2\ntick = "1s"'))
    ticked = threading.Event()

    def wake(_: object) -> None:
        if len(stage.woken) > 2:
            ticked.set()
        stage.woken.append(BEGIN)

    desk = replace(stage.loop._desk, timer=time.monotonic, wake=wake)
    loop = Loop(desk, stage.load(), stage.queue)
    serving = threading.Thread(target=loop.serve, daemon=True)
    serving.start()
    assert ticked.wait(60)
    stage.queue.put(Signalled("SIGTERM"))
    for run in stage.workers.jobs:
        stage.queue.put(Ended(run, -9))
    serving.join(60)
    assert not serving.is_alive()


def test_images_that_come_and_go_are_forgotten_unless_they_left_points() -> None:
    stage = Stage().begun("kept", "passing")
    stage.makes("vms/kept")
    fails(stage, "vms/passing")
    for days in (0, 29, 2):
        stage.at += timedelta(days=days)
        stage.passes(HOUR)
        stage.shows()
        there = stage.loop.board.images.keys()
        assert there == {one.identity for one in stage.diary.images()}
        assert "rbd:kept" in there
        assert ("rbd:passing" in there) == (days != 2)
    assert not {"rbd:passing"} & {*stage.loop.board.last, *stage.loop.board.pauses}
