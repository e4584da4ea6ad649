"""The Debian package as a file: what is in it, and that it is the same each time."""

from __future__ import annotations

import marshal
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import CodeType

import pytest

from tests.systemd.conftest import ROOT, build

PYC_HEADER = 16  # bytes before the code (PEP 552)
SITE = "./usr/lib/drd/lib/"


def dpkg(option: str, package: Path) -> bytes:
    return subprocess.run(["dpkg-deb", option, package], capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def files(package: Path) -> Iterator[tarfile.TarFile]:
    with tarfile.open(fileobj=BytesIO(dpkg("--fsys-tarfile", package))) as opened:
        yield opened


def text(files: tarfile.TarFile, name: str) -> str:
    found = files.extractfile(name)
    assert found
    return found.read().decode()


def test_the_same_checkout_gives_the_same_bytes(package: Path) -> None:
    before = package.read_bytes()
    assert build() == package
    assert package.read_bytes() == before


def test_everything_is_roots_and_only_root_may_write(files: tarfile.TarFile) -> None:
    for member in files:
        assert (member.uname, member.gname) == ("root", "root"), member.name
        assert member.issym() or not member.mode & 0o022, member.name


def test_each_command_runs_in_the_environment_of_the_package(files: tarfile.TarFile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"drctl", "drd"} <= set(project["scripts"])
    for name in project["scripts"]:
        assert text(files, f"./usr/bin/{name}").startswith("#!/usr/lib/drd/bin/python3 -I\n")
    settings = text(files, "./usr/lib/drd/pyvenv.cfg").splitlines()
    assert "include-system-site-packages = false" in settings


def test_of_the_systems_modules_it_links_cephs_two_alone(files: tarfile.TarFile) -> None:
    links = [member for member in files if member.issym() and member.name.startswith(SITE)]
    targets = {Path(link.linkname).name.split(".")[0] for link in links}
    assert targets == {"rados", "rbd"}
    assert all("/python3/dist-packages/" in link.linkname for link in links)


def test_what_is_compiled_knows_its_place_and_no_time(files: tarfile.TarFile) -> None:
    compiled = [one for one in files.getnames() if "/drd/__pycache__/__init__." in one]
    found = files.extractfile(compiled[0])
    assert found
    data = found.read()
    assert int.from_bytes(data[4:8], "little") == 0b01, "by hash, and not checked (PEP 552)"
    code = marshal.loads(data[PYC_HEADER:])  # noqa: S302 - of our own package
    assert isinstance(code, CodeType)
    assert code.co_filename.startswith("/usr/lib/drd/lib/python3.")


def test_the_configuration_is_kept_over_upgrades_and_says_where_state_is(
    package: Path, files: tarfile.TarFile
) -> None:
    listed = subprocess.run(
        ["dpkg-deb", "--info", package, "conffiles"], capture_output=True, text=True, check=True
    )
    assert listed.stdout == "/etc/drd/drd.toml\n"
    shipped = tomllib.loads(text(files, "./etc/drd/drd.toml"))
    example = tomllib.loads((ROOT / "config" / "drd.toml").read_text())
    assert shipped == {"state_dir": "/var/lib/drd", **example}


def test_units_users_and_folders_are_those_of_the_checkout(files: tarfile.TarFile) -> None:
    for kind, pattern in (("systemd/system", "*.*"), ("sysusers.d", "*"), ("tmpfiles.d", "*")):
        folder = ROOT / "systemd" / ("" if kind == "systemd/system" else kind)
        units = [one for one in folder.glob(pattern) if one.is_file() and one.suffix != ".md"]
        assert units
        for unit in units:
            assert text(files, f"./usr/lib/{kind}/{unit.name}") == unit.read_text()
