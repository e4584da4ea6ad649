"""A point that was meant, and is damaged, must not be passed over for an older one in silence.

What does not verify under a manifest's name is garbage, and garbage stops nobody: anyone who may write
could put it there. But when it still bears the ids of its place it was a manifest once, and an operator
who asks for "the newest" must learn that the newest is damaged.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from drd.core import names
from drd.core.manifest import MAGIC
from drd.core.selectors import Selector, choose
from drd.errors import (
    IntegrityError,
    KeyAccessError,
    NotFoundError,
    ObjectMissingError,
    RefusedError,
)
from drd.model import PointInfo, PointKind
from drd.work.history import open_point, read_manifest
from drd.work.lineagekeys import load_keys
from drd.work.listing import find_lineage
from drd.work.repository import Repository

HEAD_BYTES = 512
"""Magic and the ids of the place stand well within these."""


def find_whole(
    repository: Repository, points: Sequence[PointInfo], selector: Selector
) -> list[PointInfo]:
    """The points of the lineage that *selector* names, among all *points*.

    Raises:
        NotFoundError: no lineage has that name or id.
        IntegrityError: none has, and some have no manifest that can be read.
        KeyAccessError: none has, and some have manifests that cannot be opened.
    """
    try:
        return find_lineage(points, selector)
    except NotFoundError as error:
        for lineage in _unread(repository, {one.lineage for one in points}):
            for seq in damaged(repository, lineage, set()):
                raise IntegrityError(
                    "there is no backup of this name, and one whose name cannot be read: "
                    "its only manifest is damaged",
                    about=names.manifest_key(repository.tenant, lineage, seq),
                    hint="the next backup of the image begins anew",
                ) from error
        for reason in locked(repository, {one.lineage for one in points}):
            raise reason from error
        raise


def locked(
    repository: Repository, known: Container[bytes]
) -> Iterator[IntegrityError | KeyAccessError]:
    """What keeps a lineage shut that is not among the *known* ones: it has a manifest that verifies, and
    its keys do not open it. Its name is not known either: names are sealed.
    """
    for lineage in _unread(repository, known):
        reason = _reason(repository, lineage)
        if reason is not None:
            yield reason


def _unread(repository: Repository, known: Container[bytes]) -> Iterator[bytes]:
    """Lineages that have manifests, and are not among the *known* ones."""
    for folder in repository.store.folders(f"m/{repository.tenant.hex()}/"):
        if names.is_id(folder) and bytes.fromhex(folder) not in known:
            yield bytes.fromhex(folder)


def _reason(repository: Repository, lineage: bytes) -> IntegrityError | KeyAccessError | None:
    keys = load_keys(repository, lineage)
    for listed in repository.store.list(names.manifest_folder(repository.tenant, lineage)):
        place = names.parse_manifest_key(listed.key)
        if place is None:
            continue
        try:
            manifest = read_manifest(repository, lineage, place[2])
        except (IntegrityError, ObjectMissingError):
            continue
        try:
            open_point(manifest, keys)
        except (IntegrityError, KeyAccessError) as error:
            error.about = names.key_folder(repository.tenant, lineage)
            error.hint = (
                "put what lay there back: older versions of the objects, or from a copy of the bucket; "
                "or try another holder of the keys (--sheet)"
            )
            return error
        return None
    return None


def choose_whole(
    repository: Repository, points: Sequence[PointInfo], selector: Selector
) -> PointInfo:
    """The point that *selector* means among *points*, those of one lineage.

    Raises:
        NotFoundError: there is none.
        IntegrityError: the one that is meant, or may be meant, is damaged.
    """
    lineage, whole = points[0].lineage, {one.seq for one in points}
    try:
        chosen = choose(points, selector)
    except NotFoundError as error:
        for seq in damaged(repository, lineage, whole):
            if selector.seq in (None, seq):
                raise _damage(repository, points[0], seq, "restore another point") from error
        raise
    if selector.seq is None:
        later = min((seq for seq in whole if seq > chosen.seq), default=names.MAX_SEQ + 1)
        for seq in damaged(repository, lineage, whole, above=chosen.seq):
            if seq < later:
                at = f"{chosen.name if selector.lineage is None else lineage.hex()}@{chosen.seq}"
                raise _damage(repository, chosen, seq, f"the one before it is {at}")
    return chosen


def damaged(
    repository: Repository, lineage: bytes, whole: Container[int], *, above: int = -1
) -> Iterator[int]:
    """Numbers of manifests of *lineage* that were whole once and are not now, newest first.

    Args:
        repository: the open repository.
        lineage: id of the lineage.
        whole: numbers of the manifests that verify.
        above: only numbers above this one.
    """
    for listed in repository.store.list(names.manifest_folder(repository.tenant, lineage)):
        place = names.parse_manifest_key(listed.key)
        if place is None:
            continue
        if place[2] <= above:
            return
        if place[2] not in whole and _was_manifest(repository, lineage, place[2]):
            yield place[2]


def _was_manifest(repository: Repository, lineage: bytes, seq: int) -> bool:
    try:
        read_manifest(repository, lineage, seq)
    except IntegrityError:
        pass
    else:
        return False  # committed since the points were listed
    store = repository.store
    key = names.manifest_key(repository.tenant, lineage, seq)
    marks = (MAGIC, lineage, repository.tenant, repository.format.repository)
    for version in store.versions(key):
        head = store.get(key, version=version.version, length=HEAD_BYTES)
        if any(mark in head for mark in marks):
            return True
    return False


def _damage(repository: Repository, of: PointInfo, seq: int, hint: str) -> IntegrityError:
    key = names.manifest_key(repository.tenant, of.lineage, seq)
    return IntegrityError(f"the manifest of {of.name}@{seq} is damaged", about=key, hint=hint)


def refuse_doomed(info: PointInfo, points: Sequence[PointInfo] = ()) -> None:
    """A doomed point is not restored, and proves nothing: what it needs may be gone already.

    Args:
        info: the point.
        points: of its lineage: the nearest in time that can be restored is named.

    Raises:
        RefusedError: it is doomed.
    """
    if info.doomed:
        point = f"{info.name}@{info.seq}"
        good = [one for one in points if one.kind is PointKind.FULL and not one.doomed]
        near = min(good, key=lambda one: abs(one.point_at - info.point_at), default=None)
        other = f", the nearest in time is {near.name}@{near.seq}" if near else ""
        raise RefusedError(
            "this point is doomed: prune wrote it on a list of what is to be deleted",
            about=point,
            hint=f"restore another one ('drctl ls {info.name}'{other}); or hold it, "
            f"'drctl hold add {point} --why TEXT': the next 'drctl prune' spares it, if nothing of it "
            "was deleted yet",
        )
