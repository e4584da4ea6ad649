"""What the kernel says about a directory, in drd's words."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from drd.errors import ObjectMissingError, StoreError, TransientStoreError

_HINTS: Final = {
    errno.ENOSPC: "free space on the file system, or move the repository to a larger one",
    errno.EDQUOT: "raise the quota of the user that drd runs as, or free space",
    errno.EFBIG: "raise the limit on file size (ulimit -f) of the process; 64 MiB are needed",
    errno.EROFS: "the file system is mounted read-only: look for errors in the kernel's log",
    errno.EACCES: "give the user that drd runs as read and write access to the folder",
    errno.EPERM: "give the user access, and use a file system that has hard links",
    errno.EOPNOTSUPP: "use a file system that has hard links (ext4, XFS, btrfs, ZFS, NFS)",
    errno.EMLINK: "use a file system that has hard links (ext4, XFS, btrfs, ZFS, NFS)",
    errno.EIO: "the disk fails: look into the kernel's log, and copy the repository elsewhere",
    errno.EMFILE: "raise the limit on open files (ulimit -n) of the process",
    errno.ENOTDIR: "an object lies where a folder is needed; it was not put there by drd",
    errno.EISDIR: "a folder lies where an object is needed; it was not put there by drd",
    errno.ENOTEMPTY: "a folder lies where an object is needed; it was not put there by drd",
    errno.ENAMETOOLONG: "choose a shorter path for the repository",
    errno.ELOOP: "a symbolic link lies in the repository; drd follows none",
}

_PASSING: Final = frozenset({errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE, errno.EINTR, errno.EBUSY})
"""What a network file system says while its server restarts (nfs(5), mount option ``soft``)."""


@contextmanager
def translated(about: str) -> Iterator[None]:
    """Turn an ``OSError`` into a ``StoreError`` about *about*, with what the operator can do.

    Raises:
        TransientStoreError: for what passes on a network file system.
        StoreError: for everything else.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        reason = (error.strerror or "unknown error").lower()
        kind = TransientStoreError if code in _PASSING else StoreError
        raise kind(
            f"the repository's file system says: {reason}", about=about, hint=_HINTS.get(code, "")
        ) from error


@contextmanager
def absent_is_missing(key: str, check_root: Callable[[], None]) -> Iterator[None]:
    """Turn "no such file" into ``ObjectMissingError``, once *check_root* has found the root there.

    A symbolic link, and a name below an object, are no objects either.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        check_root()
        raise ObjectMissingError("no such object", about=key) from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ObjectMissingError("a symbolic link, not an object", about=key) from error
