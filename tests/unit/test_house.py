"""What the house lets go of when a verb is over, and what it passes on to the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from drd.config import Config, load_config
from drd.testing.fakes import SteppingClock
from drd.testing.sources import SimulatedSource
from drd.wiring import House


@pytest.fixture
def config(tmp_path: Path) -> Config:
    for folder in ("state", "bucket"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "drd.toml"
    path.write_text(
        f'state_dir = "{tmp_path}/state"\n'
        f'[repository]\nurl = "file://{tmp_path}/bucket"\n'
        f'[keys]\nfile = "{tmp_path}/key"\n'
        f'[source.disks]\ntype = "device"\npaths = ["{tmp_path}/*.img"]\n',
        encoding="utf-8",
    )
    return load_config(path)


class Connected(SimulatedSource):
    """A source with a connection, as Ceph's."""

    connected = True

    def close(self) -> None:
        self.connected = False


def test_connections_of_sources_end_with_the_house(config: Config) -> None:
    """Left to the end of the process, librados may abort it. A source without one is let be."""
    house = House(config)
    source = Connected("vms", SteppingClock(), lambda _: None)
    house._sources["vms"] = source
    assert house.source("disks").name == "disks"
    house.close()
    assert not source.connected


def test_tables_that_cannot_be_kept_are_told_once(config: Config) -> None:
    """They cost requests at every run, and nothing else would tell."""
    house = House(config)
    state = house._state()
    state.mkdir()
    (state / "tables").write_text("in the way", encoding="utf-8")
    store = house.store()
    for name in ("x/1", "x/2"):
        store.put(name, b"table")
        assert store.get(name) == b"table"
    (warning,) = house.warnings
    assert str(state / "tables") in warning
    house.close()
