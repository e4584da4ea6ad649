"""What a store can do, found out by doing it.

A store's word is worth nothing here: Ceph RGW 16 takes ``If-None-Match`` and ignores it without a
sign, and a bucket's versioning can be suspended behind drd's back.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from drd.errors import ObjectExistsError, StoreError
from drd.model import StoreAbilities
from drd.ports import Random, Store

PROBE_FOLDER: Final = "probe/"
"""Below it lies nothing of value: whoever may write may also delete there (``docs/stores.md``)."""

_FIRST: Final = b"drd probe: the first bytes\n"
_SECOND: Final = b"drd probe: the second bytes\n"


def probe(store: Store, random: Random) -> StoreAbilities:
    """Write one object twice under a condition, and look at what became of it.

    ``conditional_put`` holds when the second write was refused and the first bytes are there;
    ``versioned`` when both writes can be read, each by its own version. Object locks are not tried
    here (a lock that works leaves an object behind for its whole period).

    Raises:
        StoreError: the store refuses to be written or read at all.
    """
    key = PROBE_FOLDER + random(16).hex()
    made: list[str] = []
    try:
        made.append(store.put(key, _FIRST, if_absent=True))
        conditional = _second_is_refused(store, key, made=made)
        first, second = made
        versioned = bool(first) and first != second and store.get(key, version=first) == _FIRST
        return StoreAbilities(conditional_put=conditional, versioned=versioned)
    finally:
        for version in made:
            # A principal that may not delete leaves two short probes behind. Nothing is decided by
            # that, and a failure here must not hide the one that is on its way up.
            with suppress(StoreError):
                store.delete(key, version=version)


def _second_is_refused(store: Store, key: str, *, made: list[str]) -> bool:
    try:
        made.append(store.put(key, _SECOND, if_absent=True))
    except ObjectExistsError:
        honoured = store.get(key) == _FIRST
        made.append(store.put(key, _SECOND))
        return honoured
    return False
