"""A place to work in: configuration, keys, images, and a repository in a folder or a bucket."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drd.testing.fakes import seeded
from tests.e2e import drctl
from tests.e2e.drctl import Answer, Row

KIB = 1024
MIB = 1024 * KIB
BLOCK = 4 * KIB


class S3Server(Protocol):
    """What the fixtures ``minio`` and ``rgw`` are."""

    endpoint: str
    access: str
    secret: str

    def fresh_bucket(self, *, versioned: bool = True, lock: bool = False) -> str:
        """Make a bucket and return its name."""
        ...


@dataclass(frozen=True)
class Bucket:
    """Where in S3 a repository lies, and with which keys it is reached."""

    endpoint: str
    name: str
    access: str
    secret: str

    @classmethod
    def fresh(cls, server: S3Server, *, versioned: bool = True) -> Bucket:
        """A new bucket of *server*."""
        name = server.fresh_bucket(versioned=versioned)
        return cls(server.endpoint, name, server.access, server.secret)


class Site:
    """One host of an operator. Nothing is made before ``configure``."""

    def __init__(self, folder: Path, bucket: Bucket | None = None) -> None:
        self.folder = folder
        self.bucket = bucket
        self.config = folder / "drd.toml"
        self.repository = folder / "repository"
        self.key = folder / "drd.key"
        self.sheet = folder / "drd.key.sheet.txt"
        self.state = folder / "state"
        self.images = folder / "images"
        self.s3_extra = ""
        self.images.mkdir(parents=True, exist_ok=True)
        self.sources = f'[source.disks]\ntype = "device"\npaths = ["{self.images}/*.img"]\n'

    @property
    def url(self) -> str:
        """Address of the repository."""
        if self.bucket is not None:
            return f"s3://{self.bucket.name}/site-a"
        return self.repository.as_uri()

    def configure(self, **changes: str) -> Path:
        """Write the configuration; *changes* replace ``url``, ``key``, ``state`` or ``extra``."""
        text = [
            f'state_dir = "{changes.get("state", self.state)}"',
            f'[repository]\nurl = "{changes.get("url", self.url)}"',
            self._s3(),
            f'[keys]\nfile = "{changes.get("key", self.key)}"',
            changes.get("sources", self.sources),
            changes.get("extra", ""),
        ]
        self.config.write_text("\n".join(text))
        return self.config

    def _s3(self) -> str:
        if self.bucket is None:
            return ""
        for name, value in (("access", self.bucket.access), ("secret", self.bucket.secret)):
            (self.folder / f"s3.{name}").write_text(value)
        return (
            f'[repository.s3]\nendpoint = "{self.bucket.endpoint}"\n'
            'access_key_file = "s3.access"\nsecret_key_file = "s3.secret"\n' + self.s3_extra
        )

    def made(self) -> Site:
        """Configure, and make the repository."""
        self.configure()
        answer = self.run("init")
        assert answer.code == 0, answer.text
        return self

    def run(self, *arguments: str) -> Answer:
        """Run ``drctl`` here with this configuration and ``--json``."""
        return drctl.here("--config", str(self.config), *arguments, "--json")

    def told(self, *arguments: str) -> Answer:
        """The same for a person."""
        return drctl.here("--config", str(self.config), *arguments)

    def process(self, *arguments: str) -> Answer:
        """The same as a process, with ``--json``."""
        return drctl.process("--config", str(self.config), *arguments, "--json")

    def backup(self, *names: str) -> list[Row]:
        """Points made by a backup that works."""
        answer = self.run("backup", *names)
        assert answer.code == 0, answer.text
        return answer.points

    def image(self, name: str = "a.img", size: int = 2 * MIB, seed: object = 0) -> Path:
        """A new image file: data, a hole, data that compresses, and a ragged end."""
        path = self.images / name
        with path.open("wb") as file:
            file.truncate(size)
            file.write(seeded(seed)(size // 3))
            file.seek(size // 2)
            file.write((b"the same again and again " * size)[: size // 4])
            file.seek(size - 5)
            file.write(b"end.\n")
        return path


_rounds = defaultdict[Path, int](int)


def scatter(path: Path, blocks: int, *, seed: object = None) -> None:
    """Write *blocks* random blocks of 4 KiB at random places of a file, its times included.

    Without a *seed* others each time, and the same ones in each run, whatever other tests do.
    """
    _rounds[path] += 1
    draw = seeded(("scatter", (path.name, _rounds[path]) if seed is None else seed))
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        for _ in range(blocks):
            file.seek(int.from_bytes(draw(8), "big") % max(1, size // BLOCK) * BLOCK)
            file.write(draw(min(BLOCK, size - file.tell())))


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(folder: Path) -> dict[str, str]:
    """Every file below *folder* and its digest: to show that nothing changed."""
    return {str(path.relative_to(folder)): digest(path) for path in files(folder)}


def files(folder: Path) -> Iterator[Path]:
    """Every file below *folder*."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def allocated(path: Path) -> int:
    """Bytes that a file takes up on its disk."""
    return path.stat().st_blocks * 512
