"""Keys of a directory in key order, without opening folders that cannot hold a wanted one.

Key order is that of the whole string, and ``-`` and ``.`` sort before ``/``: ``a-b`` comes before
``a/b``. Sorting the names of each folder with a slash after those of sub-folders gives just that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from drd.core.names import is_component


class Walk:
    """One question: the keys that begin with *prefix* and sort after *after*."""

    def __init__(self, root: Path, *, prefix: str, after: str) -> None:
        self._root = root
        self._prefix = prefix
        self._after = after

    def files(self, folder: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield key and status of the wanted regular files below *folder* (no slash at its end)."""
        above = f"{folder}/" if folder else ""
        for name in self._names(folder):
            key = above + name
            if name.endswith("/"):
                if self._may_hold_wanted(key):
                    yield from self.files(key[:-1])
            elif key.startswith(self._prefix) and key > self._after:
                try:
                    status = (self._root / key).lstat()
                except FileNotFoundError:
                    continue  # deleted since the folder was read
                yield key, status

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the names of the folders in *folder*, sorted, also when they are empty."""
        yield from sorted(name[:-1] for name in self._names(folder) if name.endswith("/"))

    def _may_hold_wanted(self, folder: str) -> bool:
        """Whether a key that begins with *folder* (slash at its end) can be wanted."""
        if not (folder.startswith(self._prefix) or self._prefix.startswith(folder)):
            return False
        return folder > self._after or self._after.startswith(folder)

    def _names(self, folder: str) -> list[str]:
        """Names in *folder*, sorted; sub-folders with a slash; what drd cannot have made left out.

        Neither symbolic links nor names that cannot stand in a key are shown.
        """
        found: list[str] = []
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._root / folder) as it:
            for entry in it:
                if is_component(entry.name):
                    if entry.is_dir(follow_symlinks=False):
                        found.append(entry.name + "/")
                    elif entry.is_file(follow_symlinks=False):
                        found.append(entry.name)
        return sorted(found)
