"""Which ring a file given on the command line is: told by its content, not by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drd.core.sheet import decode_sheet
from drd.keys.age import IDENTITY_PREFIX, AgeRing, parse_identities
from drd.keys.files import read_private, read_text
from drd.keys.keyfile import WHAT, KeyFileRing, decode_key_file
from drd.keys.recovery import RecoveryRing
from drd.model import Role
from drd.ports import KeyRing


def open_key(
    path: Path, role: Role, *, age_recipients: Sequence[str] = (), credential: bool = False
) -> KeyRing:
    """The ring in *path*: a key file, or an age identity file.

    Args:
        path: the file. A key file must be its owner's alone; an age identity file need not.
        role: what this process is.
        age_recipients: further holders, for a key file.
        credential: it lies in the folder that systemd made for this unit alone. Then owner and mode
            are systemd's: an access list for the unit's user shows as mode 0440 (systemd 252, where the
            folder's file system has such lists).

    Raises:
        KeyAccessError: it is not there, or is neither of both.
        ConfigError: it cannot be read, others may read it, or a recipient is none.
    """
    text = read_text(path, WHAT)
    if any(line.strip().startswith(IDENTITY_PREFIX) for line in text.splitlines()):
        return AgeRing(parse_identities(text, about=str(path)), role)
    secret = text if credential else read_private(path, WHAT)
    file = decode_key_file(secret, about=str(path))
    return KeyFileRing(file, role, age_recipients=age_recipients)


def open_sheet(path: Path, role: Role) -> RecoveryRing:
    """The ring of the recovery sheet in *path*, typed, copied or scanned.

    Raises:
        KeyAccessError: it is not there, or lines of it are wrong.
        ConfigError: it cannot be read.
    """
    return RecoveryRing(decode_sheet(read_text(path, "recovery sheet"), about=str(path)), role)
