"""Where benchmarks run: a scratch folder, the lab's servers, an image of a real file system."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import process
from benchmarks.process import BenchmarkError, Ran
from lab.folder import Lab

ROOT = Path(__file__).resolve().parent.parent
DRCTL = Path(sys.executable).with_name("drctl")
TOOLS = ("e2fsprogs", "zstd", "openssl", "rclone", "restic")
GONE_S = 120.0
GIB = 1024**3
MIB = 1024**2
FULL_ROOTS = (Path("/usr"), Path("/opt"))
"""Where real files come from, in this order, until there are enough."""


def install_tools() -> None:
    """Install what drd is compared with, and e2fsprogs, which makes the images.

    Raises:
        BenchmarkError: they cannot be had; with the command to run.
    """
    if all(shutil.which(name) for name in ("mkfs.ext4", "zstd", "openssl", "rclone", "restic")):
        return
    done = subprocess.run([ROOT / "tools" / "apt.sh", *TOOLS], check=False)
    if done.returncode:
        raise BenchmarkError(f"cannot install {' '.join(TOOLS)}: install them, and try again")


@dataclass
class Place:
    """What a benchmark works with. ``quick``: small sizes and few rounds, to see that it works."""

    scratch: Path
    quick: bool
    cleanup: ExitStack = field(default_factory=ExitStack)

    def say(self, text: str) -> None:
        """Tell what is going on."""
        print(f"    {text}", flush=True)

    def sized(self, full: int, quick: int) -> int:
        """One of two sizes, or numbers of rounds."""
        return quick if self.quick else full

    def folder(self, name: str) -> Path:
        """An empty folder, gone when the benchmark ends."""
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))
        self.cleanup.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    @cached_property
    def env(self) -> dict[str, str]:
        """The environment of what is timed."""
        return process.environment(self.scratch / "pyc")

    def run(self, *stages: list[str], **more: str) -> Ran:
        """Run a pipe; *more* is added to the environment."""
        return process.run(*stages, env={**self.env, **more}, cwd=ROOT)

    def module(self, name: str, *arguments: str) -> Ran:
        """Run a module of the benchmarks in a process of its own."""
        return self.run([sys.executable, "-m", f"benchmarks.{name}", *arguments])

    def child(self, name: str, *arguments: str) -> tuple[dict[str, Any], Ran]:
        """The same, for a module that prints one line of JSON."""
        ran = self.module(name, *arguments)
        found: dict[str, Any] = json.loads(ran.out.splitlines()[-1])
        return found, ran

    @cached_property
    def lab(self) -> Lab:
        """Ceph and MinIO, started when first asked for; gone when all ends, however it ends."""
        install_tools()
        self.say("starting Ceph and MinIO")
        # The path must be short, for Ceph's sockets, and no tmpfs, for its disks.
        lab = Lab(Path(tempfile.mkdtemp(prefix="drdbench-", dir="/var/tmp")))
        guard = subprocess.Popen(
            [sys.executable, "-m", "lab", "guard", str(lab.folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self.cleanup.callback(guard.communicate, timeout=GONE_S)
        lab.up(rgw=False)
        return lab

    # ── images ──────────────────────────────────────────────────────────────────────────────────
    def image(self, size: int, used: int) -> Path:
        """A sparse file with an ext4 file system that holds about *used* bytes of real files; kept
        for the next run.
        """
        path = self.scratch / f"ext4-{size // MIB}-{used // MIB}.img"
        if not path.exists():
            install_tools()
            self.say(f"making a file system of {size // MIB} MiB with {used // MIB} MiB of files")
            tree = self.folder("tree")
            _link_files(tree, used)
            half = path.with_suffix(".half")
            half.unlink(missing_ok=True)
            with half.open("wb") as file:
                file.truncate(size)
            options = ["-q", "-F", "-m", "0", "-E", "root_owner=0:0", "-d", str(tree)]
            self.run(["mkfs.ext4", *options, str(half)])
            half.rename(path)
            shutil.rmtree(tree)
        return path


def _link_files(tree: Path, wanted: int) -> None:
    """Link (or copy) files into *tree* until they take *wanted* bytes on a disk."""
    taken = 0
    for root in FULL_ROOTS:
        for folder, _, names in sorted(os.walk(root)):
            target = tree / folder.lstrip("/")
            for name in sorted(names):
                source = Path(folder, name)
                if source.is_symlink() or not source.is_file():
                    continue
                target.mkdir(parents=True, exist_ok=True)
                _link(source, target / name)
                taken += -(-source.stat().st_size // 4096) * 4096
                if taken >= wanted:
                    return


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
