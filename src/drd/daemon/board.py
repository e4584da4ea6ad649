"""What the loop knows: images, their newest points, how their last runs ended, what pauses.

Read from the catalogue once, and when another process has changed it; kept up by what happens.
Nobody but the loop's thread touches it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from drd.config import Config, Policy
from drd.core.schedule import Wanted, interval
from drd.core.standing import newest_heads
from drd.daemon.running import BACKUP
from drd.model import Head, Image, Pause, RunRecord
from drd.ports import Diary
from drd.wiring.standing import rhythm_of

SEEN_AGAIN: Final = timedelta(hours=1)
"""So much older the note of a sight must be before it is written again: it is for people."""

FORGOTTEN_AFTER: Final = timedelta(days=30)
"""So long an image that is gone, and has no point, is shown as gone."""


@dataclass(slots=True)
class Shown:
    """What one look into a source brought; ``policies`` by identity, as images name them themselves."""

    source: str
    labels: Mapping[str, str]
    policies: Mapping[str, str]
    complete: bool


@dataclass(slots=True)
class Change:
    """Something that a look into a source found to be other than before: an event, and its image."""

    event: str
    image: Image
    told: str = ""


@dataclass(slots=True)
class Board:
    """See the module. ``newest`` reads the heads of this repository's tenant, none before anything
    was learnt; ``holds_off`` are short waits that are nobody's failure, by identity.
    """

    config: Config
    diary: Diary
    newest: Callable[[], Sequence[Head]]
    images: dict[str, Image] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    lineages: dict[bytes, Head] = field(default_factory=dict)
    pauses: dict[str, Pause] = field(default_factory=dict)
    last: dict[str, RunRecord] = field(default_factory=dict)
    holds_off: dict[str, datetime] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    _stale: set[str] = field(default_factory=set)

    def take_stale(self) -> set[str]:
        """Images of which something is other than when this was asked last."""
        stale, self._stale = self._stale, set()
        return stale

    def load(self) -> None:
        """Read everything.

        Raises:
            ConfigError: the file cannot be used.
        """
        self.images = {one.identity: one for one in self.diary.images()}
        self.pauses = dict(self.diary.pauses())
        self.last = dict(self.diary.last_runs(BACKUP))
        self.load_heads()

    def note_all(self) -> None:
        """Write down all that a file that was begun anew does not know, and read what it does."""
        self.diary.note_images(self.images.values())
        self.load_heads()

    def load_heads(self) -> None:
        """Read the newest points: of an image with several lineages the one committed last."""
        before = self.heads
        self.lineages = {head.lineage: head for head in self.newest()}
        self.heads = newest_heads(self.lineages.values())
        self._stale |= {
            one
            for one in before.keys() | self.heads.keys()
            if before.get(one) != self.heads.get(one)
        }

    # ── policies ──────────────────────────────────────────────────────────────────────────────
    def policy_of(self, image: Image) -> Policy | None:
        """The policy that covers *image*; None for none."""
        return self.config.policy.get(image.policy) if image.policy else None

    def is_scheduled(self, image: Image) -> bool:
        """Whether points of *image* are to be made."""
        policy = self.policy_of(image)
        return (
            policy is not None
            and image.gone_at is None
            and image.source in self.config.source
            and (policy.every is not None or policy.cron is not None)
        )

    def wanted(self, identities: Iterable[str], now: datetime) -> Iterable[Wanted]:
        """Those of *identities* that a policy schedules, as :mod:`drd.core.schedule` takes them."""
        slow_after = self.config.daemon.slow_after
        for identity in identities:
            image = self.images.get(identity)
            policy = self.policy_of(image) if image is not None else None
            if image is None or policy is None or not self.is_scheduled(image):
                continue
            head, last = self.heads.get(identity), self.last.get(identity)
            yield Wanted(
                identity=identity,
                source=image.source,
                rhythm=rhythm_of(policy),
                newest=head.as_of if head else None,
                paused_until=self._paused_until(identity, now),
                slow=head is None or (last is not None and last.seconds > slow_after),
                asked=identity in self.asked,
            )

    def _paused_until(self, identity: str, now: datetime) -> datetime | None:
        pause, hold_off = self.pauses.get(identity), self.holds_off.get(identity)
        waits = hold_off if hold_off is not None and hold_off > now else None
        return max((one for one in (pause and pause.until, waits) if one), default=None)

    def longest_pause(self, subject: str, now: datetime) -> int:
        """Seconds: as configured, and of an image no more than the interval of its policy."""
        most, image = self.config.daemon.backoff_max, self.images.get(subject)
        policy = self.policy_of(image) if image else None
        if policy is None:
            return most
        return min(most, interval(rhythm_of(policy), subject, now) or most)

    # ── runs ──────────────────────────────────────────────────────────────────────────────────
    def note_end(self, record: RunRecord, pause: Pause | None, head: Head | None) -> None:
        """A run of an image ended: remember how, here and in the diary."""
        subject = record.subject
        self._stale.add(subject)
        if record.kind == BACKUP:
            self.last[subject] = record
            self.asked.discard(subject)
        if pause is None:
            self.pauses.pop(subject, None)
        else:
            self.pauses[subject] = pause
        if head is not None:
            known = self.heads.get(subject)
            same = known is not None and known.lineage == head.lineage
            points = known.points + 1 if known is not None and same else 1
            oldest = known.oldest_at if known is not None and same else head.point_at
            newest = replace(head, points=points, oldest_at=oldest)
            self.heads[subject] = self.lineages[head.lineage] = newest
        self.diary.end_run(record, pause)

    def failures_of(self, subject: str) -> int:
        """How often in a row the runs of *subject* failed."""
        pause = self.pauses.get(subject)
        return pause.failures if pause else 0

    def want(self, identity: str) -> None:
        """Somebody wants a point of this image now, whatever pauses."""
        self.asked.add(identity)
        self._stale.add(identity)
        self.holds_off.pop(identity, None)
        if self.pauses.pop(identity, None) is not None:
            self.diary.end_pause(identity)

    def clock_moved(self, by: timedelta) -> None:
        """The clock jumped: what waits goes on waiting for as long as it would have."""
        for subject, pause in self.pauses.items():
            self.pauses[subject] = replace(pause, until=pause.until + by)
        for identity, until in self.holds_off.items():
            self.holds_off[identity] = until + by

    def hold_off(self, identity: str, until: datetime) -> None:
        """Leave an image alone for a while; nobody failed."""
        self.holds_off[identity] = until
        self._stale.add(identity)

    def named(self, names: Sequence[str]) -> tuple[list[Image], list[str]]:
        """The images of these *names* (or patterns), and the names that none has, each with the nearest
        that there is.
        """
        from fnmatch import fnmatchcase  # noqa: PLC0415 - a question a day

        there = [one for one in self.images.values() if one.gone_at is None]
        hits: dict[str, Image] = {}
        missing: list[str] = []
        for name in names:
            mine = [one for one in there if one.label == name or fnmatchcase(one.label, name)]
            hits.update({one.identity: one for one in mine})
            if not mine:
                near = difflib.get_close_matches(name, [one.label for one in there], 1, cutoff=0.0)
                missing.append(f"{name} (the nearest is {near[0]})" if near else name)
        return list(hits.values()), missing

    # ── looks into sources ────────────────────────────────────────────────────────────────────
    def take(self, shown: Shown, now: datetime) -> list[Change]:
        """What a source shows becomes what is known; only what changed is written down."""
        changes: list[Change] = []
        written: list[Image] = []
        for identity, label in shown.labels.items():
            known = self.images.get(identity)
            if known is not None and self._is_others(known, shown.source):
                continue
            policy, unknown = self._policy_named(shown.source, shown.policies.get(identity, ""))
            image = Image(identity, shown.source, label, policy, now, now)
            if known is not None:
                renamed = known.label if known.label != label else known.renamed_from
                image = replace(image, first_seen=known.first_seen, renamed_from=renamed)
            changes += _changes(known, image, unknown)
            if known is None or _is_worth_writing(known, image):
                written.append(image)
            self.images[identity] = image
            if known is None or replace(known, last_seen=now) != image:
                self._stale.add(identity)
        if shown.complete:
            gone = list(self._missed(shown, now))
            written += gone
            changes += [Change("image_gone", one) for one in gone]
            self._forget_gone(now)
        self.diary.note_images(written)
        return changes

    def _is_others(self, image: Image, source: str) -> bool:
        """Whether another source of the configuration shows *image*: the first one keeps it."""
        other = image.source != source and image.gone_at is None
        return other and image.source in self.config.source

    def _policy_named(self, source: str, named: str) -> tuple[str, str]:
        """The policy in force, and the name of one that the configuration does not have."""
        section = self.config.source.get(source)
        default = section.policy or "" if section is not None else ""
        if not named:
            return default, ""
        return (named, "") if named in self.config.policy else ("", named)

    def _missed(self, shown: Shown, now: datetime) -> Iterable[Image]:
        for identity, image in list(self.images.items()):
            mine = image.source == shown.source and image.gone_at is None
            if mine and identity not in shown.labels:
                self.images[identity] = replace(image, gone_at=now)
                self._stale.add(identity)
                yield self.images[identity]

    def _forget_gone(self, now: datetime) -> None:
        """Forget images that are gone for long and left no point: clouds make and delete some every day."""
        gone = [
            one.identity
            for one in self.images.values()
            if one.gone_at is not None
            and now - one.gone_at > FORGOTTEN_AFTER
            and one.identity not in self.heads
        ]
        for identity in gone:
            for known in (self.images, self.last, self.pauses, self.holds_off):
                known.pop(identity, None)
            self.asked.discard(identity)
        self._stale.update(gone)
        if gone:
            self.diary.drop_images(gone)

    def drop_sources(self, now: datetime) -> list[Change]:
        """Images of sources that the configuration has no more are gone from here."""
        changes = []
        for source in {one.source for one in self.images.values()} - set(self.config.source):
            changes += self.take(Shown(source, {}, {}, complete=True), now)
        return changes


def _is_worth_writing(known: Image, image: Image) -> bool:
    if replace(known, last_seen=image.last_seen) != image:
        return True
    return image.last_seen - known.last_seen > SEEN_AGAIN


def _changes(known: Image | None, image: Image, unknown: str) -> Iterable[Change]:
    if known is None:
        yield Change("image_found", image)
    elif known.gone_at is not None:
        yield Change("image_back", image)
    if known is not None and known.label != image.label:
        yield Change("image_renamed", image, known.label)
    if known is None or known.policy != image.policy:
        if unknown:
            yield Change("image_policy_unknown", image, unknown)
        elif not image.policy:
            yield Change("image_unprotected", image)
