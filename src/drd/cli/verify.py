"""``drctl verify``."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from drd.cli.common import Call, stopped, unexpected, verb
from drd.cli.output import Reply, Row, size
from drd.errors import (
    DrdError,
    IntegrityError,
    NotFoundError,
    ObjectMissingError,
    StoppedError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from drd.cli.recording import Recorder, Wish
    from drd.core.selectors import Selector
    from drd.model import PointInfo
    from drd.wiring import House
    from drd.work.hidden import Hidden
    from drd.work.proving import Prover
    from drd.work.repair import Repaired
    from drd.work.repository import Repository
    from drd.work.rotating import Rotation
    from drd.work.verify import Eyes, Proof

MEANING = {
    0: "objects present",
    1: "hashes right",
    2: "everything decrypts",
    4: "equal to the source's snapshot",
}


BYTES_LEVEL = 2
"""The highest level at which a repair works."""
GONE_HINT = (
    "somebody hides or removed it, or the bucket is older than it should be: ask its owner, put back older "
    "versions of the objects, or a copy; when it is understood, 'drctl catalogue rebuild' accepts what "
    "the bucket has now"
)


@click.command()
@click.argument("names", nargs=-1, metavar="[POINT|NAME|GLOB]...")
@click.option(
    "--level",
    type=click.Choice(["0", "1", "2", "4"]),
    help="0 present, 1 hashes, 2 decrypt all, 4 against the source's snapshot. Default: 1; with --rotate "
    "the policy's.",
)
@click.option("--all", "every", is_flag=True, help="Every point, not just the newest of each name.")
@click.option(
    "--rotate",
    is_flag=True,
    help="Of all points those packs whose turn it is: verify = {level, every, coverage} of the policy.",
)
@click.option("--policy", default="", help="With --rotate: not the policy that the image has.")
@click.option(
    "--repair",
    is_flag=True,
    help="Put damaged objects again, as they were: from older versions, or the source's snapshot.",
)
@click.option(
    "--no-record", is_flag=True, help="Do not write the result to the bucket as a signed object."
)
@verb
def verify(call: Call, names: tuple[str, ...], **options: Any) -> Reply:
    """Prove that recovery points are there, whole, readable, or equal to their source."""
    from drd.cli.recording import DEFAULT_LEVEL, Wish  # noqa: PLC0415
    from drd.cli.repairing import Repairing, refuse_repair, tell_repairs  # noqa: PLC0415
    from drd.model import Role  # noqa: PLC0415
    from drd.work import listing  # noqa: PLC0415
    from drd.work.hidden import Hidden  # noqa: PLC0415

    level = None if options["level"] is None else int(options["level"])
    wish = Wish(level, rotate=options["rotate"], policy=options["policy"])
    wish.check(names)
    if options["repair"]:
        refuse_repair(wish)
    house = call.house(progress="verify")
    try:
        # Not through the cache: what is to be proven is what the bucket has.
        repository = house.repository(Role.VERIFY, cached=False)
        eyes = house.eyes()
        looked = listing.look(
            repository, house.known_here(), each=_meant(names), pool=eyes.transfers
        )
        points = looked.points
        reply = Reply()
        hidden = Hidden(looked.before, points)
        every = options["every"] or wish.rotate
        chosen = _Chosen(repository, points, hidden, every=every).chosen(names, reply)
        look = _Look(house, repository, eyes, reply, record=not options["no_record"])
        look.named = bool(names)
        proofs = look.at(chosen, wish)
        repairs: list[Repaired] = []
        if options["repair"]:
            repairing = Repairing(house, repository, eyes, points=points, reply=reply)
            proofs, repairs = repairing.of(proofs, lambda some: look.at(some, wish))
        proofs = [*_missed(hidden, names, DEFAULT_LEVEL if level is None else level), *proofs]
        _look_besides(repository, looked.lineages, reply, named=bool(names), chosen=chosen)
        tell(reply, proofs, repaired=bool(options["repair"]))
        tell_repairs(reply, repairs)
        reply.warnings = repository.warnings
        return reply
    finally:
        house.close()


def _meant(names: Sequence[str]) -> list[list[Selector]]:
    """What each of *names* means; nothing (and so all is looked at) where one is a pattern."""
    from drd.core.selectors import parse_point  # noqa: PLC0415

    selectors = [parse_point(name) for name in names]
    if any(set(one.name) & set("*?[") for one in selectors):
        return []
    return [[one] for one in selectors]


class _Look:
    """A look at points, each at the level that is asked of it, and what is written down of it."""

    def __init__(
        self, house: House, repository: Repository, eyes: Eyes, reply: Reply, *, record: bool
    ) -> None:
        self._house = house
        self._repository = repository
        self._eyes = eyes
        self._reply = reply
        self._record = record
        self.named = True
        """Whether somebody named what is looked at: else it is all."""

    def at(self, chosen: Sequence[PointInfo], wish: Wish) -> list[tuple[PointInfo, Proof]]:
        """Prove *chosen*; those of one level and one rotation in one round."""
        from drd.cli.recording import Plans  # noqa: PLC0415
        from drd.work import listing  # noqa: PLC0415
        from drd.work.proving import SOURCE_LEVEL  # noqa: PLC0415

        plans = Plans(wish, self._house.config)
        groups: dict[tuple[int, Rotation | None], list[PointInfo]] = {}
        if not wish.rotate:
            groups = {plans.of(info): list(chosen) for info in chosen[:1]}
        for points in listing.by_lineage(chosen if wish.rotate else ()).values():
            try:
                plan = plans.of(points[-1], named=self.named or bool(wish.policy))
            except NotFoundError as error:
                if wish.policy:
                    raise
                error.about = f"{points[-1].name}: {error.about}"
                self._reply.errors.append(error)
                continue
            of_source = plan[0] == SOURCE_LEVEL
            groups.setdefault(plan, []).extend(points[-1:] if of_source else points)
        proofs: list[tuple[PointInfo, Proof]] = []
        for (level, rotation), some in groups.items():
            if not any(isinstance(one, StoppedError) for one in self._reply.errors):
                proofs += self._round(some, level, rotation)
        return proofs

    def _round(
        self, some: Sequence[PointInfo], level: int, rotation: Rotation | None
    ) -> list[tuple[PointInfo, Proof]]:
        from drd.cli.recording import turns  # noqa: PLC0415
        from drd.wiring.clock import now  # noqa: PLC0415
        from drd.work.keeping import without_deleted  # noqa: PLC0415
        from drd.work.noting import note_damage  # noqa: PLC0415
        from drd.work.proving import Prover  # noqa: PLC0415

        house, repository, reply = self._house, self._repository, self._reply
        prover = Prover(house.sources, repository, level, self._eyes)
        began = now()
        rotated = {}
        if rotation is not None:
            planned = turns(
                repository, some, prover.round, rotation=rotation, when=began, reply=reply
            )
            some = [one for one in some if one.lineage in planned]
            rotated = {lineage: (turn, rotation) for lineage, turn in planned.items()}
        catalogue = house.spare_catalogue()
        ledger = catalogue.ledger if catalogue is not None else None
        proofs = without_deleted(repository, prove_each(some, prover, reply), ledger)
        if catalogue is not None:
            note_damage(catalogue, repository.tenant, proofs, now=began)
        looked = {(info.lineage, info.seq) for info, _ in proofs}
        missed = {one.lineage for one in some if (one.lineage, one.seq) not in looked}
        finished = {one.lineage for one in some} - missed - prover.cut
        self._recorder().record(
            proofs, prover.round, began, finished=finished, rotated=rotated, reply=reply
        )
        return proofs

    def _recorder(self) -> Recorder:
        import os  # noqa: PLC0415

        from drd.cli.recording import Recorder  # noqa: PLC0415
        from drd.wiring.person import caller  # noqa: PLC0415
        from drd.work.results import Scribe  # noqa: PLC0415

        scribe = Scribe(caller(), os.urandom) if self._record else None
        return Recorder(self._repository, self._house.spare_catalogue(), scribe)


def _missed(hidden: Hidden, names: Sequence[str], level: int) -> Iterator[tuple[PointInfo, Proof]]:
    """Newest points of what was named (of everything, without *names*) that the bucket has not any more."""
    from drd.core.selectors import parse_point  # noqa: PLC0415
    from drd.work.verify import Finding, Proof  # noqa: PLC0415

    meant = [one for name in names for one in hidden.meant_by(parse_point(name))]
    for info in {one.manifest_key: one for one in (meant if names else hidden.points)}.values():
        point = f"{info.name}@{info.seq}"
        what = f"is gone: this host knew it as the newest point of lineage {info.lineage.hex()}"
        yield (
            info,
            Proof(point, level, 0, 0, (Finding(point, info.manifest_key, what),), hint=GONE_HINT),
        )


def prove_each(
    chosen: Iterable[PointInfo], prover: Prover, reply: Reply
) -> list[tuple[PointInfo, Proof]]:
    """Look at each point; what ends the look at one goes to the errors of *reply*, and what was found
    of it until then is kept. Ctrl-C ends all.
    """
    proofs: list[tuple[PointInfo, Proof]] = []
    for info in chosen:
        name = f"{info.name}@{info.seq}"
        try:
            proofs.append((info, prover.prove(info)))
            continue
        except DrdError as error:
            if _deleted_meanwhile(prover, info, error):
                continue
            error.about = error.about or name
            failure = error
        except KeyboardInterrupt as stop:
            failure = stopped(stop, name)
        except Exception as error:  # noqa: BLE001 - a bug met with one point must not hide the others
            failure = unexpected(error, name)
        if failure not in reply.errors:  # one of a whole source is told once
            reply.errors.append(failure)
        proofs += [(info, proof) for proof in prover.cut_short(info)]
        if isinstance(failure, StoppedError):
            break
    return proofs


def _deleted_meanwhile(prover: Prover, info: PointInfo, error: DrdError) -> bool:
    """Whether the look at a point failed because a prune deleted it: that is a warning."""
    from drd.work.keeping import is_passed_over  # noqa: PLC0415

    repository = prover.round.repository
    missing = isinstance(error, ObjectMissingError | IntegrityError)
    if not missing or not is_passed_over(repository, info, error, None):
        return False
    prover.round.take()
    return True


def _look_besides(
    repository: Repository,
    known: Container[bytes],
    reply: Reply,
    *,
    named: bool,
    chosen: Sequence[PointInfo],
) -> None:
    """Lineages that nothing opens, the reader, the slots of the chosen lineages, and strangers among
    their objects. What ends this is one more error: what was found until now must be told.
    """
    from drd.work import besides  # noqa: PLC0415
    from drd.work.strangers import warn_of_strangers  # noqa: PLC0415

    if any(isinstance(error, StoppedError) for error in reply.errors):
        return
    try:
        _look_for_shut(repository, known, reply, named=named)
        try:
            besides.check_reader(repository)
        except IntegrityError as error:
            reply.errors.append(error)
        for lineage, name in dict.fromkeys((info.lineage, info.name) for info in chosen):
            repository.warnings.extend(besides.slots_wanting(repository, lineage, name))
        warn_of_strangers(repository, dict.fromkeys(info.lineage for info in chosen))
    except DrdError as error:
        reply.errors.append(error)
    except KeyboardInterrupt as stop:
        reply.errors.append(stopped(stop))


def _look_for_shut(
    repository: Repository, known: Container[bytes], reply: Reply, *, named: bool
) -> None:
    from drd.work import gaps  # noqa: PLC0415

    unknown = [error for error in reply.errors if isinstance(error, NotFoundError)]
    shut = list(gaps.locked(repository, known)) if unknown or not named else []
    if shut:  # what was not found may be what cannot be opened
        reply.errors = [error for error in reply.errors if error not in unknown] + list(shut)


class _Chosen:
    """The points that names, patterns and numbers mean."""

    def __init__(
        self, repository: Repository, points: Sequence[PointInfo], hidden: Hidden, *, every: bool
    ) -> None:
        self._repository = repository
        self._points = points
        self._hidden = hidden
        self._every = every

    def chosen(self, names: Sequence[str], reply: Reply) -> list[PointInfo]:
        """Each once; what means nothing, or something damaged, goes to the errors of *reply*."""
        found: dict[tuple[bytes, int], PointInfo] = {}
        for lineage, text in self._lineages(names, reply):
            try:
                picked = self._pick(lineage, text)
            except UsageError:
                raise
            except DrdError as error:
                self._not_chosen(error, text, reply)
                continue
            found.update({(one.lineage, one.seq): one for one in picked})
        return list(found.values())

    def _lineages(
        self, names: Sequence[str], reply: Reply
    ) -> Iterator[tuple[Sequence[PointInfo], str]]:
        """Each lineage that is meant, with the POINT by which it was named (``""`` for a pattern)."""
        from drd.core.selectors import parse_point  # noqa: PLC0415
        from drd.work import gaps, listing  # noqa: PLC0415

        if not names and self._every:
            yield from ((one, "") for one in listing.by_lineage(self._points).values())
        elif not names:
            yield from ((one, "") for one in listing.matching(self._points, []))
        for name in names:
            selector = parse_point(name)
            try:
                if selector.seq is not None or selector.at is not None:
                    yield gaps.find_whole(self._repository, self._points, selector), name
                    continue
                for one in listing.matching(self._points, [selector.name]):
                    yield one, ""
            except DrdError as error:
                self._not_chosen(error, name, reply)

    def _not_chosen(self, error: DrdError, name: str, reply: Reply) -> None:
        """What was known here and is gone is a finding, and not a name that is wrong."""
        from drd.core.selectors import parse_point  # noqa: PLC0415

        wrong = isinstance(error, NotFoundError) and name
        if not wrong or not self._hidden.meant_by(parse_point(name)):
            reply.errors.append(error)

    def _pick(self, lineage: Sequence[PointInfo], text: str) -> list[PointInfo]:
        """The points of one lineage: the one that *text* means, or the newest, or every one."""
        from drd.core.selectors import Selector, parse_point  # noqa: PLC0415
        from drd.work import gaps, listing  # noqa: PLC0415

        if text:
            chosen = gaps.choose_whole(self._repository, lineage, parse_point(text))
            gaps.refuse_doomed(chosen)
            return [chosen]
        full = [one for one in listing.full_points(lineage) if not one.doomed]
        if not full:
            return []
        newest = gaps.choose_whole(self._repository, lineage, Selector(full[-1].name))
        return full if self._every else [newest]


def tell(
    reply: Reply, proven: Sequence[tuple[PointInfo, Proof]], *, repaired: bool = False
) -> None:
    """Put what was *proven*, and what was found wrong, into *reply*: damage before all other errors."""
    from drd.cli.recording import told  # noqa: PLC0415

    proofs = [proof for _, proof in proven]
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
    reply.lists["points"] = [_proof(info, proof) for info, proof in proven]
    results = reply.lists.setdefault("results", [])
    reply.shown = [
        {
            "point": proof.point,
            "level": proof.level,
            "proven": _meaning(proof) or "NOT PROVEN",
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
    reply.text += told(results)
    if not proofs and not reply.errors:
        reply.text.append("no recovery points yet: nothing was proven")
    bad = [proof for proof in proofs if proof.findings]
    for proof in bad:
        reply.errors.append(
            IntegrityError(
                f"level {proof.level}: {len(proof.findings)} findings",
                about=proof.point,
                hint=hint_of(proof, repaired=repaired),
            )
        )
    # Damage in one point, or beside them, is damage, however many others are good; it is told first.
    damage = [error for error in reply.errors if isinstance(error, IntegrityError)]
    others = [error for error in reply.errors if not isinstance(error, IntegrityError)]
    reply.errors = [*damage, *others]
    reply.done = 0 if damage else len(proofs)
    if not damage and any(isinstance(error, StoppedError) for error in others):
        reply.forced_exit = StoppedError.exit_code


def hint_of(proof: Proof, *, repaired: bool) -> str:
    """What to do about the findings of *proof*: to heal them comes first, where that was not tried yet and
    can be: of a manifest that is gone, or of what the source has otherwise, nothing can.
    """
    if repaired or proof.hint == GONE_HINT or proof.level > BYTES_LEVEL:
        return proof.hint
    name = quote(proof.point.rpartition("@")[0])
    return f"'drctl verify {name} --all --repair --level 2' heals what it can; {proof.hint}"


def _meaning(proof: Proof) -> str:
    """What was proven; nothing where something was found wrong."""
    if proof.findings:
        return ""
    return MEANING[proof.level] + ("" if proof.whole else ", of the packs of this turn")


def _proof(info: PointInfo, proof: Proof) -> Row:
    return {
        "point": proof.point,
        "lineage": info.lineage.hex(),
        "name": info.name,
        "seq": info.seq,
        "level": proof.level,
        "proven": _meaning(proof),
        "ok": not proof.findings,
        "objects": proof.objects,
        "bytes": proof.bytes,
    }
