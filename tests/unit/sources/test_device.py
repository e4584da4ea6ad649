from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from drd.errors import ConfigError, NotFoundError, RefusedError, SourceError
from drd.model import Changed, Found
from drd.ports import FreezeOrder, ReadAt
from drd.sources.device import DeviceSettings, DeviceSource
from drd.testing.fakes import SteppingClock

LINEAGE = bytes(16)
ORDER = FreezeOrder(LINEAGE, b"run")


def source(*paths: Path | str, quiesced: bool = False) -> DeviceSource:
    settings = DeviceSettings(tuple(str(path) for path in paths), quiesced=quiesced)
    return DeviceSource("disks", settings, SteppingClock())


def image(path: Path, content: bytes = b"content") -> Path:
    path.write_bytes(content)
    return path


def labels(found: object) -> list[str]:
    assert isinstance(found, list)
    return [one.label for one in found]


# ── discovery ───────────────────────────────────────────────────────────────────────────────────
def test_globs_find_images_alone(tmp_path: Path) -> None:
    for name in (
        "b.img",
        "a ü@1.img",
        "c.img.drd-restoring-00ff00ff",
        "d.img.drd-replaced-00ff00ff",
        "d.txt",
    ):
        image(tmp_path / name)
    (tmp_path / "folder.img").mkdir()
    (tmp_path / "dangling.img").symlink_to(tmp_path / "nowhere")
    found = source(tmp_path / "*.img*").discover()
    assert labels(found) == ["disks/a ü@1.img", "disks/b.img"]
    assert [one.identity for one in found] == [
        f"device:{tmp_path}/a ü@1.img",
        f"device:{tmp_path}/b.img",
    ]


def test_a_name_that_looks_like_a_glob_is_found(tmp_path: Path) -> None:
    image(tmp_path / "disk[1].img")
    assert labels(source(tmp_path / "disk[1].img").discover()) == ["disks/disk[1].img"]


def test_equal_base_names_are_refused_and_both_named(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        image(tmp_path / folder / "disk.img")
    with pytest.raises(ConfigError) as caught:
        source(tmp_path / "*/disk.img").discover()
    assert str(tmp_path / "a/disk.img") in caught.value.message
    assert str(tmp_path / "b/disk.img") in caught.value.message


def test_one_image_under_two_names_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "a.img")
    (tmp_path / "b.img").symlink_to(tmp_path / "a.img")
    with pytest.raises(ConfigError, match="one image"):
        source(tmp_path / "*.img").discover()


def test_patterns_that_overlap_find_once(tmp_path: Path) -> None:
    image(tmp_path / "a.img")
    assert len(source(tmp_path / "*.img", tmp_path / "a.*").discover()) == 1


def test_a_missing_path_does_not_hide_the_others(tmp_path: Path) -> None:
    image(tmp_path / "a.img")
    some = source(tmp_path / "a.img", tmp_path / "gone.img")
    found = some.discover()
    assert labels(found) == ["disks/a.img", "disks/gone.img"]
    with pytest.raises(NotFoundError), some.freeze(found[1], ORDER):
        pass


@pytest.mark.parametrize("place", [b"\xff.img", b"f\xff/b.img"])
def test_a_name_that_is_no_text_is_told_and_hides_no_other(tmp_path: Path, place: bytes) -> None:
    """A manifest holds text. What is told of it can be printed."""
    image(tmp_path / "a.img")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + place))
    path.parent.mkdir(exist_ok=True)
    image(path)
    some = source(tmp_path / "*.img", tmp_path / "*/*.img")
    unnamed, good = sorted(some.discover(), key=lambda one: one.label == "disks/a.img")
    assert (unnamed.label + unnamed.identity).encode().count(b"\\xff")
    with pytest.raises(RefusedError, match="not UTF-8") as caught, some.freeze(unnamed, ORDER):
        pass
    assert caught.value.about == unnamed.label
    with some.freeze(good, ORDER) as frozen:
        assert frozen.snapshot.size == len(b"content")


def test_a_link_gives_no_name_to_a_file_that_has_none(tmp_path: Path) -> None:
    """The identity is where the file lies."""
    path = image(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")))
    (tmp_path / "a.img").symlink_to(path)
    some = source(tmp_path / "a.img")
    (found,) = some.discover()
    with pytest.raises(RefusedError, match="not UTF-8"), some.freeze(found, ORDER):
        pass


# ── reading ─────────────────────────────────────────────────────────────────────────────────────
def test_holes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "sparse.img"
    with path.open("wb") as file:
        file.truncate(8 << 20)
        file.seek(1 << 20)
        file.write(b"x" * 4096)
        file.seek(5 << 20)
        file.write(b"y" * 8192)
    disks = source(path)
    with disks.freeze(disks.discover()[0], ORDER) as frozen:
        assert list(frozen.changed(0, 8 << 20)) == [Changed(1 << 20, 4096), Changed(5 << 20, 8192)]
        assert list(frozen.changed((1 << 20) + 100, 200)) == [Changed((1 << 20) + 100, 200)]
        assert list(frozen.changed(2 << 20, 1 << 20)) == []
        assert frozen.base is None


def test_a_base_cannot_be_read(tmp_path: Path) -> None:
    disks = source(image(tmp_path / "a.img"))
    found = disks.discover()[0]
    with disks.freeze(found, ORDER) as first:
        pass
    with disks.freeze(found, replace(ORDER, base=first.snapshot)) as frozen:
        assert frozen.base is None
        with pytest.raises(SourceError, match="no base"):
            list(frozen.read([ReadAt(0, 1, base=True)]))


def touched(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"X")


def grown(path: Path) -> None:
    os.truncate(path, 1000)


def shortened(path: Path) -> None:
    os.truncate(path, 2)


def set_back(path: Path) -> None:
    """Written to, with its time of change put back: the inode's own time tells."""
    before = path.stat()
    touched(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = [touched, grown, shortened, set_back]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_file_that_changes_is_refused_at_the_end_of_reading(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = image(tmp_path / "a.img")
    disks = source(path)

    def run() -> None:
        with disks.freeze(disks.discover()[0], ORDER) as frozen:
            change(path)
            list(frozen.read([ReadAt(0, 7)]))
            pytest.fail("reading must end with a refusal")

    with pytest.raises((RefusedError, SourceError)) as caught:
        run()
    assert caught.value.about == str(path)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_after_the_last_byte_was_read_is_no_concern_of_this_point(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = image(tmp_path / "a.img")
    disks = source(path)
    with disks.freeze(disks.discover()[0], ORDER) as frozen:
        read = [bytes(data) for _, data in frozen.read([ReadAt(0, 7)])]
        change(path)
    assert read == [b"content"]


def test_another_error_is_not_hidden_by_a_change(tmp_path: Path) -> None:
    path = image(tmp_path / "a.img")
    disks = source(path)

    def run() -> None:
        with disks.freeze(disks.discover()[0], ORDER):
            touched(path)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()


def test_a_quiesced_file_may_change(tmp_path: Path) -> None:
    path = image(tmp_path / "a.img")
    disks = source(path, quiesced=True)
    with disks.freeze(disks.discover()[0], ORDER) as frozen:
        touched(path)
        assert [bytes(data) for _, data in frozen.read([ReadAt(0, 7)])] == [b"Xontent"]
        assert frozen.facts["consistency"] == "quiesced"


def test_a_quiesced_file_that_shrinks_is_still_an_error(tmp_path: Path) -> None:
    path = image(tmp_path / "a.img")
    disks = source(path, quiesced=True)
    with disks.freeze(disks.discover()[0], ORDER) as frozen:
        shortened(path)
        with pytest.raises(SourceError, match="shortened"):
            list(frozen.read([ReadAt(0, 7)]))


# ── synthetic snapshots ─────────────────────────────────────────────────────────────────────────
def test_a_file_whose_times_were_put_back_is_another_one(tmp_path: Path) -> None:
    """Written to in place, as large as before, dated as before: only ctime tells."""
    path = image(tmp_path / "a.img")
    before = path.stat()
    disks = source(path)
    found = disks.discover()[0]
    with disks.freeze(found, ORDER) as first:
        begun = first.snapshot
    with path.open("r+b") as file:
        file.write(b"C")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with disks.freeze(found, FreezeOrder(LINEAGE, b"two", resume=begun)) as other:
        assert other.snapshot.id != begun.id
    with pytest.raises(NotFoundError, match="changed since"), disks.reopen(found, begun):
        pass


def test_an_unchanged_file_resumes_and_a_changed_one_does_not(tmp_path: Path) -> None:
    path = image(tmp_path / "a.img")
    disks = source(path)
    found = disks.discover()[0]
    with disks.freeze(found, ORDER) as first:
        begun = first.snapshot
    with disks.freeze(found, FreezeOrder(LINEAGE, b"two", resume=begun)) as again:
        assert again.snapshot == begun
    touched(path)
    with disks.freeze(found, FreezeOrder(LINEAGE, b"two", resume=begun)) as other:
        assert other.snapshot.id != begun.id
    with pytest.raises(NotFoundError, match="changed since"), disks.reopen(found, begun):
        pass


def test_there_is_nothing_to_settle(tmp_path: Path) -> None:
    disks = source(image(tmp_path / "a.img"))
    found = disks.discover()[0]
    assert not disks.settle(found, LINEAGE, keep=[])
    assert not disks.snapshots()
    assert not disks.release("disks/a.img")


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_image_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    found = Found("disks", f"disks/{kind}", f"device:{path}")
    with pytest.raises(RefusedError, match="neither"), source(path).freeze(found, ORDER):
        pass
