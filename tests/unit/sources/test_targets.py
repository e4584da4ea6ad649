from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drd.ceph.cluster import CephAccess
from drd.errors import DrdError, NotFoundError, RefusedError, SourceError, UsageError
from drd.sources.device_target import DeviceTarget
from drd.sources.file_target import FileTarget
from drd.sources.pipe_target import PipeTarget
from drd.sources.rbd_target import RbdAddress, RbdTarget
from drd.sources.targets import (
    DeviceAddress,
    FileAddress,
    PipeAddress,
    make_target,
    parse_target,
)


@pytest.mark.parametrize(
    "text, address",
    [
        ("-", PipeAddress()),
        ("file:disk.img", FileAddress("disk.img")),
        ("file:/a b/ü@3.img", FileAddress("/a b/ü@3.img")),
        ("file:rbd:x", FileAddress("rbd:x")),
        ("device:/dev/vdb", DeviceAddress("/dev/vdb")),
        ("rbd:pool/image", RbdAddress("pool", "", "image")),
        ("rbd:pool/tenant/image", RbdAddress("pool", "tenant", "image")),
        ("rbd:pool/disk 1@now ü", RbdAddress("pool", "", "disk 1@now ü")),
        ("rbd:pool/a:b", RbdAddress("pool", "", "a:b")),
    ],
)
def test_targets_are_read(text: str, address: object) -> None:
    parsed = parse_target(text)
    assert parsed == address
    assert parsed.text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "disk.img",
        "/dev/vdb",
        "file:",
        "file:/srv/",
        "device:",
        "file:a\0b",
        "rbd:",
        "rbd:pool",
        "rbd:pool/",
        "rbd:/image",
        "rbd:pool//image",
        "rbd:pool/ns/image/more",
        "s3:bucket/key",
        "RBD:pool/image",
        "--",
    ],
)
def test_what_is_no_target_says_what_would_be(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert "rbd:POOL" in caught.value.hint


@pytest.mark.parametrize("text", ["file://x", "file:///srv/x", "device:///dev/vdb"])
def test_a_target_is_no_url(text: str) -> None:
    kind, _, path = text.partition("://")
    with pytest.raises(UsageError, match="not a URL") as caught:
        parse_target(text)
    assert f"{kind}:PATH" in caught.value.hint
    assert caught.value.hint.endswith(f"{kind}:/{path.lstrip('/')}")


def test_each_address_makes_its_target(tmp_path: Path) -> None:
    kinds = {
        "-": PipeTarget,
        f"file:{tmp_path}/x": FileTarget,
        f"device:{tmp_path}/x": DeviceTarget,
        "rbd:pool/image": RbdTarget,
    }
    for text, kind in kinds.items():
        target = make_target(text, CephAccess(), overwrite=False, random=os.urandom)
        assert type(target) is kind
        assert target.name == text


# ── files ───────────────────────────────────────────────────────────────────────────────────────
def made(path: Path, *, overwrite: bool = False, size: int = 8192) -> FileTarget:
    target = FileTarget(str(path), overwrite=overwrite, random=os.urandom)
    target.prepare(size, {})
    return target


def test_a_file_stays_sparse(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    target = made(path, size=64 << 20)
    target.skip(0, 32 << 20)
    target.write(32 << 20, b"x" * 4096)
    target.skip((32 << 20) + 4096, (32 << 20) - 4096)
    target.finish()
    assert path.stat().st_size == 64 << 20
    assert path.stat().st_blocks * 512 < 1 << 20
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_overwritten_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"old")
    path.chmod(0o640)
    target = made(path, overwrite=True)
    target.finish()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_overwritten_file_is_kept_under_a_name_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"old")
    target = made(path, overwrite=True, size=4)
    assert [one for one in tmp_path.iterdir() if "replaced" in one.name] == []
    target.finish()
    kept = next(one for one in tmp_path.iterdir() if one != path)
    assert (path.read_bytes(), kept.read_bytes()) == (bytes(4), b"old")
    assert str(kept) in target.warnings[0]
    assert len(list(tmp_path.iterdir())) == 2


def test_what_has_its_name_is_not_called_unfinished(tmp_path: Path) -> None:
    target = made(tmp_path / "disk.img", overwrite=True)
    target.finish()
    assert target.abandon() == ""
    assert target.warnings == []


def test_what_older_restores_left_is_named(tmp_path: Path) -> None:
    path = tmp_path / "disk[1].img"
    assert made(path).warnings == []  # and is never finished
    (left,) = tmp_path.iterdir()
    made(tmp_path / "another.img")
    (warning,) = made(path).warnings
    assert str(left) in warning


def open_files() -> set[str]:
    return {str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()}


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files of at most a MiB: `ulimit -f`; Python ignores the signal that comes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("there", [False, True])
def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path: Path, *, there: bool) -> None:
    """It was made already when its size is refused."""
    path = tmp_path / "disk.img"
    if there:
        path.write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    target = FileTarget(str(path), overwrite=there, random=os.urandom)
    with pytest.raises(SourceError, match="too large"):
        target.prepare(2 << 20, {})
    assert sorted(tmp_path.iterdir()) == before
    assert not [one for one in open_files() if one.startswith(str(tmp_path))]
    assert target.abandon() == ""


def test_a_device_that_is_too_small_is_not_held_open(tmp_path: Path) -> None:
    path = tmp_path / "device"
    path.write_bytes(bytes(100))
    with pytest.raises(RefusedError, match="100 bytes"):
        DeviceTarget(str(path), overwrite=True).prepare(101, {})
    assert str(path) not in open_files()


def test_a_link_is_followed(tmp_path: Path) -> None:
    path, link = tmp_path / "disk.img", tmp_path / "link"
    path.write_bytes(b"old")
    link.symlink_to(path)
    target = made(link, overwrite=True, size=4)
    target.write(0, b"new!")
    target.finish()
    assert link.is_symlink()
    assert path.read_bytes() == b"new!"


def test_a_file_made_meanwhile_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    target = made(path)
    path.write_bytes(b"somebody's")
    with pytest.raises(RefusedError, match="exists"):
        target.finish()
    assert path.read_bytes() == b"somebody's"
    assert Path(target.abandon().removeprefix("file:")).stat().st_size == 8192


@pytest.mark.parametrize(
    "name, kind",
    [
        ("missing/disk.img", NotFoundError),
        ("folder", RefusedError),
        ("x" * 240, RefusedError),
        ("x" * 300, RefusedError),
        ("x" * 300 + "/disk.img", RefusedError),
    ],
)
def test_what_cannot_be_is_refused_without_effect(
    tmp_path: Path, name: str, kind: type[DrdError]
) -> None:
    (tmp_path / "folder").mkdir()
    for overwrite in (False, True):
        with pytest.raises(kind):
            made(tmp_path / name, overwrite=overwrite)
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_a_device_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        DeviceTarget(str(tmp_path / "none"), overwrite=True).prepare(1, {})
    with pytest.raises(RefusedError, match="neither"):
        DeviceTarget(str(tmp_path), overwrite=True).prepare(1, {})


def test_a_longer_device_keeps_its_end(tmp_path: Path) -> None:
    path = tmp_path / "device"
    path.write_bytes(b"o" * 8192)
    target = DeviceTarget(str(path), overwrite=True)
    target.prepare(4096, {})
    target.skip(0, 4096)
    target.finish()
    assert path.read_bytes() == bytes(4096) + b"o" * 4096
    assert "4096 bytes" in target.warnings[0]


def test_an_abandoned_device_is_named_once_it_was_touched(tmp_path: Path) -> None:
    path = tmp_path / "device"
    path.write_bytes(bytes(8192))
    for touch, left in ((False, ""), (True, f"device:{path}")):
        target = DeviceTarget(str(path), overwrite=True)
        target.prepare(8192, {})
        if touch:
            target.write(0, b"x")
        assert target.abandon() == left


CLOSED = """
import os
from drd.errors import SourceError
from drd.ceph.cluster import CephAccess
from drd.sources.targets import make_target
try:
    make_target("-", CephAccess(), overwrite=False, random=os.urandom)
except SourceError as error:
    raise SystemExit(error.exit_code)
"""


def test_standard_output_may_be_closed() -> None:
    command = ["sh", "-c", 'exec "$0" "$@" >&-', sys.executable, "-c", CLOSED]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (14, "")


def test_a_reader_that_goes_away_ends_a_pipe() -> None:
    read, write = os.pipe()
    os.close(read)
    stream = os.fdopen(write, "wb", buffering=0)
    with stream, pytest.raises(SourceError, match="reader of the pipe"):
        PipeTarget(stream).write(0, b"x" * 4096)
