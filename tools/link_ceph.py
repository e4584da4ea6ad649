"""Link Ceph's Python bindings of this host into the environment that runs this script.

Ceph ships `rbd` and `rados` as Debian packages for Debian's own interpreter only. Just those two
modules are linked: a `.pth` file for the whole of dist-packages would shadow cffi and others.
Prints what to install, and ends with 1, where no binding fits this interpreter.
"""

import sys
import sysconfig
from pathlib import Path

DIST_PACKAGES = Path("/usr/lib/python3/dist-packages")
MODULES = ("rados", "rbd")


def main() -> int:
    """Link both modules with their egg-info; return the exit code."""
    site_packages = Path(sysconfig.get_path("platlib"))
    suffix = sysconfig.get_config_var("EXT_SUFFIX")  # such as .cpython-311-x86_64-linux-gnu.so
    absent = [name for name in MODULES if not (DIST_PACKAGES / f"{name}{suffix}").exists()]
    if absent:
        print(advice(absent, suffix), file=sys.stderr)
        return 1
    for name in MODULES:
        for found in (DIST_PACKAGES / f"{name}{suffix}", *DIST_PACKAGES.glob(f"{name}-*.egg-info")):
            link(site_packages / found.name, found)
    return 0


def link(path: Path, target: Path) -> None:
    """Make `path` a link to `target`, in place of an older link."""
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def advice(absent: list[str], suffix: str) -> str:
    """Say why no binding fits, and what to do."""
    others = sorted(found.name for name in absent for found in DIST_PACKAGES.glob(f"{name}.*.so"))
    if others:
        return (
            f"Ceph's bindings here ({', '.join(others)}) are built for another interpreter; "
            f"this one needs {suffix}.\nUse Debian's: rm -r .venv && make PYTHON=/usr/bin/python3 …"
        )
    packages = " ".join(f"python3-{name}" for name in absent)
    return (
        f"Ceph's Python bindings are not installed: RBD sources will not work, all others will.\n"
        f"To have them: apt-get install {packages}"
    )


if __name__ == "__main__":
    sys.exit(main())
