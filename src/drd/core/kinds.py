"""Kinds of tables: apart from ``core.tables``, because a manifest names them and needs no numpy."""

from __future__ import annotations

from enum import IntEnum


class TableKind(IntEnum):
    """Kinds of ``x/`` objects, as references in manifests number them."""

    RUN = 1
    SHARD = 2
    DIGESTS = 3
    ITEMS = 4
    PACKS = 5
    ROLL = 6
