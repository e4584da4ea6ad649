"""Expiry as the pruner will do it, by what stands in clear; and what brute force says of the same.

The pruner itself is a later verb: here is only its rule, applied at once and without mercy, so that every
test that runs after it stands on nothing that the rule would release.
"""

from __future__ import annotations

from drd.core import liveness, names
from drd.core.liveness import REACHING, TableClear
from drd.core.manifest import Clear
from drd.core.sections import MapPiece, What, decode_map
from drd.core.tables import MAGIC, TableKind, decode_head
from drd.work.history import read_manifest
from drd.work.restore import OpenedPoint
from tests.unit.work.world import World

KINDS = {magic: kind for kind, magic in MAGIC.items()}


def manifests(world: World) -> list[Clear]:
    """The clear parts of all manifests: signature and signer checked, no key needed."""
    repository = world.repository()
    found = []
    for key in sorted(world.keys("m/"), reverse=True):
        place = names.parse_manifest_key(key)
        assert place is not None
        found.append(read_manifest(repository, place[1], place[2]).clear)
    return found


def tables(world: World) -> dict[bytes, TableClear]:
    """The clear parts of all tables, orphans included."""
    found = {}
    for key in world.keys("x/"):
        data = world.store.get(key)
        head = decode_head(data, KINDS[data[4:8]])
        rows = {row.ordinal: row.pack_id for row in head.rows}
        found[head.sealed.object_id] = TableClear(frozenset(head.reached), rows)
    return found


def listed(opened: OpenedPoint) -> set[int]:
    """Ordinals that a point's map sections point to before painting, read with the keys."""
    ordinals: set[int] = set()
    for window in opened.map.windows(What.MAP):
        for reference in opened.map.references:
            data = None
            if reference.kind in {TableKind.RUN, TableKind.SHARD}:
                data = opened.shelf.section(reference, What.MAP, window)
            if data is not None:
                ordinals.update(_piece(opened, data).frames.pack.tolist())
    return ordinals


def painted(opened: OpenedPoint) -> set[int]:
    """Ordinals of the packs that a restore of a point needs: what is left after painting."""
    ordinals: set[int] = set()
    for window in opened.map.windows(What.MAP):
        ordinals.update(opened.map.window(window).frames.pack.tolist())
    return ordinals


def _piece(opened: OpenedPoint, data: bytes) -> MapPiece:
    geometry = opened.geometry
    return decode_map(data, block=geometry.block, window_blocks=geometry.window_blocks)


def assert_reach(world: World, point: Clear, known: dict[bytes, TableClear]) -> None:
    """What a point reaches by its clear parts is what brute force finds, and covers what it paints."""
    opened = world.opened(point.seq)
    rows = {row.ordinal: row.pack_id for row in opened.rows.rows}
    reach = liveness.reach(point, known)
    assert reach.ordinals == listed(opened)
    assert reach.packs == {rows[ordinal] for ordinal in reach.ordinals}
    assert painted(opened) <= reach.ordinals


def assert_spans(points: list[Clear], known: dict[bytes, TableClear], roots: list[Clear]) -> None:
    """What spans say is dead is what brute force over all manifests says; of fewer points, less."""
    alive = liveness.alive(roots, known)
    seqs = [point.seq for point in roots]
    for learnt in (points, points[::-1], points[::2] + points[1::2]):
        spans = liveness.widen({}, learnt)
        clears = {one: known[one] for one, span in spans.items() if span.kind in REACHING}
        dead = liveness.dead(list(spans.values()), clears, seqs)
        assert spans.keys() - {one.table_id for one in dead.tables} == alive.tables
        packs = {pack for clear in clears.values() for pack in clear.rows.values()}
        assert packs - dead.packs.keys() == alive.packs
    few = liveness.widen({}, [point for point in points if point.seq in seqs])
    living = {one.table_id for one in liveness.living(few.values(), seqs)}
    assert living == few.keys() == alive.tables


def expire(world: World, retained: set[int], *, under_way: bool = False) -> None:
    """Delete every manifest that is no root, and every pack and table that no root reaches.

    While a run is *under way*, what no manifest ever reached is left alone: it may be that run's.
    """
    points, known = manifests(world), tables(world)
    roots = liveness.roots(points, frozenset(retained))
    for point in roots:
        assert_reach(world, point, known)
    assert_spans(points, known, roots)
    alive = liveness.alive(roots, known)
    doomed = liveness.alive(points, known) if under_way else None
    kept = {names.manifest_key(world.ring.tenant, world.lineage, point.seq) for point in roots}
    gone = world.keys("m/") - kept
    for key in gone:
        world.store._objects.pop(key)
    world.catalogue.forget(gone)
    _sweep(world, "p/", alive.packs, doomed.packs if doomed else None)
    _sweep(world, "x/", alive.tables, doomed.tables if doomed else None)


def _sweep(
    world: World, prefix: str, alive: frozenset[bytes], doomed: frozenset[bytes] | None
) -> None:
    for key in world.keys(prefix):
        name = bytes.fromhex(key.rsplit("/", 1)[1])
        if name not in alive and (doomed is None or name in doomed):
            world.store._objects.pop(key)
