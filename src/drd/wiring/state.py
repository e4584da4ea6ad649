"""Trying the folder in which this host keeps its state, as a backup will use it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from drd.errors import ConfigError

TRIED_BYTES: Final = 4096
"""A block: a disk without a free one takes an empty file, and no byte in it."""


def try_folder(folder: Path) -> None:
    """Write, sync and remove a small file in *folder*, which is made when it is not there.

    Raises:
        ConfigError: that cannot be done.
    """
    path = folder / f".doctor-{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, flags, 0o600)
        try:
            os.write(file, bytes(TRIED_BYTES))
            os.fsync(file)
        finally:
            os.close(file)
            path.unlink()
    except OSError as error:
        raise ConfigError(
            f"the state folder cannot be used: {error.strerror}",
            about=str(folder),
            hint="give the user that drd runs as a state_dir with room that it may write to",
        ) from error
