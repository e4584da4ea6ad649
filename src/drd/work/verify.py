"""Verify: each level says what it proved, for how much, and nothing more.

- Level 0, *present*: every object that a point needs is there, with the size it was written with. No key.
- Level 1, *hashes*: every such object has the SHA-256 that the manifest or a row names. No data key.
- Level 2, *decrypts*: every frame of every pack authenticates, decompresses, and has its length; footers
  open. For the verify role.
- Level 4, *source*: every cell of the map has the digest of the same cell in the source's snapshot of
  that point. No data key.

Points of a lineage share most objects. What was found out about one in this call is not asked for
again, at the same level and by the same hash, size and keys: all points cost little more than one.
What was found wrong of a point is kept when something (a store that goes away, Ctrl-C) ends the look
at it half-way: it is the more urgent of the two to be told.
At every level who verifies tries the own slot of each generation that the point stands on, where the
role may open data at all: to a host whose slot is damaged or gone, packs without a fault are lost.
The roll of each point belongs to every level but the last: at level 0 its manifests are there, from
level 1 on they are the ones that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import numpy as np

from drd.core import names, pack, seal
from drd.core.cells import Lens, differ
from drd.core.compress import Compressor
from drd.core.footer import footer_frames
from drd.core.tables import PackRow
from drd.errors import IntegrityError, NotFoundError, ObjectMissingError
from drd.model import Found, PointInfo, Progress
from drd.pipeline.batching import Batch, Wanted, batches, pieces, read_spans
from drd.pipeline.ordered import ordered
from drd.ports import Report, Source, Store
from drd.work import layout
from drd.work.history import open_point, read_manifest
from drd.work.lineagekeys import LineageKeys, load_keys
from drd.work.making import snapshot_of
from drd.work.packkeys import PackKeys
from drd.work.repository import Repository
from drd.work.restore import OpenedPoint
from drd.work.rolls import RollCheck
from drd.work.shelf import Shelf, fetch

OBJECT_LEVELS: Final = (0, 1, 2)
"""The levels that look at packs and tables; level 4 looks at the source."""


@dataclass(frozen=True, slots=True)
class Needed:
    """An object that a point needs."""

    key: str
    version: str
    size: int
    sha256: bytes
    row: PackRow | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; ``offset`` and ``length`` in bytes of the image where known."""

    point: str
    about: str
    what: str
    offset: int | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What was proved of one point: objects and bytes on which that stands, and what was wrong.

    At level 0 no byte is looked at. What several points share is read once, and counted for each.
    """

    point: str
    level: int
    objects: int
    bytes: int
    findings: tuple[Finding, ...]
    whole: bool = True
    """False when only some of the point's packs were looked at: the turn of a rotating coverage."""
    hint: str = "restore another point, or this one with --best-effort"


@dataclass(frozen=True, slots=True)
class Eyes:
    """With what a verify works."""

    cpu: Executor
    transfers: Executor
    report: Report
    ahead: int = 8


class Round:
    """One call of verify for points of one repository: keys and tables of the lineage under way, and
    what was found out about objects until now.

    Raises (each method):
        IntegrityError, KeyAccessError: a point, or its keys, cannot be opened.
    """

    def __init__(self, repository: Repository, level: int, eyes: Eyes) -> None:
        self.level, self.eyes = level, eyes
        self.rolls = RollCheck(repository, eyes.transfers, hashes=level > 0, ahead=eyes.ahead)
        self.known: dict[tuple[object, ...], str] = {}
        self.keys: dict[bytes, LineageKeys] = {}
        self.turns: dict[bytes, frozenset[bytes]] = {}
        self._looked: dict[bytes, set[bytes]] = {}
        self._needed: dict[bytes, set[bytes]] = {}
        self.findings: list[Finding] = []
        self.repository = repository
        self._held: tuple[LineageKeys, Shelf] | None = None

    def open(self, info: PointInfo) -> OpenedPoint:
        """A point with the tables that it shares with those before it."""
        held = self._held
        if held is None or held[0].scope.lineage != info.lineage:
            keys = self.keys[info.lineage] = load_keys(self.repository, info.lineage)
            held = self._held = (keys, Shelf(self.repository.store, keys))
        keys, shelf = held
        point = open_point(read_manifest(self.repository, info.lineage, info.seq), keys)
        return OpenedPoint(self.repository, keys, point, shelf=shelf)

    def due(self, lineage: bytes, wanted: Sequence[Needed]) -> list[Needed]:
        """What of *wanted* is to be looked at: all of it, or the packs whose turn it is (``turns``), and
        every table.
        """
        turn = self.turns.get(lineage)
        return [one for one in wanted if turn is None or one.row is None or one.row.pack_id in turn]

    def count(self, lineage: bytes, wanted: Sequence[Needed], looked: Sequence[Needed]) -> None:
        """A look at a point came to its end."""
        for found, some in ((self._needed, wanted), (self._looked, looked)):
            ids = {one.row.pack_id for one in some if one.row is not None}
            found.setdefault(lineage, set()).update(ids)

    def packs_of(self, lineage: bytes) -> tuple[int, int]:
        """Packs of a lineage that were looked at, of how many that its points needed."""
        return len(self._looked.get(lineage, ())), len(self._needed.get(lineage, ()))

    def take(self) -> tuple[Finding, ...]:
        """What was found wrong of the point under way until now; with it the look at the point ends."""
        taken, self.findings = tuple(self.findings), []
        return taken

    def look(
        self, check: Callable[[Needed], object], identity: Callable[[Needed], tuple[object, ...]]
    ) -> Callable[[Needed], str]:
        """What is wrong with an object (``""`` for nothing): found out once for each *identity*."""

        def looked(one: Needed) -> str:
            known = identity(one)
            if known not in self.known:
                self.known[known] = _wrong(check, one)
            return self.known[known]

        return looked


def _wrong(check: Callable[[Needed], object], one: Needed) -> str:
    try:
        check(one)
    except IntegrityError as error:
        return error.message
    return ""


def needed(opened: OpenedPoint) -> list[Needed]:
    """Every object that a point's map needs, manifest excluded (it was read and verified).

    Raises:
        IntegrityError: a table that lists packs is itself missing or damaged.
    """
    scope = opened.keys.scope
    found = [
        Needed(
            names.table_key(scope.tenant, scope.lineage, one.table_id),
            one.version,
            one.size,
            one.sha256,
        )
        for one in opened.map.references
    ]
    reached: set[int] = set()
    for reference in opened.map.references:
        reached.update(opened.shelf.open(reference).head.reached)
    for row in opened.rows.rows:
        if row.ordinal in reached:
            key = names.pack_key(scope.tenant, scope.lineage, row.pack_id)
            found.append(Needed(key, row.version, row.size, row.sha256, row))
    return found


def verify_objects(opened: OpenedPoint, now: Round, *, point: str) -> Proof:
    """Levels 0, 1 and 2, as *now* has it.

    Raises:
        KeyAccessError: no slot of this host opens; what was found until then stays with *now*.
    """
    level, eyes = now.level, now.eyes
    try:
        wanted = needed(opened)
        look = now.look(*_check_of(level, opened))
    except IntegrityError as error:
        return Proof(point, level, 0, 0, (Finding(point, error.about, error.message),))
    lineage = opened.keys.scope.lineage
    due = now.due(lineage, wanted)
    total = sum(one.size for one in due)
    done = 0
    now.findings += _roll_findings(opened, now.rolls, point)
    results = ordered(eyes.transfers, look, due, ahead=eyes.ahead)
    wrong: list[tuple[Needed, str]] = []
    for one, what in zip(due, results, strict=True):
        if what:
            wrong.append((one, what))
            now.findings.append(Finding(point, one.key, what))
        done += one.size
        eyes.report(Progress("verify", done, total))
    if any(one.row is not None for one, _ in wrong):
        now.findings = _of_map(opened, wrong, now.findings)
    _try_own_slot(opened)
    now.count(lineage, wanted, due)
    whole = len(due) == len(wanted)
    return Proof(point, level, len(due), total if level else 0, now.take(), whole=whole)


def _of_map(
    opened: OpenedPoint, wrong: Sequence[tuple[Needed, str]], findings: list[Finding]
) -> list[Finding]:
    """*findings* without those about packs of which the point restores nothing any more: tables reach also
    what was painted over, and a backup that put again what was in a lost pack paints over all of it.
    """
    try:
        painted = opened.map.packs()
    except IntegrityError:  # a table is damaged, too: nobody can tell
        return findings
    idle = {one.key for one, _ in wrong if one.row is not None and one.row.ordinal not in painted}
    return [one for one in findings if one.about not in idle]


def _try_own_slot(opened: OpenedPoint) -> None:
    """Open the private keys of the point's generations, and nothing with them.

    Raises:
        KeyAccessError: no slot of this host opens.
    """
    if not opened.repository.ring.generation_slots():  # a role, or a file, that opens no data
        return
    generations = {epoch.generation for epoch in opened.rows.epochs}
    for number in sorted({opened.point.manifest.clear.generation, *generations}):
        opened.keys.private(number)


def _check_of(
    level: int, opened: OpenedPoint
) -> tuple[Callable[[Needed], object], Callable[[Needed], tuple[object, ...]]]:
    """How to look at an object, and what it was looked at with: equal for one that need not be again."""
    store = opened.repository.store
    if level == 0:
        return lambda one: _present(store, one), lambda one: (one,)
    if level == 1:
        return lambda one: _hash(store, one), lambda one: (one,)
    decrypting = _Decrypting(opened)
    return decrypting.check, decrypting.identity


def _roll_findings(opened: OpenedPoint, rolls: RollCheck, point: str) -> list[Finding]:
    """Earlier manifests that this point says are retained, and that are gone or were exchanged."""
    clear = opened.point.manifest.clear
    gone = rolls.missing(clear, opened.shelf)
    keys = [
        names.manifest_key(clear.scope.tenant, clear.scope.lineage, entry.seq) for entry, _ in gone
    ]
    return [Finding(point, key, what) for key, (_, what) in zip(keys, gone, strict=True)]


def _present(store: Store, one: Needed) -> None:
    for version in dict.fromkeys((one.version, "")):
        try:
            there = store.stat(one.key, version=version)
        except ObjectMissingError:
            continue
        if there.size == one.size:
            return
        raise IntegrityError(f"has {there.size} bytes instead of {one.size}", about=one.key)
    raise IntegrityError("is missing", about=one.key)


def _hash(store: Store, one: Needed) -> bytes:
    return fetch(store, one.key, version=one.version, sha256=one.sha256)


class _Decrypting:
    """Level 2 for the objects of one point."""

    def __init__(self, opened: OpenedPoint) -> None:
        self._opened = opened
        self._packs = PackKeys(opened.keys, opened.rows)
        self._secrets = {secret.ordinal: secret for secret in opened.rows.secrets}
        self._epochs = {epoch.epoch_id: epoch for epoch in opened.rows.epochs}

    def identity(self, one: Needed) -> tuple[object, ...]:
        """An object, and all that it is opened with: the sealed row of a pack, its epoch, the units."""
        secret = self._secrets.get(one.row.ordinal) if one.row is not None else None
        epoch = self._epochs.get(secret.epoch_id) if secret is not None else None
        return (one, secret, epoch, self._opened.geometry)

    def check(self, one: Needed) -> None:
        """Hash, then open everything in it."""
        data = _hash(self._opened.repository.store, one)
        if one.row is None:
            sealed = seal.decode_header(data, kind=data[4:8])
            seal.open_object(data, sealed, self._opened.keys.metadata(sealed.generation))
            return
        self._open_pack(one.row, data)

    def _open_pack(self, row: PackRow, data: bytes) -> None:
        opened = self._packs.open(row.ordinal)
        header = pack.decode_header(data)
        if seal.sha256(header.raw) != opened.secret.header_hash or header.pack_id != row.pack_id:
            raise IntegrityError("a pack's header is not the one its row names")
        trailer = pack.decode_trailer(data[-pack.TRAILER_BYTES :])
        footer = data[trailer.footer_offset : trailer.footer_offset + trailer.footer_length]
        sealed = seal.decode_header(footer, kind=pack.FOOTER)
        if sealed.object_id != row.pack_id or trailer.frames != opened.secret.frames:
            raise IntegrityError("a pack's footer is not its own")
        sections = seal.open_object(footer, sealed, self._opened.keys.metadata(sealed.generation))
        opener = opened.opener()
        view = memoryview(data)
        rows = footer_frames(sections, self._opened.geometry, trailer.frames)
        for number, (offset, stored, plain) in enumerate(rows):
            opener.open(number, view[offset : offset + stored], plain)


def verify_source(
    opened: OpenedPoint, source: Source, found: Found, now: Round, *, point: str
) -> Proof:
    """Level 4.

    Raises:
        NotFoundError: the source has no snapshot of this point any more.
        KeyAccessError: no slot of this host opens; what was found until then stays with *now*.
    """
    snapshot = snapshot_of(opened.point.table("snapshot"))
    if snapshot is None:
        raise NotFoundError("the point names no snapshot", about=point)
    geometry, eyes = opened.geometry, now.eyes
    lens = Lens(geometry, opened.digest_keys, opened.item.item_id, geometry.cell)
    looked = 0
    with source.reopen(found, snapshot) as frozen:
        size = frozen.snapshot.size

        def wanted() -> Iterator[Wanted]:
            for stretch in layout.stretches(opened.item, geometry):
                digests = opened.map.digests(stretch.window)
                low = stretch.space - stretch.window * geometry.window_cells
                stored = digests[low : low + stretch.cells]
                mask = stored != 0
                length = min(stretch.cells * geometry.cell, size - stretch.first * geometry.cell)
                if length > 0:
                    for changed in frozen.changed(stretch.first * geometry.cell, length):
                        first = changed.offset // geometry.cell - stretch.first
                        mask[first : -(-changed.end // geometry.cell) - stretch.first] = True
                own = np.flatnonzero(mask)
                never = np.zeros(len(own), np.bool_)
                yield from pieces(own + stretch.first, stored[own], never, geometry)

        spans = read_spans(frozen, wanted(), geometry)
        work = batches(spans, geometry, lambda _: 0)

        def compare(batch: Batch) -> tuple[int, list[int]]:
            difference = differ(batch.spans, lens, Compressor(1))
            return difference.looked, difference.cell.tolist()

        for count, cells in ordered(eyes.cpu, compare, work, ahead=eyes.ahead):
            looked += count
            now.findings += [_differs(point, cell * geometry.cell, geometry.cell) for cell in cells]
            eyes.report(Progress("verify", looked * geometry.cell, size))
    _try_own_slot(opened)
    return Proof(point, 4, looked, looked * geometry.cell, now.take())


def _differs(point: str, offset: int, length: int) -> Finding:
    return Finding(point, "", "differs from the source's snapshot", offset, length)
