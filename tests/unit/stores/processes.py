"""Pieces of Python in a process of their own, for limits and mounts that nobody else may feel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence


def run_python(
    program: str, *arguments: str, within: Sequence[str] = (), environment: Mapping[str, str] = {}
) -> str:
    """Run *program* below the command *within*; return what it printed, fail when it failed."""
    done = subprocess.run(
        [*within, sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_own_mounts(shell: str) -> list[str]:
    """Return the beginning of a command that runs *shell*, then the rest, with mounts of its own.

    Root needs no user namespace for it; everybody else does.
    """
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--mount", "sh", "-ec", f'{shell}\nexec "$@"', "sh"]
