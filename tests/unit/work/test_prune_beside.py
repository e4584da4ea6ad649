"""A dry run holds no lease: backups and prunes of the same host go on beside it and write."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from typing_extensions import override

from drd.catalogue.memory import MemoryCatalogue
from drd.core.retention import ALL, Keep
from drd.model import ObjectVersion, TableSpan
from drd.ports import Store
from drd.testing.stores import FaultyStore
from tests.unit.work.shears import done, history, pruner, run, six
from tests.unit.work.world import World

EVERYTHING = Keep(last=ALL)


class Interrupted(FaultyStore):
    """A store through which something else happens once: after the first question about manifests of one
    kind (``list`` or ``get``) was answered.
    """

    def __init__(self, inner: Store, what: str, happens: Callable[[], None]) -> None:
        super().__init__(inner)
        self._what = what
        self._happens: Callable[[], None] | None = happens

    def _answered(self, what: str, key: str) -> None:
        if what == self._what and key.startswith("m/") and key.count("/") > 2 and self._happens:
            happens, self._happens = self._happens, None
            happens()

    @override
    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        found = [*super().list(prefix, limit=limit, after=after)]
        self._answered("list", prefix)
        return iter(found)

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        data = super().get(key, version=version, start=start, length=length)
        self._answered("get", key)
        return data


def spans(world: World) -> dict[bytes, TableSpan]:
    return dict(world.catalogue.ledger.known(world.ring.tenant, world.lineage)[1])


@pytest.mark.parametrize("what", ["list", "get"])
def test_what_others_learn_beside_a_dry_run_stays_known(what: str) -> None:
    world = six()

    def others() -> None:
        for _ in range(2):
            history(world, 1)
            done(run(world, EVERYTHING))

    dry = pruner(world, store=Interrupted(world.store, what, others), dry_run=True)
    done(run(world, EVERYTHING, dry))
    done(run(world, EVERYTHING))
    known = spans(world)
    world.catalogue = MemoryCatalogue()
    done(run(world, EVERYTHING))
    for table, truth in spans(world).items():
        assert table in known
        assert known[table].first <= truth.first
        assert known[table].last >= truth.last
