"""What a reload cannot change: what the daemon opened when it started, it keeps until it ends."""

from __future__ import annotations

from drd.config import Config
from drd.errors import ConfigError


def later(old: Config, new: Config) -> list[str]:
    """Sentences about keys that differ and wait for a restart: where metrics and lines of the log go.

    Raises:
        ConfigError: the state folder or the repository is another one. Workers would begin to use it while
            this daemon still believed what it knows of the old one.
    """
    for name, before, after in (
        ("state_dir", str(old.state_dir), str(new.state_dir)),
        ("repository.url", old.repository.url, new.repository.url),
    ):
        if before != after:
            raise ConfigError(
                f"{name} is {after}, and was {before}: only a restart can change it",
                hint="'systemctl restart drd', or write the old value back",
            )
    kept = {
        "metrics": (old.daemon.metrics, new.daemon.metrics),
        "log": (old.daemon.log, new.daemon.log),
        "log_names": (old.daemon.log_names, new.daemon.log_names),
    }
    return [
        f"daemon.{name} stays as it was until the daemon is restarted"
        for name, (before, after) in kept.items()
        if before != after
    ]
