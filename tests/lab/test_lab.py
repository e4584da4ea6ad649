"""The lab's servers do what the other tests take for granted."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.ceph import Ceph, quiet
from lab.failure import LabError
from lab.folder import Lab
from lab.minio import Minio
from lab.rgw import Rgw
from lab.s3 import S3, Keys
from lab.server import Server
from tests.lab.fixtures import ROOT

LOCKED = b"<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
VERSIONED = b"<Status>Enabled</Status>"


@pytest.fixture(params=["minio", "rgw"])
def s3(request: pytest.FixtureRequest) -> S3:
    server: Minio | Rgw = request.getfixturevalue(request.param)
    return server.s3


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Server]:
    server = Server("sleeper", tmp_path, ("sleep", "600"), "apt-get install coreutils")
    server.start()
    yield server
    server.kill()


# ── Ceph ────────────────────────────────────────────────────────────────────────────────────────
def test_ceph_has_three_osds_and_the_fsid_of_its_configuration(ceph: Ceph) -> None:
    assert ceph.command("fsid").strip() == ceph.fsid
    assert f"fsid = {ceph.fsid}\n" in ceph.conf.read_text()
    assert json.loads(ceph.command("osd", "stat", "-f", "json"))["num_up_osds"] == 3


@pytest.mark.parametrize("options", [(), ("--data-pool", "ecdata")])
def test_an_image_holds_data_in_both_kinds_of_pool(ceph: Ceph, options: tuple[str, ...]) -> None:
    image = f"rbd/lab-{uuid.uuid4().hex[:8]}"
    data = os.urandom(1 << 20) + bytes(3 << 20)
    ceph.run("rbd", "import", "--no-progress", *options, "-", image, stdin=data)
    ceph.rbd("snap", "create", f"{image}@s")
    assert ceph.export(f"{image}@s") == data
    info = json.loads(ceph.rbd("info", image, "--format", "json"))
    assert info.get("data_pool") == (options[1] if options else None)
    ceph.rbd("snap", "purge", image)
    ceph.rbd("rm", image)


def test_a_snapshot_call_takes_no_second(ceph: Ceph) -> None:
    image = f"rbd/lab-{uuid.uuid4().hex[:8]}"
    ceph.rbd("create", "--size", "4M", image)
    begin = time.monotonic()
    for name in "abcd":
        ceph.rbd("snap", "create", f"{image}@{name}")
    took_s = time.monotonic() - begin
    ceph.rbd("snap", "purge", image)
    ceph.rbd("rm", image)
    assert took_s < 3.0  # four seconds and more with Ceph's default `paxos propose interval`


def test_osds_come_back_with_their_data_after_a_power_cut(ceph: Ceph) -> None:
    image = f"rbd/lab-{uuid.uuid4().hex[:8]}"
    data = os.urandom(1 << 20)
    ceph.run("rbd", "import", "--no-progress", "-", image, stdin=data)
    ceph.kill_osds()
    assert [server.pid() for server in ceph.osds] == [None, None, None]
    ceph.start_osds()
    assert ceph.export(image) == data
    ceph.rbd("rm", image)


def test_a_paused_cluster_hangs_and_goes_on(ceph: Ceph) -> None:
    ceph.pause()
    try:
        command = ["rbd", "--conf", str(ceph.conf), "ls", ceph.pool]
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, check=True, timeout=1.0)
    finally:
        ceph.resume()
    ceph.rbd("ls", ceph.pool)


def test_a_command_that_fails_tells_in_cephs_own_words(ceph: Ceph) -> None:
    with pytest.raises(LabError, match="No such file or directory"):
        ceph.rbd("info", "rbd/no-such-image")


@pytest.mark.parametrize(
    "args,sent",
    [
        (("ls", "rbd"), ["ls", "rbd"]),
        (("rm", "rbd/a"), ["rm", "rbd/a", "--no-progress"]),
        (("snap", "ls", "rbd/a"), ["snap", "ls", "rbd/a"]),
        (("snap", "create", "rbd/a@1"), ["snap", "create", "rbd/a@1", "--no-progress"]),
    ],
)
def test_only_commands_that_show_progress_are_told_not_to(
    args: tuple[str, ...], sent: list[str]
) -> None:
    assert quiet(args) == sent


# ── S3 ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_put_is_read_back_under_a_version(s3: S3) -> None:
    bucket = s3.fresh_bucket()
    assert VERSIONED in s3.request("GET", f"/{bucket}", query={"versioning": ""}).body
    first, second = s3.put(bucket, "a b/ü", b"one"), s3.put(bucket, "a b/ü", b"two")
    assert first.status == second.status == 200
    assert first.headers["x-amz-version-id"] != second.headers["x-amz-version-id"]
    assert s3.get(bucket, "a b/ü").body == b"two"


def test_a_bucket_can_be_had_without_versions(s3: S3) -> None:
    bucket = s3.fresh_bucket(versioned=False)
    assert VERSIONED not in s3.request("GET", f"/{bucket}", query={"versioning": ""}).body
    assert "x-amz-version-id" not in s3.put(bucket, "a", b"one").headers


def test_a_bucket_can_be_had_with_object_lock(s3: S3) -> None:
    bucket = s3.fresh_bucket(lock=True)
    assert LOCKED in s3.request("GET", f"/{bucket}", query={"object-lock": ""}).body


def test_wrong_keys_are_refused(s3: S3) -> None:
    stranger = S3(s3.endpoint, Keys("stranger", s3.keys.secret))
    assert stranger.request("GET", "/").status == 403
    assert not stranger.answers()


def test_minio_honours_if_none_match(minio: Minio) -> None:
    bucket = minio.fresh_bucket()
    assert minio.s3.put(bucket, "head", b"one", if_none_match="*").status == 200
    assert minio.s3.put(bucket, "head", b"two", if_none_match="*").status == 412
    assert minio.s3.get(bucket, "head").body == b"one"


def test_what_rgw_says_to_if_none_match_is_what_it_does(
    rgw: Rgw, record_property: Callable[[str, object], None]
) -> None:
    """Up to 16 it overwrites and says 200; whichever it is, the answer must tell the truth."""
    bucket = rgw.fresh_bucket()
    rgw.s3.put(bucket, "head", b"one", if_none_match="*")
    status = rgw.s3.put(bucket, "head", b"two", if_none_match="*").status
    record_property("rgw_if_none_match", status)
    assert s3_truth(status) == rgw.s3.get(bucket, "head").body


def s3_truth(status: int) -> bytes:
    """What must be stored after the second put, by the answer to it."""
    return {200: b"two", 412: b"one"}[status]


def test_minio_keeps_what_it_acknowledged_before_a_kill(minio: Minio) -> None:
    bucket = minio.fresh_bucket()
    minio.s3.put(bucket, "a", b"kept")
    minio.server.kill()
    assert not minio.s3.answers()
    minio.start()
    assert minio.s3.get(bucket, "a").body == b"kept"


# ── processes ───────────────────────────────────────────────────────────────────────────────────
def test_a_missing_server_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    server = Server("x", tmp_path, ("no-such-server",), "apt-get install no-such-package")
    with pytest.raises(LabError, match=r"not installed\. Run: apt-get install no-such-package"):
        server.start()


def test_a_server_holds_nothing_of_who_started_it(tmp_path: Path) -> None:
    """Such as the lock of a `flock FILE command`, which would be held as long as the server runs."""
    server = Server("sleeper", tmp_path, ("sleep", "600"), "")
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003 - the only form it has
        server.start()
    held = [path.resolve() for path in Path(f"/proc/{server.pid()}/fd").iterdir()]
    server.kill()
    assert tmp_path / "lock" not in held


def test_a_server_that_ends_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = Server("x", tmp_path, ("sh", "-c", "echo port taken >&2; exit 3"), "")
    server.start()
    with pytest.raises(LabError, match=r"(?s)x ended:.*port taken"):
        server.wait(lambda: False, timeout_s=20)


def test_a_server_that_is_never_ready_is_given_up(sleeper: Server) -> None:
    with pytest.raises(LabError, match="sleeper not ready after 0 s"):
        sleeper.wait(lambda: False, timeout_s=0.1)


def test_a_started_server_is_found_by_its_pid_file_and_stopped(sleeper: Server) -> None:
    found = Server("sleeper", sleeper.folder, (), "")
    assert found.pid() == sleeper.pid() is not None
    found.stop()
    assert sleeper.pid() is None
    assert not sleeper.pid_file.exists()


def test_a_paused_server_can_be_stopped(sleeper: Server) -> None:
    sleeper.pause()
    sleeper.stop()
    assert sleeper.pid() is None


def test_a_stranger_with_the_number_of_a_pid_file_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        server = Server("x", tmp_path, ("sleep", "600"), "")
        server.pid_file.parent.mkdir()
        server.pid_file.write_text(f"{stranger.pid} 1\n")
        server.stop()
        assert stranger.poll() is None
        stranger.kill()


def test_a_folder_too_long_for_cephs_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="at most 80 bytes"):
        Lab(tmp_path / ("x" * 80))


def test_the_keys_of_a_lab_are_for_its_owner_alone(lab: Lab) -> None:
    for name in ("s3.access", "s3.secret", "lab.json"):
        assert (lab.folder / name).stat().st_mode & 0o777 == 0o600


# ── command line ────────────────────────────────────────────────────────────────────────────────
def test_env_prints_what_to_export(lab: Lab) -> None:
    done = command_line("env", str(lab.folder))
    assert f"export CEPH_CONF={lab.ceph.conf}\n" in done.stdout
    assert lab.minio.secret not in done.stdout


def test_a_folder_without_a_lab_is_told_so(tmp_path: Path) -> None:
    done = command_line("down", str(tmp_path))
    assert done.returncode == 1
    assert "holds no lab" in done.stderr


def test_a_lab_that_cannot_start_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    """With no Ceph on the PATH; MinIO, which is found by its full path, has started by then."""
    done = command_line("up", str(tmp_path / "lab"), PATH=str(tmp_path))
    assert done.returncode == 1
    assert "ceph-mon is not installed. Run: apt-get install" in done.stderr
    assert (tmp_path / "lab" / "log" / "minio.out").exists()
    assert Lab(tmp_path / "lab").minio.server.pid() is None


def test_the_guard_removes_a_lab_whose_owner_was_killed(tmp_path: Path) -> None:
    """The owner holds the guard's standard input; SIGKILL gives it no chance to clean up."""
    started = Lab(tmp_path / "lab")
    server = Server("minio", started.folder, ("sleep", "600"), "")
    server.start()
    owner_code = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-m', 'lab', 'guard', {str(started.folder)!r}],"
        " stdin=subprocess.PIPE, start_new_session=True)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", owner_code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while started.folder.exists() and time.monotonic() < deadline:
        server.pid()  # ours to reap
    assert not started.folder.exists()
    assert server.pid() is None


def command_line(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", *args]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False
    )
