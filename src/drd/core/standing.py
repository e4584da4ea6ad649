"""What stands now of each image and lineage: the lines of ``drctl status``, and the daemon's metrics.

Rules, and the order in which they are asked (``model.State`` has the words):

1. An image that its source does not show is *gone*; no point of it is wanted, so it has no RPO and no
   next run. A lineage that belongs to no image that was ever seen here is *elsewhere*. Damage is told
   of these, too: somebody may want to restore them.
2. An image that no policy covers is *unprotected*, whatever points it has.
3. *Late* is a newest point older than the RPO, by the time of its snapshot; *never* an image without
   any that was first seen longer ago. That a run is under way, or failed, changes nothing of it.
4. Then *damaged*, then *failing*: its last run failed, and nobody made a point since.
5. Then *running*, then *waiting* (no point yet), else *ok*.

A lineage whose image has a newer one (the image was begun anew) is *elsewhere*, too: nothing adds to it.
A point of the future is of age 0. What is not known is None, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from drd.model import (
    Damage,
    Head,
    Image,
    Outcome,
    Pause,
    Proven,
    RunRecord,
    Standing,
    State,
)

OVERDUE: Final = 2
"""A verify is overdue when so many of its intervals have passed: after one it is due."""
_RANK: Final = {state: place for place, state in enumerate(State)}


@dataclass(frozen=True, slots=True)
class Aim:
    """What a policy wants, as far as it can be missed; seconds, None where it does not say."""

    rpo: int | None = None
    verify_level: int | None = None
    verify_every: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known on this host. ``aims`` by the name of the policy; ``last_runs`` (of backups that
    ended), ``pauses``, ``running`` (since when) and ``next_run`` by the identity of the image; ``damages``
    by lineage.
    """

    images: Sequence[Image] = ()
    heads: Sequence[Head] = ()
    aims: Mapping[str, Aim] = field(default_factory=dict)
    last_runs: Mapping[str, RunRecord] = field(default_factory=dict)
    pauses: Mapping[str, Pause] = field(default_factory=dict)
    running: Mapping[str, datetime] = field(default_factory=dict)
    next_run: Mapping[str, datetime] = field(default_factory=dict)
    proven: Sequence[Proven] = ()
    damages: Mapping[bytes, Damage] = field(default_factory=dict)


def standings(known: Known, now: datetime) -> list[Standing]:
    """One for each image, and one for each lineage that no image has; the worst first, then by name.

    Within *late* the one comes first that is furthest beyond its RPO, measured in RPOs.
    """
    look = _Look(known, now)
    seen = {image.identity for image in known.images}
    found = [look.at_image(image) for image in known.images]
    found += [
        look.at_lineage(head)
        for head in known.heads
        if head.identity not in seen or look.newest[head.identity] is not head
    ]
    return sorted(found, key=_order)


def newest_heads(heads: Iterable[Head]) -> dict[str, Head]:
    """By identity the head of its lineage; of several lineages that of the one committed last."""
    newest: dict[str, Head] = {}
    for head in heads:
        rival = newest.get(head.identity)
        if rival is None or head.committed_at > rival.committed_at:
            newest[head.identity] = head
    return newest


def is_verify_overdue(one: Standing, aim: Aim, now: datetime) -> bool:
    """Whether the policy wants verifies, and none of its level or a higher one succeeded for long.

    A lineage that was never verified counts from when its image was first seen here.
    """
    if aim.verify_every is None or aim.verify_level is None or one.point_at is None:
        return False
    if one.state in (State.GONE, State.STRANGE):
        return False
    level = aim.verify_level
    done = [result.at for result in one.verified if result.ok and result.level >= level]
    since = max(done, default=one.first_seen)
    return since is not None and now - since > timedelta(seconds=OVERDUE * aim.verify_every)


class _Look:
    """One look at what is known, at *now*."""

    def __init__(self, known: Known, now: datetime) -> None:
        self.known = known
        self.now = now
        self.newest = newest_heads(known.heads)
        self.proven: dict[bytes, list[Proven]] = {}
        for one in known.proven:
            self.proven.setdefault(one.lineage, []).append(one)

    def at_image(self, image: Image) -> Standing:
        """What stands of an image."""
        known, identity = self.known, image.identity
        head, pause = self.newest.get(identity), known.pauses.get(identity)
        aim = known.aims.get(image.policy) if image.gone_at is None else None
        state, message = self._state(image, head)
        return Standing(
            label=image.label,
            source=image.source,
            identity=identity,
            lineage=head.lineage.hex() if head else "",
            policy=image.policy,
            state=state,
            point_at=head.point_at if head else None,
            age=_age(head.point_at, self.now) if head else None,
            rpo=aim.rpo if aim else None,
            next_run=known.next_run.get(identity) if aim else None,
            points=head.points if head else 0,
            size=head.size if head else 0,
            first_seen=image.first_seen,
            failures=pause.failures if pause else 0,
            last_run=known.last_runs.get(identity),
            verified=tuple(self.proven.get(head.lineage, ())) if head else (),
            message=message,
        )

    def at_lineage(self, head: Head) -> Standing:
        """What stands of a lineage that no image seen here has."""
        damage = self.known.damages.get(head.lineage)
        return Standing(
            label=head.name,
            source=head.name.partition("/")[0],
            identity=head.identity,
            lineage=head.lineage.hex(),
            policy="",
            state=State.DAMAGED if damage else State.STRANGE,
            point_at=head.point_at,
            age=_age(head.point_at, self.now),
            rpo=None,
            next_run=None,
            points=head.points,
            size=head.size,
            first_seen=None,
            verified=tuple(self.proven.get(head.lineage, ())),
            message=_of_damage(damage) if damage else "no source of this host has shown its image",
        )

    def _state(self, image: Image, head: Head | None) -> tuple[State, str]:
        """The state of an image, and why in a sentence."""
        damage = self.known.damages.get(head.lineage) if head else None
        if image.gone_at is not None:
            gone = f"its source does not show it since {_text(image.gone_at)}"
            return (State.DAMAGED, _of_damage(damage)) if damage else (State.GONE, gone)
        aim = self.known.aims.get(image.policy)
        if aim is None:
            return State.UNPROTECTED, _unprotected(image)
        failure = _failure(self.known.last_runs.get(image.identity), head, self.now)
        missed = self._missed(image, head, aim.rpo)
        if missed is not None:
            state, why = missed
            return state, "; ".join(filter(None, (why, failure)))
        if damage:
            return State.DAMAGED, _of_damage(damage)
        return (State.FAILING, failure) if failure else self._fine(image, head)

    def _missed(self, image: Image, head: Head | None, rpo: int | None) -> tuple[State, str] | None:
        """Rule 3."""
        since = head.point_at if head else image.first_seen
        if rpo is None or _age(since, self.now) <= rpo:
            return None
        if head:
            return State.LATE, f"the newest point is older than the RPO of {rpo} s"
        return State.NEVER, f"no point since it was first seen {_text(since)}"

    def _fine(self, image: Image, head: Head | None) -> tuple[State, str]:
        """Rule 5."""
        since = self.known.running.get(image.identity)
        if since is not None:
            return State.RUNNING, f"since {_text(since)}"
        return (State.OK, "") if head else (State.WAITING, "no point yet")


def _failure(last: RunRecord | None, head: Head | None, now: datetime) -> str:
    """What the last run failed of; ``""`` when it did not, or a point was made since, by whomever. One
    committed in the future was not made since: a clock was wrong, and nothing can follow it yet. A failure
    of the future, noted by such a clock, says nothing of now: what is due is tried anew.
    """
    if last is None or last.outcome is None or not last.outcome.is_failure:
        return ""
    ended = last.ended_at or last.started_at
    if head is not None and head.committed_at <= now and (ended < head.committed_at or ended > now):
        return ""
    said = last.message or _WORDS[last.outcome]
    return f"the last run failed at {_text(ended)}: {said}"


_WORDS: Final = {
    Outcome.FAILED: "it did not say of what",
    Outcome.STALLED: "it made no progress, and was ended",
    Outcome.CRASHED: "the process died",
}


def _unprotected(image: Image) -> str:
    if image.policy:
        return f"the configuration has no policy {image.policy}"
    return "no policy covers it"


def _of_damage(damage: Damage) -> str:
    return f"verify found damage on {_text(damage.found_at)}: {damage.what}"


def _age(at: datetime, now: datetime) -> float:
    return max((now - at).total_seconds(), 0.0)


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _order(one: Standing) -> tuple[int, float, str, str]:
    beyond = one.age / one.rpo if one.state is State.LATE and one.rpo and one.age else 0.0
    return _RANK[one.state], -beyond, one.label, one.lineage
