"""The clock, in one place."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The time; aware UTC."""
    return datetime.now(UTC)


def elapsed() -> float:
    """Seconds from an unknown beginning; nobody can set them, and they go on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
