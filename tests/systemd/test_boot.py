"""The package on a booted Debian: systemd and the daemon together, under the sandbox of the unit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from lab.ceph import Ceph
from lab.machine import Machine
from tests.integration.install.ceph_user import documented
from tests.systemd.conftest import booted, install
from tests.systemd.host import CONFIG, DROP_IN, UNIT, Host

RBD = """\
[source.vms]
type = "rbd"
pool = "rbd"
images = ["{image}"]
client = "{client}"
keyring = "/etc/ceph/ceph.{client}.keyring"
policy = "often"
"""
VERIFY_DROP_IN = """\
[Service]
ReadWritePaths=/srv/drd
"""


@pytest.fixture(scope="module")
def image(ceph: Ceph) -> Iterator[str]:
    """An image of a real pool, reached from the machine over the loopback that both share."""
    name = f"vm-{uuid4().hex[:8]}"
    ceph.run("rbd", "import", "--no-progress", "-", f"rbd/{name}", stdin=bytes(range(256)) * 8192)
    yield name
    ceph.rbd("snap", "purge", f"rbd/{name}")
    ceph.rbd("rm", f"rbd/{name}")


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, package: Path, ceph: Ceph, image: str
) -> Iterator[Host]:
    """A storage node that has run for a while: one image file, one RBD image."""
    client = f"client.drd-{uuid4().hex[:8]}"
    mon, osd = documented()
    keyring = ceph.command("auth", "get-or-create", client, "mon", mon, "osd", osd)
    with booted(tmp_path_factory.mktemp("machine"), package) as machine:
        host = Host(machine)
        address = f"[v2:127.0.0.1:{ceph.port}]"
        machine.write(
            "/etc/ceph/ceph.conf", f"[global]\nfsid = {ceph.fsid}\nmon host = {address}\n"
        )
        machine.write(f"/etc/ceph/ceph.{client}.keyring", keyring, mode="640")
        machine.run("chown", "root:drd", f"/etc/ceph/ceph.{client}.keyring")
        host.configure(RBD.format(image=image, client=client))
        host.start()
        yield host
    ceph.command("auth", "rm", client)


@pytest.fixture
def host(made: Host) -> Host:
    """It runs when a test begins, whatever the one before did."""
    made.start()
    return made


def test_units_are_right(host: Host) -> None:
    units = ("drd.service", "drd-verify.timer", "drd-verify.service", "drd-check.timer")
    said = host.machine.run("systemd-analyze", "verify", "--man=no", *units, ok=False)
    assert [line for line in said.splitlines() if "drd" in line] == []


def test_it_is_ready_and_says_when_the_next_run_is(host: Host) -> None:
    assert host.show("ActiveState") == "active"
    assert host.show("NotifyAccess") == "main"
    host.until("StatusText", "next run ")
    assert re.search(r"next run 2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S+/", host.show("StatusText"))


def test_images_are_backed_up_under_the_units_sandbox(host: Host, image: str) -> None:
    """librbd, cffi, numpy and zstd under the system call filter, W^X and no capability at all."""
    wanted = {"disks/vm.img", f"vms/{image}"}
    host.machine.until(lambda: host.images() >= wanted, "a point of each image")
    proven = host.drctl("verify", "--all", "--level", "2")
    assert proven["ok"]
    for pid in host.processes():
        status = host.proc(pid, "status")
        assert "Seccomp:\t2" in status
        assert "NoNewPrivs:\t1" in status
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status


def test_the_key_is_roots_alone_on_disk(host: Host) -> None:
    assert host.machine.run("stat", "-c", "%U %a", "/etc/drd/credentials").strip() == "root 700"
    key = "/etc/drd/credentials/repository.key"
    refused = host.machine.run("runuser", "-u", "drd", "--", "cat", key, ok=False)
    assert "Permission denied" in refused


def test_a_reload_takes_the_new_configuration_and_keeps_the_old_one_before_a_wrong_one(
    host: Host,
) -> None:
    before = host.show("MainPID")
    text = host.machine.run("cat", "/etc/drd/drd.toml")
    reloads = host.events().count("config_reloaded")
    host.machine.run("systemctl", "reload", UNIT)
    host.machine.until(
        lambda: host.events().count("config_reloaded") > reloads, "the configuration to be read"
    )
    refusals = host.events().count("config_refused")
    host.machine.write("/etc/drd/drd.toml", text.replace("metrics", "metricz"))
    host.machine.run("systemctl", "reload", UNIT, ok=False)
    host.machine.until(
        lambda: host.events().count("config_refused") > refusals, "the configuration to be refused"
    )
    host.machine.write("/etc/drd/drd.toml", text)
    host.until("StatusText", "next run ")
    assert host.show("MainPID") == before


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_started_again(host: Host) -> None:
    before, restarts = host.show("MainPID"), int(host.show("NRestarts"))
    host.machine.run("kill", "-STOP", before)
    host.machine.until(lambda: int(host.show("NRestarts")) > restarts, "a restart")
    host.until("ActiveState", "active")
    assert host.show("MainPID") != before
    said = host.machine.run("journalctl", "--unit", UNIT, "--no-pager")
    assert "Watchdog timeout" in said
    assert int(before) not in host.processes()
    host.until("StatusText", "next run ")


def test_the_second_sites_checker_finds_what_was_promised(host: Host) -> None:
    """In its own unit, as its own user, and for a node_exporter that is nobody."""
    host.machine.until(lambda: "disks/vm.img" in host.images(), "a point")
    key = host.machine.run("cat", "/etc/drd/credentials/repository.key")
    found = re.search(r'root_fingerprint = "([0-9a-f]{64})"', key)
    assert found
    options = f"DRD_CHECK_OPTIONS=--url /srv/drd --root {found[1]}\n"
    host.machine.write("/etc/drd/check.env", options)
    host.machine.run("chmod", "-R", "a+rX", "/srv/drd")
    host.machine.run("systemctl", "start", "drd-check.service")
    metric = ("cat", "/var/lib/drd-check/drd-check.prom")
    told = host.machine.run("runuser", "-u", "nobody", "--", *metric)
    assert re.search(r"^drd_check_status\{.*\} 0", told, re.MULTILINE)


def test_the_verify_role_proves_what_the_daemon_made_as_a_user_of_its_own(host: Host) -> None:
    """Its unit as it is installed, started by hand: it opens packs, and says so in the bucket."""
    host.machine.until(lambda: "disks/vm.img" in host.images(), "a point")
    run, write = host.machine.run, host.machine.write
    own = CONFIG.replace("/var/lib/drd", "/var/lib/drd-verify")
    own = own.replace("credentials/", "credentials.verify/").replace('"drd_', '"drd-verify_')
    wanted = 'rpo = "2h"\nverify = { level = 2, every = "1d", coverage = "30d" }'
    write("/etc/drd/verify.toml", own.replace('rpo = "2h"', wanted))
    write("/etc/systemd/system/drd-verify.service.d/site.conf", VERIFY_DROP_IN)
    run("install", "-d", "-m", "700", "/etc/drd/credentials.verify")
    run("cp", "-a", "/etc/drd/credentials/repository.key", "/etc/drd/credentials.verify/")
    opened = ("chmod", "-R", "a+rwX", "/srv/drd")  # a folder has no rights by prefix, as S3 has
    run(*opened)
    run("systemctl", "daemon-reload")
    before = proven_at(host)
    run("systemctl", "start", "drd-verify.service")
    run(*opened)
    told = run("journalctl", "--unit=drd-verify.service", "--output=cat", "--no-pager")
    assert proven_at(host) > before, told


def proven_at(host: Host) -> str:
    """When level 2 of an image's newest point was proven last, as the bucket says; "" for never."""
    (point,) = host.drctl("show", "disks/vm.img")["points"]
    return max(
        (one["time"] for one in point["proofs"] if one["level"] == 2 and one["ok"]), default=""
    )


def test_a_stop_is_clean_and_leaves_no_process(host: Host) -> None:
    stops = host.events().count("daemon_stopped")
    host.machine.run("systemctl", "stop", UNIT)
    assert host.show("Result") == "success"
    assert host.show("ExecMainStatus") == "0"
    assert host.events().count("daemon_stopped") == stops + 1
    assert host.processes() == {}


def test_an_upgrade_starts_again_what_ran_and_keeps_state_and_configuration(
    host: Host, package: Path
) -> None:
    host.machine.until(lambda: "disks/vm.img" in host.images(), "a point")
    before, points = host.show("MainPID"), host.points("disks/vm.img")
    text = host.machine.run("cat", "/etc/drd/drd.toml")
    install(host.machine, package)
    assert host.show("ActiveState") == "active"
    assert host.show("MainPID") != before
    assert host.machine.run("cat", "/etc/drd/drd.toml") == text
    assert host.points("disks/vm.img") >= points


def test_what_was_stopped_stays_stopped_over_an_upgrade(host: Host, package: Path) -> None:
    host.machine.run("systemctl", "stop", UNIT)
    install(host.machine, package)
    assert host.show("ActiveState") == "inactive"


# ── installation ────────────────────────────────────────────────────────────────────────────────
def test_nothing_runs_before_it_is_configured_and_a_purge_takes_no_key(
    fresh: Machine, package: Path
) -> None:
    host = Host(fresh)
    assert fresh.run("systemctl", "is-enabled", UNIT, ok=False).strip() == "disabled"
    assert host.show("ActiveState") == "inactive"
    assert fresh.run("drctl", "--version").startswith("drctl")
    wrong = fresh.run("drd", "check-config", "--config", "/etc/drd/drd.toml", ok=False)
    assert "Traceback" not in wrong
    libraries = fresh.run("sh", "-c", "find /usr/lib/drd -name '*.so*' | xargs ldd", ok=False)
    assert "not found" not in libraries
    host.configure()
    fresh.run("systemctl", "enable", "--now", UNIT)
    fresh.until(lambda: host.images() == {"disks/vm.img"}, "a point")

    fresh.run("dpkg", "--remove", "drd")
    assert host.processes() == {}
    assert fresh.run("find", "/etc/systemd/system", "-name", UNIT) == ""
    assert CONFIG in fresh.run("cat", "/etc/drd/drd.toml")
    told = fresh.run("dpkg", "--purge", "drd")
    assert "left in place: /etc/drd/credentials" in told
    assert "left in place: /var/lib/drd" in told
    assert "repository.key" in fresh.run("ls", "/etc/drd/credentials")
    assert fresh.run("find", "/etc/drd", "/var/lib/drd", "-name", "drd.toml") == ""
    assert "catalogue.sqlite" in fresh.run("find", "/var/lib/drd", "-type", "f")

    install(fresh, package)
    fresh.write("/etc/drd/drd.toml", CONFIG)
    fresh.write("/etc/systemd/system/drd.service.d/site.conf", DROP_IN)
    fresh.run("systemctl", "daemon-reload")
    host.start()
    fresh.until(lambda: host.images() == {"disks/vm.img"}, "the points of before")
