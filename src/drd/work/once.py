"""Put an object that must be ours, where the answer to an earlier attempt of ours may be lost."""

from __future__ import annotations

from drd.errors import ObjectExistsError
from drd.ports import Store


def put_once(store: Store, key: str, data: bytes) -> None:
    """Put *data* under a name that must be free; our own bytes in its place are as good.

    Raises:
        ObjectExistsError: somebody else's bytes lie there.
        StoreError: the store failed; whether the object is there is not known.
    """
    try:
        store.put(key, data, if_absent=True)
    except ObjectExistsError:
        if store.get(key) != data:
            raise
