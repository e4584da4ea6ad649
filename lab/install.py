"""Install or build the servers that are missing.

Ceph and Prometheus come from Debian's packages. MinIO is built from its Go module, pinned with all it
needs by `lab/minio/go.mod` and `go.sum`, into a cache: DRD_CACHE, or XDG_CACHE_HOME/drd, or ~/.cache/drd.
"""

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

from lab.failure import LabError

DEBIAN = (
    *("ceph-mon", "ceph-osd", "ceph-common", "radosgw"),  # the cluster and its tools
    *("python3-rbd", "python3-rados"),  # the bindings drd itself uses
    "prometheus",  # promtool runs the cases of the shipped rules
    "prometheus-alertmanager",  # amtool reads the example of docs/alerts.md
    "faketime",  # the clock of a daemon jumps
    *("debootstrap", "systemd-container"),  # a Debian to boot, see `debian` and `machine`
)
MODULE = "github.com/minio/minio"
HERE = Path(__file__).resolve().parent
GO_MOD = HERE / "minio" / "go.mod"
OLDEST_GO = (1, 24)  # the first with `tool` lines in go.mod
GO_ADVICE = "MinIO is built from source: install Go >= 1.24 (Debian 13: apt-get install golang-go)"


def cache() -> Path:
    """Return the folder for what is built once."""
    if chosen := os.environ.get("DRD_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "drd"


def minio_binary() -> Path:
    """Return where MinIO's binary of the pinned version is, or will be.

    Raises:
        LabError: go.mod does not name the module.
    """
    pinned = re.search(rf"^\s*{MODULE} (?P<version>v\S+)", GO_MOD.read_text("utf-8"), re.MULTILINE)
    if pinned is None:
        raise LabError(f"{GO_MOD} names no version of {MODULE}")
    return cache() / f"minio-{pinned['version']}" / "minio"


def install() -> None:
    """Install and build whatever is missing; quick when nothing is.

    Raises:
        LabError: something cannot be had; with what to do.
    """
    run([str(HERE.parent / "tools" / "apt.sh"), *DEBIAN], cwd=HERE)
    binary = minio_binary()
    binary.parent.mkdir(parents=True, exist_ok=True)
    with (binary.parent / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            build_minio(binary)


def build_minio(binary: Path) -> None:
    """Build MinIO; takes some three minutes on two cores when Go's own cache is empty.

    Raises:
        LabError: Go is missing or too old, or the build failed.
    """
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise LabError(GO_ADVICE)
    env = {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    said = subprocess.run(
        [go, "env", "GOVERSION"], env=env, cwd=HERE, capture_output=True, text=True, check=False
    ).stdout
    version = re.match(r"go(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_GO:
        raise LabError(f"{GO_ADVICE}; {go} is {said.strip() or 'broken'}")
    print(f"building MinIO, once: {binary}", flush=True)
    half = binary.with_suffix(".new")
    run([go, "build", "-trimpath", "-o", str(half), MODULE], cwd=GO_MOD.parent, env=env)
    half.rename(binary)


def run(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> None:
    """Run a command whose output goes to the terminal.

    Raises:
        LabError: it failed.
    """
    code = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, check=False
    ).returncode
    if code:
        raise LabError(f"{' '.join(command)}: exit {code}")
