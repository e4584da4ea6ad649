"""The clock of a daemon and of all that it starts, moved while they run (libfaketime)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

INSTALL = "apt-get install faketime"


@dataclass(frozen=True)
class Clock:
    """A clock that is off by what *file* says, for processes with ``environment``. What only grows
    (CLOCK_MONOTONIC, CLOCK_BOOTTIME) stays as it is, and so do the times of files: those are the store's.
    """

    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process go by it."""
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        assert found, f"libfaketime is missing: {INSTALL}"
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",  # a jump counts from now on, not in ten seconds
            "FAKETIME_DISABLE_SHM": "1",  # nothing stays in /dev/shm of who is killed
            "NO_FAKE_STAT": "1",
        }

    def jump(self, seconds: int) -> None:
        """From now on it is off by so many seconds."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n", encoding="ascii")
        new.replace(self.file)  # nobody reads half of it
