"""The metrics' own address, health, and the textfile: with real sockets and files."""

from __future__ import annotations

import gzip
import io
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Thread

import pytest

from drd.daemon.log import Log
from drd.daemon.service import _shower
from drd.daemon.serving import Metrics, MetricsServer
from drd.errors import ConfigError
from tests.unit.daemon.shown import FULL, NOW, WHOLE, names, samples, value


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics(clock)


@pytest.fixture
def server(metrics: Metrics) -> Iterator[MetricsServer]:
    with MetricsServer(metrics, "127.0.0.1:0") as made:
        yield made


def ask(
    server: MetricsServer, path: str, method: str = "GET", **headers: str
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_metrics_are_those_of_the_newest_tick(server: MetricsServer, metrics: Metrics) -> None:
    metrics.show(FULL)
    before, first = ask(server, "/metrics")
    metrics.show(replace(FULL, queue=9))
    _, second = ask(server, "/metrics?x=1")

    assert before.status == 200
    assert before.getheader("Content-Type", "").startswith("text/plain; version=0.0.4")
    assert value(samples(first), "drd_run_queue") == 4
    assert value(samples(second), "drd_run_queue") == 9
    assert "process_resident_memory_bytes" in names(samples(first))


def test_what_is_sent_packed_is_the_same(server: MetricsServer, metrics: Metrics) -> None:
    metrics.show(FULL)
    plain, text = ask(server, "/metrics")
    packed, data = ask(server, "/metrics", Accept_Encoding="gzip")

    assert plain.getheader("Content-Encoding") is None
    assert packed.getheader("Content-Encoding") == "gzip"
    assert len(data) < len(text)
    drd = {key: one for key, one in samples(text).items() if key[0].startswith("drd_")}
    again = samples(gzip.decompress(data))
    assert {key: again[key] for key in drd} == drd


def test_the_text_is_made_once_for_a_tick(metrics: Metrics) -> None:
    metrics.show(FULL)
    first = metrics.text()

    assert metrics.text() is first
    assert metrics.packed() is metrics.packed()
    metrics.show(replace(FULL))
    assert metrics.text() is not first


def test_healthy_while_the_last_tick_is_younger_than_five(
    server: MetricsServer, metrics: Metrics, clock: Clock
) -> None:
    assert ask(server, "/-/healthy")[0].status == 503
    metrics.show(FULL)
    assert ask(server, "/-/healthy")[0].status == 200
    clock.at = NOW + timedelta(seconds=5 * 30 - 1)
    assert ask(server, "/-/healthy")[0].status == 200
    clock.at = NOW + timedelta(seconds=5 * 30)
    answer, words = ask(server, "/-/healthy")
    assert answer.status == 503
    assert b"150 s ago" in words
    clock.at = NOW - timedelta(hours=1)  # put back, and no tick since
    assert ask(server, "/-/healthy")[0].status == 503


def test_nothing_else_is_answered(server: MetricsServer) -> None:
    assert ask(server, "/")[0].status == 404
    assert ask(server, "/metrics/../x")[0].status == 404
    assert ask(server, "/metrics", "POST")[0].status == 501
    head, body = ask(server, "/-/healthy", "HEAD")
    assert (head.status, body) == (503, b"")


def test_a_client_that_does_not_read_holds_up_nobody(
    server: MetricsServer, metrics: Metrics
) -> None:
    metrics.show(replace(FULL, standings=[replace(WHOLE, label=f"vms/{n}") for n in range(3000)]))
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        metrics.show(FULL)
        assert value(samples(ask(server, "/metrics")[1]), "drd_run_queue") == 4


def test_many_at_once_get_whole_answers(server: MetricsServer, metrics: Metrics) -> None:
    metrics.show(FULL)
    answers: list[int] = []
    threads = [
        Thread(target=lambda: answers.append(len(samples(ask(server, "/metrics")[1]))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 8
    assert len(set(answers)) == 1


def test_an_address_that_is_taken_is_named_with_its_key(metrics: Metrics) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError) as caught:
            MetricsServer(metrics, address)

    assert caught.value.exit_code == 2
    assert caught.value.about == f'[daemon] metrics = "{address}"'
    assert "in use" in caught.value.message
    assert caught.value.hint


def test_an_address_of_another_host_is_refused(metrics: Metrics) -> None:
    with pytest.raises(ConfigError) as caught:
        MetricsServer(metrics, "203.0.113.1:9750")  # RFC 5737: nobody has it

    assert caught.value.about == '[daemon] metrics = "203.0.113.1:9750"'


def test_brackets_around_an_address_are_no_part_of_it(metrics: Metrics) -> None:
    with MetricsServer(metrics, "[127.0.0.1]:0") as server:
        assert ask(server, "/-/healthy")[0].status == 503


def test_the_address_is_free_again_after_close(metrics: Metrics) -> None:
    with MetricsServer(metrics, "127.0.0.1:0") as first:
        port = first.port
        ask(first, "/-/healthy")
    with MetricsServer(metrics, f"127.0.0.1:{port}") as second:
        assert second.port == port


# ── the textfile ────────────────────────────────────────────────────────────────────────────────
def test_the_textfile_is_whole_and_readable_by_others(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "drd.prom"
    metrics.show(FULL)
    metrics.write(path)
    metrics.show(replace(FULL, queue=9))
    metrics.write(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert value(samples(path.read_bytes()), "drd_run_queue") == 9
    assert [one.name for one in tmp_path.iterdir()] == ["drd.prom"]


def test_a_textfile_that_cannot_be_written(metrics: Metrics, tmp_path: Path) -> None:
    path = tmp_path / "no" / "drd.prom"
    metrics.show(FULL)
    with pytest.raises(ConfigError) as caught:
        metrics.write(path)

    assert str(path) in caught.value.about


def test_a_textfile_that_cannot_be_replaced_leaves_nothing_behind(
    metrics: Metrics, tmp_path: Path
) -> None:
    (tmp_path / "drd.prom").mkdir()
    metrics.show(FULL)
    with pytest.raises(ConfigError):
        metrics.write(tmp_path / "drd.prom")

    assert [one.name for one in tmp_path.iterdir()] == ["drd.prom"]


def test_a_file_that_is_not_wanted_any_more_is_taken_away(metrics: Metrics, tmp_path: Path) -> None:
    """After a reload: numbers that stand still would raise an alarm in the old folder for ever."""
    paths: list[Path | None] = [tmp_path / "old.prom"]
    said = io.StringIO()
    show = _shower(metrics, lambda: paths[-1], Log(said, as_json=True))
    show(FULL)
    assert [one.name for one in tmp_path.iterdir()] == ["old.prom"]
    paths.append(tmp_path / "new.prom")
    show(FULL)
    assert [one.name for one in tmp_path.iterdir()] == ["new.prom"]
    paths.append(None)
    show(FULL)
    assert not list(tmp_path.iterdir())
    show(FULL)
    assert said.getvalue() == ""
