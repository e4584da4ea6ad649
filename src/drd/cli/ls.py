"""``drctl ls`` and ``drctl show``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from drd.cli import shapes
from drd.cli.common import Call, sheet_options, verb
from drd.cli.output import Reply, Row, size
from drd.errors import UsageError

if TYPE_CHECKING:
    from drd.core.result import Result
    from drd.core.selectors import Selector
    from drd.model import Json, PointInfo, Proven
    from drd.ports import Catalogue
    from drd.wiring import House
    from drd.work.repository import Repository


@click.command()
@click.argument("name", required=False)
@sheet_options
@verb
def ls(call: Call, name: str | None, **options: Any) -> Reply:
    """List lineages, or the recovery points of one."""
    from drd.model import Role  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415

    call.lists = ("points",) if name else ("lineages",)
    house = call.house_of_sheet(options)
    try:
        repository = house.repository(Role.BACKUP)
        points = listing.known_points(
            repository, house.spare_catalogue(), of=meant(name), pool=house.readers()
        )
        reply = Reply(warnings=repository.warnings)
        if name is None:
            lineages = listing.by_lineage(points)
            owner = set(listing.owners(lineages).values())
            chosen = [one for one in lineages.values() if listing.full_points(one)]
            chosen.sort(key=lambda one: (one[-1].name, one[-1].lineage not in owner))
            said = _Said(house.spare_catalogue(), repository.tenant)
            reply.lists["lineages"] = [
                {**lineage_row(one, current=one[-1].lineage in owner), **said.of(one[-1].lineage)}
                for one in chosen
            ]
            reply.shown = [
                {**_line(one, current=one[-1].lineage in owner), **said.line(one[-1].lineage)}
                for one in chosen
            ]
        else:
            found = listing.full_points(named(points, name))
            held = _held(repository, found)
            reply.lists["points"] = [
                {**shapes.point(one), "held": one.seq in held} for one in found
            ]
            reply.shown = [shapes.point_line(one, held=one.seq in held) for one in found]
            chosen = [found] if found else []
        reply.warnings += _noted(house, repository, chosen)
        if not reply.shown:
            reply.text.append("no recovery points yet")
        return reply
    finally:
        house.close()


class _Said:
    """What the catalogue knows of holds and proofs: a list of all lineages reads no statements."""

    def __init__(self, catalogue: Catalogue | None, tenant: bytes) -> None:
        self._proven: dict[bytes, list[Proven]] = {}
        self._held: Counter[bytes] = Counter()
        if catalogue is not None:
            self._held.update(one.lineage for one in catalogue.holds(tenant))
            for one in catalogue.proven(tenant):
                self._proven.setdefault(one.lineage, []).append(one)

    def of(self, lineage: bytes) -> Row:
        """For a program."""
        proofs = self._proven.get(lineage, [])
        return {
            "held_points": self._held[lineage],
            "proven": [
                {
                    "level": one.level,
                    "seq": one.seq,
                    "time": shapes.when(one.at),
                    "ok": one.ok,
                    "findings": one.findings,
                    "covered": round(one.covered, 4),
                }
                for one in proofs
            ],
        }

    def line(self, lineage: bytes) -> Row:
        """For a person: the highest level that was proven last, and when."""
        every = self._proven.get(lineage, [])
        bad = [one for one in every if not one.ok and not _outdone(one, every)]
        last = max(bad or every, key=lambda one: one.level, default=None)
        told = "-"
        if last is not None:
            share = "" if last.covered == 1 else f", {last.covered:.0%}"
            told = f"{'DAMAGED, ' if bad else ''}level {last.level}, {last.at:%Y-%m-%d}{share}"
        return {"held": self._held[lineage], "proven": told}


def _outdone(bad: Proven, every: Iterable[Proven]) -> bool:
    """Whether a later look, at the same level or a higher one, found nothing wrong."""
    return any(one.ok and one.level >= bad.level and one.at > bad.at for one in every)


def _held(repository: Repository, points: Sequence[PointInfo]) -> frozenset[int]:
    """Numbers of those of a lineage's points that are held."""
    from drd.wiring.clock import now  # noqa: PLC0415
    from drd.work.holds import holds_of  # noqa: PLC0415

    return holds_of(repository, None, points[0].lineage, now=now()).seqs if points else frozenset()


def _noted(
    house: House, repository: Repository, lineages: Iterable[Sequence[PointInfo]]
) -> list[str]:
    """What a verify on this host found wrong: a point that is listed need not restore."""
    catalogue = house.spare_catalogue()
    if catalogue is None:
        return []
    notes = [
        (points[-1].name, catalogue.damage_of(repository.tenant, points[-1].lineage))
        for points in lineages
    ]
    return [f"{name}: {note.warning(name)}" for name, note in notes if note is not None]


def meant(name: str | None) -> list[Selector]:
    """What *name* may mean, as :func:`_named` looks for it."""
    from drd.core.selectors import Selector, parse_point  # noqa: PLC0415

    if name is None:
        return []
    try:
        return [Selector(name), parse_point(name)]
    except UsageError:  # told when no image is called that
        return [Selector(name)]


def named(points: list[PointInfo], name: str) -> list[PointInfo]:
    """Points of the lineage of that name, which may look like a POINT: ``SOURCE/db@17``."""
    from drd.core.selectors import Selector, parse_point  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415

    if name in listing.owners(listing.by_lineage(points)):
        return listing.find_lineage(points, Selector(name))
    return listing.find_lineage(points, parse_point(name))


def lineage_row(points: list[PointInfo], *, current: bool) -> Row:
    """A lineage as the contract lists it."""
    full = [point for point in points if point.kind.name == "FULL"]
    last = full[-1]
    return {
        "lineage": last.lineage.hex(),
        "name": last.name,
        "current": current,
        "points": len(full),
        "seq": last.seq,
        "time": shapes.when(last.point_at),
        "bytes_logical": last.size,
        "identity": last.identity,
        "suspect_points": sum(point.suspect for point in full),
    }


def _line(points: list[PointInfo], *, current: bool) -> Row:
    full = [point for point in points if point.kind.name == "FULL"]
    last = full[-1]
    return {
        "name": last.name if current else f"{last.name} (before)",
        "points": len(full),
        "newest": shapes.when(last.point_at),
        "seq": last.seq,
        "size": size(last.size),
        "suspect": sum(point.suspect for point in full),
        "lineage": last.lineage.hex(),
    }


@click.command()
@click.argument("point")
@verb
def show(call: Call, point: str) -> Reply:
    """Show one recovery point in full."""
    from drd.cli.hold import until  # noqa: PLC0415
    from drd.core.selectors import parse_point  # noqa: PLC0415
    from drd.model import Role  # noqa: PLC0415
    from drd.wiring.clock import now  # noqa: PLC0415
    from drd.work import gaps, listing  # noqa: PLC0415
    from drd.work.holds import holds_of  # noqa: PLC0415
    from drd.work.results import proofs_of  # noqa: PLC0415

    house = call.house()
    try:
        repository = house.repository(Role.BACKUP)
        selector = parse_point(point)
        every = listing.known_points(repository, house.spare_catalogue(), of=[selector])
        points = gaps.find_whole(repository, every, selector)
        info = gaps.choose_whole(repository, points, selector)
        keys, opened = listing.open_full(repository, info)
        clear = opened.manifest.clear
        known = holds_of(repository, keys, info.lineage, now=now())
        held = [one.hold for one in known.of(info.seq)]
        row = shapes.point(info) | {"held": bool(held)}
        row.update(
            {
                "identity": info.identity,
                "manifest": info.manifest_key,
                "manifest_sha256": info.manifest_sha256.hex(),
                "predecessor": clear.predecessor[0] if clear.predecessor else None,
                "objects": len(clear.references),
                "metadata_bytes": sum(one.size for one in clear.references),
                "signed_by": opened.manifest.signer.hex(),
                "holds": [
                    {
                        "why": one.why,
                        "by": one.by,
                        "at": shapes.when(one.at),
                        **until(one),
                    }
                    for one in held
                ],
                "proofs": [_proof(one) for one in proofs_of(repository, info.lineage, info.seq)],
                "facts": dict(info.facts),
            }
        )
        reply = Reply(lists={"points": [row]}, warnings=repository.warnings)
        reply.text = [f"{name:18} {value}" for name, value in _flat(row)]
        return reply
    finally:
        house.close()


def _proof(one: Result) -> dict[str, Json]:
    """What was proven last at one level of a run that looked at the point."""
    return {
        "level": one.level,
        "time": shapes.when(one.at),
        "ok": one.ok,
        "findings": one.findings,
        "packs": one.packs,
        "packs_needed": one.of,
        "covered": round(one.covered, 4),
    }


def _flat(row: Mapping[str, object], above: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name, value in row.items():
        if isinstance(value, dict):
            found += _flat(value, f"{above}{name}.")
        else:
            found.append((f"{above}{name}", value))
    return found
