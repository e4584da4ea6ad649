"""``drctl check-config``: bad input by its line, all at once; and what a configuration names, tried."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typing_extensions import override

from tests.e2e.cloud import Cloud
from tests.e2e.drctl import Answer, Row
from tests.e2e.site import MIB, Site

POLICY = """
[policy.gold]
every = "1h"
rpo = "2h"
"""


@pytest.fixture
def planned(site: Site) -> Site:
    """A site with a policy, and nothing wrong."""
    site.image()
    site.sources += 'policy = "gold"\n'
    site.configure(extra=POLICY)
    return site


def line_of(site: Site, text: str) -> int:
    lines = site.config.read_text().splitlines()
    (line,) = [number for number, one in enumerate(lines, 1) if text in one]
    return line


def findings(answer: Answer) -> list[Row]:
    rows: list[Row] = answer.reply["findings"]
    for row in rows:
        assert set(row) == {"level", "file", "line", "key", "message", "hint"}
        assert row["hint"]
    return rows


def test_nothing_wrong_is_0(planned: Site) -> None:
    answer = planned.process("check-config")
    assert (answer.code, findings(answer)) == (0, [])
    told = planned.told("check-config")
    assert told.text == f"{planned.config}: all is well\n"
    assert not told.err
    assert planned.process("check-config", "--online").code == 0


@pytest.mark.parametrize(
    "old,new,key,message,hint",
    [
        ('rpo = "2h"', 'rpo = "30m"', "policy.gold.rpo", "shorter than the interval", 'rpo = "2h"'),
        ('rpo = "2h"', 'timezone = "Europe/Stokholm"', "policy.gold.timezone", ("no time zone, the nearest "
         "is 'Europe/Stockholm'"), "config/drd.toml"),
        ('rpo = "2h"', 'rpo = "2h"\nkeep = { daily = 0 }', "policy.gold.keep", "keeps nothing", "last = 3"),
        ('policy = "gold"', 'policy = "glod"', "source.disks.policy", "no such policy", "'gold'"),
        ("[policy.gold]", ('[source.more]\ntype = "device"\npolicy = "gold"\npaths = ["/*/*/a.img", '
         '"IMAGES/a*"]\n[policy.gold]'), "source.more.paths", "both match 'IMAGES/a.img'", "narrow"),
        ('every = "1h"', 'cron = "0 0 * * mnd"', "policy.gold.cron", "the nearest is mon", "config"),
    ],
)  # fmt: skip
def test_bad_input_is_2_with_file_line_and_the_nearest_right_thing(  # noqa: PLR0917 - a row of the table
    planned: Site, old: str, new: str, key: str, message: str, hint: str
) -> None:
    images = str(planned.images)
    text = planned.config.read_text().replace(old, new.replace("IMAGES", images))
    planned.config.write_text(text)
    answer = planned.run("check-config")
    assert answer.code == 2
    row = next(row for row in findings(answer) if row["level"] == "error")
    assert len(answer.reply["errors"]) == 1
    assert (row["level"], row["file"], row["key"]) == ("error", str(planned.config), key)
    assert message.replace("IMAGES", images) in row["message"]
    assert hint in row["hint"]
    wrong = new.splitlines()[-1] if key != "source.more.paths" else 'paths = ["/*/*/a.img'
    assert row["line"] == line_of(planned, wrong.replace("IMAGES", images))
    told = planned.told("check-config")
    assert told.code == 2
    assert f"error: line {row['line']}: {key} " in told.err
    assert f"[{planned.config}]" in told.err


def test_several_faults_are_told_at_once_and_warnings_with_them(planned: Site) -> None:
    text = planned.config.read_text().replace('rpo = "2h"', 'rpo = "1m"\nkeep = { last = 0 }')
    planned.config.write_text(text + "[daemon]\nworkers = 1\n")
    answer = planned.run("check-config")
    keys = [(row["level"], row["key"]) for row in findings(answer)]
    assert keys == [
        ("error", "policy.gold.rpo"),
        ("error", "policy.gold.keep"),
        ("warning", "daemon.workers"),
    ]
    assert len(answer.reply["errors"]) == 2
    assert len(answer.reply["warnings"]) == 1


def test_unknown_keys_are_told_at_once_wherever_they_stand(planned: Site) -> None:
    text = planned.config.read_text().replace('rpo = "2h"', 'rpo = "2h"\nkeep = { dayly = 1 }')
    text = text.replace("[repository]", "[repository]\nlru = 1")
    planned.config.write_text(f"sate_dir = 1\n{text}[deamon]\nworkers = 2\n")
    answer = planned.run("check-config")
    assert answer.code == 2
    told = [(row["key"], row["line"], row["message"].split("'")[1]) for row in findings(answer)]
    assert told == [
        ("sate_dir", 1, "state_dir"),
        ("repository.lru", line_of(planned, "lru"), "url"),
        ("policy.gold.keep.dayly", line_of(planned, "dayly"), "daily"),
        ("deamon", line_of(planned, "[deamon]"), "daemon"),
    ]
    assert all("known here: " in row["hint"] for row in findings(answer))
    assert len(answer.reply["errors"]) == 4


def test_warnings_are_0(planned: Site) -> None:
    planned.config.write_text(planned.config.read_text() + "[daemon]\nworkers = 1\n")
    answer = planned.run("check-config")
    assert (answer.code, [row["level"] for row in findings(answer)]) == (0, ["warning"])
    told = planned.told("check-config")
    assert told.text == f"{planned.config}: 1 warning\n"
    assert "warning: " in told.err


def test_no_configuration_and_no_toml(planned: Site) -> None:
    planned.config.write_text("[policy\n")
    answer = planned.run("check-config")
    assert (answer.code, findings(answer)[0]["line"]) == (2, 1)
    planned.config.unlink()
    gone = planned.run("check-config")
    assert (gone.code, gone.reply["findings"]) == (2, [])
    assert "no configuration here" in gone.error["message"]


def test_the_daemon_refuses_the_same(planned: Site) -> None:
    planned.config.write_text(planned.config.read_text().replace('rpo = "2h"', 'rpo = "1m"'))
    for words in (["check-config"], []):
        daemon = [sys.executable, "-m", "drd.daemon", "--config", str(planned.config)]
        done = subprocess.run(
            [*daemon, *words], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 2
        assert "policy.gold.rpo is 1m, shorter than the interval" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr


# ── online ──────────────────────────────────────────────────────────────────────────────────────
class _Metrics(BaseHTTPRequestHandler):
    text = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def listening(text: bytes) -> Iterator[int]:
    """Something that answers with *text*; its port."""
    handler = type("Handler", (_Metrics,), {"text": text})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def online(site: Site) -> list[tuple[str, str, str]]:
    answer = site.run("check-config", "--online")
    rows = findings(answer)
    assert answer.code == (2 if any(row["level"] == "error" for row in rows) else 0)
    return [(row["level"], row["key"], row["message"]) for row in rows]


def test_a_port_that_is_taken_by_another_and_not_by_drd(planned: Site) -> None:
    good = planned.config.read_text()
    for text, taken in ((b"node_load1 0.1\n", True), (b"# HELP\ndrd_build_info 1\n", False)):
        with listening(text) as port:
            planned.config.write_text(f'{good}[daemon]\nmetrics = "127.0.0.1:{port}"\n')
            found = online(planned)
        assert [one[:2] for one in found] == ([("error", "daemon.metrics")] if taken else [])
        assert not taken or "Address already in use" in found[0][2]


def test_a_port_of_somebody_who_says_nothing(planned: Site) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        text = planned.config.read_text() + f'[daemon]\nmetrics = "127.0.0.1:{port}"\n'
        planned.config.write_text(text)
        ((level, key, _),) = online(planned)
    assert (level, key) == ("error", "daemon.metrics")


def test_what_cannot_be_used_is_told_by_its_key(planned: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    planned.configure(
        state=str(tmp_path / "file" / "state"),
        extra=f'{POLICY}[daemon]\ntextfile = "{tmp_path}/none/drd.prom"\n',
    )
    shutil.rmtree(planned.repository)
    shutil.rmtree(planned.images)
    found = online(planned)
    assert [one[:2] for one in found] == [
        ("error", "state_dir"),
        ("error", "daemon.textfile"),
        ("error", "repository.url"),
        ("warning", "source.disks"),
    ]


def test_images_that_nothing_covers(planned: Site) -> None:
    for name in "bcdefg":
        planned.image(f"{name}.img")
    planned.sources = planned.sources.replace('policy = "gold"\n', "")
    planned.configure(extra=POLICY)
    told = online(planned)[-1]
    assert told[:2] == ("warning", "source.disks")
    assert "disks/a.img, disks/b.img" in told[2]
    assert told[2].endswith("and 2 more")


def test_two_sources_that_match_one_image_of_a_cluster(cloud: Cloud, tmp_path: Path) -> None:
    """By another path to the same cluster: the file alone cannot tell."""
    cloud.make(MIB, MIB)
    other = tmp_path / "other.conf"
    other.write_text(cloud.ceph.conf.read_text())
    section, pack = cloud.sources.split("[pack]")
    twice = section.replace("[source.vms]", "[source.two]").replace(
        str(cloud.ceph.conf), str(other)
    )
    both = f'{section}policy = "gold"\n{twice}policy = "gold"\n[pack]{pack}'
    cloud.configure(sources=both, extra=POLICY)
    assert cloud.run("check-config").code == 0
    ((level, key, message),) = online(cloud)
    assert (level, key) == ("error", "source.two")
    assert f"matches two/{cloud.image_name}, which is {cloud.label} as well" in message

    cloud.ceph.rbd("image-meta", "set", cloud.spec, "drd.policy", "glod")
    cloud.configure(
        sources=cloud.sources.replace("[pack]", 'policy = "gold"\n[pack]'), extra=POLICY
    )
    ((level, key, message),) = online(cloud)
    assert (level, key) == ("warning", "source.vms")
    assert "drd.policy is 'glod'" in message


def test_a_cluster_that_is_not_there(planned: Site, tmp_path: Path) -> None:
    planned.sources += (
        f'[source.vms]\ntype = "rbd"\npool = "p"\npolicy = "gold"\nceph_conf = "{tmp_path}/no"\n'
    )
    planned.configure(extra=POLICY)
    ((level, key, message),) = online(planned)
    assert (level, key) == ("error", "source.vms")
    assert "does not work" in message
