"""What daemon and worker say to each other: one JSON object a line, UTF-8.

To a worker, first the configuration as the daemon holds it, then one job, then at any time orders::

    {"config": TEXT, "path": FILE}
    {"job": "backup", "run": ID, …}
    {"order": "stop"}  {"order": "limits", "bytes_per_s": N, "iops": N}

From a worker::

    {"is": "progress", "stage": TEXT, "done": BYTES, "total": BYTES}
    {"is": "result", "outcome": OUTCOME, "exit": CODE, "code": …, "message": …, "hint": …, "about": …, …}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from drd.errors import DrdError
from drd.model import Json

MAX_LINE: Final = 64 << 20
"""A list of 100,000 images has some 20 MiB; what is longer is no line of drd's."""

_NUMBERS: Final = 1 << 63


def encode(said: Mapping[str, Json]) -> bytes:
    """One line."""
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Mapping[str, Json]:
    """What a line says.

    Raises:
        DrdError: it is no JSON object: the other end is broken, or another program.
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DrdError(f"a line that is no JSON: {line[:80]!r}") from error
    if not isinstance(said, dict):
        raise DrdError(f"a line that is no JSON object: {line[:80]!r}")
    return said


def text(said: Mapping[str, Json], name: str) -> str:
    """A field that is text; ``""`` where it is not there."""
    value = said.get(name)
    return value if isinstance(value, str) else ""


def number(said: Mapping[str, Json], name: str) -> int:
    """A field that is a number of at most 64 bits (SQLite keeps no other); 0 where it is not there."""
    value = said.get(name)
    if isinstance(value, int | float) and -_NUMBERS <= value < _NUMBERS:  # NaN is not
        return int(value)
    return 0


def rows(said: Mapping[str, Json], name: str) -> list[dict[str, Json]]:
    """A field that is a list of objects; empty where it is not there."""
    value = said.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
