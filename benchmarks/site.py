"""One host of an operator: RBD images in the lab's Ceph, repositories in its MinIO, and drctl; beside it
what a user would type instead.
"""

from __future__ import annotations

import itertools
import json
import random
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.place import DRCTL, MIB, Place
from benchmarks.process import Ran
from drd.ceph.bindings import bindings

BLOCK = 4096
CONFIG = """\
state_dir = "{folder}/state"
[repository]
url = "s3://{bucket}/site"
[repository.s3]
endpoint = "{endpoint}"
access_key_file = "{folder}/s3.access"
secret_key_file = "{folder}/s3.secret"
[keys]
file = "{folder}/drd.key"
[source.vms]
type = "rbd"
ceph_conf = "{conf}"
client = "client.admin"
pool = "rbd"
images = ["{image}"]
{more}"""


@dataclass(frozen=True, slots=True)
class Point:
    """A backup that drctl made: seconds of the whole process, its peak in bytes, what it says."""

    ran: Ran
    told: dict[str, Any]


class Site:
    """A repository of its own in a new bucket, for one image or those of a pattern; *more* is the rest of
    the configuration, and begins within the table of the source.
    """

    def __init__(self, place: Place, image: str, *, more: str = "") -> None:
        self.place, self.image = place, image
        self.folder = place.folder("site")
        self.bucket = place.lab.minio.fresh_bucket()
        for name, value in (("access", place.lab.minio.access), ("secret", place.lab.minio.secret)):
            _private(self.folder / f"s3.{name}", value)
        self.config = self.folder / "drd.toml"
        self.config.write_text(
            CONFIG.format(
                folder=self.folder,
                bucket=self.bucket,
                endpoint=place.lab.minio.endpoint,
                conf=place.lab.ceph.conf,
                image=image,
                more=more,
            )
        )
        self.drctl("init")

    def drctl(self, *arguments: str) -> Ran:
        """Run drctl with ``--json``."""
        return self.place.run([str(DRCTL), "--config", str(self.config), *arguments, "--json"])

    def backup(self) -> Point:
        """One backup of the image."""
        ran = self.drctl("backup")
        told: dict[str, Any] = json.loads(ran.out)["points"][0]
        return Point(ran, told)

    def forget(self) -> None:
        """Remove the bucket's data, at once: the disk is small."""
        forget(self.place, self.bucket)


class Shell:
    """What a user would type: rbd, zstd, openssl and rclone; or restic."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folder = place.folder("shell")
        self.bucket = place.lab.minio.fresh_bucket()
        minio = place.lab.minio
        _private(self.folder / "password", uuid.uuid4().hex)
        _private(
            self.folder / "rclone.conf",
            f"[m]\ntype = s3\nprovider = Minio\nendpoint = {minio.endpoint}\n"
            f"access_key_id = {minio.access}\nsecret_access_key = {minio.secret}\n",
        )
        self._rclone = ["rclone", "--config", str(self.folder / "rclone.conf")]
        self._openssl = ["openssl", "enc", "-aes-256-ctr", "-pbkdf2"]
        self._openssl += ["-pass", f"file:{self.folder / 'password'}"]
        self._keys = {"AWS_ACCESS_KEY_ID": minio.access, "AWS_SECRET_ACCESS_KEY": minio.secret}

    def put(self, source: list[str], key: str) -> Ran:
        """Compress, encrypt and upload what *source* prints."""
        upload = [*self._rclone, "rcat", f"m:{self.bucket}/{key}"]
        return self.place.run(source, ["zstd", "-q", "-1", "-T2", "-c"], self._openssl, upload)

    def get(self, key: str, sink: list[str]) -> Ran:
        """The way back, into *sink*."""
        fetch = [*self._rclone, "cat", f"m:{self.bucket}/{key}"]
        return self.place.run(fetch, [*self._openssl, "-d"], ["zstd", "-q", "-d", "-c"], sink)

    def stored(self, key: str) -> int:
        """Bytes of an object in the bucket."""
        ran = self.place.run([*self._rclone, "size", "--json", f"m:{self.bucket}/{key}"])
        return int(json.loads(ran.out)["bytes"])

    @cached_property
    def _restic(self) -> list[str]:
        where = f"s3:{self.place.lab.minio.endpoint}/{self.bucket}/restic"
        command = ["restic", "--repo", where, "--password-file", str(self.folder / "password")]
        command += ["--cache-dir", str(self.folder / "cache"), "--quiet"]
        self.place.run([*command, "init"], **self._keys)
        return command

    def restic_put(self, source: list[str]) -> Ran:
        """Back up what *source* prints."""
        backup = [*self._restic, "backup", "--stdin", "--stdin-filename", "image"]
        return self.place.run(source, backup, **self._keys)

    def restic_get(self, sink: list[str]) -> Ran:
        """The newest snapshot, into *sink*."""
        return self.place.run([*self._restic, "dump", "latest", "image"], sink, **self._keys)

    def forget(self) -> None:
        """Remove the bucket's data."""
        forget(self.place, self.bucket)


class Images:
    """RBD images of the lab."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.ceph = place.lab.ceph

    def rbd(self, *arguments: str) -> list[str]:
        """A command line of ``rbd``, as a user has it."""
        return ["rbd", "--conf", str(self.ceph.conf), *arguments]

    def imported(self, name: str, path: Path) -> str:
        """An image with the content of a file."""
        self.place.say(f"importing {path.name}")
        self.place.run(self.rbd("import", "--no-progress", str(path), f"rbd/{name}"))
        return name

    def remove(self, name: str) -> None:
        """Remove an image and its snapshots."""
        self.place.run(self.rbd("snap", "purge", "--no-progress", f"rbd/{name}"))
        self.place.run(self.rbd("rm", "--no-progress", f"rbd/{name}"))

    def without_snapshots(self, name: str) -> None:
        """Remove the snapshots of an image."""
        self.place.run(self.rbd("snap", "purge", "--no-progress", f"rbd/{name}"))

    def open(self, name: str) -> Scattering:
        """An image to write to."""
        return Scattering(self.ceph.conf, name)


_seeds = itertools.count(1)


class Scattering:
    """Writes to an image through librbd, as a guest does."""

    def __init__(self, conf: Path, name: str) -> None:
        self._rbd = bindings().rbd
        self._cluster = bindings().rados.Rados(conffile=str(conf))
        self._cluster.connect()
        self._pool = self._cluster.open_ioctx("rbd")
        self._name = name
        self._used: list[int] | None = None

    def close(self) -> None:
        """Let go of the cluster."""
        self._pool.close()
        self._cluster.shutdown()

    def used(self) -> list[int]:
        """Numbers of the blocks with data, as they were when first asked."""
        if self._used is None:
            found: list[int] = []

            def note(offset: int, length: int, exists: bool) -> None:  # noqa: FBT001 - librbd's shape
                if exists:
                    found.extend(range(offset // BLOCK, (offset + length) // BLOCK))

            with self._rbd.Image(self._pool, self._name) as image:
                image.diff_iterate(0, image.size(), None, note, whole_object=False)
            self._used = found
        return self._used

    def scatter(self, count: int) -> None:
        """Write *count* blocks of random bytes at random places that hold data."""
        draw = random.Random(next(_seeds))  # noqa: S311 - which blocks is no secret
        chosen = sorted(draw.sample(self.used(), count))
        with self._rbd.Image(self._pool, self._name) as image:
            for block in chosen:
                image.write(draw.randbytes(BLOCK), block * BLOCK)
            image.flush()

    def fill(self, size: int, pieces: int) -> None:
        """Write 4 MiB of random bytes at each of *pieces* places, spread evenly over *size*."""
        draw = random.Random(0)  # noqa: S311
        with self._rbd.Image(self._pool, self._name) as image:
            for number in range(pieces):
                image.write(draw.randbytes(4 * MIB), number * (size // pieces) // MIB * MIB)
            image.flush()

    def diff_bytes(self) -> int:
        """The precise diff since the newest snapshot: what ``rbd diff --from-snap`` adds up to."""
        total = 0

        def note(_offset: int, length: int, _exists: bool) -> None:  # noqa: FBT001
            nonlocal total
            total += length

        with self._rbd.Image(self._pool, self._name) as image:
            newest = max(image.list_snaps(), key=lambda snap: snap["id"])
            image.diff_iterate(0, image.size(), newest["name"], note, whole_object=False)
        return total


def forget(place: Place, bucket: str) -> None:
    """Take a bucket's files off the disk behind MinIO's back: nobody asks for them any more, and
    removing thousands of versions by request would take longer than the benchmark.
    """
    place.run(["rm", "-rf", str(place.lab.folder / "minio" / bucket)])


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
