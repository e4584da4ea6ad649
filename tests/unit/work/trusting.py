"""What the root of a world says of hosts' keys, in its next trust document."""

from __future__ import annotations

from drd.core import names
from drd.core.trust import TRUST
from drd.model import Json, PointInfo
from drd.testing.repository import host_key, root_document, trust_body
from tests.unit.work.world import World


def root_says(world: World, *keys: dict[str, Json]) -> None:
    """The next trust document, with these keys."""
    number = len(world.keys("trust/")) + 1
    body = trust_body(world.ring, number=number, keys=keys)
    world.store.put(names.trust_key(number), root_document(world.ring, TRUST, body))


def revoked(
    world: World, point: PointInfo, *, at: str = "", sha256: bytes | None = None
) -> dict[str, Json]:
    """The host's key, revoked *at* that time (else now), with *point* as the last good one."""
    good: Json = {
        "lineage": point.lineage.hex(),
        "seq": point.seq,
        "sha256": (sha256 or point.manifest_sha256).hex(),
    }
    return host_key(world.ring, revoked_at=at or world.clock.at.isoformat(), revoked=[good])
