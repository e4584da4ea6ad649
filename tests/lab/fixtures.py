"""Fixtures for the real servers, started when the first test asks and shared by the session.

DRD_LAB=DIR (see `make lab`) uses a lab that is left running: nothing to wait for, and nothing is
stopped or removed at the end. A server that cannot be had is an error with the command to run.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.ceph import Ceph
from lab.folder import Lab
from lab.minio import Minio
from lab.rgw import Rgw

ROOT = Path(__file__).resolve().parent.parent.parent
GONE_S = 60.0


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The session's lab; nothing in it runs yet unless it is DRD_LAB's."""
    if kept := os.environ.get("DRD_LAB"):
        yield Lab(Path(kept).absolute())
        return
    # Not under pytest's own folder: the paths of Ceph's sockets must be short. Not /tmp, which is
    # a tmpfs from Debian 13 on: bluestore opens its file with O_DIRECT.
    base = os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108 - mkdtemp makes a private one in it
    started = Lab(Path(tempfile.mkdtemp(prefix="drdlab-", dir=base)))
    # The guard ends the servers and removes the folder, however this process ends.
    command = [sys.executable, "-m", "lab", "guard", str(started.folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True
    ) as guard:
        yield started
        guard.communicate(timeout=GONE_S)


@pytest.fixture(scope="session")
def breakable() -> Iterator[Lab]:
    """Ceph and MinIO that may be stopped and killed: never those that other tests use. A gateway may not
    come back to a cluster that was frozen: it never answers a request to make a bucket again.
    """
    with _another() as own:
        yield own


@pytest.fixture(scope="module")
def fragile() -> Iterator[Lab]:
    """Ceph and MinIO for one file alone: what is done to them, such as filling disks, has time to show
    its effects elsewhere after the test.
    """
    with _another() as own:
        yield own


@contextmanager
def _another() -> Iterator[Lab]:
    """A lab beside the session's."""
    base = os.environ.get("TMPDIR", "/var/tmp")  # noqa: S108 - mkdtemp makes a private one in it
    own = Lab(Path(tempfile.mkdtemp(prefix="drdlab-", dir=base)))
    command = [sys.executable, "-m", "lab", "guard", str(own.folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True
    ) as guard:
        own.up(rgw=False)
        yield own
        guard.communicate(timeout=GONE_S)


@pytest.fixture(scope="session")
def ceph(lab: Lab) -> Ceph:
    """A real cluster: `conf`, `fsid`, `pool`, `data_pool`, `rbd(...)`, `command(...)`."""
    return lab.start_ceph()


@pytest.fixture(scope="session")
def rgw(lab: Lab) -> Rgw:
    """A real RGW on that cluster: `endpoint`, `access`, `secret`, `fresh_bucket(...)`."""
    return lab.start_rgw()


@pytest.fixture(scope="session")
def minio(lab: Lab) -> Minio:
    """A real MinIO: `endpoint`, `access`, `secret`, `fresh_bucket(...)`."""
    return lab.start_minio()
