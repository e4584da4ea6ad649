"""What the configuration says of a source of RBD images."""

from __future__ import annotations

from dataclasses import dataclass, field

from drd.ceph.cluster import CephAccess
from drd.ports import Gate


@dataclass(frozen=True, slots=True)
class RbdSettings:
    """One section of the configuration. *namespaces* and *images* are glob patterns.

    The namespace ``""`` is the default one; ``*`` matches it too. Each read passes *gate*, where there
    is one.
    """

    pool: str
    images: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("",)
    access: CephAccess = field(default_factory=CephAccess)
    in_flight: int = 32
    gate: Gate | None = None
