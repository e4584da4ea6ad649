"""What the house lets go of when a verb is over, and what it passes on to the operator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drd.cli.output import Reply
from drd.cli.prune import prune_each
from drd.config import Config, load_config
from drd.errors import ConfigError
from drd.model import Image, PointInfo, PointKind
from drd.testing.fakes import START, NoLease, SteppingClock
from drd.testing.sources import SimulatedSource
from drd.wiring import House
from drd.wiring.naming import is_another_here
from drd.wiring.pruning import LEFT_OUT, Realm, make_pruner
from tests.unit.work.points import info
from tests.unit.work.world import World


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


def test_lineages_of_other_hosts_are_left_to_them_where_only_this_one_sees_leases(
    config: Config,
) -> None:
    """Ours is what a source shows, or what was made here; with leases that all see there is no question."""
    house = House(config)
    shown, gone, elsewhere = (
        info(1, identity="i-1"),
        info(1, identity="i-2"),
        info(1, identity="i-3"),
    )
    seen = Image("i-1", "disks", "a", "", first_seen=START, last_seen=START)
    house.diary().note_images([seen, replace(seen, identity="i-2", gone_at=START)])
    realm, lease = Realm(house), house.lease("disks")
    assert realm.left_out(lease, [shown]) == ""
    for one in (gone, elsewhere):
        assert realm.left_out(lease, [one]) == LEFT_OUT
        made_here = replace(one, seq=2, committed_here=True)
        assert realm.left_out(lease, [one, made_here]) == "", "it ages out where it was made"
        unfinished = replace(made_here, kind=PointKind.PARTIAL)
        assert realm.left_out(lease, [one, unfinished]) == LEFT_OUT
        assert realm.left_out(NoLease(), [one]) == ""
    house.close()


def test_without_a_catalogue_that_opens_a_lineage_is_left_out_with_one_warning(
    config: Config,
) -> None:
    """Whose it is cannot be known then, and that is no bug of drd. What was made here is known as such."""
    house = House(config)
    house._catalogue_file().parent.mkdir(parents=True, exist_ok=True)
    house._catalogue_file().mkdir()
    with pytest.raises(ConfigError):
        house.diary().images()
    realm, lease = Realm(house), house.lease("disks")
    assert "cannot be known" in realm.left_out(lease, [info(1)])
    assert realm.left_out(lease, [replace(info(1), committed_here=True)]) == ""
    reply = Reply()
    bench = make_pruner(house, World().repository(), orphans=False, dry_run=True)
    results = prune_each(house, bench, [[info(1)], [info(1)]], reply, named=False)
    assert reply.errors == []
    assert all("cannot be known" in one.left_out for one in results)
    assert sum("cannot be known" in one for one in reply.warnings) == 1
    house.close()


def test_a_name_that_another_image_has_here_is_looked_up_again(config: Config) -> None:
    daemon, point = House(config), info(1, name="disks/a", identity="i-1")

    def another(name: str, points: list[PointInfo]) -> bool:
        person = House(config)
        try:
            return is_another_here(person, name, points)
        finally:
            person.close()

    assert not another("disks/a", [point]), "no daemon ran here"
    ours = Image("i-1", "disks", "disks/a", "", first_seen=START, last_seen=START)
    daemon.diary().note_images([ours, replace(ours, identity="i-2", gone_at=START)])
    assert not another("disks/a", [point]), "the other one is gone"
    daemon.diary().note_images([replace(ours, identity="i-3")])
    assert another("disks/a", [point])
    assert not another("disks/b", [point])
    assert not another("disks/a", [point, replace(point, identity="i-3")])
    daemon.close()
