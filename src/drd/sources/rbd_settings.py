"""What the configuration says of a source of RBD images."""

from __future__ import annotations

from dataclasses import dataclass, field

from drd.ceph.cluster import CephAccess


@dataclass(frozen=True, slots=True)
class RbdSettings:
    """One section of the configuration. *namespaces* and *images* are glob patterns.

    The namespace ``""`` is the default one; ``*`` matches it too. Limits of 0 are no limits.
    """

    pool: str
    images: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("",)
    access: CephAccess = field(default_factory=CephAccess)
    in_flight: int = 32
    bytes_per_s: float = 0.0
    reads_per_s: float = 0.0
