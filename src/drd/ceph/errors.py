"""What librados and librbd say, in drd's words. Nothing of theirs crosses the door of this room."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from drd.ceph.bindings import Bindings
from drd.errors import DrdError, NotFoundError, RefusedError, SourceError

BLOCKLISTED: Final = errno.ESHUTDOWN
"""``librados`` says ESHUTDOWN to a client that the cluster has shut out (blocklist)."""

_SENTENCES: Final[dict[int, tuple[type[DrdError], str, str]]] = {
    errno.EPERM: (
        SourceError,
        "permission denied by Ceph",
        "give the client the caps 'mon profile rbd, osd profile rbd pool=POOL [namespace=NS]'",
    ),
    errno.EACCES: (
        SourceError,
        "Ceph does not accept the key of this client",
        "compare the keyring with `ceph auth get CLIENT`",
    ),
    errno.ETIMEDOUT: (
        SourceError,
        "Ceph gave no answer within the time limit",
        "look at `ceph -s`: monitors reachable, OSDs up, no stuck or slow requests",
    ),
    BLOCKLISTED: (
        SourceError,
        "the cluster has shut this client out (blocklisted)",
        "look at `ceph osd blocklist ls`; the next run connects anew",
    ),
    errno.ENOSPC: (SourceError, "the pool is full", "look at `ceph df`; free or add space"),
    errno.EDQUOT: (SourceError, "the pool's quota is used up", "look at `ceph osd pool get-quota`"),
    errno.EBUSY: (
        RefusedError,
        "the image or snapshot is in use",
        "see who with `rbd status` and `rbd children`, then try again",
    ),
    errno.EROFS: (
        SourceError,
        "the image cannot be changed from here: it is read-only or not primary",
        "back up the primary image",
    ),
    errno.EEXIST: (RefusedError, "the name is taken already", "choose another name"),
    errno.EOPNOTSUPP: (
        SourceError,
        "the image or this version of librbd does not support this",
        "compare `rbd info` with the version of the ceph packages on this host",
    ),
    errno.ENOTCONN: (SourceError, "not connected to Ceph", "try again"),
}


def foreign(ceph: Bindings) -> tuple[type[Exception], ...]:
    """What to catch: both modules' own roots."""
    return (ceph.rados.Error, ceph.rbd.Error)


def code_of(error: BaseException) -> int:
    """The errno of an exception of the bindings; 0 when it has none."""
    return abs(int(getattr(error, "errno", 0) or 0))


@contextmanager
def translated(ceph: Bindings, *, about: str, missing: str = "no such image") -> Iterator[None]:
    """Turn exceptions of the bindings into drd's.

    Args:
        ceph: the loaded modules.
        about: the object, for the message.
        missing: what ENOENT means here.

    Raises:
        NotFoundError: ENOENT.
        RefusedError: the object is in use, or exists already.
        SourceError: everything else.
    """
    try:
        yield
    except foreign(ceph) as error:
        raise as_drd(error, about=about, missing=missing) from error


def as_drd(error: BaseException, *, about: str, missing: str = "no such image") -> DrdError:
    """One exception of the bindings (or an errno in an ``OSError``) as drd's."""
    code = code_of(error)
    if code == errno.ENOENT:
        return NotFoundError(missing, about=about, hint="list what is there with `rbd ls`")
    kind, sentence, hint = _SENTENCES.get(
        code, (SourceError, f"Ceph says: {error}", "look into the log of the cluster")
    )
    return kind(sentence, about=about, hint=hint)
