"""What is said when Ceph's modules are not there, or Ceph says no."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading

import pytest

from drd.ceph.bounded import bounded
from drd.ceph.errors import as_drd
from drd.errors import DrdError, NotFoundError, RefusedError, SourceError

WITHOUT = """
import sys
sys.modules["rados"] = None
from drd.errors import SourceError
from drd.sources.rbd import RbdSettings, RbdSource
try:
    RbdSource("vms", RbdSettings(pool="rbd")).discover()
except SourceError as error:
    print(error.exit_code, error.hint)
"""


def test_without_the_modules_the_hint_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("14 apt-get install python3-rados python3-rbd")
    assert done.stderr == ""


def test_the_room_can_be_entered_without_the_modules() -> None:
    code = "import drd.sources.rbd, drd.sources.targets, sys; print('rados' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    "code, kind",
    [
        (errno.ENOENT, NotFoundError),
        (errno.EPERM, SourceError),
        (errno.EACCES, SourceError),
        (errno.ETIMEDOUT, SourceError),
        (errno.ESHUTDOWN, SourceError),
        (errno.EBUSY, RefusedError),
        (errno.EEXIST, RefusedError),
        (errno.EROFS, SourceError),
        (errno.EIO, SourceError),
        (0, SourceError),
    ],
)
def test_each_answer_has_its_class_and_a_hint(code: int, kind: type[DrdError]) -> None:
    error = as_drd(OSError(code, "as Ceph says it"), about="vms/disk")
    assert type(error) is kind
    assert error.about == "vms/disk"
    assert error.hint


def test_a_call_that_does_not_come_back_is_left_behind() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        bounded(never.wait, 0.05)
    never.set()


def test_what_a_bounded_call_raises_or_gives_comes_out() -> None:
    assert bounded(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 5)
