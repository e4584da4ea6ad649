"""A configuration for the daemon: read, checked as a whole, and kept as text for its workers."""

from __future__ import annotations

from pathlib import Path

from drd.config import Config
from drd.config.checking import inspect
from drd.config.faults import as_error, refuse
from drd.config.loading import read_text


def load(path: Path) -> tuple[Config, str, str, list[str]]:
    """Read the file *path*.

    Returns:
        The configuration, its text, its absolute path, and what is right and probably not meant.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong; every fault is told, with its line.
    """
    text = read_text(path)
    config, faults = inspect(text, path)
    if config is None:
        raise as_error(faults, str(path))
    warnings = refuse(faults)
    return config, text, str(path.absolute()), [one.sentence for one in warnings]
