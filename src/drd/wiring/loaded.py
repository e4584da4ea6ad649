"""A configuration for the daemon: read, checked as a whole, and kept as text for its workers."""

from __future__ import annotations

from pathlib import Path

from drd.config import Config
from drd.config.loading import read_config, read_text


def load(path: Path) -> tuple[Config, str, str, list[str]]:
    """Read the file *path*.

    Returns:
        The configuration, its text, its absolute path, and what is right and probably not meant.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong.
    """
    text = read_text(path)
    return read_config(text, path), text, str(path.absolute()), []
