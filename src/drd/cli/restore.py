"""``drctl restore``."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from drd.cli import shapes
from drd.cli.common import Call, sheet_options, verb
from drd.cli.output import Reply, size
from drd.errors import (
    IntegrityError,
    NotFoundError,
    ObjectMissingError,
    RefusedError,
    UsageError,
)

if TYPE_CHECKING:
    from drd.model import Json, PointInfo
    from drd.ports import Target
    from drd.wiring import House
    from drd.work.repository import Repository
    from drd.work.restore import Hands, OpenedPoint, Outcome, RestorePlan

PIPE = "-"


@click.command()
@click.argument("point")
@click.option(
    "--to",
    required=True,
    metavar="TARGET",
    help="rbd:POOL[/NS]/IMAGE, file:PATH, device:PATH, or - for stdout.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace what is there (at the end; needed for device:)."
)
@click.option("--dry-run", is_flag=True, help="Print the plan; fetch no data, write nothing.")
@click.option("--best-effort", is_flag=True, help="In spite of damage write what is good; exits 3.")
@click.option(
    "--expect-head",
    type=click.IntRange(min=0),
    metavar="SEQ",
    help="Sequence number that the newest point must have at least.",
)
@sheet_options
@click.option(
    "--ceph-conf",
    metavar="FILE",
    help="For rbd: targets (else that of the first rbd source, else /etc/ceph/ceph.conf).",
)
@click.option(
    "--ceph-client",
    metavar="NAME",
    help="For rbd: targets (else that of the first rbd source, else client.admin).",
)
@verb
def restore(call: Call, point: str, **options: Any) -> Reply:
    """Restore a recovery point.

    Nothing appears under the target's name before the root digest of what was written is the one that
    was backed up. Without --config, --sheet takes address and endpoint from the sheet, and the S3 keys from
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, where there is one).
    """
    call.to_stderr = options["to"] == PIPE
    if options["to"] == PIPE and not options["dry_run"] and _is_terminal(sys.stdout):
        raise UsageError(
            "standard output is a terminal, and a whole image would be written to it",
            about="--to -",
            hint="send it on: drctl restore POINT --to - > image.raw",
        )
    house = call.house_of_sheet(options, progress="restore")
    try:
        return _restore(house, point, options)
    finally:
        house.close()


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _restore(house: House, text: str, options: dict[str, Any]) -> Reply:
    from drd.core.selectors import parse_point  # noqa: PLC0415
    from drd.model import Role  # noqa: PLC0415
    from drd.wiring.adapters import make_target, target_access  # noqa: PLC0415
    from drd.wiring.naming import look_up  # noqa: PLC0415
    from drd.work import gaps, listing  # noqa: PLC0415
    from drd.work.restore import OpenedPoint, plan  # noqa: PLC0415

    selector = parse_point(text)
    access = target_access(house.config, conf=options["ceph_conf"], client=options["ceph_client"])
    target = make_target(options["to"], access, overwrite=options["overwrite"])
    repository = house.repository(Role.RESTORE)
    hands = house.hands()
    looked = look_up(house, repository, selector, hands.transfers)
    known, every = looked.before, looked.points
    seen, made = _heads(known), _heads(one for one in known if one.committed_here)
    points = gaps.find_whole(repository, every, selector)
    head, lineage = options["expect_head"] or 0, points[0].lineage
    _check_owner(selector.name, lineage, [*known, *every])
    freshness = _freshness(
        points, seen=max(seen.get(lineage, 0), head), proven=max(made.get(lineage, 0), head)
    )
    info = gaps.choose_whole(repository, points, selector)
    gaps.refuse_doomed(info, points)
    keys, point = listing.open_full(repository, info)
    opened = OpenedPoint(repository, keys, point)
    opened.warm(hands.transfers)
    planned = plan(opened)
    reply = Reply(warnings=repository.warnings)
    reply.facts = {"plan": _plan_json(planned), **freshness}
    reply.text = [str(freshness["freshness"])]
    if info.suspect:
        reply.warnings.append("a later backup found this point suspect: see 'drctl show'")
    if options["dry_run"]:
        reply.lists["points"] = [shapes.point(info)]
        reply.text += _plan_text(planned, target.name)
        return reply
    outcome = _put_back_held(
        house, opened, info, target=target, hands=hands, best_effort=options["best_effort"]
    )
    _tell(reply, info, outcome, target.name, best_effort=options["best_effort"])
    wrong = {one.pack for one in outcome.damage}
    if outcome.damage and not _was_deleted(house, opened, info, reply, wrong=wrong):
        _affected(reply, outcome, points, repository)
    return reply


def _put_back_held(
    house: House,
    opened: OpenedPoint,
    info: PointInfo,
    *,
    target: Target,
    hands: Hands,
    best_effort: bool,
) -> Outcome:
    """Restore, with the point held meanwhile. What fails because a prune deleted it is told as that."""
    from drd.wiring.keeping import held_meanwhile, ledger_of  # noqa: PLC0415
    from drd.work.keeping import refuse_deleted  # noqa: PLC0415

    try:
        with held_meanwhile(house, opened.repository, info):
            return _put_back(opened, target, hands, best_effort=best_effort)
    except (IntegrityError, ObjectMissingError) as error:
        try:
            more = refuse_deleted(opened.repository, info, ledger_of(house), wrong=[error.about])
        except NotFoundError as deleted:
            deleted.hint = "; ".join(filter(None, (error.hint, deleted.hint)))
            raise deleted from error
        if more:
            error.hint = f"{error.hint or error.next_step}; {more}"
        raise


def _was_deleted(
    house: House, opened: OpenedPoint, info: PointInfo, reply: Reply, *, wrong: Collection[str]
) -> bool:
    """Whether a prune deleted the point while it was restored: then that is told in place of damage. Of
    one that is only doomed the hint of the damage says so.
    """
    from drd.wiring.keeping import ledger_of  # noqa: PLC0415
    from drd.work.keeping import refuse_deleted  # noqa: PLC0415

    try:
        more = refuse_deleted(opened.repository, info, ledger_of(house), wrong=wrong)
    except NotFoundError as deleted:
        hints = [one.hint for one in reply.errors]
        deleted.hint = "; ".join([*hints, deleted.hint])
        reply.errors = [deleted]
        return True
    for one in reply.errors if more else ():
        one.hint = f"{one.hint}; {more}"
    return False


def _put_back(opened: OpenedPoint, target: Target, hands: Hands, *, best_effort: bool) -> Outcome:
    """Restore. What the target has to say is told with the other warnings, of a failure, too: there it
    is what was left behind.
    """
    from drd.work.restore import restore as put_back  # noqa: PLC0415

    try:
        return put_back(opened, target, hands, best_effort=best_effort)
    finally:
        opened.repository.warnings.extend(target.warnings)


def _heads(points: Iterable[PointInfo]) -> dict[bytes, int]:
    """The newest number of each lineage among *points*."""
    return {point.lineage: point.seq for point in sorted(points, key=lambda one: one.seq)}


def _check_owner(name: str, lineage: bytes, points: Iterable[PointInfo]) -> None:
    """An image that was made anew has a lineage of its own; to hide all of it shows the old one.

    Args:
        name: what the operator called the image: a lineage is also called by its id.
        lineage: the one that has this name in the bucket.
        points: those in the bucket, and those that were ever known here.

    Raises:
        RefusedError: another lineage has the name by now.
    """
    from drd.work.listing import by_lineage, owners  # noqa: PLC0415

    lineages = by_lineage(points)
    owner = owners(lineages).get(name, lineage)
    if owner == lineage:
        return
    last = lineages[owner][-1]
    raise RefusedError(
        f"the newest backup of this name is point {last.seq} of a newer image (lineage {owner.hex()}), "
        "and the bucket does not show it",
        about=name,
        hint="the bucket is older than it should be, or somebody hides points: ask its owner; "
        f"to restore the older image, call it {lineage.hex()}; when it is understood why, 'drctl "
        "catalogue rebuild' forgets what this host knows",
    )


def _freshness(points: Sequence[PointInfo], *, seen: int, proven: int) -> dict[str, Json]:
    """Say how new the newest point is, and whether anything outside the bucket confirms it.

    Args:
        points: those of the lineage, by number, partial ones included.
        seen: the newest number that was ever known here, from the bucket or not; 0 when none was.
        proven: the newest number that somebody else than the bucket vouches for: this host, which
            committed it, or the operator; 0 when nobody does.

    Raises:
        RefusedError: the bucket hides points that must be there.
    """
    from drd.wiring.clock import now  # noqa: PLC0415
    from drd.work.listing import full_points  # noqa: PLC0415

    newest = (full_points(points) or points)[-1]
    if seen > points[-1].seq:
        raise RefusedError(
            f"the newest point in the bucket is {newest.seq}, but point {seen} is known to exist",
            about=newest.name,
            hint="the bucket is older than it should be, or somebody hides points: ask its owner; "
            "to restore all the same, leave --expect-head out, and let 'drctl catalogue rebuild' "
            "forget what this host knows",
        )
    age = int((now() - newest.point_at).total_seconds())
    proof = "confirmed" if proven >= newest.seq else "freshness unproven"
    told = f"newest point: {newest.name}@{newest.seq}, {shapes.when(newest.point_at)}, {age} s old"
    return {"freshness": f"{told}; {proof}", "newest_seq": newest.seq, "newest_age_s": age}


def _plan_json(planned: RestorePlan) -> dict[str, Json]:
    return {
        "name": planned.name,
        "seq": planned.seq,
        "bytes_logical": planned.size,
        "bytes_data": planned.bytes_data,
        "bytes_stored": planned.bytes_stored,
        "requests": planned.requests,
        "packs": planned.packs,
        "keys": [f"generation {number}" for number in planned.generations],
    }


def _plan_text(planned: RestorePlan, target: str) -> list[str]:
    keys = ", ".join(f"generation {number}" for number in planned.generations) or "none"
    return [
        f"restore      {planned.name}@{planned.seq} of {shapes.when(planned.point_at)} to {target}",
        f"size         {size(planned.size)}, of which {size(planned.bytes_data)} is data",
        f"fetch        {size(planned.bytes_stored)} from {planned.packs} packs",
        f"requests     {planned.requests}",
        f"keys         {keys}",
        "nothing was written (--dry-run)",
    ]


def _tell(
    reply: Reply, info: PointInfo, outcome: Outcome, target: str, *, best_effort: bool
) -> None:
    row = shapes.point(info)
    row.update(
        {
            "target": target,
            "bytes_written": outcome.bytes_written,
            "root": outcome.root.hex(),
            "proven": outcome.proven,
            "left_at": outcome.left_at or None,
        }
    )
    reply.lists["points"] = [row]
    if outcome.proven and not outcome.damage:
        reply.done = 1
        reply.text.append(
            f"restored     {info.name}@{info.seq} to {target}: {size(outcome.bytes_written)} written, "
            f"root digest {outcome.root.hex()[:16]}… proven"
        )
        return
    reply.errors.append(
        IntegrityError(
            _what_is_wrong(outcome),
            about=f"{info.name}@{info.seq}",
            hint=_left(outcome, target, best_effort=best_effort),
        )
    )
    if best_effort:
        reply.forced_exit = 3


def _what_is_wrong(outcome: Outcome) -> str:
    if not outcome.damage:
        return "what was put together has another root digest than what was backed up"
    lost = sum(one.where.length for one in outcome.damage)
    return f"{lost} bytes in {len(outcome.damage)} ranges are lost"


def _left(outcome: Outcome, target: str, *, best_effort: bool) -> str:
    if best_effort:
        return f"what is good was written to {target}, with zeros in place of what is lost"
    left = f"what is good was left at {outcome.left_at}; " if outcome.left_at else ""
    return f"{left}restore another point, or use --best-effort"


def _affected(
    reply: Reply, outcome: Outcome, points: list[PointInfo], repository: Repository
) -> None:
    """Exact ranges, and which other points need what is damaged."""
    from drd.work.affected import points_that_need  # noqa: PLC0415

    packs = {one.pack for one in outcome.damage if one.pack}
    shared: dict[str, list[str]] = {pack: [] for pack in packs}
    try:
        for pack, needing in points_that_need(repository, points, packs):
            shared[pack].append(needing)
    except KeyboardInterrupt:  # the restore is over, and what it found must be told
        reply.warnings.append("interrupted: other points may need what is damaged, too")
    reply.lists["findings"] = [
        {
            "offset": one.where.offset,
            "length": one.where.length,
            "object": one.pack,
            "message": one.why,
            "points": list(shared.get(one.pack, [])),
        }
        for one in outcome.damage
    ]
    reply.shown = [
        {
            "lost from": one.where.offset,
            "to": one.where.end,
            "object": one.pack,
            "why": one.why,
            "also in": ", ".join(shared.get(one.pack, [])),
        }
        for one in outcome.damage
    ]
