"""drd's snapshots: left behind by the dead, found again, removed when they can be, never others'."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from drd.ceph.cluster import CephAccess, Cluster
from drd.errors import NotFoundError, SourceError
from drd.model import Found
from drd.ports import FreezeOrder
from drd.sources.rbd import RbdSettings, RbdSource
from drd.sources.rbd_snapshots import Snapshots, older_mark
from lab.ceph import Ceph
from tests.integration.sources.conftest import SIZE, Images, access_of, caps

LINEAGE = bytes(range(16))
ORDER = FreezeOrder(LINEAGE, b"12345678")

DYING = """
import os, signal, sys
from drd.ports import FreezeOrder
from drd.sources.rbd import RbdSettings, RbdSource
from drd.ceph.cluster import CephAccess
source = RbdSource("vms", RbdSettings(pool=sys.argv[2], access=CephAccess(conf=sys.argv[1])))
with source.freeze(source.discover()[0], FreezeOrder(bytes(range(16)), b"12345678")):
    os.kill(os.getpid(), signal.SIGKILL)
"""

HOLDING = """
import os, signal, sys
import rados, rbd
cluster = rados.Rados(conffile=sys.argv[1], name="client.admin")
cluster.connect()
ioctx = cluster.open_ioctx(sys.argv[2])
image = rbd.Image(ioctx, sys.argv[3])
image.write(b"mine", 0)
print("holding", flush=True)
sys.stdin.read()
image.close()
ioctx.close()
cluster.shutdown()
"""


def only(source: RbdSource) -> Found:
    (found,) = source.discover()
    return found


def script(code: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_run_leaves_an_orphan_that_the_next_one_finds(images: Images) -> None:
    images.make("disk")
    with script(DYING, images.access.conf, images.pool) as dying:
        assert dying.wait() == -signal.SIGKILL
    source = images.source()
    (held,) = source.snapshots()
    assert (held.image, held.lineage) == ("vms/disk", LINEAGE)
    assert not source.settle(only(source), LINEAGE, keep=[])
    assert images.snapshots("disk") == []


def test_a_busy_snapshot_is_reported_and_goes_later(images: Images) -> None:
    images.make("disk")
    source = images.source()
    names = []
    for run in (b"1", b"2"):
        with source.freeze(only(source), replace(ORDER, run=run)) as frozen:
            names.append(frozen.snapshot.name)
    with images.open("disk") as image:
        assert not image.is_protected_snap(names[0])
        image.protect_snap(names[0])
    assert source.settle(only(source), LINEAGE, keep=[]) == [names[0]]
    with pytest.raises(SourceError, match="busy") as caught:
        source.release("vms/disk")
    assert names[0] in caught.value.message
    with images.open("disk") as image:
        image.unprotect_snap(names[0])
    assert source.settle(only(source), LINEAGE, keep=[]) == []
    assert images.snapshots("disk") == []


def test_names_that_only_begin_like_ours_are_listed_without_a_lineage(images: Images) -> None:
    images.make("disk")
    images.snapshot("disk", "drd.by-hand")
    images.snapshot("disk", "by hand")
    source = images.source()
    (held,) = source.snapshots()
    assert (held.snapshot.name, held.lineage) == ("drd.by-hand", None)
    assert source.settle(only(source), LINEAGE, keep=[]) == []
    assert source.release("vms/disk") == ["drd.by-hand"]
    assert [one.name for one in images.snapshots("disk")] == ["by hand"]


def test_release_reaches_images_that_no_pattern_matches(images: Images, spaced: Images) -> None:
    for place in (images, spaced):
        place.make("disk")
        place.snapshot("disk", f"drd.{LINEAGE.hex()}.00")
    source = images.source("nothing-*")
    assert len(source.release("vms/disk")) == 1
    assert len(spaced.snapshots("disk")) == 1
    with pytest.raises(NotFoundError):
        source.release("vms/other")


def test_settling_an_image_that_is_gone_has_nothing_to_do(images: Images) -> None:
    images.make("disk")
    source = images.source()
    found = only(source)
    images.rbd.RBD().remove(images.ioctx, "disk")
    assert source.settle(found, LINEAGE, keep=[]) == []


class Failing(Cluster):
    """A real cluster where the opening of an image fails, at the one of number *at*."""

    def __init__(self, access: CephAccess, at: int) -> None:
        super().__init__(access)
        self.left = at

    @override
    @contextmanager
    def image(
        self, ioctx: Any, image_id: str, *, about: str, read_only: bool = True
    ) -> Iterator[Any]:
        self.left -= 1
        if self.left == -1:
            raise SourceError("the network went away", about=about)
        with super().image(ioctx, image_id, about=about, read_only=read_only) as image:
            yield image


def test_a_freeze_that_fails_leaves_no_snapshot(images: Images) -> None:
    """At each of its steps."""
    images.make("disk")
    found, failed = only(images.source()), 0
    while error := failure(images, found, at=failed):
        assert error.message == "the network went away"
        assert "stayed behind" not in error.hint
        assert images.snapshots("disk") == []
        failed += 1
    assert failed >= 3


def failure(images: Images, found: Found, *, at: int) -> SourceError | None:
    """What a freeze says whose opening number *at* fails; None when it has not so many."""
    cluster = Failing(images.access, at)
    source = RbdSource("vms", RbdSettings(pool=images.pool), cluster)
    try:
        with source.freeze(found, ORDER):
            return None
    except SourceError as error:
        return error
    finally:
        cluster.close()


def test_a_user_that_may_only_read_makes_no_snapshot(images: Images, ceph: Ceph) -> None:
    images.make("disk")
    client = "client.drd-reader"
    keyring = caps(ceph, client, mon="profile rbd", osd=f"profile rbd-read-only pool={images.pool}")
    source = images.source(access=access_of(ceph, client=client, keyring=keyring))
    with (
        pytest.raises(SourceError, match="permission") as caught,
        source.freeze(only(source), ORDER),
    ):
        pass
    assert "profile rbd" in caught.value.hint
    assert images.snapshots("disk") == []
    source.close()


def test_a_dead_owner_of_the_lock_does_not_hold_the_run_for_ever(
    images: Images, ceph: Ceph
) -> None:
    images.make("disk")
    access = replace(access_of(ceph), snapshot_timeout_s=2.0)
    source = images.source(access=access)
    found = only(source)
    with script(HOLDING, ceph.conf, images.pool, "disk") as holding:
        assert holding.stdout is not None
        assert holding.stdout.readline() == "holding\n"
        os.kill(holding.pid, signal.SIGSTOP)
        try:
            with pytest.raises(SourceError, match="in time") as caught, source.freeze(found, ORDER):
                pass
            assert "next run removes it" in caught.value.hint
        finally:
            os.kill(holding.pid, signal.SIGCONT)
        holding.communicate()
    # What was asked for may come late; then it is an orphan like any other.
    for _ in range(50):
        if not source.settle(found, LINEAGE, keep=[]) and images.snapshots("disk") == []:
            break
        threading.Event().wait(0.2)
    with source.freeze(found, replace(ORDER, run=b"2")) as frozen:
        assert frozen.snapshot.size == SIZE


def test_a_live_owner_of_the_lock_makes_the_snapshot_for_us(images: Images, ceph: Ceph) -> None:
    images.make("disk")
    source = images.source()
    with script(HOLDING, ceph.conf, images.pool, "disk") as holding:
        assert holding.stdout is not None
        holding.stdout.readline()
        with source.freeze(only(source), ORDER) as frozen:
            assert frozen.snapshot.name.startswith("drd.")
        holding.communicate()


def test_the_mark_follows_what_happens_meanwhile(images: Images) -> None:
    """The list was read, then somebody made an older snapshot: the name is corrected."""
    images.make("disk")
    source = images.source()
    found = only(source)
    snapshots = Snapshots(images.cluster, images.pool, source._place(found), about="disk")
    images.snapshot("disk", "meanwhile")
    made = snapshots.create(LINEAGE, b"1", known=[])
    assert made.name.endswith("." + older_mark(images.snapshots("disk"), made.number))
    assert made.name in [one.name for one in images.snapshots("disk")]
