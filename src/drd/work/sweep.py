"""The second phase's hand: delete what was proven dead, object by object.

Order, and why: packs, then tables, then manifests. While a manifest is there its number is not a gap, and
the doomed list, which names everything, is in the journal before the first deletion: so a sweep that dies
between any two goes on where it was by beginning anew, and what is gone already costs one question each.

Of each object every version and every delete marker goes, one by one, by its id. The newest first: what
is left of a manifest whose deletion was cut short is then what its readers skip, never another point.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from drd.core import names
from drd.core.liveness import Dead
from drd.errors import StoreError, TransientStoreError
from drd.ports import Held, Random, Store

PROBE_FOLDER: Final = "probe/"
"""Below it lies nothing of value: whoever may write may also delete there (``docs/stores.md``)."""


@dataclass(frozen=True, slots=True)
class Knife:
    """What deletes in one lineage: a store that may, and a lease that is asked before each object."""

    store: Store
    held: Held
    tenant: bytes
    lineage: bytes

    def purge(self, key: str) -> None:
        """Delete all that lies under *key*.

        Raises:
            RefusedError: the lease was lost.
            StoreError: the store failed, or refuses.
        """
        self.held.check()
        try:
            for version in self.store.remains(key):
                self.store.delete(key, version=version)
        except TransientStoreError:
            raise
        except StoreError as error:
            error.hint = (
                "deletion needs a credential that may delete versions: name it in "
                "[repository.s3.pruner]; what is deleted already stays so, the next prune goes on"
            )
            raise


def sweep(knife: Knife, dead: Dead, seqs: Iterable[int]) -> None:
    """Delete packs, tables, then the manifests of *seqs*.

    Raises:
        RefusedError: the lease was lost.
        StoreError: the store failed, or refuses.
    """
    tenant, lineage = knife.tenant, knife.lineage
    for pack in sorted(dead.packs):
        knife.purge(names.pack_key(tenant, lineage, pack))
    for table in dead.tables:
        knife.purge(names.table_key(tenant, lineage, table.table_id))
    for seq in sorted(seqs):
        knife.purge(names.manifest_key(tenant, lineage, seq))


def store_time(store: Store, random: Random) -> datetime:
    """What the store's own clock says: the time of an object that was put just now.

    Raises:
        StoreError: the store refuses.
    """
    key = PROBE_FOLDER + random(16).hex()
    version = store.put(key, b"drd probe: what time is it?\n")
    try:
        return store.stat(key, version=version).modified_at
    finally:
        # A principal that may not delete leaves a short probe behind; nothing is decided by that.
        with suppress(StoreError):
            store.delete(key, version=version)
