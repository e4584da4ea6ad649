"""Everything that a worker needs and is slow to load, loaded; and nothing opened.

For a process that forks: its children begin where it stands, and share its memory.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Final

from drd.stores import s3_client

NEEDED: Final = (
    "drd.wiring",
    "drd.wiring.adapters",
    "drd.wiring.pruning",
    "drd.keys.opening",
    "drd.leases.local",
    "drd.leases.rados",
    "drd.stores.cached",
    "drd.stores.local",
    "drd.work.backup",
    "drd.work.held",
    "drd.work.history",
    "drd.sources.device",
    "drd.sources.rbd",
    "drd.stores.s3",
    "drd.stores.s3_errors",
    # What others load at their first use: a signature, a map, a statement of SQL, a name of a host.
    "cryptography.hazmat.backends.openssl.backend",
    "numpy.ma",
    "importlib.readers",
    "encodings.idna",
)
HOSTS: Final = ("rados", "rbd")
"""Ceph's own modules, of the host: where there are none, a source that needs them says so."""


def warm() -> None:
    """Load it."""
    for name in NEEDED:
        importlib.import_module(name)
    for name in HOSTS:
        with suppress(ImportError):
            importlib.import_module(name)
    s3_client.warm()
