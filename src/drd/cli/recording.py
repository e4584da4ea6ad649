"""What ``drctl verify`` looks at in turns, and how it writes down what it proved."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from drd.cli import shapes
from drd.cli.output import Reply, Row
from drd.errors import DrdError, NotFoundError, StoppedError, StoreError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from drd.config import Config
    from drd.config.policies import VerifyPlan
    from drd.core.coverage import Turn
    from drd.core.result import Result
    from drd.model import PointInfo
    from drd.ports import Catalogue
    from drd.work.lineagekeys import LineageKeys
    from drd.work.repository import Repository
    from drd.work.results import Scribe
    from drd.work.rotating import Rotation
    from drd.work.verify import Proof, Round

DEFAULT_LEVEL: Final = 1
ROTATES: Final = (1, 2)
"""Levels that read packs: those that are only counted, or not looked at, need no turns."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for: ``level`` None for the policy's (or 1), ``policy`` ``""`` for the
    image's own, or that of its source.
    """

    level: int | None
    rotate: bool
    policy: str

    def check(self, names: Sequence[str]) -> None:
        """``UsageError`` for what does not go together."""
        from drd.core.selectors import parse_point  # noqa: PLC0415

        if not self.rotate:
            if self.policy:
                raise UsageError("--policy goes with --rotate", hint="see 'drctl verify --help'")
            return
        if self.level is not None and self.level not in ROTATES:
            raise UsageError(
                "--rotate is about packs", hint="use it with --level 1 or 2; the others look at all"
            )
        for name in names:
            selector = parse_point(name)
            if selector.seq is not None or selector.at is not None:
                raise UsageError(
                    "--rotate is about all points of an image",
                    about=name,
                    hint=f"write {selector.name}",
                )


class Plans:
    """At which level each lineage is looked at, and in which turns."""

    def __init__(self, wish: Wish, config: Config | None) -> None:
        self._wish = wish
        self._config = config

    def of(self, info: PointInfo, *, named: bool = True) -> tuple[int, Rotation | None]:
        """For the lineage whose newest full point is *info*. As the daemon has it: what its policy wants,
        the one that the image names itself before that of its source. A level that knows no turns is
        an error for an image that was *named*, and among all it is looked at whole.

        Raises:
            NotFoundError: there is no such policy.
            UsageError: its level knows no turns.
        """
        from drd.config.policies import VerifyPlan  # noqa: PLC0415
        from drd.work.rotating import Rotation  # noqa: PLC0415

        wish = self._wish
        if not wish.rotate:
            return DEFAULT_LEVEL if wish.level is None else wish.level, None
        plan = self._planned(info) or VerifyPlan()
        level = plan.level if wish.level is None else wish.level
        if level not in ROTATES and not named:
            return level, None
        if level not in ROTATES:
            raise UsageError(
                f"the policy's verify level is {level}, which looks at all each time",
                about=info.name,
                hint="leave --rotate out, or add --level 2",
            )
        every, coverage = timedelta(seconds=plan.every), timedelta(seconds=plan.coverage)
        return level, Rotation(every, coverage)

    def _planned(self, info: PointInfo) -> VerifyPlan | None:
        if self._config is None:
            return None
        known = self._config.policy
        name = self._wish.policy
        if not name:
            from drd.wiring.pruning import policy_of  # noqa: PLC0415

            name = policy_of(self._config, [info])
        if not name:
            return None
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.0)
            raise NotFoundError(
                "the configuration has no such policy",
                about=name,
                hint=f"the nearest is {near[0]!r}" if near else "it has none; see config/drd.toml",
            )
        return known[name].verify


def turns(
    repository: Repository,
    chosen: Sequence[PointInfo],
    now: Round,
    *,
    rotation: Rotation,
    when: datetime,
    reply: Reply,
) -> dict[bytes, Turn]:
    """Plan a turn for each lineage of *chosen*; what hinders one is an error of *reply*."""
    from drd.work.listing import by_lineage  # noqa: PLC0415
    from drd.work.rotating import begin_turn  # noqa: PLC0415

    found = {}
    for lineage, points in by_lineage(chosen).items():
        try:
            found[lineage] = begin_turn(repository, points, now, rotation=rotation, at=when)
        except DrdError as error:
            error.about = error.about or points[-1].name
            reply.errors.append(error)
    return found


class Recorder:
    """Writes a result for each lineage to the bucket, and to the catalogue of this host."""

    def __init__(
        self, repository: Repository, catalogue: Catalogue | None, scribe: Scribe | None
    ) -> None:
        """*scribe* None: nothing is written to the bucket."""
        self._repository = repository
        self._catalogue = catalogue
        self._scribe = scribe

    def record(
        self,
        proven: Sequence[tuple[PointInfo, Proof]],
        now: Round,
        when: datetime,
        *,
        finished: Iterable[bytes],
        rotated: dict[bytes, tuple[Turn, Rotation]],
        reply: Reply,
    ) -> None:
        """One result for each lineage of *proven*; a turn counts only for one that was *finished*."""
        from drd.work.results import result_of  # noqa: PLC0415
        from drd.work.rotating import turned  # noqa: PLC0415

        done = set(finished)
        lineages: dict[bytes, list[tuple[PointInfo, Proof]]] = {}
        for info, proof in proven:
            lineages.setdefault(info.lineage, []).append((info, proof))
        for lineage, some in lineages.items():
            result = result_of(some, now, when)
            if lineage in rotated:
                if lineage not in done:
                    continue  # the next run passes the same piece of the circle, and more
                result = turned(result, *rotated[lineage])
            written = self._write(now.keys[lineage], result, some, reply)
            reply.lists.setdefault("results", []).append(
                _row(lineage, some[-1][0].name, result, recorded=written)
            )

    def _write(
        self,
        keys: LineageKeys,
        result: Result,
        some: Sequence[tuple[PointInfo, Proof]],
        reply: Reply,
    ) -> bool:
        from drd.work.results import proven, words_of, write  # noqa: PLC0415

        if self._scribe is None or _hopeless(reply):
            return False
        if write(keys, result, words_of(some), self._scribe) is None:
            return False
        if self._catalogue is not None:
            known = [proven(keys.scope.lineage, result)]
            self._catalogue.note_proven(self._repository.tenant, known)
        return True


def _hopeless(reply: Reply) -> bool:
    """Whether somebody wants drd to stop, or the store went away: no time to write results."""
    return any(isinstance(one, StoppedError | StoreError) for one in reply.errors)


def _row(lineage: bytes, name: str, result: Result, *, recorded: bool) -> Row:
    return {
        "lineage": lineage.hex(),
        "name": name,
        "level": result.level,
        "time": shapes.when(result.at),
        "ok": result.ok,
        "findings": result.findings,
        "points": [*result.points, *result.bad],
        "packs": result.packs,
        "packs_needed": result.of,
        "covered": round(result.covered, 4),
        "recorded": recorded,
    }


def told(rows: Iterable[Row]) -> Iterator[str]:
    """For a person: of each turn, how much was looked at."""
    for row in rows:
        share = row["covered"]
        if isinstance(share, float) and row["packs"] != row["packs_needed"]:
            yield (
                f"{row['name']}: {row['packs']} of {row['packs_needed']} packs looked at in this turn, "
                f"{share:.0%} of them within the window"
            )
