"""A repository written by drd's own code with real keys, and the reader run on it, alone."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drd.core import hybrid
from drd.core.seal import sha256
from drd.core.sheet import Sheet
from drd.keys.keyfile import (
    Belonging,
    KeyFile,
    KeyFileRing,
    make_key_file,
    write_key_file,
)
from drd.keys.paper import write_sheet
from drd.model import BackupResult, Role
from drd.ports import Catalogue, Now, Random, Store
from drd.stores.metered import MeteredStore
from drd.testing.fakes import Inline, MemoryCatalogue, NoLease, SteppingClock, seeded
from drd.testing.repository import SMALL
from drd.testing.sources import SimulatedSource
from drd.work.backup import backup
from drd.work.bench import Bench, Knobs
from drd.work.init import NewRepository, init
from drd.work.repository import open_repository

READER = Path(__file__).resolve().parents[3] / "reader" / "drd_reader.py"
ALONE = Path(__file__).with_name("alone.py")
PACKAGES = ("cryptography", "_cffi_backend*.so", "zstandard", "blake3")
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Read:
    """What a run of the reader said."""

    code: int
    out: str
    said: str


def bare_site(folder: Path) -> Path:
    """A folder of installed packages that holds what the reader may use, and nothing else."""
    installed = Path(sysconfig.get_paths()["platlib"])
    site = folder / "site"
    if not site.exists():
        site.mkdir()
        for pattern in PACKAGES:
            for path in installed.glob(pattern):
                (site / path.name).symlink_to(path)
    return site


def run_reader(
    site: Path,
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    reader: Path = READER,
) -> Read:
    """The reader with *arguments* in a process that has *site* and no drd."""
    command = [sys.executable, "-I", "-S", ALONE, site, reader, *arguments]
    done = subprocess.run(
        [str(part) for part in command],
        env=dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Read(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Made:
    """A repository that is there, and what it takes to go on with it."""

    store: Store
    keys: KeyFile
    random: Random
    clock: Now

    def bench(self) -> Bench:
        """What the host that backs up works with; it knows no point yet."""
        metered = MeteredStore(self.store)
        ticks = SteppingClock(step=timedelta(milliseconds=1))
        return Bench(
            repository=open_repository(metered, KeyFileRing(self.keys, Role.BACKUP)),
            catalogue=MemoryCatalogue(),
            lease=NoLease(),
            cpu=Inline(),
            transfers=Inline(),
            now=self.clock,
            random=self.random,
            report=lambda _: None,
            timer=lambda: ticks().timestamp(),
            uploads=lambda: (metered.puts, metered.bytes_put),
            knobs=SMALL,
        )


@dataclass
class Written:
    """A repository under way: *folder* gets key file and sheet; ``points`` maps (lineage in
    hex digits, seq) of each full point to what it must restore to, as size and SHA-256.
    """

    store: Store
    folder: Path
    url: str
    endpoint: str = ""
    seed: object = 0
    knobs: Knobs = SMALL
    clock: Now = field(default_factory=SteppingClock)
    catalogue: Catalogue = field(default_factory=MemoryCatalogue)
    points: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)
    results: list[BackupResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the repository and its keys, as ``drctl init`` does."""
        self.random: Random = seeded(("written", self.seed))
        self.root = Ed25519PrivateKey.from_private_bytes(self.random(32))
        private = self.random(hybrid.SEED_BYTES)
        fingerprint = sha256(self.root_public)
        belonging = Belonging(
            self.random(16), self.random(16), fingerprint, hybrid.public_of(private)
        )
        self.keys: KeyFile = make_key_file(belonging, self.random)
        sheet = Sheet(
            address=self.url,
            endpoint=self.endpoint,
            repository=belonging.repository,
            root_fingerprint=fingerprint,
            recovery_private=private,
            root_private=self.root.private_bytes_raw(),
        )
        write_key_file(self.key_file, self.keys)
        write_sheet(self.sheet, sheet, made_at=self.clock())
        hosts: dict[bytes, tuple[str, ...]] = {
            public: (role,) for role, public in self.keys.signing_keys.items()
        }
        new = NewRepository(
            repository=belonging.repository,
            tenant=belonging.tenant,
            root=self.root_public,
            sign=self.sign,
            hosts=hosts,
            recovery=belonging.recovery_public,
            reader=READER.read_bytes(),
            now=self.clock(),
        )
        init(self.store, new)
        self.source = SimulatedSource("sim", self.clock)

    @property
    def key_file(self) -> Path:
        return self.folder / "repository.key"

    @property
    def sheet(self) -> Path:
        return self.folder / "sheet.txt"

    @property
    def root_public(self) -> bytes:
        return self.root.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        """As the root signs."""
        return self.root_public, self.root.sign(message)

    def bench(self) -> Bench:
        """What the host that backs up works with."""
        made = Made(self.store, self.keys, self.random, self.clock)
        return replace(made.bench(), catalogue=self.catalogue, knobs=self.knobs)

    def back_up(self, image: str) -> BackupResult:
        """One more full point; partial ones may come before it."""
        result = backup(self.bench(), self.source, self.source.found(image))
        head = self.source.images[image].head
        data = head.read(0, head.size)
        self.points[result.lineage.hex(), result.seq] = (
            head.size,
            hashlib.sha256(data).hexdigest(),
        )
        self.results.append(result)
        return result


def digest_of(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    data = path.read_bytes()
    return len(data), hashlib.sha256(data).hexdigest()
