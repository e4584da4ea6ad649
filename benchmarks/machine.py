"""On what was measured: the machine, the versions, how busy it was."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import Row
from benchmarks.place import ROOT

PACKAGES = ("cryptography", "zstandard", "blake3", "numpy", "boto3", "click", "pyperf")
PROGRAMS = {
    "ceph": ["ceph", "--version"],
    "restic": ["restic", "version"],
    "rclone": ["rclone", "version"],
    "zstd": ["zstd", "--version"],
    "openssl": ["openssl", "version"],
}


def facts() -> Row:
    """Everything of it, as JSON has it."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "programs": {name: _said(command) for name, command in PROGRAMS.items()},
    }


def load() -> float:
    """Processes that wanted to run in the last minute (load average): what else the machine did."""
    return round(os.getloadavg()[0], 2)


def commit() -> str:
    """The commit that is measured, the last that touched what is; a mark when files differ from it."""
    git, measured = ["git", "-C", str(ROOT)], ["--", "src", "benchmarks"]
    head = _said([*git, "log", "-1", "--abbrev=12", "--format=%h", *measured])
    changed = _said([*git, "status", "--porcelain", *measured])
    return f"{head}+" if changed else head


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _said(command: list[str]) -> str:
    """The first line that a program prints; empty when it is not there."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout.strip().splitlines() or [""])[0]
