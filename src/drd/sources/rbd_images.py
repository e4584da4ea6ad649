"""Which images there are, what they are called, and which of them must not be touched now."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from drd.ceph.cluster import Cluster
from drd.errors import NotFoundError, SourceError
from drd.model import Found
from drd.sources.labels import label

QUARANTINE_MARK: Final = ".drd-restoring-"
"""In the name of an image that a restore has not finished; never backed up."""

_GLOB: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image lives, by things that never change: its identity."""

    fsid: str
    pool_id: int
    namespace: str
    image_id: str

    @property
    def identity(self) -> str:
        """``rbd:<fsid>/<pool id>/<namespace>/<image id>``; the namespace is empty by default."""
        return f"rbd:{self.fsid}/{self.pool_id}/{self.namespace}/{self.image_id}"


def parse_identity(identity: str) -> Place:
    """The place that an identity names.

    Raises:
        NotFoundError: the identity is not one of an RBD image (another kind of source made it).
    """
    kind, _, rest = identity.partition(":")
    fsid, _, rest = rest.partition("/")
    pool, _, rest = rest.partition("/")
    namespace, slash, image = rest.rpartition("/")
    if kind != "rbd" or not fsid or not pool.isdecimal() or not slash or not image:
        raise NotFoundError(
            "this is not the identity of an RBD image",
            about=identity,
            hint="format 1 images have none: convert them with `rbd migration prepare`",
        )
    return Place(fsid, int(pool), namespace, image)


def namespaces(cluster: Cluster, pool: str, patterns: Sequence[str]) -> list[str]:
    """The namespaces of *pool* that *patterns* match; ``""`` is the default one.

    Raises:
        NotFoundError: a pattern without wildcards names a namespace that is not there.
    """
    with cluster.pool(pool) as ioctx, cluster.calls(about=pool, missing="no such pool"):
        named = sorted(cluster.ceph.rbd.RBD().namespace_list(ioctx)) if any(patterns) else []
    for pattern in patterns:
        if pattern and not _GLOB & set(pattern) and pattern not in named:
            raise NotFoundError(
                "no such namespace",
                about=f"{pool}/{pattern}",
                hint=f"list them with `rbd namespace ls {pool}`",
            )
    return [one for one in ["", *named] if _matches(one, patterns)]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether any pattern matches. A name with ``[`` matches itself, too."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def remove_left(image: str) -> str:
    """What to do about an *image* (POOL/[NAMESPACE/]IMAGE) that a restore left unfinished."""
    return f"`rbd rm {shlex.quote(image)}` when no restore is writing it"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a look at a pool brought.

    Args:
        found: images whose name matches, sorted by label; none that a restore left unfinished.
        unfinished: images that a restore has not finished, as ``rbd`` takes their names.
        unmatched: patterns that no image matches.
    """

    found: list[Found]
    unfinished: list[str]
    unmatched: list[str]


def find(
    cluster: Cluster, source: str, pool: str, *, spaces: Sequence[str], patterns: Sequence[str]
) -> Listing:
    """Images of *pool* in the namespaces *spaces* whose name matches one of *patterns*."""
    fsid, pool_id = cluster.fsid(), cluster.pool_id(pool)
    found, unfinished, names = [], [], set()
    searched = namespaces(cluster, pool, spaces)
    for space in searched:
        for name, image_id in _listed(cluster, pool, space):
            if QUARANTINE_MARK in name:
                unfinished.append(label(pool, name, space))
            elif _matches(name, patterns):
                place = Place(fsid, pool_id, space, image_id)
                found.append(Found(source, label(source, name, space), place.identity))
                names.add(name)
    return Listing(
        found=sorted(found, key=lambda one: one.label),
        unfinished=sorted(unfinished),
        unmatched=[f"namespace {one}" for one in _without_match(spaces, searched)]
        + list(_without_match(patterns, names)),
    )


def _without_match(patterns: Sequence[str], names: Collection[str]) -> Iterator[str]:
    """Those of *patterns* that none of *names* matches."""
    return (one for one in patterns if not any(_matches(name, [one]) for name in names))


def _listed(cluster: Cluster, pool: str, space: str) -> Iterator[tuple[str, str]]:
    """Name and id of each image; the id is empty for format 1."""
    about = f"{pool}/{space}" if space else pool
    with cluster.pool(pool, space) as ioctx, cluster.calls(about=about, missing="no such pool"):
        for one in cluster.ceph.rbd.RBD().list2(ioctx):
            yield str(one["name"]), str(one["id"])


def must_be_whole(cluster: Cluster, ioctx: Any, image: Any, *, about: str) -> None:
    """Refuse an image in the trash, in a migration, or mirrored from elsewhere.

    An image in the trash can still be opened by id; one that migrates is two halves; snapshots of
    a mirrored copy belong to rbd-mirror.

    Raises:
        SourceError: any of these.
    """
    rbd = cluster.ceph.rbd
    with cluster.calls(about=about):
        features = int(image.features())
        mirror = image.mirror_image_get_info()
        in_trash = _in_trash(cluster, ioctx, str(image.id()))
    if in_trash or features & rbd.RBD_FEATURE_MIGRATING:
        why = "is being migrated" if features & rbd.RBD_FEATURE_MIGRATING else "is in the trash"
        raise SourceError(
            f"the image {why}",
            about=about,
            hint="finish with `rbd migration commit`, or take it back with `rbd trash restore`",
        )
    if mirror["state"] == rbd.RBD_MIRROR_IMAGE_ENABLED and not mirror["primary"]:
        raise SourceError(
            "the image is the copy of a mirrored one (not primary); nothing can be snapshotted here",
            about=about,
            hint="back up the primary, on the cluster that it is mirrored from",
        )


def _in_trash(cluster: Cluster, ioctx: Any, image_id: str) -> bool:
    """Whether the trash of this pool and namespace lists the image."""
    try:
        cluster.ceph.rbd.RBD().trash_get(ioctx, image_id)
    except cluster.ceph.rbd.ImageNotFound:
        return False
    return True
