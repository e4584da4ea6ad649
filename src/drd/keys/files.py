"""Secrets in files: written once, for their owner alone; refused when somebody else could read them.

A secret that cannot be read, or that others may read, is a fault of the configuration (exit 2); one
that is not there, or is another's, is a missing key (exit 12).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from drd.errors import ConfigError, KeyAccessError, RefusedError

OWNER_ONLY: Final = 0o600
MAX_BYTES: Final = 1 << 20
"""No key file and no sheet is larger; something else was named by mistake."""


def read_text(path: Path, what: str) -> str:
    """Read a text file that a person brings along (a sheet, an age identity file).

    Who else may read it is not asked: at 3 am it comes from a stick or an editor.

    Raises:
        KeyAccessError: there is no such file, or it is no text.
        ConfigError: it cannot be read.
    """
    return _read(path, what, private=False, me=-1)


def read_private(path: Path, what: str, *, me: int | None = None) -> str:
    """Read a secret that must be its owner's alone.

    Args:
        path: the file; a link is followed.
        what: what it should be, for messages.
        me: our user id; by default the effective one of the process.

    Raises:
        KeyAccessError: there is no such file, or it is no text.
        ConfigError: it cannot be read, group or others have any permission on it, or its owner is
            neither root nor we.
    """
    return _read(path, what, private=True, me=os.geteuid() if me is None else me)


def _read(path: Path, what: str, *, private: bool, me: int) -> str:
    try:
        # O_NONBLOCK: opening a named pipe would wait for a writer for ever.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise KeyAccessError(
            f"there is no {what} here", about=str(path), hint="check the path, or bring the file"
        ) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, what, error) from error
    try:
        # By the open file, not by its name: nobody can exchange it in between.
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"the {what} is no regular file", about=str(path))
        if private:
            check_private(path, what, mode=found.st_mode, owner=found.st_uid, me=me)
        data = b""
        while chunk := os.read(handle, MAX_BYTES + 1 - len(data)):
            data += chunk
    except OSError as error:
        raise _unreadable(path, what, error) from error
    finally:
        os.close(handle)
    if len(data) > MAX_BYTES:
        raise KeyAccessError(f"the {what} is too large to be one", about=str(path))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise KeyAccessError(f"the {what} is no text", about=str(path)) from error


def check_private(path: Path, what: str, *, mode: int, owner: int, me: int) -> None:
    """Whether a file with *mode* and *owner* (numeric) is ours or root's alone.

    Raises:
        ConfigError: it is not.
    """
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"the {what} is open to others than its owner (mode {stat.S_IMODE(mode):04o})",
            about=str(path),
            hint=f"find out who read it, then: chmod 600 '{path}'",
        )
    if owner not in (0, me):
        raise ConfigError(
            f"the {what} belongs to user {owner}, neither to root nor to us (user {me})",
            about=str(path),
            hint="who owns it can change it: chown it to the user that drd runs as",
        )


def _unreadable(path: Path, what: str, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ConfigError(f"the {what} cannot be read: {reason}", about=str(path))


def write_private(path: Path, text: str, what: str) -> None:
    """Write a new secret with mode 0600 and make it durable; never over an existing file.

    Raises:
        RefusedError: there is something under that name already.
        ConfigError: it cannot be written (nothing is left behind).
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, OWNER_ONLY)
    except FileExistsError as error:
        raise RefusedError(
            f"there is a {what} already: drd overwrites no key",
            about=str(path),
            hint="move it away if it is not needed any more; keep it if a repository uses it",
        ) from error
    except (OSError, ValueError) as error:
        raise _unwritable(path, what, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, OWNER_ONLY)
            file.write(text.encode())
            file.flush()
            os.fsync(handle)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise _unwritable(path, what, error) from error


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, what: str, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return ConfigError(f"the {what} cannot be written: {reason}", about=str(path))
