"""A lab: one folder with its state, its servers and what to export.

DIR/lab.json             ports, cluster id and keys: enough to find or restart everything
DIR/ceph.conf, keyring   for every Ceph client
DIR/mon, osd.*, rgw, minio    the servers' data
DIR/run, log             pid files and sockets; what the servers said
DIR/*.access, *.secret   S3 keys, one a file, mode 0600
"""

import fcntl
import json
import secrets
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.ceph import Ceph
from lab.failure import LabError
from lab.minio import Minio
from lab.ports import free_port
from lab.rgw import Rgw
from lab.s3 import S3, Keys

STATE = "lab.json"
# The admin sockets of Ceph live in DIR/run, and a unix socket's path has 107 bytes (unix(7)).
LONGEST_FOLDER = 80

PRIMARY = "drd"
# These two stand for the other region.
SECONDARY_LOCKED = "secondary-locked"  # MinIO: versioned, with object lock
SECONDARY = "secondary"  # RGW: versioned


class Lab:
    """The servers of one folder; makes the folder when it is new.

    Args:
        folder: an absolute, short path; Ceph's bluestore needs O_DIRECT there (no tmpfs).

    Raises:
        LabError: the path is too long for Ceph's sockets.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if len(bytes(folder)) > LONGEST_FOLDER:
            raise LabError(f"{folder}: at most {LONGEST_FOLDER} bytes, or Ceph's sockets fail")
        folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            state = self._state()
        keys = Keys(state["access"], state["secret"])
        self.ceph = Ceph(folder, fsid=state["fsid"], port=int(state["ceph_port"]))
        self.rgw = Rgw(self.ceph, port=int(state["rgw_port"]), keys=keys)
        self.minio = Minio(folder, port=int(state["minio_port"]), keys=keys)

    def up(self, *, rgw: bool) -> None:
        """Start what does not run, Ceph and MinIO beside each other, and make the three buckets.

        Raises:
            LabError: a server is missing or does not start.
        """
        with self._locked():
            try:
                self._start_all(rgw=rgw)
            except LabError:
                self._stop_all()  # half a lab is of no use; the logs stay
                raise

    def start_ceph(self) -> Ceph:
        """Start Ceph unless it runs; for several callers at once."""
        with self._locked():
            self.ceph.start()
        return self.ceph

    def start_rgw(self) -> Rgw:
        """Start Ceph and RGW unless they run; for several callers at once."""
        with self._locked():
            self.ceph.start()
            self.rgw.start()
        return self.rgw

    def start_minio(self) -> Minio:
        """Start MinIO unless it runs; for several callers at once."""
        with self._locked():
            self.minio.start()
        return self.minio

    def down(self) -> None:
        """Stop every server of this folder; its data stays."""
        with self._locked():
            self._stop_all()

    def delete(self) -> None:
        """Stop every server and remove the folder."""
        self.down()
        shutil.rmtree(self.folder)

    def exports(self) -> dict[str, str]:
        """Return what to export: names and values."""
        return {
            "DRD_LAB": str(self.folder),
            "CEPH_CONF": str(self.ceph.conf),
            "DRD_MINIO_ENDPOINT": self.minio.endpoint,
            "DRD_MINIO_ACCESS_FILE": str(self.folder / "s3.access"),
            "DRD_MINIO_SECRET_FILE": str(self.folder / "s3.secret"),
            "DRD_RGW_ENDPOINT": self.rgw.endpoint,
            "DRD_RGW_ACCESS_FILE": str(self.folder / "s3.access"),
            "DRD_RGW_SECRET_FILE": str(self.folder / "s3.secret"),
        }

    def _start_all(self, *, rgw: bool) -> None:
        self.minio.launch()
        self.ceph.start()
        self.minio.start()
        make_bucket(self.minio.s3, PRIMARY)
        make_bucket(self.minio.s3, SECONDARY_LOCKED, lock=True)
        if rgw:
            self.rgw.start()
            make_bucket(self.rgw.s3, SECONDARY)

    def _stop_all(self) -> None:
        for server in (self.rgw.server, *self.ceph.osds, self.ceph.mon, self.minio.server):
            server.stop()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _state(self) -> dict[str, str]:
        path = self.folder / STATE
        if not path.exists():
            state = new_state()
            for name in ("access", "secret"):
                write_private(self.folder / f"s3.{name}", state[name])
            write_private(path, json.dumps(state, indent=1))
        loaded: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return loaded


def new_state() -> dict[str, str]:
    """Choose ports, the cluster's id and the S3 keys of a new lab."""
    taken: set[int] = set()
    state = {"fsid": str(uuid.uuid4())}
    for server in ("ceph", "rgw", "minio"):
        port = free_port(taken)
        taken.add(port)
        state[f"{server}_port"] = str(port)
    state["access"] = secrets.token_hex(10)
    state["secret"] = secrets.token_hex(20)
    return state


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text + "\n", encoding="utf-8")


def make_bucket(s3: S3, name: str, *, lock: bool = False) -> None:
    """Make a versioned bucket unless it is there."""
    if not s3.has_bucket(name):
        s3.make_bucket(name, versioned=True, lock=lock)
