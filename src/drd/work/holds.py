"""Holds: points that must not expire, until a person says that they may.

1. A hold is a signed statement about one point; a release is another one, with the tag of the hold that
   it ends. Several people may hold one point: it goes when the last of them let go.
2. What is held must be sure: a statement of a hold that cannot be heard (garbage, a signature that is
   wrong, a name that is none) is a *problem*, and while a lineage has one, nothing of it is deleted.
   Garbage stops nothing else: no backup, no restore, no other hold.
3. A release that cannot be heard ends nothing; it is told of, and the point stays held.
4. A hold counts by its clear part. The words (why, who) are sealed; a host that cannot open them still
   knows what is held.
5. A hold is put first and the point looked for once more: where a prune took it meanwhile, that is said.
6. A hold may say until when it is good (:mod:`drd.work.keeping`). One that is over holds nothing, and is
   removed by a prune a day later (:func:`over`). An end that cannot be understood is none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from drd.core import names
from drd.core.manifest import micros, moment
from drd.core.statement import Shut, Statement
from drd.errors import (
    IntegrityError,
    KeyAccessError,
    NotFoundError,
    ObjectMissingError,
    RefusedError,
    UsageError,
)
from drd.model import Hold, Json, ObjectVersion, PointInfo, PointKind
from drd.ports import Catalogue, Now, Random
from drd.work.history import read_manifest
from drd.work.lineagekeys import LineageKeys, load_keys
from drd.work.repository import Repository
from drd.work.statements import folder_of, hear, say, text, words

HOLD: Final = "hold"
RELEASE: Final = "release"
UNTIL: Final = "until"
"""In the clear part: microseconds since 1970, UTC."""
LEFT: Final = timedelta(days=1)
"""So long a hold stays that is over: somebody may want to know who held what."""
MAX_WORDS: Final = 1000
"""Characters of a reason: it is read in a table."""


@dataclass(frozen=True, slots=True)
class Held:
    """One hold that was not released, and the tag that a release of it needs."""

    hold: Hold
    tag: bytes


@dataclass(slots=True)
class Holds:
    """What is held of one lineage. With any of ``problems`` nothing of it may be deleted (rule 2)."""

    lineage: bytes
    held: list[Held] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def seqs(self) -> frozenset[int]:
        """Numbers of the points that are held."""
        return frozenset(one.hold.seq for one in self.held)

    def of(self, seq: int) -> list[Held]:
        """The holds on one point, oldest first."""
        return [one for one in self.held if one.hold.seq == seq]


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who says something, and with what: ``by`` is ``user@host``."""

    by: str
    now: Now
    random: Random


def check_words(why: str) -> str:
    """A reason that will still tell something in ten years.

    Raises:
        UsageError: it is empty, or too long.
    """
    told = " ".join(why.split())
    if not told:
        raise UsageError(
            "the reason is empty", about="--why", hint="say who needs the point, for what"
        )
    if len(told) > MAX_WORDS:
        raise UsageError(
            f"the reason has {len(told)} characters, at most {MAX_WORDS} are kept", about="--why"
        )
    return told


def hold(
    repository: Repository,
    info: PointInfo,
    why: str,
    speaker: Speaker,
    *,
    until: datetime | None = None,
) -> Held:
    """Hold a point; until it is released, or until *until*.

    Raises:
        RefusedError: it is a partial point.
        NotFoundError: it is gone, before the hold or while it was put.
        IntegrityError: its manifest is damaged, or is another than the listing's.
        KeyAccessError: these keys do not sign for a host.
    """
    if info.kind is not PointKind.FULL:
        raise RefusedError(
            "a part of an unfinished backup is no recovery point and cannot be held",
            about=f"{info.name}@{info.seq}",
            hint="hold the point that the next run makes of it",
        )
    told = check_words(why)
    keys = load_keys(repository, info.lineage)
    _still_there(repository, info)
    ends: dict[str, Json] = {} if until is None else {UNTIL: micros(until)}
    said = Statement(
        kind=HOLD,
        scope=keys.scope,
        number=info.seq,
        at=speaker.now(),
        clear={"manifest": info.manifest_sha256.hex(), **ends},
        sealed={"why": told, "by": speaker.by},
        tag=speaker.random(names.TAG_BYTES),
    )
    say(keys, said, random=speaker.random)
    _still_there(repository, info)
    return Held(Hold(info.lineage, info.seq, said.at, told, speaker.by, until), said.tag)


def _still_there(repository: Repository, info: PointInfo) -> None:
    try:
        manifest = read_manifest(repository, info.lineage, info.seq)
    except ObjectMissingError as error:
        raise NotFoundError(
            "this point is gone, nothing holds it any more",
            about=f"{info.name}@{info.seq}",
            hint=f"'drctl ls {info.name}' shows what there is",
        ) from error
    if manifest.sha256 != info.manifest_sha256:
        raise IntegrityError(
            "this point is another than the one that was known here", about=info.manifest_key
        )


def release(repository: Repository, info: PointInfo, why: str, speaker: Speaker) -> list[Hold]:
    """Let go of a point: end every hold of people on it. What was held and is not any more.

    A hold that is over by itself is of a restore, which needs the point: it stays, with a warning.

    Raises:
        NotFoundError: nobody holds it, or a restore alone.
        IntegrityError: a hold of the lineage cannot be heard, and it is not known what it is about.
        KeyAccessError: these keys do not sign for a host.
    """
    told = check_words(why)
    keys = load_keys(repository, info.lineage)
    known = holds_of(repository, keys, info.lineage)
    ended = [one for one in known.of(info.seq) if one.hold.until is None]
    point, restored = f"{info.name}@{info.seq}", _held_until(known, info.seq, speaker.now())
    if not ended and restored:
        raise NotFoundError(
            f"nobody holds this point but a restore, until {restored}",
            about=point,
            hint="nothing is to be done: that hold ends with the restore, or is over by itself",
        )
    if not ended:
        people = {one.hold.seq for one in known.held if one.hold.until is None}
        others = ", ".join(f"@{seq}" for seq in sorted(people))
        raise NotFoundError(
            "this point is not held",
            about=point,
            hint=f"held: {others}" if others else f"no point of {info.name} is held",
        )
    for one in ended:
        let_go(keys, one, told, speaker)
    if restored:
        repository.warnings.append(f"{point} is held by a restore until {restored}")
    return [one.hold for one in ended]


def _held_until(known: Holds, seq: int, now: datetime) -> str:
    """When the last hold of a restore on a point is over; ``""`` where there is none."""
    ends = [one.hold.until for one in known.of(seq) if one.hold.until and one.hold.until > now]
    return max(ends).isoformat(timespec="seconds") if ends else ""


def let_go(keys: LineageKeys, one: Held, why: str, speaker: Speaker) -> None:
    """End one hold.

    Raises:
        KeyAccessError: these keys do not sign for a host.
        StoreError: the store failed.
    """
    said = Statement(
        kind=RELEASE,
        scope=keys.scope,
        number=one.hold.seq,
        at=speaker.now(),
        clear={},
        sealed={"why": why, "by": speaker.by},
        tag=one.tag,
    )
    say(keys, said, random=speaker.random)


def holds_of(
    repository: Repository,
    keys: LineageKeys | None,
    lineage: bytes,
    *,
    now: datetime | None = None,
) -> Holds:
    """What is held of *lineage*: one LIST, and two requests for each hold that was not released.

    Args:
        repository: the open repository; what is strange goes to its warnings.
        keys: open the words; None leaves them out.
        lineage: its id.
        now: leave out what is over by then (rule 6); None for every hold that was not released.

    Raises:
        StoreError: the store failed; nothing is known then, and nothing may be deleted.
    """
    listed = repository.store.list(folder_of(repository, lineage))
    return _standing(_held(repository, keys, lineage, listed), now)


def _standing(found: Holds, now: datetime | None) -> Holds:
    """Rule 6."""
    if now is not None:
        found.held = [one for one in found.held if not _is_over(one.hold.until, now)]
    return found


def _is_over(until: datetime | None, now: datetime) -> bool:
    return until is not None and until <= now


def every_hold(
    repository: Repository,
    lineages: Collection[bytes],
    keys_of: Callable[[bytes], LineageKeys],
    *,
    now: datetime | None = None,
) -> Iterator[Holds]:
    """The same for each of many lineages that has any hold, in one LIST of all statements. *keys_of* is
    asked for the keys of those alone.
    """
    listed: dict[bytes, list[ObjectVersion]] = {}
    known = {folder_of(repository, lineage): lineage for lineage in lineages}
    for one in repository.store.list(folder_of(repository)):
        lineage = known.get(one.key.rpartition("/")[0] + "/")
        if lineage is not None and not one.key.startswith(_results(repository, lineage)):
            listed.setdefault(lineage, []).append(one)
    for lineage, some in listed.items():
        yield _standing(_held(repository, keys_of(lineage), lineage, some), now)


def _results(repository: Repository, lineage: bytes) -> str:
    return names.statement_folder(repository.tenant, lineage, "result")


def _held(
    repository: Repository,
    keys: LineageKeys | None,
    lineage: bytes,
    listed: Iterable[ObjectVersion],
) -> Holds:
    found = Holds(lineage)
    said: dict[tuple[str, int, bytes], str] = {}
    for one in listed:
        place = names.parse_statement_key(one.key)
        if place is None:
            found.problems.append(f"{one.key} is not one of drd's objects")
        else:
            said[place] = one.key
    for (kind, seq, tag), key in said.items():
        if kind != HOLD or _is_released(repository, lineage, said.get((RELEASE, seq, tag))):
            continue
        try:
            shut = hear(repository, lineage, key)
        except IntegrityError as error:
            found.problems.append(f"{key}: {error.message}")
            continue
        except ObjectMissingError:  # between the LIST and now; whoever may delete it may do worse
            found.problems.append(f"{key} was listed and is gone")
            continue
        told = _words(repository, keys, shut)
        when, until = shut.statement.at, _end_of(shut)
        found.held.append(Held(Hold(lineage, seq, when, told[0], told[1], until), tag))
    found.held.sort(key=lambda one: (one.hold.seq, one.hold.at))
    repository.warnings.extend(found.problems)
    return found


def _end_of(shut: Shut) -> datetime | None:
    """When a hold is over by itself; None for one that never is."""
    told = shut.statement.clear.get(UNTIL)
    if not isinstance(told, int) or isinstance(told, bool) or told <= 0:
        return None
    try:
        return moment(told)
    except IntegrityError:
        return None


def over(repository: Repository, lineage: bytes, now: datetime) -> list[str]:
    """Names of holds that are over since ``LEFT``, each after its release: what a prune removes. Those of
    people, ended or not, are none of them.
    """
    said: dict[tuple[str, int, bytes], str] = {}
    for one in repository.store.list(folder_of(repository, lineage)):
        place = names.parse_statement_key(one.key)
        if place is not None and one.modified_at < now - LEFT:
            said[place] = one.key
    found = []
    for (kind, seq, tag), key in said.items():
        if kind != HOLD:
            continue
        try:
            until = _end_of(hear(repository, lineage, key))
        except (IntegrityError, ObjectMissingError):  # told by who asks what is held
            continue
        if _is_over(until, now - LEFT):
            found += [said[place] for place in [(RELEASE, seq, tag)] if place in said]
            found.append(key)
    return found


def _is_released(repository: Repository, lineage: bytes, key: str | None) -> bool:
    """Rule 3."""
    if key is None:
        return False
    try:
        hear(repository, lineage, key)
    except (IntegrityError, ObjectMissingError) as error:
        repository.warnings.append(f"{key}: {error.message}; the point stays held")
        return False
    return True


def _words(repository: Repository, keys: LineageKeys | None, shut: Shut) -> tuple[str, str]:
    """Why and who (rule 4); empty where they cannot be opened."""
    if keys is None:
        return "", ""
    try:
        told = words(shut, keys)
    except (IntegrityError, KeyAccessError) as error:
        repository.warnings.append(
            f"{shut.statement.key}: its words cannot be read: {error.message}"
        )
        return "", ""
    return text(told, "why"), text(told, "by")


def newest_each(holds: Sequence[Held]) -> list[Hold]:
    """One hold for each point that has any, the newest: what a catalogue remembers. Those that are over
    by themselves (rule 6) are not worth it.
    """
    return list({one.hold.seq: one.hold for one in holds if one.hold.until is None}.values())


def learn_holds(repository: Repository, catalogue: Catalogue, lineages: Collection[bytes]) -> None:
    """Make *catalogue* know what is held of *lineages*, and what is not any more."""

    def keys_of(lineage: bytes) -> LineageKeys:
        return load_keys(repository, lineage)

    every = every_hold(repository, lineages, keys_of)
    found = {one.lineage: newest_each(one.held) for one in every}
    known = {one.lineage for one in catalogue.holds(repository.tenant)}
    for lineage in set(lineages) & (found.keys() | known):
        catalogue.note_holds(repository.tenant, lineage, found.get(lineage, []))
