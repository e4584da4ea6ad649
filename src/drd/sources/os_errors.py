"""What the kernel says about files and devices, in drd's words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from drd.errors import DrdError, NotFoundError, RefusedError, SourceError

_SENTENCES: Final[dict[int, tuple[type[DrdError], str, str]]] = {
    errno.ENOENT: (NotFoundError, "no such file or directory", "check the path"),
    errno.ENOTDIR: (NotFoundError, "no such file or directory", "check the path"),
    errno.EACCES: (SourceError, "permission denied", "give the user that drd runs as access"),
    errno.EPERM: (SourceError, "permission denied", "give the user that drd runs as access"),
    errno.EROFS: (SourceError, "the file system is read-only", "look into the kernel's log"),
    errno.ENOSPC: (SourceError, "no space is left", "free space, or choose another place"),
    errno.EDQUOT: (SourceError, "the quota is used up", "raise the quota, or free space"),
    errno.EFBIG: (SourceError, "the file would be too large", "raise `ulimit -f`"),
    errno.EIO: (SourceError, "the disk fails", "look into the kernel's log"),
    errno.EBUSY: (RefusedError, "the device is in use", "unmount it, or stop who uses it"),
    errno.EEXIST: (RefusedError, "the target exists", "choose another name"),
    errno.EISDIR: (RefusedError, "this is a directory", "name a file or a block device"),
    errno.ENAMETOOLONG: (RefusedError, "the name is too long", "choose a shorter one"),
    errno.EPIPE: (SourceError, "the reader of the pipe has gone", "look at its exit code"),
}


def in_words(error: OSError) -> str:
    """What went wrong, in a few words."""
    known = _SENTENCES.get(error.errno or 0)
    return known[1] if known else (error.strerror or "unknown error").lower()


@contextmanager
def translated(about: str) -> Iterator[None]:
    """Turn an ``OSError`` into an error of drd about *about*.

    Raises:
        NotFoundError: nothing is there.
        RefusedError: it is in use, exists already, or is of another kind.
        SourceError: everything else.
    """
    try:
        yield
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        kind, sentence, hint = _SENTENCES.get(
            error.errno or 0, (SourceError, f"the kernel says: {reason}", "")
        )
        raise kind(sentence, about=about, hint=hint) from error
