"""Which listing of librbd is believed, by its version and by what could have been rolled back."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from drd.ceph.bindings import Bindings, Version, parse_version
from drd.errors import NotFoundError
from drd.model import Snapshot
from drd.sources.labels import snapshot_name
from drd.sources.rbd_images import Place, parse_identity
from drd.sources.rbd_snapshots import Listed, older_mark, same
from drd.sources.rbd_trust import defects, judge
from drd.testing.fakes import START

MAP_INVALID, FAST_INVALID, FAST_DIFF = 1, 2, 16
LINEAGE = bytes(16)


class NoParentError(Exception):
    """As librbd says it."""


RBD = SimpleNamespace(
    RBD_FLAG_OBJECT_MAP_INVALID=MAP_INVALID,
    RBD_FLAG_FAST_DIFF_INVALID=FAST_INVALID,
    RBD_FEATURE_FAST_DIFF=FAST_DIFF,
    ImageNotFound=NoParentError,
)


class Handle:
    """What ``judge`` asks of an open image."""

    def __init__(
        self, *, flags: int = 0, features: int = FAST_DIFF | 1, parent: dict[str, str] | None = None
    ) -> None:
        self._flags, self._features, self._parent = flags, features, parent

    def flags(self) -> int:
        return self._flags

    def features(self) -> int:
        return self._features

    def get_parent_image_spec(self) -> dict[str, str]:
        if self._parent is None:
            raise NoParentError
        return self._parent


def ceph(version: Version = (19, 2, 3)) -> Bindings:
    return Bindings(rados=None, rbd=RBD, version=version, exact=True)


def user(number: int, name: str = "") -> Listed:
    return Listed(number, name or f"user {number}", 4096, user=True, rollback=True)


def group(number: int) -> Listed:
    return Listed(number, f".group.{number}", 4096, user=False, rollback=True)


def mirror(number: int) -> Listed:
    return Listed(number, f".mirror.{number}", 4096, user=False, rollback=False)


def ours(number: int, older: str = "") -> Listed:
    return user(number, snapshot_name(LINEAGE, bytes([number]), older))


@pytest.mark.parametrize(
    "version, trackers",
    [
        ((15, 2, 17), []),
        ((16, 2, 0), [61616, 63770]),
        ((16, 2, 13), [61616, 63770]),
        ((16, 2, 14), [63770]),
        ((16, 2, 15), []),
        ((17, 2, 6), [61616, 63770]),
        ((17, 2, 7), [63770]),
        ((17, 2, 8), []),
        ((18, 2, 2), [63770]),
        ((18, 2, 4), []),
        ((19, 2, 0), []),
    ],
)
def test_defects_of_versions(version: Version, trackers: list[int]) -> None:
    assert [one.tracker for one in defects(version)] == trackers


def test_a_good_image_is_trusted() -> None:
    trust = judge(ceph(), [Handle(), Handle()], [ours(7)], ours(7))
    assert (trust.fast, trust.exact, trust.since, trust.warnings) == (True, True, "", ())


def test_a_bad_version_goes_the_slow_way_and_says_so() -> None:
    trust = judge(ceph((17, 2, 6)), [Handle()], [], None)
    assert (trust.fast, trust.exact) == (False, False)
    assert "61616" in trust.warnings[0]
    assert "63770" in trust.warnings[1]
    trust = judge(ceph((18, 2, 2)), [Handle()], [], None)
    assert (trust.fast, trust.exact) == (True, False)


@pytest.mark.parametrize("flags", [MAP_INVALID, FAST_INVALID, MAP_INVALID | FAST_INVALID])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_any_invalid_map_goes_the_slow_way(flags: int, which: int) -> None:
    handles: list[Any] = [Handle(), Handle(), Handle()]
    handles[which] = Handle(flags=flags)
    trust = judge(ceph(), handles, [ours(7)], ours(7))
    assert not trust.fast
    assert "object-map rebuild" in trust.warnings[0]


def test_an_image_without_maps_goes_the_slow_way_without_a_word() -> None:
    trust = judge(ceph(), [Handle(features=1)], [], None)
    assert (trust.fast, trust.warnings) == (False, ())


def test_the_first_point_of_a_clone_is_exact() -> None:
    clone = Handle(parent={"image_name": "golden"})
    assert not judge(ceph(), [clone], [], None).fast
    assert judge(ceph(), [clone], [ours(7)], ours(7)).fast


# ── rollback ────────────────────────────────────────────────────────────────────────────────────
def test_an_older_snapshot_that_is_still_there_widens_the_search() -> None:
    snapshots = [user(3), user(5), mirror(6)]
    base = ours(7, older_mark(snapshots))
    trust = judge(ceph(), [Handle()], [*snapshots, base], base)
    assert (trust.fast, trust.since, trust.warnings) == (True, "user 3", ())


def test_an_older_snapshot_that_is_gone_goes_the_slow_way() -> None:
    base = ours(7, older_mark([user(3), user(5)]))
    for left in ([user(5)], [user(3)], []):
        trust = judge(ceph(), [Handle()], [*left, base], base)
        assert not trust.fast
        assert "rolled back" in trust.warnings[0]


def test_a_name_without_the_mark_goes_the_slow_way() -> None:
    assert not judge(ceph(), [Handle()], [user(3), ours(7)], ours(7)).fast


def test_a_group_snapshot_cannot_be_compared_with() -> None:
    base = ours(7, older_mark([group(3), user(5)]))
    assert not judge(ceph(), [Handle()], [group(3), user(5), base], base).fast


def test_younger_mirrored_and_own_snapshots_do_not_count() -> None:
    base = ours(7)
    trust = judge(ceph(), [Handle()], [ours(2), mirror(3), base, user(9), group(10)], base)
    assert (trust.fast, trust.since) == (True, "")


def test_the_mark_is_of_ids() -> None:
    assert older_mark([user(3)]) == older_mark([user(3, "renamed")])
    assert older_mark([user(3)]) != older_mark([user(4)])
    assert older_mark([user(3), user(9)], before=9) == older_mark([user(3)])
    assert older_mark([]) == ""


# ── names and numbers ───────────────────────────────────────────────────────────────────────────
def test_a_snapshot_is_found_by_id_and_name() -> None:
    wanted = Snapshot("7", ours(7).name, START, 4096)
    assert same([user(3), ours(7)], wanted) == ours(7)
    assert same([user(7)], wanted) is None
    assert same([replace(ours(7), number=8)], wanted) is None
    assert same([replace(ours(7), user=False)], wanted) is None
    assert same([ours(7)], None) is None


@pytest.mark.parametrize("namespace", ["", "tenant", "a/b"])
def test_identities_come_back(namespace: str) -> None:
    place = Place("5e0-11b", 3, namespace, "101f94b8041d")
    assert parse_identity(place.identity) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rbd:",
        "device:/dev/sda",
        "rbd:a/1/",
        "rbd:a/b/c/d",
        "rbd:/1//i",
        "rbd:a/1//",
        "rbd:a/1/i",
    ],
)
def test_other_identities_are_not_found(text: str) -> None:
    with pytest.raises(NotFoundError):
        parse_identity(text)


@pytest.mark.parametrize(
    "text, version",
    [("16.2.15", (16, 2, 15)), ("19.2.1-9.el9", (19, 2, 1)), ("Development", None), ("", None)],
)
def test_versions_are_read(text: str, version: Version | None) -> None:
    assert parse_version(text) == version
