"""Secrets in files: for their owner alone, never overwritten, and never half written."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drd.errors import ConfigError, KeyAccessError, RefusedError
from drd.keys.files import MAX_BYTES, check_private, read_private, read_text, write_private

WHAT = "key file"


@contextmanager
def largest_file(length: int) -> Iterator[None]:
    """A disk that is full after *length* bytes, as far as this process can tell (EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, "secret ü\n", WHAT)
    assert read_private(path, WHAT) == "secret ü\n"
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("mask", [0, 0o077, 0o777])
def test_the_mode_is_0600_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "key"
    with umask(mask):
        write_private(path, "secret", WHAT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("precious")
    with pytest.raises(RefusedError) as caught:
        write_private(path, "new", WHAT)
    assert caught.value.exit_code == 15
    assert path.read_text() == "precious"


def test_a_link_is_not_followed_on_writing(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError):
        write_private(tmp_path / "key", "new", WHAT)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        write_private(tmp_path / "no" / "key", "new", WHAT)
    assert caught.value.exit_code == 2


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write_private(tmp_path / "a\0b", "new", WHAT)
    with pytest.raises(ConfigError):
        read_private(tmp_path / "a\0b", WHAT)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    with largest_file(10), pytest.raises(ConfigError, match="cannot be written"):
        write_private(tmp_path / "key", "x" * 1000, WHAT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o601, 0o666, 0o660])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    write_private(path, "secret", WHAT)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="open to others") as caught:
        read_private(path, WHAT)
    assert caught.value.about == str(path)
    assert "chmod 600" in caught.value.hint
    assert read_text(path, WHAT) == "secret"


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    write_private(path, "secret", WHAT)
    path.chmod(mode)
    assert read_private(path, WHAT) == "secret"


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, "secret", WHAT)
    owner = path.stat().st_uid
    if owner == 0:  # as root the file can be given away for real
        os.chown(path, 4711, -1)
        with pytest.raises(ConfigError, match="belongs to user 4711"):
            read_private(path, WHAT)
    check_private(path, WHAT, mode=0o100600, owner=0, me=4711)
    check_private(path, WHAT, mode=0o100600, owner=4711, me=4711)
    with pytest.raises(ConfigError, match="neither to root nor to us"):
        check_private(path, WHAT, mode=0o100600, owner=4712, me=4711)


def test_a_link_is_followed_on_reading(tmp_path: Path) -> None:
    write_private(tmp_path / "key", "secret", WHAT)
    (tmp_path / "link").symlink_to(tmp_path / "key")
    assert read_private(tmp_path / "link", WHAT) == "secret"


def test_a_missing_file_is_a_missing_key(tmp_path: Path) -> None:
    with pytest.raises(KeyAccessError) as caught:
        read_private(tmp_path / "key", WHAT)
    assert caught.value.exit_code == 12
    assert caught.value.about == str(tmp_path / "key")


def test_what_cannot_be_read_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    broken = Path("/proc/self/mem")  # a plain file whose first byte cannot be read (EIO)
    for name in ("loop", "folder", "pipe", "folder/../pipe/below", broken):
        with pytest.raises(ConfigError) as caught:
            read_private(tmp_path / name, WHAT)
        assert caught.value.exit_code == 2


def test_what_is_no_text_or_too_much(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes(b"x" * (MAX_BYTES + 1))
    for name in ("bytes", "large"):
        with pytest.raises(KeyAccessError):
            read_text(tmp_path / name, WHAT)
