"""What is wrong with a configuration: where, what, and what instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from drd.errors import ConfigError

KeyPath = tuple[str, ...]
Level = Literal["error", "warning"]

EXPLAINED: Final = "config/drd.toml explains every key"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong (``error``: it is refused), or right and probably not meant (``warning``).

    *line* counts from 1, and is 0 where none can be told. *key* is the path of the key with dots; *message*
    is the sentence that follows it, *hint* the nearest right thing.
    """

    level: Level
    file: str
    line: int
    key: str
    message: str
    hint: str = ""

    @property
    def sentence(self) -> str:
        """Line, key and message."""
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.key or 'the file'} {self.message}"


@dataclass(frozen=True, slots=True)
class Page:
    """A file, and the lines on which its tables and keys stand."""

    file: Path
    lines: Mapping[KeyPath, int]

    def error(self, keys: KeyPath, message: str, hint: str) -> Fault:
        """A fault at *keys*, or at the nearest table around that has a line."""
        return Fault("error", str(self.file), self.line(keys), ".".join(keys), message, hint)

    def warning(self, keys: KeyPath, message: str, hint: str) -> Fault:
        """As :meth:`error`, and not refused."""
        return Fault("warning", str(self.file), self.line(keys), ".".join(keys), message, hint)

    def line(self, keys: KeyPath) -> int:
        """The line of *keys*; 0 when nothing on the way to it has one."""
        known = (keys[:end] for end in range(len(keys), 0, -1))
        return next((self.lines[one] for one in known if one in self.lines), 0)


def as_error(faults: Sequence[Fault], about: str) -> ConfigError:
    """All *faults* in one error about the file *about*."""
    hints = dict.fromkeys(one.hint for one in faults if one.hint not in ("", EXPLAINED))
    return ConfigError(
        "; ".join(fault.sentence for fault in faults),
        about=about,
        hint="; ".join(hints) or EXPLAINED,
    )


def refuse(faults: Iterable[Fault]) -> list[Fault]:
    """The warnings among *faults*.

    Raises:
        ConfigError: there are errors; it tells them all.
    """
    told = list(faults)
    errors = [one for one in told if one.level == "error"]
    if errors:
        raise as_error(errors, errors[0].file)
    return told


def show_duration(seconds: float) -> str:
    """Seconds as the configuration writes them, in the largest unit that leaves no rest."""
    whole = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole and whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"
