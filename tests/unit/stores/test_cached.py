"""The cache: it serves what the store gave or nothing, and never fails a run."""

from __future__ import annotations

import os
import resource
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drd.errors import ObjectMissingError, RefusedError
from drd.stores.cached import CachedStore
from drd.stores.metered import MeteredStore
from drd.testing.stores import MemoryStore


class Setting:
    """A cache over a store whose reads are counted."""

    def __init__(self, folder: Path, *, max_bytes: int = 1 << 20, versioned: bool = True) -> None:
        self.folder = folder
        self.inner = MemoryStore(versioned=versioned)
        self.metered = MeteredStore(self.inner)
        self.warnings: list[str] = []
        self.store = CachedStore(
            self.metered, folder, max_bytes=max_bytes, warn=self.warnings.append
        )

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path / "cache")


def test_what_was_put_is_not_fetched(setting: Setting) -> None:
    version = setting.store.put("x/t/l/1", bytearray(b"run"))
    assert setting.store.get("x/t/l/1", version=version) == b"run"
    assert setting.store.get("x/t/l/1") == b"run"
    assert setting.metered.gets == 0


def test_what_was_read_is_not_fetched_again_nor_are_its_parts(setting: Setting) -> None:
    setting.inner.put("x/1", b"0123456789")
    for _ in range(3):
        assert setting.store.get("x/1") == b"0123456789"
    assert setting.store.get("x/1", start=2, length=3) == b"234"
    assert setting.store.get("x/1", start=8, length=30) == b"89"
    assert setting.store.get("x/1", start=10) == b""
    assert setting.metered.gets == 1


def test_a_part_is_never_kept_as_the_whole(setting: Setting) -> None:
    setting.inner.put("x/1", b"0123456789")
    assert setting.store.get("x/1", start=0, length=3) == b"012"
    assert setting.store.get("x/1", start=3) == b"3456789"
    assert not setting.files()
    assert setting.store.get("x/1") == b"0123456789"


def test_only_immutable_small_objects_are_kept(setting: Setting) -> None:
    for key in ("p/1", "m/1", "k/1", "xx/1"):
        setting.store.put(key, b"1")
        setting.store.get(key)
        setting.store.get(key)
    assert not setting.files()
    assert setting.metered.gets == 8


def test_another_version_is_never_served(setting: Setting) -> None:
    first = setting.inner.put("x/1", b"forged")
    second = setting.inner.put("x/1", b"true")
    assert setting.store.get("x/1", version=first) == b"forged"
    assert setting.store.get("x/1", version=second) == b"true"
    assert setting.store.get("x/1") == b"true"
    with pytest.raises(ObjectMissingError):
        setting.store.get("x/1", version="no-such")


@pytest.mark.parametrize("versioned", [True, False])
def test_who_asks_for_versions_gets_fresh_bytes(tmp_path: Path, versioned: bool) -> None:  # noqa: FBT001
    setting = Setting(tmp_path / "cache", versioned=versioned)
    version = setting.inner.put("x/1", b"damaged on the line")
    setting.store.get("x/1", version=version)
    setting.inner.damage("x/1", b"true")
    assert setting.store.get("x/1", version=version) == b"damaged on the line"
    (only,) = setting.store.versions("x/1")
    assert setting.store.get("x/1", version=only.version) == b"true"


@pytest.mark.parametrize("at", [0, 5, 31, 32, 40, -1])
def test_a_damaged_file_is_as_good_as_none(setting: Setting, at: int) -> None:
    setting.store.put("x/1", b"0123456789")
    (file,) = setting.files()
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    assert setting.store.get("x/1") == b"0123456789"
    assert setting.metered.gets == 1
    assert setting.store.get("x/1") == b"0123456789"
    assert setting.metered.gets == 1


def test_a_torn_file_is_as_good_as_none(setting: Setting) -> None:
    setting.store.put("x/1", b"0123456789")
    (file,) = setting.files()
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert setting.store.get("x/1") == b"0123456789"
    assert setting.metered.gets == len(whole)
    assert setting.warnings == []


def test_a_part_of_a_torn_file_is_not_served(setting: Setting) -> None:
    """Nor of one whose label is damaged; of the others only the label and the length are compared."""
    version = setting.store.put("x/1", b"0123456789")
    (file,) = setting.files()
    whole = file.read_bytes()
    spoilt = [whole[:length] for length in range(len(whole))] + [whole + b"0"]
    spoilt += [whole[:at] + b"?" + whole[at + 1 :] for at in range(32, len(whole) - 10)]
    for reads, content in enumerate(spoilt, 1):
        file.write_bytes(content)
        assert setting.store.get("x/1", version=version, start=2, length=3) == b"234"
        assert setting.metered.gets == reads


def test_who_got_a_damaged_part_gets_the_whole_from_the_store(setting: Setting) -> None:
    """And the damaged file goes, so that the next part is right, too."""
    setting.store.put("x/1", b"0123456789")
    (file,) = setting.files()
    file.write_bytes(file.read_bytes().replace(b"3", b"?"))
    assert setting.store.get("x/1", start=2, length=3) == b"2?4"
    assert setting.store.get("x/1", start=0, length=10) == b"012?456789"
    assert setting.metered.gets == 0
    assert setting.store.get("x/1") == b"0123456789"
    assert setting.metered.gets == 1
    assert setting.store.get("x/1", start=2, length=3) == b"234"
    assert setting.metered.gets == 1


def peak_of(setting: Setting, *, start: int = 0, length: int | None = None) -> int:
    """Bytes that a read of x/1 takes at most, what it returns included."""
    tracemalloc.start()
    try:
        setting.store.get("x/1", start=start, length=length)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_read_takes_little_more_than_what_it_returns(tmp_path: Path) -> None:
    size = 8 << 20
    setting = Setting(tmp_path / "cache", max_bytes=2 * size)
    setting.store.put("x/1", bytes(size))
    assert peak_of(setting, start=size // 2, length=5000) < 100_000
    assert peak_of(setting) < size * 3 // 2
    assert setting.metered.gets == 0


def test_a_file_of_another_key_is_not_served(setting: Setting) -> None:
    setting.store.put("x/1", b"one")
    (one,) = setting.files()
    content = one.read_bytes()
    setting.store.put("x/2", b"two")
    (two,) = [file for file in setting.files() if file != one]
    two.write_bytes(content)
    assert setting.store.get("x/2") == b"two"


def test_a_deleted_object_is_forgotten(setting: Setting) -> None:
    version = setting.store.put("x/1", b"1")
    setting.store.delete("x/1", version=version)
    assert not setting.files()
    with pytest.raises(ObjectMissingError):
        setting.store.get("x/1")


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    setting = Setting(tmp_path / "cache", max_bytes=10_500)
    for number in range(9):
        setting.store.put(f"x/{number}", bytes(1000))
    for age, file in enumerate(setting.files()):
        os.utime(file, (1_000_000 + age, 1_000_000 + age))
    setting.store.get("x/3")  # now the youngest
    for number in range(9, 12):
        setting.store.put(f"x/{number}", bytes(1000))
    assert sum(file.stat().st_size for file in setting.files()) <= 10_500
    before = setting.metered.gets
    setting.store.get("x/3")
    assert setting.metered.gets == before
    for number in range(12):
        assert setting.store.get(f"x/{number}") == bytes(1000)
    assert before < setting.metered.gets


def test_the_bound_holds_whatever_lies_there_already(tmp_path: Path) -> None:
    first = Setting(tmp_path / "cache", max_bytes=50_000)
    for number in range(20):
        first.store.put(f"x/{number}", bytes(1000))
    second = Setting(tmp_path / "cache", max_bytes=5_000)
    second.store.put("x/new", b"1")
    assert sum(file.stat().st_size for file in second.files()) <= 5_000


def test_what_died_in_the_cache_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    setting = Setting(tmp_path / "cache", max_bytes=5_000)
    setting.store.put("x/0", bytes(100))
    dead, alive = setting.folder / "dead.new", setting.folder / "alive.new"
    for path, age_s in ((dead, 7200), (alive, 60)):
        path.write_bytes(bytes(2000))
        then = path.stat().st_mtime - age_s
        os.utime(path, (then, then))
    later = Setting(tmp_path / "cache", max_bytes=5_000)
    for number in range(1, 5):
        later.store.put(f"x/{number}", bytes(1000))
    assert not dead.exists()
    assert alive.exists()


def test_an_object_larger_than_the_cache_is_served_all_the_same(tmp_path: Path) -> None:
    setting = Setting(tmp_path / "cache", max_bytes=100)
    setting.store.put("x/1", bytes(1000))
    assert setting.store.get("x/1") == bytes(1000)
    assert not setting.files()


def test_a_directory_that_cannot_be_used_fails_nothing_and_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    setting = Setting(tmp_path / "file")  # nothing can lie below a file
    version = setting.store.put("x/1", b"1")
    assert setting.store.get("x/1", version=version) == b"1"
    assert len(setting.store.versions("x/1")) == 1
    setting.store.delete("x/1", version=version)
    (warning,) = setting.warnings
    assert str(tmp_path / "file") in warning
    assert "File exists" in warning


def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    """Reading still goes; what cannot be kept is fetched at every run."""
    setting = Setting(tmp_path / "cache")
    setting.store.put("x/1", b"1")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        for number in range(3):
            setting.store.put(f"x/large-{number}", bytes(5000))
            assert setting.store.get(f"x/large-{number}") == bytes(5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert setting.store.get("x/1") == b"1"
    assert setting.metered.gets == 3
    assert len(setting.files()) == 1
    (warning,) = setting.warnings
    assert "File too large" in warning


def test_the_store_s_own_errors_come_through(setting: Setting) -> None:
    with pytest.raises(ObjectMissingError):
        setting.store.get("x/none")
    with pytest.raises(RefusedError):
        setting.store.get("x/../../etc/passwd")
    with pytest.raises(RefusedError):
        setting.store.put("x//", b"")
    assert setting.warnings == []


def test_only_the_owner_can_read(setting: Setting) -> None:
    setting.store.put("x/1", b"1")
    assert setting.folder.stat().st_mode & 0o777 == 0o700
    assert setting.files()[0].stat().st_mode & 0o777 == 0o600


def test_threads_share_one_cache(tmp_path: Path) -> None:
    setting = Setting(tmp_path / "cache", max_bytes=20_000)
    for number in range(40):
        setting.inner.put(f"x/{number}", bytes([number]) * 1000)

    def work(seed: int) -> None:
        for turn in range(200):
            number = (seed * 7 + turn * 13) % 40
            assert setting.store.get(f"x/{number}") == bytes([number]) * 1000

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert setting.warnings == []
    assert sum(file.stat().st_size for file in setting.files()) <= 20_000
