"""Free loopback ports."""

import secrets
import socket

from lab.failure import LabError

# Below Linux's ephemeral range (32768 and up), from which a client's own end of some connection
# could take a port between our looking and the server's binding it.
LOWEST, HIGHEST = 20000, 32000
ATTEMPTS = 200


def free_port(taken: set[int]) -> int:
    """Return a port of 127.0.0.1 that nobody listens on and that is not in `taken`.

    Raises:
        LabError: none was found.
    """
    for _ in range(ATTEMPTS):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        if port not in taken and _free(port):
            return port
    raise LabError(f"no free port on 127.0.0.1 between {LOWEST} and {HIGHEST}")


def listening(port: int) -> bool:
    """Return whether somebody takes connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
