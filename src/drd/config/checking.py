"""What only several keys together can tell of a configuration: ``check-config``, and the daemon's start and
reload.

An operator who restores at night is not stopped by any of it: :mod:`drd.config.loading` refuses what no
verb could work with, this module what the daemon should not run with. Nothing here is asked for outside
the file; ``check-config --online`` does that (:mod:`drd.wiring.checking`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drd.config.faults import Fault, Page, show_duration
from drd.config.loading import key_lines, parse_config
from drd.config.policies import DAY
from drd.config.policy_checks import check_policies
from drd.config.sections import Config, RbdSource
from drd.config.source_checks import check_sources
from drd.core import gaps


def inspect(text: str, path: Path) -> tuple[Config | None, list[Fault]]:
    """Check *text*, what the file *path* holds or held, as a whole.

    Returns:
        The configuration (None when it cannot be read), and everything that is wrong with it.
    """
    config, faults = parse_config(text, path)
    return config, faults if config is None else check(config, text, path)


def check(config: Config, text: str, path: Path) -> list[Fault]:
    """What is wrong with *config*, which *text* of the file *path* says; errors first, then by line."""
    page = Page(path, dict(key_lines(text)))
    checks = (check_policies, check_sources, _repository, _leases, _daemon, _blackout, _prune)
    faults = [fault for one in checks for fault in one(config, page)]
    return sorted(faults, key=lambda one: (one.level != "error", one.line, one.key))


def _repository(config: Config, page: Page) -> Iterator[Fault]:
    s3 = config.repository.s3
    if s3 is None or config.repository.url.startswith("s3:"):
        return
    keys = ("repository", "s3")
    if s3.pruner is not None:
        yield page.error(
            (*keys, "pruner"),
            f"names who may delete in S3, but the repository is {config.repository.url}",
            "take the table out, or write an s3:// url",
        )
    else:
        yield page.warning(
            keys, f"is not used: the repository is {config.repository.url}", "take the table out"
        )


def _leases(config: Config, page: Page) -> Iterator[Fault]:
    daemon, key = config.daemon, ("daemon", "lease")
    shared = daemon.lease == "rados"
    if daemon.lease_pool is not None and not shared:
        yield page.error(
            ("daemon", "lease_pool"),
            f'names a pool, but lease = "{daemon.lease}" uses none',
            'write lease = "rados", or take lease_pool out',
        )
    if shared and not any(isinstance(one, RbdSource) for one in config.source.values()):
        yield page.error(
            key,
            'is "rados", and no source of type "rbd" names a cluster for it',
            'write lease = "local"',
        )
    if shared and daemon.lease_ttl >= daemon.stall_after:
        yield page.warning(
            ("daemon", "lease_ttl"),
            f"is {show_duration(daemon.lease_ttl)}, no less than stall_after "
            f"({show_duration(daemon.stall_after)}): after a node has died, its images wait "
            "longer than for a run that hangs",
            'write lease_ttl = "60s"',
        )


def _daemon(config: Config, page: Page) -> Iterator[Fault]:
    daemon = config.daemon
    if daemon.workers == 1:
        yield page.warning(
            ("daemon", "workers"),
            "is 1: a run that takes long, such as the first of an image, delays all others",
            "write workers = 2: one is then kept free of slow runs",
        )
    if daemon.backoff > daemon.backoff_max:
        yield page.error(
            ("daemon", "backoff"),
            f"is {show_duration(daemon.backoff)}, longer than the longest pause, backoff_max = "
            f'"{show_duration(daemon.backoff_max)}"',
            f'write backoff = "{show_duration(daemon.backoff_max)}" or shorter',
        )
    if not daemon.metrics and daemon.textfile is None:
        yield page.warning(
            ("daemon", "metrics"),
            "is empty, and there is no textfile: no monitoring can see a missed backup",
            'write metrics = "127.0.0.1:9750"',
        )


def _blackout(config: Config, page: Page) -> Iterator[Fault]:
    windows, zone, key = config.daemon.blackout, config.daemon.timezone, ("daemon", "blackout")
    if not windows:
        return
    dark = gaps.longest_blackout(windows)
    if dark >= DAY:
        yield page.error(
            key, "leaves no minute of the day: no run would ever begin", "shorten a window"
        )
        return
    for name, policy in config.policy.items():
        if policy.rpo is None or (policy.every is None and policy.cron is None):
            continue
        if policy.every is not None:
            gap, plain = policy.every + dark, policy.every
        else:
            cron = policy.cron or ""
            gap = gaps.gap_with_blackout(cron, policy.timezone, windows, zone)
            plain = gaps.ordinary_gap(cron)
        if plain <= policy.rpo < gap:
            yield page.warning(
                key,
                f"holds runs of policy.{name} back, so that {show_duration(gap)} can lie between two, more "
                f"than its rpo of {show_duration(policy.rpo)}: that is an alert each time",
                f'shorten the window, or write rpo = "{show_duration(gap + policy.rpo - plain)}"',
            )


def _prune(config: Config, page: Page) -> Iterator[Fault]:
    if config.prune.grace < DAY:
        yield page.warning(
            ("prune", "grace"),
            f"is {show_duration(config.prune.grace)}: within that time a mistake in a policy must be seen, "
            "and a hold set",
            'write grace = "1d"; less is for tests',
        )
