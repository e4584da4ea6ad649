"""What a point records of an image, so that a restore can make one like it."""

from __future__ import annotations

from typing import Any

from drd.ceph.bindings import Bindings
from drd.ceph.cluster import Cluster
from drd.model import Json
from drd.sources.rbd_trust import Trust, parent_of

FEATURES: tuple[tuple[str, str], ...] = (
    ("layering", "RBD_FEATURE_LAYERING"),
    ("striping", "RBD_FEATURE_STRIPINGV2"),
    ("exclusive-lock", "RBD_FEATURE_EXCLUSIVE_LOCK"),
    ("object-map", "RBD_FEATURE_OBJECT_MAP"),
    ("fast-diff", "RBD_FEATURE_FAST_DIFF"),
    ("deep-flatten", "RBD_FEATURE_DEEP_FLATTEN"),
    ("journaling", "RBD_FEATURE_JOURNALING"),
    ("data-pool", "RBD_FEATURE_DATA_POOL"),
    ("operations", "RBD_FEATURE_OPERATIONS"),
    ("migrating", "RBD_FEATURE_MIGRATING"),
    ("non-primary", "RBD_FEATURE_NON_PRIMARY"),
)
"""Names as ``rbd info`` prints them: src/include/rbd/features.h."""


def feature_names(ceph: Bindings, features: int) -> list[str]:
    """The names of the features in a bit mask; unknown bits as ``0x…``."""
    names, left = [], features
    for name, constant in FEATURES:
        bit = int(getattr(ceph.rbd, constant))
        if features & bit:
            names.append(name)
            left &= ~bit
    return [*names, f"{left:#x}"] if left else names


def feature_mask(ceph: Bindings, names: list[str]) -> int:
    """The bits of the features called *names*; unknown names are left out."""
    known = dict(FEATURES)
    return sum(int(getattr(ceph.rbd, known[name])) for name in names if name in known)


def collect(cluster: Cluster, image: Any, *, size: int, trust: Trust) -> dict[str, Json]:
    """Facts of an image that is open at a snapshot.

    Raises what the bindings raise.
    """
    ceph, stat = cluster.ceph, image.stat()
    features = int(image.features())
    data_pool = None
    if features & ceph.rbd.RBD_FEATURE_DATA_POOL:
        data_pool = cluster.pool_name(int(image.data_pool_id()))
    metadata: dict[str, Json] = {str(key): str(value) for key, value in image.metadata_list()}
    parent = parent_of(ceph, image)
    return {
        "kind": "rbd",
        "size": size,
        "order": int(stat["order"]),
        "stripe_unit": int(image.stripe_unit()),
        "stripe_count": int(image.stripe_count()),
        "features": list(feature_names(ceph, features)),
        "flags": int(image.flags()),
        "data_pool": data_pool,
        "metadata": metadata,
        "parent": None if parent is None else {key: str(value) for key, value in parent.items()},
        "consistency": "crash",
        "librbd": ceph.version_text,
        "warnings": list(trust.warnings),
    }
