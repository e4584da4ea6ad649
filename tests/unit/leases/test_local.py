from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from drd.errors import ConfigError, RefusedError
from drd.leases.local import LocalLease

HOLDER = """
import sys
from pathlib import Path
from drd.leases.local import LocalLease
with LocalLease(Path(sys.argv[1])).hold(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path, name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    lease = LocalLease(tmp_path / "leases")
    with (
        lease.hold("lineage"),
        pytest.raises(RefusedError, match=f"lineage busy: process {os.getpid()} ") as caught,
        lease.hold("lineage"),
    ):
        pass
    assert caught.value.about == "lineage"
    assert caught.value.exit_code == 15
    with lease.hold("lineage"):
        pass


def test_another_process_is_kept_out_and_named(tmp_path: Path) -> None:
    with holder(tmp_path, "vms/disk 1 ü") as process:
        lease = LocalLease(tmp_path)
        with (
            pytest.raises(RefusedError, match=f"process {process.pid} "),
            lease.hold("vms/disk 1 ü"),
        ):
            pass
        with lease.hold("another"):
            pass
        process.communicate()
    with lease.hold("vms/disk 1 ü"):
        pass


def test_a_killed_holder_leaves_nothing_behind(tmp_path: Path) -> None:
    with holder(tmp_path, "lineage") as process:
        process.kill()
        process.communicate()
    with LocalLease(tmp_path).hold("lineage"):
        pass


def test_an_error_inside_gives_the_lease_back(tmp_path: Path) -> None:
    lease = LocalLease(tmp_path)
    with pytest.raises(ZeroDivisionError), lease.hold("lineage"):
        raise ZeroDivisionError
    with lease.hold("lineage"):
        pass


def test_a_folder_that_cannot_be_made_is_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="leases"), LocalLease(tmp_path / "file" / "x").hold("l"):
        pass


def test_a_full_disk_is_a_matter_of_configuration(tmp_path: Path) -> None:
    """The file can be made, and holds no byte: as where the last block is taken."""
    lease = LocalLease(tmp_path / "leases")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(ConfigError, match="leases") as caught, lease.hold("lineage"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.hint
    with pytest.raises(OSError, match="own"), lease.hold("lineage"):
        raise OSError("the holder's own")


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    lease = LocalLease(tmp_path)
    with lease.hold("lineage"):
        pass
    lock = next(tmp_path.iterdir())
    lock.unlink()
    target = tmp_path / "precious"
    target.write_text("precious")
    lock.symlink_to(target)
    with pytest.raises(ConfigError), lease.hold("lineage"):
        pass
    assert target.read_text() == "precious"
