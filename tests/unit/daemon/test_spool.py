"""Lines of the log, to a pipe that nobody empties, a disk that is full, a reader that went away."""

from __future__ import annotations

import json
import os
from pathlib import Path

from drd.daemon.log import Log
from drd.daemon.spool import Spool


def test_every_line_is_written_in_its_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        spool = Spool(file.fileno())
        log = Log(spool, as_json=True)
        for number in range(1000):
            log.say("run_warning", message=f"{number} \udcff")
        spool.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["message"].split()[0] for line in lines] == [str(one) for one in range(1000)]


def test_a_pipe_that_nobody_empties_holds_nobody_up_and_what_is_lost_is_counted() -> None:
    reading, writing = os.pipe()
    spool = Spool(writing, most=100)
    for number in range(5000):  # a pipe holds 64 KiB
        spool.write(f"{number:100}\n")
        spool.flush()
    lost = spool.take_lost()
    assert lost > 1000
    with os.fdopen(reading, "rb") as lines:
        heard = [int(next(lines)) for _ in range(5000 - lost)]
    assert heard == sorted(heard)
    assert len(heard) >= 100
    spool.close()
    os.close(writing)


def test_what_was_lost_is_told_as_soon_as_it_can_be(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        spool = Spool(file.fileno(), most=0)
        log = Log(spool, as_json=True)
        log.say("asked")
        log.say("asked")
        spool.most = 10
        log.say("daemon_stopped")
        spool.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["log_lost", "daemon_stopped"]
    assert lines[0]["lines"] == 2


def test_a_disk_that_is_full_ends_nothing() -> None:
    with Path("/dev/full").open("wb") as file:
        spool = Spool(file.fileno())
        Log(spool, as_json=True).say("asked")
        spool.close()
    assert spool.take_lost() == 1


def test_a_reader_that_went_away_ends_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    spool = Spool(writing)
    Log(spool, as_json=True).say("asked")
    spool.close()
    assert spool.take_lost() == 1
    os.close(writing)
