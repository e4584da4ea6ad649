"""``drctl verify --repair``: what was found damaged is put again, and looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from drd.cli.output import Reply, Row
from drd.errors import DrdError, IntegrityError, NotFoundError, StoppedError, UsageError

if TYPE_CHECKING:
    from drd.cli.recording import Wish
    from drd.model import PointInfo
    from drd.ports import Frozen
    from drd.wiring import House
    from drd.work.repair import Repaired
    from drd.work.repository import Repository
    from drd.work.restore import OpenedPoint
    from drd.work.verify import Eyes, Proof

    Proven = list[tuple[PointInfo, Proof]]

PARTIAL = 3
SOURCE_LEVEL = 4
MEANING = {
    "version": "an older version of it was put again",
    "recreated": "made again, byte for byte, from what is whole of it and from the source's snapshot",
    "none": "LOST",
}


def refuse_repair(wish: Wish) -> None:
    """``UsageError`` for what does not go with --repair."""
    if wish.rotate or wish.level == SOURCE_LEVEL:
        raise UsageError(
            "--repair is about all objects of points",
            hint="use it with --level 0, 1 or 2, and without --rotate",
        )


class Repairing:
    """Repairs what proofs found damaged, lineage by lineage, each under its lease."""

    def __init__(
        self,
        house: House,
        repository: Repository,
        eyes: Eyes,
        *,
        points: Sequence[PointInfo],
        reply: Reply,
    ) -> None:
        from drd.work.proving import SOURCE_LEVEL, Prover  # noqa: PLC0415

        self._house, self._repository, self._eyes = house, repository, eyes
        self._points, self._reply = points, reply
        self._prover = Prover(house.sources, repository, SOURCE_LEVEL, eyes)

    def of(
        self, proofs: Proven, again: Callable[[Sequence[PointInfo]], Proven]
    ) -> tuple[Proven, list[Repaired]]:
        """What *proofs* are once all is repaired that can be (*again* looks at points), and the repairs."""
        objects: dict[bytes, list[str]] = {}
        for info, proof in proofs:
            for found in proof.findings:
                if found.about.startswith(("p/", "x/")):
                    objects.setdefault(info.lineage, []).append(found.about)
        repairs: list[Repaired] = []
        for lineage, keys in objects.items():
            if not any(isinstance(one, StoppedError) for one in self._reply.errors):
                repairs += self._lineage(lineage, keys)
        healed = {one.lineage for one in repairs if one.how != "none"}
        some = [info for info, _ in proofs if info.lineage in healed]
        if some:
            rows, hexed = self._reply.lists.get("results", []), {one.hex() for one in healed}
            self._reply.lists["results"] = [one for one in rows if one["lineage"] not in hexed]
            proofs = [*((one, of) for one, of in proofs if one.lineage not in healed), *again(some)]
        self._note(repairs)
        return proofs, repairs

    def _lineage(self, lineage: bytes, keys: Sequence[str]) -> Iterator[Repaired]:
        from drd.wiring.pruning import lease_of  # noqa: PLC0415
        from drd.work.bench import leased  # noqa: PLC0415
        from drd.work.listing import full_points  # noqa: PLC0415
        from drd.work.repair import Tools, repair  # noqa: PLC0415
        from drd.work.verify import Round  # noqa: PLC0415

        points = [one for one in self._points if one.lineage == lineage]
        full = [one for one in full_points(points) if not one.doomed]
        tools = Tools(self._reopen, self._house.report)
        try:
            # A prune must not delete what is put here, nor a backup remove the snapshot that is read.
            with leased(lease_of(self._house, points), points[-1].identity, points[-1].name):
                yield from repair(Round(self._repository, 2, self._eyes), full, keys, tools)
        except DrdError as error:
            error.about = error.about or points[-1].name
            self._reply.errors.append(error)

    @contextmanager
    def _reopen(self, opened: OpenedPoint) -> Iterator[Frozen]:
        from drd.work.history import point_info  # noqa: PLC0415
        from drd.work.making import snapshot_of  # noqa: PLC0415

        source, found = self._prover.source_of(point_info(opened.point))
        snapshot = snapshot_of(opened.point.table("snapshot"))
        if snapshot is None:
            raise NotFoundError("the point names no snapshot", about=found.label)
        with source.reopen(found, snapshot) as frozen:
            yield frozen

    def _note(self, repairs: Sequence[Repaired]) -> None:
        """Packs that stay lost, so that the next backup on this host puts again what it needs of them."""
        from drd.model import Damage  # noqa: PLC0415
        from drd.wiring.clock import now  # noqa: PLC0415

        catalogue, tenant = self._house.spare_catalogue(), self._repository.tenant
        lost: dict[bytes, set[bytes]] = {}
        for one in repairs:
            if one.how == "none" and one.pack is not None:
                lost.setdefault(one.lineage, set()).add(one.pack)
        for lineage, packs in lost.items():
            if catalogue is not None:
                newest = max(one.seq for one in self._points if one.lineage == lineage)
                known = catalogue.damage_of(tenant, lineage)
                known = known or Damage(newest, 1, now(), "a repair could not heal all of it")
                noted = tuple(sorted(packs | set(known.packs)))
                catalogue.note_damage(tenant, lineage, replace(known, packs=noted))


def tell_repairs(reply: Reply, repairs: Sequence[Repaired]) -> None:
    """Put *repairs* into *reply*, and the exit code of what was healed in part."""
    reply.lists["repairs"] = [_row(one) for one in repairs]
    for one in repairs:
        why = f": {one.why}" if one.why else ""
        reply.text.append(f"{one.key}: {MEANING[one.how]}{why}")
        reply.text += [
            f"{lost.point}: bytes {lost.where.offset} to {lost.where.end} are lost"
            for lost in one.lost
        ]
    if any(one.how == "none" and one.pack for one in repairs):
        reply.text.append("the next backup on this host puts again what its newest point lacks")
    hows = {one.how == "none" for one in repairs}
    only_damage = all(isinstance(one, IntegrityError) for one in reply.errors)
    if len(hows) > 1 and reply.errors and only_damage:
        reply.forced_exit = PARTIAL


def _row(one: Repaired) -> Row:
    return {
        "object": one.key,
        "lineage": one.lineage.hex(),
        "how": one.how,
        "why": one.why,
        "points": list(one.points),
        "ranges": [
            {"point": lost.point, "offset": lost.where.offset, "length": lost.where.length}
            for lost in one.lost
        ],
    }
