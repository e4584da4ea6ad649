"""A directory as a store: what it syncs, what it leaves behind, and how it fails."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drd.errors import (
    ObjectExistsError,
    ObjectMissingError,
    PlaceMissingError,
    StoreError,
    TransientStoreError,
)
from drd.stores.local import TEMPORARY, LocalStore
from drd.stores.local_errors import translated
from drd.testing.stores import MemoryStore
from tests.unit.stores.processes import in_own_mounts, run_python

FULL_DISK = """
import sys
from pathlib import Path
from drd.errors import StoreError
from drd.stores.local import LocalStore
root = Path(sys.argv[1])
store = LocalStore(root)
store.put("p/small", b"1" * 1000)
try:
    store.put("p/large", b"2" * 3_000_000)
except StoreError as error:
    print(type(error).__name__, error.hint)
print(sorted(o.key for o in store.list("")), len(list((root / ".tmp~").iterdir())))
store.put("p/large", b"3" * 1000)
"""

LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, -1))" + FULL_DISK

READ_ONLY = """
import sys
from pathlib import Path
from drd.errors import StoreError
from drd.stores.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
print(store.get("p/a"))
for act in (lambda: store.put("p/b", b""), lambda: store.delete("p/a"), store.abilities):
    try:
        act()
    except StoreError as error:
        print(type(error).__name__, error, "|", error.hint)
"""

FORBIDDEN = """
import os, sys
from pathlib import Path
from drd.errors import StoreError
from drd.stores.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
if os.geteuid() == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
for act in (
    lambda: store.put("p/b", b""),
    lambda: store.get("p/a"),
    lambda: store.stat("p/a"),
    lambda: list(store.list("p/")),
    lambda: list(store.folders("")),
    lambda: store.delete("p/a"),
):
    try:
        act()
    except StoreError as error:
        print(type(error).__name__, error.hint)
"""


class Ledger:
    """Notes the path of each descriptor that is synced, and syncs it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.synced: list[str] = []

    def __call__(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.synced.append(str(path.relative_to(self.root)))
        os.fsync(descriptor)


def _broken(_: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_file_new_folders_and_folder_are_synced_in_that_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    store = LocalStore(tmp_path, sync=ledger, random=bytes)
    store.put("p/t/a", b"1")
    temporary = f"{TEMPORARY}/{bytes(16).hex()}"
    assert ledger.synced == [temporary, ".", "p", "p/t"]


def test_later_puts_sync_the_file_and_its_folder_only(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    store = LocalStore(tmp_path, sync=ledger)
    store.put("p/t/a", b"1")
    for if_absent in (True, False):
        ledger.synced.clear()
        store.put("p/t/b", b"2", if_absent=if_absent)
        store.delete("p/t/a")
        assert [path.partition("/")[0] for path in ledger.synced[:1]] == [TEMPORARY]
        assert ledger.synced[1:] == ["p/t"] * (2 if if_absent else 1)


def test_folders_that_somebody_else_made_are_made_durable_too(tmp_path: Path) -> None:
    (tmp_path / "p/t").mkdir(parents=True)
    ledger = Ledger(tmp_path)
    LocalStore(tmp_path, sync=ledger).put("p/t/a", b"1")
    assert ledger.synced[1:] == [".", "p", "p/t"]


def test_a_file_that_cannot_be_synced_gets_no_name(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, sync=_broken)
    with pytest.raises(StoreError, match="input/output error") as caught:
        store.put("p/a", b"1")
    assert "kernel's log" in caught.value.hint
    assert not (tmp_path / "p").exists()
    assert not list((tmp_path / TEMPORARY).iterdir())


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    root = tmp_path / "deep/er"
    LocalStore(root, make=True).put("p/t/a", b"1")
    for path in (root.parent, root, root / "p", root / "p/t", root / TEMPORARY):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "p/t/a").stat().st_mode) == 0o600


def test_nothing_is_left_of_a_put_but_the_object(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"1", if_absent=True)
    with pytest.raises(ObjectExistsError):
        store.put("a", b"2", if_absent=True)
    store.put("a", b"3")
    assert not list((tmp_path / TEMPORARY).iterdir())
    assert (tmp_path / "a").stat().st_nlink == 1


def test_a_delete_takes_the_empty_folders_and_no_others(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("p/t/l/a", b"1")
    store.put("p/u", b"1")
    store.delete("p/t/l/a")
    assert not (tmp_path / "p/t").exists()
    store.delete("p/u")
    assert not (tmp_path / "p").exists()
    store.put("p/t/l/a", b"2")
    assert store.get("p/t/l/a") == b"2"


def test_puts_and_deletes_of_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    stores = [LocalStore(tmp_path) for _ in range(4)]

    def work(number: int) -> None:
        store = stores[number % len(stores)]
        for turn in range(100):
            key = f"p/t/{number}-{turn}"
            store.put(key, b"1", if_absent=True)
            store.delete(key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert not list(stores[0].list(""))


def _leftover(root: Path, name: str, *, age_s: float) -> Path:
    path = root / TEMPORARY / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"died")
    now = path.stat().st_mtime
    os.utime(path, (now - age_s, now - age_s))
    return path


def test_what_died_more_than_a_day_ago_is_swept_once(tmp_path: Path) -> None:
    old = _leftover(tmp_path, "old", age_s=25 * 3600)
    young = _leftover(tmp_path, "young", age_s=23 * 3600)
    held = _leftover(tmp_path, "held", age_s=25 * 3600)
    store = LocalStore(tmp_path)
    with held.open("rb") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        store.put("a", b"1")
    assert not old.exists()
    assert young.exists()
    assert held.exists(), "a process that still holds its file was robbed of it"
    later = _leftover(tmp_path, "later", age_s=25 * 3600)
    store.put("b", b"1")
    assert later.exists(), "one sweep per process is enough"


def test_a_missing_root_is_no_missing_object(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "unmounted")
    acts: list[Callable[[], object]] = [
        lambda: store.put("a", b"1"),
        lambda: store.get("a"),
        lambda: store.stat("a"),
        lambda: store.versions("a"),
        lambda: store.delete("a"),
        lambda: list(store.list("")),
        lambda: list(store.folders("")),
        store.abilities,
    ]
    for act in acts:
        with pytest.raises(PlaceMissingError, match="folder is not there") as caught:
            act()
        assert "mount" in caught.value.hint
    assert not (tmp_path / "unmounted").exists()


def test_a_file_in_the_place_of_the_folder_is_called_one(tmp_path: Path) -> None:
    """To make a repository there is no way out of it, so nobody is told to."""
    path = tmp_path / "file"
    path.write_text("precious")
    for make in (False, True):
        with pytest.raises(StoreError) as caught:
            list(LocalStore(path, make=make).list(""))
        assert "init" not in caught.value.hint
        assert str(path) in caught.value.about
    with pytest.raises(PlaceMissingError, match="no folder"):
        list(LocalStore(path).list(""))


def test_garbage_is_neither_listed_nor_followed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("x/a", b"1")
    (tmp_path / "x/with space").write_bytes(b"")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "x/link").symlink_to("a")
    (tmp_path / "y").symlink_to("x")
    os.mkfifo(tmp_path / "x/pipe")
    assert [o.key for o in store.list("")] == ["x/a"]
    assert list(store.folders("")) == ["x"]
    for key in ("x/link", "x/pipe"):
        with pytest.raises(ObjectMissingError):
            store.get(key)
        with pytest.raises(ObjectMissingError):
            store.stat(key)
    with pytest.raises(ObjectMissingError):
        store.get("x")


def test_a_folder_and_an_object_of_one_name_are_told_apart(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a/b", b"1")
    for if_absent in (True, False):
        with pytest.raises(StoreError) as caught:
            store.put("a", b"2", if_absent=if_absent)
        assert not isinstance(caught.value, ObjectExistsError)
        with pytest.raises(StoreError, match="not a directory") as caught:
            store.put("a/b/c", b"2", if_absent=if_absent)
        assert "folder is needed" in caught.value.hint
    with pytest.raises(ObjectMissingError):
        store.get("a/b/c")
    store.delete("a")
    store.delete("a/b/c")
    assert store.get("a/b") == b"1"


def test_folders_that_cannot_match_are_not_opened(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for key in ("p/a/1", "p/b/1", "p/c/1", "q/1"):
        store.put(key, b"")
    for shut in ("p/a", "q"):
        (tmp_path / shut).rename(tmp_path / f"{shut}-")
        (tmp_path / shut).symlink_to("/nowhere")  # opening it would raise
    assert [o.key for o in store.list("p/b")] == ["p/b/1"]
    assert [o.key for o in store.list("p/", after="p/b/0", limit=1)] == ["p/b/1"]


KEYS = st.lists(
    st.lists(st.sampled_from(["a", "b-", "b.", "b", "b0", "c"]), min_size=1, max_size=3),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(KEYS, KEYS, st.sampled_from(["", "a", "b", "b/", "b-/", "a/b", "c/"]))
def test_lists_are_those_of_memory(
    tmp_path_factory: pytest.TempPathFactory,
    found: list[list[str]],
    afters: list[list[str]],
    prefix: str,
) -> None:
    local, memory = LocalStore(tmp_path_factory.mktemp("s")), MemoryStore(versioned=False)
    for parts in found:
        key = "/".join(parts) + "/leaf"  # so that no object has the name of a folder
        local.put(key, b"12")
        memory.put(key, b"12")
    for after in ["", *("/".join(parts) for parts in afters)]:
        for bound in (None, 0, 1, 3):
            ours = [o.key for o in local.list(prefix, after=after, limit=bound)]
            assert ours == [o.key for o in memory.list(prefix, after=after, limit=bound)]
    if prefix in {"", "b/", "c/"}:
        assert list(local.folders(prefix)) == list(memory.folders(prefix))


def test_a_full_disk_is_named_and_nothing_is_left_of_the_attempt(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=2m none {tmp_path}"
    out = run_python(FULL_DISK, str(tmp_path), within=in_own_mounts(mount)).splitlines()
    assert out[0].startswith("StoreError free space on the file system")
    assert out[1] == "['p/small'] 0"


def test_a_limit_on_file_size_is_named(tmp_path: Path) -> None:
    out = run_python(LIMITED, str(tmp_path)).splitlines()
    assert out[0].startswith("StoreError raise the limit on file size")
    assert out[1] == "['p/small'] 0"


def test_a_read_only_file_system_is_named(tmp_path: Path) -> None:
    LocalStore(tmp_path).put("p/a", b"1")
    mount = f"mount --bind {tmp_path} {tmp_path}; mount -o remount,bind,ro {tmp_path}"
    out = run_python(READ_ONLY, str(tmp_path), within=in_own_mounts(mount)).splitlines()
    assert out[0] == "b'1'"
    assert len(out) == 4
    for line in out[1:]:
        assert line.startswith("StoreError the repository's file system says: read-only")
        assert "mounted read-only" in line


def test_missing_permission_is_named(tmp_path: Path) -> None:
    LocalStore(tmp_path).put("p/a", b"1")
    for folder in ("p", TEMPORARY):
        (tmp_path / folder).chmod(0 if os.geteuid() else 0o700)
    try:
        out = run_python(FORBIDDEN, str(tmp_path)).splitlines()
    finally:
        for folder in ("p", TEMPORARY):
            (tmp_path / folder).chmod(0o700)
    assert len(out) == 6
    assert all(line.startswith("StoreError give the user that drd runs as") for line in out)


def test_what_passes_on_a_network_file_system_is_worth_a_retry() -> None:
    with pytest.raises(TransientStoreError, match="stale"), translated("file:///x"):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_a_buffer_can_be_used_again_once_put_returned(tmp_path: Path) -> None:
    body, failures = bytearray(1000), []
    LocalStore(tmp_path).put("a", body)
    body += b"grows only when nobody holds a view"
    for key in ("a", "b"):
        try:
            LocalStore(tmp_path, sync=_broken if key == "b" else os.fsync).put(
                key, body, if_absent=True
            )
        except StoreError as error:
            failures.append(error)  # with its traceback, and all that lives in its frames
        body += b"grows"
    assert len(failures) == 2
