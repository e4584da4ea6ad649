"""What the loop does when the ground under it changes: file, folder, configuration, processes."""

from __future__ import annotations

import pytest
from typing_extensions import override

from drd.daemon.happenings import Signalled
from drd.errors import ConfigError
from drd.model import Outcome, Pause, RunRecord
from drd.testing.diary import MemoryDiary
from tests.unit.daemon.stage import CONFIG, Stage

METRICS = '[daemon]\nmetrics = "127.0.0.1:9999"\nlog_names = false'


class Fragile(MemoryDiary):
    """A diary that can lose everything, and whose disk can be full."""

    full = False

    def lose(self) -> None:
        """A file without a row took its place."""
        MemoryDiary.__init__(self)

    @override
    def end_run(self, run: RunRecord, pause: Pause | None) -> None:
        if self.full:
            raise ConfigError("the catalogue cannot be used: disk is full", hint="free it")
        super().end_run(run, pause)


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("[repository]", 'state_dir = "/elsewhere"\n[repository]', "state_dir is /elsewhere"),
        ("file:///repository", "file:///other", "repository.url is file:///other"),
    ],
)
def test_what_only_a_restart_can_change_is_refused_at_a_reload(
    old: str, new: str, told: str
) -> None:
    stage = Stage().begun("a")
    stage.text = CONFIG.replace(old, new).replace('every = "1h"', 'every = "2h"')
    stage.happens(Signalled("SIGHUP"))
    (line,) = stage.said("config_refused")
    assert told in line["message"]
    assert "restart" in line["hint"]
    assert stage.loop.config.policy["gold"].every == 3600, "nothing of it is taken"


def test_what_waits_for_a_restart_is_told_at_each_reload_and_the_rest_is_taken() -> None:
    stage = Stage().begun("a")
    stage.text = CONFIG.replace("[daemon]", METRICS).replace('every = "1h"', 'every = "2h"')
    stage.happens(Signalled("SIGHUP"))
    stage.happens(Signalled("SIGHUP"))
    assert stage.loop.config.policy["gold"].every == 7200
    told = [one["message"] for one in stage.said("config_warning")]
    assert sum("daemon.metrics stays as it was" in one for one in told) == 2
    assert sum("daemon.log_names stays as it was" in one for one in told) == 2
    assert not [one for one in told if "textfile" in one]


def test_a_file_that_was_lost_gets_all_images_again() -> None:
    diary = Fragile()
    stage = Stage(diary=diary).begun("a", "b")
    seen = {one.identity: one.first_seen for one in diary.images()}
    diary.lose()
    stage.passes(30)
    assert {one.identity: one.first_seen for one in diary.images()} == seen


def test_a_run_whose_end_could_not_be_written_runs_no_more_once_it_can() -> None:
    diary = Fragile()
    stage = Stage(diary=diary).begun("a", "b")
    diary.full = True
    stage.makes("vms/a")
    assert "vms/a" in [one.label for one in diary.running()]
    diary.full = False
    stage.passes(1)
    under_way = set(stage.under_way())
    assert {one.label for one in diary.running()} == under_way
    assert under_way == {"vms/b"}


def test_a_worker_that_outlives_its_killing_is_told_again() -> None:
    stage = Stage().begun("a")
    run = str(stage.under_way()["vms/a"]["run"])
    limit = stage.loop.config.daemon.stall_after
    stage.passes(limit + 1)
    stage.passes(limit - 10)
    assert stage.workers.killed.count(run) == 1
    stage.passes(30)
    assert stage.workers.killed.count(run) == 2


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_a_refused_configuration_is_noted_until_a_good_one_is_in_force(how: str) -> None:
    diary = MemoryDiary()
    stage = Stage(diary=diary).begun("a")
    assert not diary.last_runs("reload")
    stage.text = CONFIG.replace('every = "1h"', 'every = "never"')
    stage.happens(Signalled("SIGHUP"))
    noted = diary.last_runs("reload")["drd.toml"]
    assert (noted.outcome, noted.code) == (Outcome.FAILED, "config")
    assert noted.message == stage.said("config_refused")[0]["message"].splitlines()[0]
    if how == "restart":
        Stage(diary=diary)
    else:
        stage.text = CONFIG
        stage.happens(Signalled("SIGHUP"))
    assert diary.last_runs("reload")["drd.toml"].outcome is Outcome.DONE
