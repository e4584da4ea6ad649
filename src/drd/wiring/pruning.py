"""What a prune works with, from a configuration: rules for each lineage, and the store that may delete."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final

from drd.config import Config
from drd.core.address import FileAddress, parse_address
from drd.errors import ConfigError
from drd.leases.local import LocalLease
from drd.model import PointInfo
from drd.ports import Lease, Store
from drd.stores.metered import MeteredStore
from drd.stores.retrying import Patience, RetryingStore
from drd.stores.s3 import S3Store
from drd.wiring.clock import now
from drd.wiring.reach import s3_settings
from drd.work.listing import full_points
from drd.work.prune import Pruned, Pruner, Rules, prune
from drd.work.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drd.wiring import House

LEFT_OUT: Final = "another host made its newest point, and no source of this one shows its image"
POLICY: str = "drd.policy"
"""Metadata of an image that names its policy, before what its source says."""


def make_pruner(house: House, repository: Repository, *, orphans: bool, dry_run: bool) -> Pruner:
    """With what lineages of *repository* are pruned.

    Raises:
        ConfigError: there is no configuration, or a secret that it names cannot be read.
    """
    config = house.need_config()
    return Pruner(
        repository=repository,
        catalogue=house.known_here(),
        lease=LocalLease(config.state_dir / "leases"),
        deleter=deleting_store(house),
        transfers=house.readers(),
        now=now,
        random=os.urandom,
        grace=timedelta(seconds=config.prune.grace),
        orphans_after=timedelta(seconds=config.prune.orphans_after),
        orphans=orphans,
        dry_run=dry_run,
    )


def deleting_store(house: House) -> Store:
    """The store as ``[repository.s3.pruner]`` sees it; where there is no such table, as all see it."""
    config = house.need_config()
    repository = config.repository
    address = parse_address(repository.url)
    if isinstance(address, FileAddress) or repository.s3 is None or repository.s3.pruner is None:
        return house.store()
    s3 = repository.s3
    settings = s3_settings(s3, repository.s3.pruner, table="repository.s3.pruner")
    patience = Patience(total_s=s3.patience_s)
    store = S3Store(address, settings, moved=house.moved)
    retrying = RetryingStore(store, patience=patience, wait=house.wait)
    return MeteredStore(retrying, house.moved)


def lease_of(house: House, points: Sequence[PointInfo]) -> Lease:
    """The lease that backups of the image hold; of one that no source here shows, this host's."""
    config = house.need_config()
    source = source_of(points)
    if source in config.source:
        return house.lease(source)
    return LocalLease(config.state_dir / "leases")


class Realm:
    """Which lineages this host prunes, of those that nobody named.

    A lease that only this host sees keeps no other host away. So under one a lineage is pruned where a
    source shows its image now, or where its newest point was made; elsewhere only when somebody names it.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._shown: frozenset[str] | None = None
        self._hindered = ""
        self._told = False

    def left_out(self, lease: Lease, points: Sequence[PointInfo]) -> str:
        """Why the lineage of *points* (all of it, by number) is left to another host; ``""``: it is not."""
        last = (full_points(points) or points)[-1]
        if not isinstance(lease, LocalLease) or last.committed_here or self._shows(last.identity):
            return ""
        return self._hindered or LEFT_OUT

    def warning(self) -> str:
        """What hinders this host from knowing what it shows, told once; ``""`` for nothing."""
        told, self._told = self._told, True
        return "" if told else self._hindered

    def _shows(self, identity: str) -> bool:
        """Whether a source of this host showed the image when the daemon looked last."""
        if self._shown is None:
            try:
                images = self._house.diary().images()
            except ConfigError as error:
                self._hindered = f"whether it is another host's cannot be known: {error}"
                images = []
            self._shown = frozenset(one.identity for one in images if one.gone_at is None)
        return identity in self._shown


def prune_lineage(
    house: House, pruner: Pruner, points: Sequence[PointInfo], *, realm: Realm | None
) -> tuple[Pruned, str]:
    """Prune the lineage of *points* (all of it, by number) by its own rules, under its own lease.

    Args:
        house: of the configuration that has the rules.
        pruner: with what.
        points: the lineage.
        realm: leaves out what is another host's; None for a lineage that somebody named.

    Returns:
        What was done, what stopped it included; and a warning, or ``""``.
    """
    lease = lease_of(house, points)
    rules, warning = rules_of(house.need_config(), points)
    left_out = realm.left_out(lease, points) if realm is not None else ""
    if realm is not None and left_out:
        last = (full_points(points) or points)[-1]
        count = len(full_points(points))
        return Pruned(
            last.lineage, last.name, rules.policy, count, left_out=left_out
        ), realm.warning()
    return prune(replace(pruner, lease=lease), points, rules), warning


def rules_of(config: Config, points: Sequence[PointInfo]) -> tuple[Rules, str]:
    """The rules for the lineage of *points* (all of it, by number), and a warning or ``""``.

    The newest full point tells: the policy that its image named itself, else that of its source. Where
    neither leads to a policy of this configuration nothing is deleted.
    """
    last = (full_points(points) or points)[-1]
    name = policy_of(config, points)
    policy = config.policy.get(name)
    if policy is not None:
        return Rules(name, policy.rules, policy.zone), ""
    if name:
        return Rules(
            name, None, UTC
        ), f"{last.name}: there is no policy {name!r}: nothing of it is deleted"
    return Rules("", None, UTC), f"{last.name}: no policy covers it: nothing of it is deleted"


def policy_of(config: Config, points: Sequence[PointInfo]) -> str:
    """Name of the policy for the lineage of *points* (all of it, by number): as its newest full point has
    it, what its image named itself, else what its source names; ``""`` for none.
    """
    name = _named_by_image((full_points(points) or points)[-1])
    if name:
        return name
    source = config.source.get(source_of(points))
    return (source.policy or "") if source is not None else ""


def source_of(points: Sequence[PointInfo]) -> str:
    """Name of the source that showed the image of *points* (all of its lineage, by number) last."""
    return str((full_points(points) or points)[-1].facts.get("source", ""))


def _named_by_image(point: PointInfo) -> str:
    image = point.facts.get("image")
    metadata = image.get("metadata") if isinstance(image, dict) else None
    named = metadata.get(POLICY) if isinstance(metadata, dict) else None
    return named if isinstance(named, str) else ""
