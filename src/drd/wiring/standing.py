"""What stands on this host: configuration, catalogue and diary, put before :mod:`drd.core.standing`."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final

from drd.config import Config, Policy
from drd.core import schedule, standing
from drd.core.schedule import Rhythm, Rules, Wanted
from drd.core.standing import Aim, Known
from drd.errors import NotFoundError
from drd.model import Deed, Head, Image, Outcome, Pause, RunRecord, Standing
from drd.ports import Catalogue, Diary
from drd.wiring import House
from drd.wiring.asking import is_deserted
from drd.wiring.clock import now

BACKUP: Final = "backup"
PRUNE: Final = ("prune", "bucket")
"""Kind and subject of the daemon's runs that delete."""
RELOAD: Final = ("reload", "drd.toml")
"""Under what the daemon notes a configuration that it refused, and that a later one was taken."""
SILENT_S: Final = 300
"""Seconds without a tick after which a daemon counts as stopped; ten of its ticks where those are more."""
SILENT_TICKS: Final = 10


@dataclass(frozen=True, slots=True)
class Survey:
    """All lines, as of ``at``; ``ticked_at`` is when the daemon last looked at what is due, None for never.

    ``silent_s`` is how long it may keep silent, ``missing`` says where nothing is known at all.
    ``knows_proven`` tells whether what ``standings`` say of verifies is all that the bucket has.
    ``deserted`` tells that the daemon ended; ``refused`` is the reload that was refused, while an older
    configuration is in force; ``prunes`` are those that failed since one did not, newest first.
    """

    at: datetime
    standings: Sequence[Standing] = ()
    aims: Mapping[str, Aim] = field(default_factory=dict)
    ticked_at: datetime | None = None
    silent_s: int = SILENT_S
    missing: str = ""
    knows_proven: bool = True
    deserted: bool = False
    refused: RunRecord | None = None
    prunes: Sequence[RunRecord] = ()

    @property
    def is_silent(self) -> bool:
        """Whether no daemon keeps this knowledge up to date.

        A tick of the future is of before the clock was set back: one that lives ticks by the clock of now.
        """
        silence = timedelta(seconds=self.silent_s)
        return self.ticked_at is None or abs(self.at - self.ticked_at) > silence


def rhythm_of(policy: Policy) -> Rhythm:
    """When a policy wants points."""
    return Rhythm(policy.every, policy.cron, policy.timezone, policy.spread)


def aims_of(config: Config) -> dict[str, Aim]:
    """What can be missed of each policy, by its name."""
    return {
        name: Aim(
            rpo=policy.rpo,
            verify_level=policy.verify.level if policy.verify else None,
            verify_every=policy.verify.every if policy.verify else None,
        )
        for name, policy in config.policy.items()
    }


def survey(house: House) -> Survey:
    """What stands now, from the file of catalogue and diary alone: no key, no bucket, no source.

    Raises:
        ConfigError: there is no configuration, or the file cannot be read.
    """
    config, at = house.need_config(), now()
    aims = aims_of(config)
    silent_s = max(SILENT_S, SILENT_TICKS * config.daemon.tick)
    try:
        catalogue, diary = house.knowledge()
    except NotFoundError as error:
        return Survey(at, aims=aims, silent_s=silent_s, missing=str(error))
    tenant = house.tenant()
    known = _known(config, aims, (catalogue, diary, tenant), at)
    deserted = is_deserted(config.state_dir)
    if deserted:
        known = replace(known, running={})
    reload = diary.last_runs(RELOAD[0]).get(RELOAD[1])
    return Survey(
        at,
        standing.standings(known, at),
        aims,
        diary.last_tick(),
        silent_s,
        knows_proven=tenant is not None and catalogue.knows_proven(tenant),
        deserted=deserted,
        refused=reload if reload is not None and _failed(reload) and not deserted else None,
        prunes=list(takewhile(_failed, _ended_prunes(diary))),
    )


def _ended_prunes(diary: Diary) -> Iterator[RunRecord]:
    runs = diary.runs(kind=PRUNE[0], subject=PRUNE[1])
    return (one for one in runs if one.outcome is not None)


def _failed(run: RunRecord) -> bool:
    return run.outcome is not None and run.outcome.is_failure


def _known(
    config: Config,
    aims: Mapping[str, Aim],
    where: tuple[Catalogue, Diary, bytes | None],
    at: datetime,
) -> Known:
    catalogue, diary, tenant = where
    images, heads = diary.images(), catalogue.heads(tenant) if tenant else ()
    last_runs, pauses = diary.last_runs(BACKUP), diary.pauses()
    running = {run.subject: run.started_at for run in diary.running() if run.kind == BACKUP}
    return Known(
        images=images,
        heads=heads,
        aims=aims,
        last_runs=last_runs,
        pauses=pauses,
        running=running,
        next_run=_next_runs(config, _wanted(config, images, heads, pauses), running, at),
        proven=catalogue.proven(tenant) if tenant else (),
        damages=catalogue.damages(tenant) if tenant else {},
    )


def _wanted(
    config: Config, images: Sequence[Image], heads: Sequence[Head], pauses: Mapping[str, Pause]
) -> Iterator[Wanted]:
    """Images that a policy schedules, as the daemon's plan takes them."""
    newest = standing.newest_heads(heads)
    rhythms = {name: rhythm_of(policy) for name, policy in config.policy.items()}
    for image in images:
        rhythm = rhythms.get(image.policy)
        if rhythm is None or image.gone_at is not None or image.source not in config.source:
            continue
        head, pause = newest.get(image.identity), pauses.get(image.identity)
        yield Wanted(
            identity=image.identity,
            source=image.source,
            rhythm=rhythm,
            newest=head.as_of if head else None,
            paused_until=pause.until if pause else None,
            slow=False,
            asked=False,
        )


def _next_runs(
    config: Config, wanted: Iterator[Wanted], running: Mapping[str, object], at: datetime
) -> Mapping[str, datetime]:
    """When each image is to run next; what is due and waits for a worker: now."""
    rules = Rules(workers=0, blackout=config.daemon.blackout, zone=config.daemon.timezone)
    return schedule.plan(wanted, rules, dict.fromkeys(running, False), at).next_run


# ── the runs of one thing ───────────────────────────────────────────────────────────────────────
def runs_of(house: House, name: str, limit: int) -> list[Deed]:
    """The newest *limit* runs that concern what is called *name*: an image (by label, identity, or the
    label that it had before), a lineage (by id), or a source.

    Of verifies and prunes those that did something in its lineages, and those that failed before they
    did anything anywhere, or were on their way: a verify of its policy, and a prune. Facts are there of
    the former alone.

    Raises:
        NotFoundError: nothing is called that, or nothing is known here.
        ConfigError: the file cannot be read.
    """
    catalogue, diary = house.knowledge()
    tenant = house.tenant()
    heads = catalogue.heads(tenant) if tenant else ()
    images = diary.images()
    subjects = _subjects(name, images, heads)
    policies = {one.policy for one in images if one.identity in subjects and one.policy}
    if name in house.need_config().source:
        subjects.append(name)
    if not subjects:
        labels = {image.label for image in images} | {head.name for head in heads}
        raise _no_such(name, sorted(labels))
    lists: list[Sequence[Deed]] = []
    for subject in dict.fromkeys(subjects):
        lists.append([Deed(run, {}) for run in diary.runs(subject=subject, limit=limit)])
        lists.append(
            [_named(deed, images, heads) for deed in diary.deeds(lineage=subject, limit=limit)]
        )
    reached = {deed.record.run for deeds in lists for deed in deeds}
    for kind, subject in [*(("verify", one) for one in policies), *([PRUNE] if policies else [])]:
        runs = diary.runs(kind=kind, subject=subject, limit=limit)
        lists.append([Deed(run, {}) for run in runs if _missed(diary, run, reached)])
    found = [(deed, place) for deeds in lists for place, deed in enumerate(deeds)]
    found.sort(key=lambda one: (one[0].record.started_at, -one[1]), reverse=True)
    return [deed for deed, _ in found[:limit]]


def _named(deed: Deed, images: Sequence[Image], heads: Sequence[Head]) -> Deed:
    """With the name of the image, and its source, as they are now: it is noted without them."""
    head = next((one for one in heads if one.lineage.hex() == deed.record.lineage), None)
    if head is None:
        return deed
    source = next((one.source for one in images if one.identity == head.identity), "")
    return replace(deed, record=replace(deed.record, label=head.name, source=source))


def _missed(diary: Diary, run: RunRecord, reached: Container[str]) -> bool:
    """Whether *run* failed, and did so before it came to an image that it has not *reached*."""
    if run.outcome is None or not run.outcome.is_failure or run.run in reached:
        return False
    return run.outcome is not Outcome.FAILED or not diary.deeds(run=run.run, limit=1)


def _subjects(name: str, images: Sequence[Image], heads: Sequence[Head]) -> list[str]:
    """Identities and lineages (hex) that *name* means."""
    hits = [
        one.identity
        for one in images
        if name in (one.label, one.identity) or (one.renamed_from and name == one.renamed_from)
    ]
    hits += [one.identity for one in heads if name in (one.name, one.identity, one.lineage.hex())]
    lineages = [one.lineage.hex() for one in heads if one.identity in hits]
    return [*hits, *lineages]


def _no_such(name: str, labels: Sequence[str]) -> NotFoundError:
    import difflib  # noqa: PLC0415 - only for who mistypes

    near = difflib.get_close_matches(name, labels, 1, cutoff=0.0)
    hint = f"the nearest is {near[0]!r}; " if near else ""
    return NotFoundError(
        "no image or lineage of this name is known here",
        about=name,
        hint=f"{hint}'drctl status' shows what is known",
    )


def named(standings: Sequence[Standing], names: Sequence[str]) -> list[Standing]:
    """Those of *standings* that any of *names* means: a name, a pattern of one, or a lineage's id; all
    for none.

    Raises:
        NotFoundError: one of *names* means nothing.
    """
    from fnmatch import fnmatchcase  # noqa: PLC0415 - most ask for all

    if not names:
        return list(standings)
    chosen: set[int] = set()
    for name in names:
        hits = {
            place
            for place, one in enumerate(standings)
            if name in (one.label, one.lineage, one.identity) or fnmatchcase(one.label, name)
        }
        if not hits:
            raise _no_such(name, [one.label for one in standings])
        chosen |= hits
    return [one for place, one in enumerate(standings) if place in chosen]
