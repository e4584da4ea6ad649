"""A cluster that is away, slow, or says no: a clear error, in time, and all well afterwards."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drd.ceph.cluster import CephAccess
from drd.errors import ConfigError, DrdError, SourceError
from drd.ports import FreezeOrder, ReadAt
from drd.sources.rbd import RbdSettings, RbdSource
from lab.ceph import Ceph
from tests.integration.sources.conftest import SIZE, Images, access_of, caps

ORDER = FreezeOrder(bytes(range(16)), b"12345678")
SHORT_S = 1.0
STEP = 4096


def hasty(ceph: Ceph) -> CephAccess:
    return replace(
        access_of(ceph),
        osd_timeout_s=SHORT_S,
        mon_timeout_s=SHORT_S,
        mount_timeout_s=SHORT_S,
        snapshot_timeout_s=SHORT_S,
    )


@contextmanager
def away(ceph: Ceph) -> Iterator[None]:
    ceph.pause()
    try:
        yield
    finally:
        ceph.resume()


def ends_in_time(call: Callable[[], object], access: CephAccess) -> SourceError:
    begun = time.monotonic()
    with pytest.raises(SourceError) as caught:
        call()
    assert time.monotonic() - begun <= access.wait_s + 1.0
    return caught.value


def test_a_cluster_that_went_away_is_an_error_in_time(images: Images, ceph: Ceph) -> None:
    access = hasty(ceph)
    images.make("disk")
    images.write("disk", 0, b"f" * SIZE)
    source = images.source(access=access)
    (found,) = source.discover()
    with source.freeze(found, ORDER) as frozen:
        with away(ceph):
            error = ends_in_time(lambda: list(frozen.read([ReadAt(0, SIZE)])), access)
            assert "no answer" in error.message
            assert "ceph -s" in error.hint
            ends_in_time(lambda: frozen.changed(0, SIZE), access)
        assert sum(len(data) for _, data in frozen.read([ReadAt(0, SIZE)])) == SIZE
    with away(ceph):
        ends_in_time(source.discover, access)
        ends_in_time(source.snapshots, access)
        ends_in_time(source.freeze(found, replace(ORDER, run=b"2")).__enter__, access)
        fresh = images.source(access=access)
        ends_in_time(fresh.discover, access)
    assert source.discover() == [found]
    assert len(source.snapshots()) == 1
    source.close()


def test_a_cluster_away_in_the_middle_of_a_read_ends_it(images: Images, ceph: Ceph) -> None:
    access = hasty(ceph)
    images.make("disk")
    images.write("disk", 0, b"f" * SIZE)
    source = images.source(access=access)
    with source.freeze(source.discover()[0], ORDER) as frozen:
        answers = frozen.read(ReadAt(at, STEP) for at in range(0, SIZE, 2 * STEP))
        next(answers)
        with away(ceph):
            error = ends_in_time(lambda: list(answers), access)
        assert error.about.startswith("vms/disk")
    source.close()


def test_many_reads_are_under_way_at_once(images: Images, ceph: Ceph) -> None:
    """While nobody answers, all of them are asked for; then each gets its own bytes."""
    images.make("disk")
    parts = [bytes([number]) * STEP for number in range(1, 33)]
    images.write("disk", 0, b"".join(parts))
    source = images.source()
    with source.freeze(source.discover()[0], ORDER) as frozen:
        with away(ceph):
            begun = time.monotonic()
            reads = [frozen._start(number * STEP, STEP, False) for number in range(32)]  # noqa: FBT003
            assert time.monotonic() - begun < 1.0
            assert not any(read.done() for read in reads)
        assert [bytes(read.result(20)) for read in reads] == parts
    source.close()


def test_a_blocklisted_client_says_so_and_comes_back(images: Images, ceph: Ceph) -> None:
    images.make("disk")
    images.write("disk", 0, b"data")
    source = images.source(access=hasty(ceph))
    (found,) = source.discover()
    with source.freeze(found, ORDER) as frozen:
        # "127.0.0.1:0/123", or "[v2:127.0.0.1:0/123,…]": the last three parts are what is asked for.
        (address, *_) = re.findall(r"[0-9.]+:\d+/\d+", source._cluster.handle().get_addrs())
        ceph.command("osd", "blocklist", "add", address)

        def until_told() -> None:
            for _ in range(500):  # the first ones may come before the map that tells
                list(frozen.read([ReadAt(0, 4)]))
                source.discover()

        try:
            with pytest.raises(SourceError, match="blocklisted"):
                until_told()
        finally:
            ceph.command("osd", "blocklist", "rm", address)
    source.close()
    assert source.discover() == [found]
    source.release(found.label)
    source.close()


# ── who is asking, and where ────────────────────────────────────────────────────────────────────
def discovered(access: CephAccess) -> DrdError:
    source = RbdSource("vms", RbdSettings(pool="rbd", access=access))
    with pytest.raises(DrdError) as caught:
        source.discover()
    source.close()
    return caught.value


def test_a_user_of_another_pool_sees_nothing(images: Images, ceph: Ceph) -> None:
    images.make("disk")
    client = "client.drd-elsewhere"
    keyring = caps(ceph, client, mon="profile rbd", osd="profile rbd pool=ecdata")
    source = images.source(access=access_of(ceph, client=client, keyring=keyring))
    with pytest.raises(SourceError, match="permission denied") as caught:
        source.discover()
    assert "osd profile rbd" in caught.value.hint
    source.close()


def test_a_user_of_one_namespace_can_back_it_up(spaced: Images, ceph: Ceph) -> None:
    spaced.make("disk")
    client = "client.drd-tenant"
    granted = f"profile rbd pool={spaced.pool} namespace={spaced.namespace}, "
    granted += f"profile rbd-read-only pool={spaced.pool}"
    keyring = caps(ceph, client, mon="profile rbd", osd=granted)
    source = spaced.source(access=access_of(ceph, client=client, keyring=keyring))
    (found,) = source.discover()
    with source.freeze(found, ORDER) as frozen:
        assert frozen.snapshot.size == SIZE
    assert len(source.release(found.label)) == 1
    source.close()


def test_a_wrong_key_is_told(ceph: Ceph, tmp_path: Path) -> None:
    keyring = tmp_path / "keyring"
    keyring.write_text("[client.admin]\nkey = AQBIu4BlAAAAABAAJTzlwXT1Zs0XKBvxxm2NxA==\n")
    error = discovered(replace(access_of(ceph), keyring=str(keyring)))
    assert isinstance(error, SourceError)
    assert "key" in error.message


def test_a_keyring_without_this_client_is_told(ceph: Ceph) -> None:
    error = discovered(replace(access_of(ceph), client="client.nobody"))
    assert isinstance(error, SourceError)
    assert "client.nobody" in error.about
    assert error.hint


@pytest.mark.parametrize("what", ["conf", "keyring"])
def test_a_file_that_is_missing_is_a_matter_of_configuration(ceph: Ceph, what: str) -> None:
    nowhere = "/nowhere/at all"
    access = access_of(ceph)
    wrong = replace(access, conf=nowhere) if what == "conf" else replace(access, keyring=nowhere)
    error = discovered(wrong)
    assert isinstance(error, ConfigError)
    assert error.about == "/nowhere/at all"


def test_a_monitor_that_does_not_answer_is_an_error_in_time(ceph: Ceph, tmp_path: Path) -> None:
    """It listens, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        conf = tmp_path / "ceph.conf"
        port = deaf.getsockname()[1]
        text = ceph.conf.read_text().replace(f":{ceph.port}", f":{port}")
        conf.write_text(text)
        access = replace(hasty(ceph), conf=str(conf))
        begun = time.monotonic()
        error = discovered(access)
        assert isinstance(error, SourceError)
        assert time.monotonic() - begun < 3 * SHORT_S
        assert "no answer" in error.message


def test_nothing_is_said_on_standard_error(ceph: Ceph, capfd: pytest.CaptureFixture[str]) -> None:
    discovered(replace(access_of(ceph), client="client.nobody"))
    assert capfd.readouterr() == ("", "")
