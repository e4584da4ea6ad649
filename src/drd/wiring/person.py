"""Who calls, and from where: words for people, sealed; nothing is decided by them."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping


def caller(user: int | None = None, environment: Mapping[str, str] | None = None) -> str:
    """``user@host`` of whoever typed the command: behind sudo that is who called sudo.

    Only root's ``SUDO_USER`` counts: sudo sets it (sudo(8), Environment), and anybody else can.
    """
    number = os.geteuid() if user is None else user
    told = (os.environ if environment is None else environment).get("SUDO_USER", "")
    if number == 0 and told:
        name = told
    else:
        try:
            name = pwd.getpwuid(number).pw_name
        except KeyError:  # a container's user need not have a name
            name = str(number)
    return f"{name}@{socket.gethostname()}"
