"""A cloud to protect: images of a real Ceph pool, backed up by ``drctl`` into a real bucket."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from drd.model import Role
from drd.testing.fakes import seeded
from drd.wiring import open_house
from drd.work import listing
from drd.work.restore import OpenedPoint
from drd.work.verify import needed
from lab.ceph import Ceph
from lab.folder import Lab
from tests.e2e.site import MIB, Bucket, Site

PIECE = 64 * 1024
_images = itertools.count()


class Cloud(Site):
    """A site whose source ``vms`` is one image of a Ceph pool, and whose packs hold 1 MiB each."""

    def __init__(
        self, folder: Path, lab: Lab, *, patience_s: float, **settings: float | str
    ) -> None:
        super().__init__(folder, Bucket.fresh(lab.minio))
        self.s3_extra = f"patience_s = {patience_s}\n"
        self.lab = lab
        self.ceph: Ceph = lab.ceph
        self.image_name = f"vm-{next(_images)}-{uuid4().hex[:6]}"
        self.label = f"vms/{self.image_name}"
        told: dict[str, object] = {
            "type": "rbd",
            "ceph_conf": str(self.ceph.conf),
            "pool": self.ceph.pool,
            "images": [self.image_name],
            **settings,
        }
        lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())
        self.sources = f"[source.vms]\n{lines}\n[pack]\npack_size = {MIB}\n"

    @property
    def spec(self) -> str:
        """Pool and image."""
        return f"{self.ceph.pool}/{self.image_name}"

    @property
    def objects(self) -> Path:
        """Where MinIO keeps what this repository has put; a folder for each object."""
        assert self.bucket
        return self.lab.folder / "minio" / self.bucket.name / "site-a"

    def packs(self) -> int:
        """Packs that are in the bucket now, looked up behind MinIO's back."""
        return len(list(self.objects.glob("p/*/*/*")))

    def make(self, size: int, filled: int, seed: object = 0) -> None:
        """Make the image, with random bytes in its first *filled*."""
        self.ceph.rbd("create", "--size", f"{size}B", self.spec)
        self.write([(0, seeded(seed)(filled))])

    def write(self, writes: Iterable[tuple[int, bytes]]) -> None:
        """Write (offset, bytes) into the image, as its guest would."""
        words = [b"rbd diff v1\n"]
        for offset, data in sorted(writes):
            words += [b"w", offset.to_bytes(8, "little"), len(data).to_bytes(8, "little"), data]
        self.ceph.run(
            *("rbd", "import-diff", "--no-progress", "-", self.spec),
            stdin=b"".join([*words, b"e"]),
        )

    def scatter(self, pieces: int, size: int, *, draw: random.Random) -> None:
        """Write *pieces* of 64 KiB of random bytes at random places."""
        places = draw.sample(range(size // PIECE), pieces)
        self.write((place * PIECE, draw.randbytes(PIECE)) for place in places)

    def digest(self) -> str:
        """SHA-256 of the image as it is."""
        return hashlib.sha256(self.ceph.export(self.spec)).hexdigest()

    def snapshots(self) -> list[str]:
        """Names of all snapshots of the image."""
        listed = json.loads(self.ceph.rbd("snap", "ls", self.spec, "--format", "json"))
        return [str(one["name"]) for one in listed]

    def base(self) -> str:
        """Name of the snapshot that the newest point was made of."""
        (row,) = self.run("show", self.label).points
        return str(row["facts"]["snapshot"]["name"])

    def reached_packs(self) -> int:
        """Packs that any committed recovery point needs."""
        house = open_house(str(self.config))
        try:
            repository = house.repository(Role.VERIFY, cached=False)
            keys: set[str] = set()
            for info in listing.full_points(listing.known_points(repository, None)):
                opened = OpenedPoint(repository, *listing.open_full(repository, info))
                keys.update(one.key for one in needed(opened) if one.row is not None)
        finally:
            house.close()
        return len(keys)
