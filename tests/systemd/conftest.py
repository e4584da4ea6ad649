"""The package, built once, and machines that it is installed on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab.machine import Machine

ROOT = Path(__file__).parents[2]
SHARED = "/mnt/dist"

Boot = Callable[[], Machine]


def build() -> Path:
    """Build the Debian package of this checkout, as of a day of its own."""
    done = subprocess.run(
        [ROOT / "tools" / "deb.sh"],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600"},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return ROOT / done.stdout.strip()


@pytest.fixture(scope="session")
def package() -> Path:
    """The package, built once."""
    return build()


@contextmanager
def booted(folder: Path, package: Path) -> Iterator[Machine]:
    """A machine on which the package was installed, and nothing configured."""
    machine = Machine(folder, {package.parent: SHARED})
    try:
        machine.start()
        install(machine, package)
        yield machine
    finally:
        machine.stop()


def install(machine: Machine, package: Path) -> str:
    """Install or upgrade; what dpkg said. Everything that it depends on must be there."""
    return machine.run("dpkg", "--force-unsafe-io", "--install", f"{SHARED}/{package.name}")


@pytest.fixture
def fresh(tmp_path: Path, package: Path) -> Iterator[Machine]:
    """A machine of this test's own."""
    with ExitStack() as stack:
        yield stack.enter_context(booted(tmp_path, package))
