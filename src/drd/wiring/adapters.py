"""Adapters that sections of the configuration, or a ``--to``, name; only what is used is loaded."""

from __future__ import annotations

import os
import platform
from dataclasses import replace

from drd.ceph.cluster import CephAccess
from drd.config import Config, DeviceSource, RbdSource, SourceConfig
from drd.leases.local import LocalLease
from drd.ports import Gate, Lease, Source, Target
from drd.wiring.clock import elapsed, now


def make_lease(config: Config, source: SourceConfig, *, run: str = "") -> Lease:
    """Where the leases of a source's lineages are kept. *run*, where it has an id, is told to others."""
    daemon = config.daemon
    if daemon.lease == "local" or not isinstance(source, RbdSource):
        return LocalLease(config.state_dir / "leases")
    from drd.leases import rados  # noqa: PLC0415

    who = f"{platform.node()}, process {os.getpid()}" + (f", run {run}" if run else "")
    terms = rados.Terms(daemon.lease_pool or source.pool, float(daemon.lease_ttl), who)
    return rados.RadosLease(ceph_access(source), terms, random=os.urandom, timer=elapsed)


def make_source(name: str, config: SourceConfig, gate: Gate | None = None) -> Source:
    """The adapter that a section of the configuration names; its reads pass *gate*. Only what is used
    is loaded.
    """
    if isinstance(config, DeviceSource):
        from drd.sources import device  # noqa: PLC0415

        paths = tuple(str(path) for path in config.paths)
        settings = device.DeviceSettings(paths, quiesced=config.quiesced, gate=gate)
        return device.DeviceSource(name, settings, now)
    from drd.sources import rbd, rbd_settings  # noqa: PLC0415

    return rbd.RbdSource(
        name,
        rbd_settings.RbdSettings(
            pool=config.pool,
            images=tuple(config.images),
            namespaces=tuple(config.namespaces),
            access=ceph_access(config),
            in_flight=config.reads_in_flight,
            gate=gate,
        ),
    )


def ceph_access(config: RbdSource) -> CephAccess:
    """How the cluster of a source is reached."""
    return CephAccess(
        conf=str(config.ceph_conf),
        client=config.client,
        keyring=str(config.keyring) if config.keyring else None,
        osd_timeout_s=config.op_timeout_s,
        mon_timeout_s=config.op_timeout_s,
        mount_timeout_s=config.op_timeout_s,
    )


def make_target(text: str, access: CephAccess, *, overwrite: bool) -> Target:
    """The adapter for ``--to``.

    Raises:
        UsageError: it is no target.
    """
    from drd.sources import targets  # noqa: PLC0415

    return targets.make_target(text, access, overwrite=overwrite, random=os.urandom)


def target_access(config: Config | None, *, conf: str | None, client: str | None) -> CephAccess:
    """With which Ceph a restore talks: as the options say, else as the first rbd source does."""
    sources = config.source.values() if config else ()
    known = [ceph_access(one) for one in sources if isinstance(one, RbdSource)]
    if conf is not None:
        return CephAccess(conf=conf, client=client or CephAccess().client)
    access = known[0] if known else CephAccess()
    return replace(access, client=client) if client is not None else access
