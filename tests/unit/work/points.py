"""Lineages of a few points, and how they come to harm."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from typing_extensions import override

from drd.core import names
from drd.model import PointInfo, PointKind
from drd.ports import Store
from drd.stores.metered import MeteredStore
from drd.testing.fakes import START
from tests.unit.work.world import CELL, IMAGE, World, fill

NAME = f"source/{IMAGE}"


class KeysRead(MeteredStore):
    """Counts how often each object was read."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.reads: Counter[str] = Counter()

    @override
    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        self.reads[key] += 1
        return super().get(key, version=version, start=start, length=length)


def with_points(count: int, *, cells: int = 4) -> World:
    world = World(size=cells * CELL)
    for seed in range(count):
        fill(world, seed=seed)
        world.backup()
    return world


def manifest_key(world: World, seq: int) -> str:
    return names.manifest_key(world.ring.tenant, world.lineage, seq)


def cut(world: World, seq: int) -> None:
    """Damage a manifest so that it still bears the ids of its place."""
    key = manifest_key(world, seq)
    world.store.damage(key, world.store.get(key)[:-1])


def remove(world: World, key: str) -> None:
    world.store._objects.pop(key)


def info(seq: int, **more: object) -> PointInfo:
    base = PointInfo(
        tenant=b"t" * 16,
        lineage=b"l" * 16,
        seq=seq,
        name="a/b",
        identity="i",
        kind=PointKind.FULL,
        point_at=START + timedelta(hours=seq),
        committed_at=START + timedelta(hours=seq),
        size=1,
        manifest_sha256=bytes(32),
        manifest_key=f"m/{seq}",
        predecessor_seq=seq - 1,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def slots_of(world: World) -> list[str]:
    return [key for key in world.keys("k/") if not key.endswith(".pub")]
