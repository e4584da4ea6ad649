"""``drctl verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drd.cli.common import Call, verb
from drd.cli.output import Reply, Row, size
from drd.errors import DrdError, IntegrityError, NotFoundError, UsageError

if TYPE_CHECKING:
    from drd.model import Found, PointInfo
    from drd.ports import Source
    from drd.wiring import House
    from drd.work.repository import Repository
    from drd.work.verify import Proof

SOURCE_LEVEL = 4
MEANING = {
    0: "objects present",
    1: "hashes right",
    2: "everything decrypts",
    4: "equal to the source's snapshot",
}


@click.command()
@click.argument("names", nargs=-1, metavar="[POINT|NAME|GLOB]...")
@click.option(
    "--level",
    type=click.Choice(["0", "1", "2", "4"]),
    default="1",
    show_default=True,
    help="0 present, 1 hashes, 2 decrypt all, 4 against the source's snapshot.",
)
@click.option("--all", "every", is_flag=True, help="Every point, not just the newest of each name.")
@verb
def verify(call: Call, names: tuple[str, ...], level: str, *, every: bool) -> Reply:
    """Prove that recovery points are there, whole, readable, or equal to their source."""
    from drd.model import Role  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415

    house = call.house(progress="verify")
    try:
        # Not through the cache: what is to be proven is what the bucket has.
        repository = house.repository(Role.VERIFY, cached=False)
        points = listing.known_points(repository, house.catalogue())
        reply = Reply()
        proofs = []
        for info in _choose(points, names, every=every, reply=reply):
            try:
                proofs.append(_prove(house, repository, info, int(level)))
            except DrdError as error:
                error.about = error.about or f"{info.name}@{info.seq}"
                reply.errors.append(error)
        _tell(reply, proofs)
        reply.warnings = repository.warnings
        return reply
    finally:
        house.close()


def _choose(
    points: list[PointInfo], names: tuple[str, ...], *, every: bool, reply: Reply
) -> list[PointInfo]:
    from drd.core.selectors import choose, parse_point  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415

    chosen: dict[tuple[bytes, int], PointInfo] = {}
    for name in names or ("",):
        try:
            selector = parse_point(name) if name else None
            if selector is not None and (selector.seq is not None or selector.at is not None):
                lineage = listing.find_lineage(points, selector)
                picked = [choose(lineage, selector)]
            else:
                pattern = selector.name if selector else ""
                picked = []
                for lineage in listing.matching(points, [pattern] if pattern else []):
                    full = listing.full_points(lineage)
                    picked += full if every else full[-1:]
        except UsageError:
            raise
        except DrdError as error:
            reply.errors.append(error)
            continue
        chosen.update({(one.lineage, one.seq): one for one in picked})
    return list(chosen.values())


def _prove(house: House, repository: Repository, info: PointInfo, level: int) -> Proof:
    from drd.work import listing  # noqa: PLC0415
    from drd.work import verify as verifying  # noqa: PLC0415
    from drd.work.restore import OpenedPoint  # noqa: PLC0415

    keys, point = listing.open_full(repository, info)
    opened = OpenedPoint(repository, keys, point)
    name = f"{info.name}@{info.seq}"
    eyes = house.eyes()
    if level != SOURCE_LEVEL:
        return verifying.verify_objects(opened, level, eyes, point=name)
    source, found = _source_of(house, info)
    return verifying.verify_source(opened, source, found, eyes, point=name)


def _source_of(house: House, info: PointInfo) -> tuple[Source, Found]:
    """The image that a point was made of.

    Raises:
        NotFoundError: no source of the configuration has it any more.
    """
    for source in house.sources():
        for found in source.discover():
            if found.identity == info.identity:
                return source, found
    raise NotFoundError(
        "no source of the configuration has this image any more",
        about=info.name,
        hint="level 4 compares with the source; use --level 2",
    )


def _tell(reply: Reply, proofs: list[Proof]) -> None:
    reply.lists["findings"] = [
        {
            "point": finding.point,
            "object": finding.about,
            "message": finding.what,
            "offset": finding.offset,
            "length": finding.length,
        }
        for proof in proofs
        for finding in proof.findings
    ]
    reply.lists["points"] = [_proof(proof) for proof in proofs]
    reply.shown = [
        {
            "point": proof.point,
            "level": proof.level,
            "proven": MEANING[proof.level] if not proof.findings else "NOT PROVEN",
            "looked at": size(proof.bytes),
            "findings": len(proof.findings),
        }
        for proof in proofs
    ]
    reply.text += [
        f"{finding.point}: {finding.about or finding.offset}: {finding.what}"
        for proof in proofs
        for finding in proof.findings
    ]
    bad = [proof for proof in proofs if proof.findings]
    for proof in bad:
        reply.errors.append(
            IntegrityError(
                f"level {proof.level}: {len(proof.findings)} findings",
                about=proof.point,
                hint="restore another point, or this one with --best-effort",
            )
        )
    # Damage in one point is damage, however many others are good.
    reply.done = 0 if bad else len(proofs)


def _proof(proof: Proof) -> Row:
    return {
        "point": proof.point,
        "level": proof.level,
        "proven": MEANING[proof.level] if not proof.findings else "",
        "ok": not proof.findings,
        "objects": proof.objects,
        "bytes": proof.bytes,
    }
