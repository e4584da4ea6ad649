"""Paths that a pattern matches, and what could not be looked into while looking for them.

``glob`` of the standard library takes a folder that may not be read, or whose disk fails, for an empty
one. A backup must not: what lies there would go unsaved, and nobody would be told.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

_ESCAPED: Final = re.compile(r"\[([*?[])\]")
"""What ``glob.escape`` makes of a letter that would mean something."""
_MAGIC: Final = re.compile(r"[*?[]")
_NOTHING_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

Trouble = Callable[[str, OSError], None]


def plain(pattern: str) -> str | None:
    """The one path that *pattern* means; None when it has wildcards."""
    if _MAGIC.search(_ESCAPED.sub("", pattern)):
        return None
    return unescaped(pattern)


def unescaped(pattern: str) -> str:
    """*pattern* with its escaped letters as they are."""
    return _ESCAPED.sub(r"\1", pattern)


def matching(pattern: str, trouble: Trouble) -> list[str]:
    """Paths that an absolute *pattern* matches, sorted. A leading dot is matched by a dot alone.

    *trouble* is told of each folder that could not be looked into, and why; one that is not there is
    none.
    """
    root, *parts = PurePosixPath(pattern).parts
    places = [root]
    for part in parts:
        places = [path for place in places for path in _step(place, part, trouble)]
    return sorted(places)


def _step(place: str, part: str, trouble: Trouble) -> list[str]:
    """What *part* of a pattern matches in the folder *place*."""
    name = plain(part)
    try:
        if name is not None:
            path = os.path.join(place, name)  # noqa: PTH118 - thousands of them, and no objects
            os.lstat(path)
            return [path]
        with os.scandir(place) as entries:
            names = [entry.name for entry in entries]
    except OSError as error:
        if error.errno not in _NOTHING_THERE:
            trouble(place, error)
        return []
    hidden = part.startswith(".")
    return [
        os.path.join(place, one)  # noqa: PTH118
        for one in names
        if fnmatchcase(one, part) and (hidden or not one.startswith("."))
    ]
