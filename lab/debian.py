"""A Debian root that holds what drd's package depends on: made once, kept in the cache, never changed.

Of the same release as this machine, since the package is built for its Python, and from the mirror
that this machine's apt uses. `machine` boots it.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from lab.failure import LabError
from lab.install import cache, run

TOOLS = ("debootstrap", "systemd-container")  # installed with the servers, see `install`
# What the package depends on (packaging/debian/control.in), and what a machine needs to boot.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "procps", "python3", "python3-rados", "python3-rbd")
# Packages and indexes as apt left them: of no use any more.
LEAVINGS = ("var/cache/apt/archives", "var/lib/apt/lists", "var/log")


def release() -> str:
    """Return the code name of this machine's release, such as ``bookworm``."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def root() -> Path:
    """Return where the root is, or will be: the name tells what is in it."""
    wanted = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    return cache() / f"{release()}-{wanted}"


def as_root(*command: str) -> list[str]:
    """Return the command, by way of sudo where we are not root."""
    return list(command) if os.geteuid() == 0 else ["sudo", "-n", *command]


def make_root() -> Path:
    """Make the root unless it is there; takes a minute, and the network of apt.

    Raises:
        LabError: debootstrap is missing or failed.
    """
    made = root()
    made.parent.mkdir(parents=True, exist_ok=True)
    with made.with_name(f"{made.name}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _bootstrap(made)
    return made


def _bootstrap(made: Path) -> None:
    print(f"making a Debian root, once: {made}", flush=True)
    half = made.with_name(f"{made.name}.new")
    log = made.with_name(f"{made.name}.log")
    run(as_root("rm", "-rf", str(half)), cwd=made.parent)
    include = f"--include={','.join(PACKAGES)}"
    command = as_root("debootstrap", "--variant=minbase", include, release(), str(half), mirror())
    try:
        with log.open("wb") as said:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
            )
    except FileNotFoundError as error:
        install = f"apt-get install {' '.join(TOOLS)}"
        raise LabError(f"{error.filename} is not installed. Run: {install}") from error
    if done.returncode:
        raise LabError(f"debootstrap failed ({log}):\n{log.read_text('utf-8')[-2000:]}")
    for name in LEAVINGS:
        run(as_root("find", str(half / name), "-type", "f", "-delete"), cwd=made.parent)
    run(as_root("mv", str(half), str(made)), cwd=made.parent)


def mirror() -> str:
    """Return the address that this machine's apt has the release from.

    Raises:
        LabError: apt knows none.
    """
    asked = ("apt-get", "indextargets", "--format", "$(REPO_URI)")
    of = (f"Codename: {release()}", "Component: main", "Created-By: Packages")
    if shutil.which("apt-get") is None:
        raise LabError("this machine has no apt-get, and so no mirror of Debian")
    done = subprocess.run([*asked, *of], capture_output=True, text=True, check=False)
    found = done.stdout.split()
    if not found:
        raise LabError(f"apt has no index of {release()}. Run: apt-get update")
    return found[0]
