"""What systemd is told: sd_notify(3), one datagram of ``NAME=VALUE`` lines to ``$NOTIFY_SOCKET``."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

MOST_STATUS: Final = 200
"""Characters of a status; ``systemctl status`` shows one line."""


class Notifier:
    """Tells the service manager; tells nobody where there is none.

    Args:
        environment: ``NOTIFY_SOCKET`` is where (an abstract name begins with ``@``), ``WATCHDOG_USEC``
            in how many microseconds the manager wants to hear of progress (sd_watchdog_enabled(3)).
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        usec = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if usec.isdecimal() and self._address else None
        """Seconds after which a silent daemon is killed; None where nobody watches."""

    def tell(self, *, status: str = "", **fields: str) -> None:
        """Tell *fields* (READY, STOPPING, RELOADING, WATCHDOG …) and a *status* for people."""
        if not self._address:
            return
        lines = [f"{name}={value}" for name, value in fields.items()]
        if status:
            lines.append(f"STATUS={' '.join(status.split())[:MOST_STATUS]}")
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        # A manager that is being restarted does not listen for a moment: the next word reaches it.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)  # noqa: FBT003 - the only form it has
            out.sendto("\n".join(lines).encode(), address)
