"""What images say of their own policy: image metadata ``drd.policy``, read without opening any of them.

librbd keeps the metadata of an image in the omap of its header object, ``rbd_header.<id>``, under
keys that begin with ``metadata_`` (Ceph: src/cls/rbd/cls_rbd.cc, ``RBD_METADATA_KEY_PREFIX``;
src/include/rbd_types.h, ``RBD_HEADER_PREFIX``). One small read for each image, many under way; to
open an image takes several round trips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from drd.ceph.cluster import Cluster
from drd.model import Found
from drd.sources.rbd_images import parse_identity

POLICY: Final = "drd.policy"
HEADER: Final = "rbd_header."
KEY: Final = f"metadata_{POLICY}"


def policies(cluster: Cluster, pool: str, found: Sequence[Found]) -> Mapping[str, str]:
    """The policy that each image names, by identity; an image that names none is left out.

    Raises:
        SourceError: the cluster cannot be reached or refuses.
    """
    spaces: dict[str, list[tuple[str, str]]] = {}
    for one in found:
        place = parse_identity(one.identity)
        spaces.setdefault(place.namespace, []).append((one.identity, place.image_id))
    named: dict[str, str] = {}
    for space, images in spaces.items():
        with cluster.pool(pool, space) as ioctx, cluster.calls(about=pool):
            for identity, image_id in images:
                policy = _policy(cluster, ioctx, image_id)
                if policy:
                    named[identity] = policy
    return named


def _policy(cluster: Cluster, ioctx: Any, image_id: str) -> str:
    """The policy of one image; ``""`` for none, also when the image has gone meanwhile."""
    rados = cluster.ceph.rados
    with rados.ReadOpCtx() as read:
        values, _ = ioctx.get_omap_vals_by_keys(read, (KEY,))
        try:
            ioctx.operate_read_op(read, f"{HEADER}{image_id}")
            found = dict(values)
        except rados.ObjectNotFound:
            return ""
    value = found.get(KEY, b"")
    return bytes(value).decode("utf-8", "replace")
