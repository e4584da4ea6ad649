"""The manifests of a lineage: find the newest, read one, learn what the bucket holds.

What does not verify is skipped and warned of: a garbage object must not stop a restore. Of several
versions under one name the first valid one, in the store's own order, is *the* manifest: who may only
add versions can neither replace nor hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from drd.core import manifest as manifests
from drd.core import names
from drd.core.manifest import Manifest
from drd.errors import IntegrityError, KeyAccessError, ObjectMissingError
from drd.model import Geometry, Json, PointInfo, PointKind
from drd.pipeline.ordered import ordered
from drd.ports import Catalogue
from drd.work.journals import unexplained
from drd.work.lineagekeys import LineageKeys, load_keys
from drd.work.repository import Repository

SECRET_FACTS = frozenset({"digest_key"})
"""Facts that never leave the sealed part: they are not for catalogues, listings or logs."""
NUMBERS = 1 << 63
"""Below this all numbers of a point are: more does no SQLite hold (its INTEGER has 64 bits, signed)."""
READ_AHEAD = 64
"""Manifests that are asked for ahead; the pool says how many at a time."""
_Given = TypeVar("_Given")


@dataclass(frozen=True, slots=True)
class Point:
    """A manifest that verified, with its sealed facts opened."""

    key: str
    manifest: Manifest
    facts: Mapping[str, Json]

    @property
    def seq(self) -> int:
        """Sequence number."""
        return self.manifest.clear.seq

    @property
    def is_full(self) -> bool:
        """Whether it can be restored."""
        return self.manifest.clear.kind is PointKind.FULL

    def text(self, name: str) -> str:
        """A fact that is text, and can be written as UTF-8 (JSON escapes can spell what cannot)."""
        value = self.facts.get(name)
        if not isinstance(value, str):
            raise IntegrityError(f"the manifest lacks {name}", about=self.key)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise IntegrityError(f"the manifest has a damaged {name}", about=self.key) from error
        return value

    def number(self, name: str) -> int:
        """A fact that is a whole number, not negative and below ``NUMBERS``."""
        value = self.facts.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise IntegrityError(f"the manifest lacks {name}", about=self.key)
        if not 0 <= value < NUMBERS:
            raise IntegrityError(f"the manifest has a damaged {name}", about=self.key)
        return value

    def hex(self, name: str, length: int) -> bytes:
        """A fact of *length* bytes in hex digits."""
        try:
            value = bytes.fromhex(self.text(name))
        except ValueError as error:
            raise IntegrityError(f"the manifest has a damaged {name}", about=self.key) from error
        if len(value) != length:
            raise IntegrityError(f"the manifest has a damaged {name}", about=self.key)
        return value

    def geometry(self) -> Geometry:
        """Block and cell, as they were when the point was made.

        Raises:
            IntegrityError: they do not fit each other, or the window.
        """
        made = Geometry(block=self.number("block"), cell=self.number("cell"))
        fits = (
            made.block > 0 and made.block % 8 == 0 and made.cell > 0
        )  # digests read 8 bytes at once
        if not fits or made.cell % made.block or made.window_blocks % made.cell_blocks:
            raise IntegrityError(
                "the manifest has impossible sizes of block and cell", about=self.key
            )
        return made

    def table(self, name: str) -> Mapping[str, Json]:
        """A fact that is a table; empty when there is none."""
        value = self.facts.get(name)
        return value if isinstance(value, dict) else {}


def check(repository: Repository, data: bytes, lineage: bytes, seq: int) -> Manifest:
    """Decode and verify one manifest, its place, signature and signer.

    Raises:
        IntegrityError: anything about it is wrong.
    """
    manifest = manifests.decode_manifest(data)
    manifests.verify(manifest, scope=repository.scope(lineage), seq=seq)
    manifests.check_signer(manifest, repository.trust)
    number, digest = manifest.clear.trust
    if number > repository.trust.number:
        raise IntegrityError(f"a manifest was signed under trust {number}, which is not here")
    if number == repository.trust.number and digest != repository.trust.sha256:
        raise IntegrityError(f"a manifest was signed under another trust {number}")
    return manifest


def read_manifest(repository: Repository, lineage: bytes, seq: int) -> Manifest:
    """The manifest *seq* of *lineage*: the first version of its key that verifies.

    Raises:
        ObjectMissingError: there is none.
        IntegrityError: none of its versions verifies.
    """
    key = names.manifest_key(repository.tenant, lineage, seq)
    versions = repository.store.versions(key)
    if not versions:
        raise ObjectMissingError("there is no such manifest", about=key)
    problem: IntegrityError | None = None
    for version in versions:
        try:
            data = repository.store.get(key, version=version.version)
            return check(repository, data, lineage, seq)
        except IntegrityError as error:
            problem = error
    raise IntegrityError("the manifest is damaged", about=key) from problem


def open_point(manifest: Manifest, keys: LineageKeys) -> Point:
    """Open the sealed part of *manifest*.

    Raises:
        KeyAccessError: the metadata key cannot be had.
        IntegrityError: the sealed part is damaged.
    """
    clear = manifest.clear
    facts = manifests.open_facts(manifest, keys.metadata(clear.generation))
    key = names.manifest_key(clear.scope.tenant, clear.scope.lineage, clear.seq)
    return Point(key, manifest, facts)


def newest(repository: Repository, keys: LineageKeys) -> Point | None:
    """The newest manifest of a lineage, full or partial; one LIST of one key, as a rule.

    Manifests that do not verify are passed over, with a warning.
    """
    return next(newest_first(repository, keys), None)


def newest_first(repository: Repository, keys: LineageKeys) -> Iterator[Point]:
    """Valid manifests of a lineage from the newest down, asked for in growing pages."""
    lineage = keys.scope.lineage
    folder = names.manifest_folder(repository.tenant, lineage)
    after, limit = "", 1
    while True:
        page = list(repository.store.list(folder, limit=limit, after=after))
        for listed in page:
            point = _try_point(repository, keys, listed.key)
            if point is not None:
                yield point
        if len(page) < limit:
            return
        after, limit = page[-1].key, min(limit * 8, 1000)


def _try_point(repository: Repository, keys: LineageKeys, key: str) -> Point | None:
    place = names.parse_manifest_key(key)
    if place is None:
        repository.warnings.append(f"{key} is not one of drd's objects")
        return None
    try:
        return open_point(read_manifest(repository, place[1], place[2]), keys)
    except (IntegrityError, ObjectMissingError) as error:
        repository.warnings.append(f"{key}: {error.message}")
        return None


def point_info(point: Point) -> PointInfo:
    """What a catalogue may know of a point; no key material."""
    clear = point.manifest.clear
    predecessor = clear.predecessor[0] if clear.predecessor else 0
    return PointInfo(
        tenant=clear.scope.tenant,
        lineage=clear.scope.lineage,
        seq=clear.seq,
        name=point.text("name"),
        identity=point.text("identity"),
        kind=clear.kind,
        point_at=clear.point_at,
        committed_at=clear.committed_at,
        size=point.number("size"),
        manifest_sha256=point.manifest.sha256,
        manifest_key=point.key,
        predecessor_seq=predecessor,
        facts={name: value for name, value in point.facts.items() if name not in SECRET_FACTS},
    )


def learn(
    repository: Repository, catalogue: Catalogue | None, *, pool: Executor | None = None
) -> list[PointInfo]:
    """Make *catalogue* know what the bucket holds, reading only manifests not known yet.

    Args:
        repository: the open repository.
        catalogue: what is known here; None where nothing is, so that all are read.
        pool: reads many manifests at a time; one at a time without.

    Returns:
        All points of this tenant that verify, partial ones included; a point is ``suspect`` when a
        later one found that its base was not what the map restored.
    """
    known = catalogue.keys(repository.tenant) if catalogue is not None else {}
    there = {one.key for one in repository.store.list(f"m/{repository.tenant.hex()}/")}
    reading = Reading(repository, pool)
    fresh = reading.read(sorted(there - known.keys()))
    reading.check(any_read=bool(fresh) or not there.isdisjoint(known))
    if catalogue is None:
        return mark_suspects(sorted(fresh, key=lambda one: (one.lineage, one.seq)))
    gone = [key for key in known if key not in there]
    _warn_of(repository, {key: known[key] for key in gone}, catalogue)
    catalogue.learn(fresh)
    present = catalogue.points(repository.tenant)
    # Only what verified can be a head: else garbage above a hidden one would have it forgotten.
    catalogue.forget(set(gone) - heads(present))
    return mark_suspects(point for point in present if point.manifest_key in there)


def learn_lineage(
    repository: Repository,
    catalogue: Catalogue,
    lineage: bytes,
    *,
    pool: Executor | None = None,
) -> list[PointInfo]:
    """As :func:`learn`, of one lineage alone: its manifests are listed, and no others.

    A lineage whose keys do not open is a warning, and keeps what was known of it.

    Returns:
        The points of the lineage that are in the bucket and verify, by number.
    """
    there = _listed(repository, lineage)
    return _learn_listed(catalogue, lineage, there, Reading(repository, pool))


def learn_each(
    repository: Repository, catalogue: Catalogue, *, pool: Executor | None = None
) -> dict[bytes, int]:
    """As :func:`learn`, one lineage after the other: what it takes of memory grows with the largest of
    them, not with all. Of ten thousand lineages that did not change each costs one LIST.

    Returns:
        How many points each lineage has, of those that the bucket or the catalogue has.

    Raises:
        KeyAccessError: there was something to read, and no lineage's keys open.
    """
    folders = repository.store.folders(f"m/{repository.tenant.hex()}/")
    there = {bytes.fromhex(folder) for folder in folders if names.is_id(folder)}
    lineages = sorted(there | catalogue.lineages(repository.tenant))
    reading = Reading(repository, pool)
    listing: Iterable[set[str]] = (
        map(partial(_listed, repository), lineages)
        if pool is None
        else ordered(pool, partial(_listed, repository), lineages, ahead=READ_AHEAD)
    )
    counts = {
        lineage: len(_learn_listed(catalogue, lineage, keys, reading))
        for lineage, keys in zip(lineages, listing, strict=True)
    }
    reading.check(any_read=any(counts.values()))
    return counts


def _listed(repository: Repository, lineage: bytes) -> set[str]:
    folder = names.manifest_folder(repository.tenant, lineage)
    return {one.key for one in repository.store.list(folder)}


def _learn_listed(
    catalogue: Catalogue, lineage: bytes, there: set[str], reading: Reading
) -> list[PointInfo]:
    """Learn of a lineage of which *there* are these manifests."""
    repository = reading.repository
    known = {one.manifest_key: one for one in catalogue.points_of(repository.tenant, lineage)}
    fresh = reading.read(sorted(there - known.keys()))
    gone = sorted(known.keys() - there)
    _warn_of(repository, {key: known[key].manifest_sha256 for key in gone}, catalogue)
    if fresh:
        catalogue.learn(fresh)
    every = sorted([*known.values(), *fresh], key=lambda one: one.seq)
    if lost := set(gone) - heads(every):
        catalogue.forget(lost)
    return mark_suspects(one for one in every if one.manifest_key in there)


def _warn_of(repository: Repository, gone: Mapping[str, bytes], catalogue: Catalogue) -> None:
    """Warn of what was known here and is gone, but for what the journal of deletions explains."""
    if gone:
        for key in unexplained(repository, gone, catalogue.ledger):
            repository.warnings.append(f"{key} was known here and is gone from the bucket")


def learn_unknown(
    repository: Repository, catalogue: Catalogue, *, pool: Executor | None = None
) -> list[PointInfo]:
    """Learn of the lineages in the bucket of which nothing is known here: the newest points of each.

    What it costs grows with those lineages, besides a listing of folders; not with their points.

    Returns:
        The points that were learnt.

    Raises:
        KeyAccessError: nothing is known here, and no lineage's keys open.
    """
    folders = repository.store.folders(f"m/{repository.tenant.hex()}/")
    there = {bytes.fromhex(folder) for folder in folders if names.is_id(folder)}
    known = catalogue.lineages(repository.tenant)
    reading = Reading(repository, pool)
    fresh = reading.newest(sorted(there - known))
    reading.check(any_read=bool(fresh) or not there.isdisjoint(known))
    if fresh:
        catalogue.learn(fresh)
    return fresh


def heads(points: Sequence[PointInfo]) -> set[str]:
    """Keys of the newest point of each lineage, and of its newest full one, which gives it its name.
    *points* come by number.

    They never expire, so they are not forgotten when a store does not show them any more.
    """
    newest = {point.lineage: point.manifest_key for point in points}  # by number, so the last stays
    full = {point.lineage: point.manifest_key for point in points if point.kind is PointKind.FULL}
    return {*newest.values(), *full.values()}


class Reading:
    """Reads manifests of many lineages, many at a time. A lineage whose keys do not open is left out,
    with a warning: what happened to its slots must not hide all the others.
    """

    def __init__(self, repository: Repository, pool: Executor | None = None) -> None:
        self.repository = repository
        self._pool = pool
        self._keys: dict[bytes, LineageKeys] = {}
        self._locked: dict[bytes, KeyAccessError] = {}

    def read(self, manifest_keys: Iterable[str]) -> list[PointInfo]:
        """The points under *manifest_keys*, without those that cannot be read (a warning each)."""
        lineages: dict[bytes, list[str]] = {}
        for key in manifest_keys:
            place = names.parse_manifest_key(key)
            if place is None:
                self.repository.warnings.append(f"{key} is not one of drd's objects")
            else:
                lineages.setdefault(place[1], []).append(key)
        # Keys are opened with the first of each, so that no two threads open the same ones.
        shut = [lineage for lineage in lineages if lineage not in self._keys]
        first = [(lineage, lineages[lineage].pop(0)) for lineage in shut]
        rest = [(lineage, key) for lineage, keys in lineages.items() for key in keys]
        return [*self._all(self._read, first), *self._all(self._read, rest)]

    def newest(self, lineages: Iterable[bytes]) -> list[PointInfo]:
        """Of each lineage the newest point, and the newest full one where that is another."""
        return self._all(self._newest, lineages)

    def _all(
        self,
        read: Callable[[_Given], list[PointInfo]],
        wanted: Iterable[_Given],
    ) -> list[PointInfo]:
        each: Iterator[list[PointInfo]]
        if self._pool is None:
            each = map(read, wanted)
        else:
            each = ordered(self._pool, read, wanted, ahead=READ_AHEAD)
        return [point for found in each for point in found]

    def _read(self, wanted: tuple[bytes, str]) -> list[PointInfo]:
        lineage, key = wanted
        with self._forgiven(lineage, key):
            keys = self._keys_of(lineage)
            point = _try_point(self.repository, keys, key) if keys is not None else None
            return self._told(point) if point is not None else []
        return []

    def _newest(self, lineage: bytes) -> list[PointInfo]:
        found: list[PointInfo] = []
        folder = names.manifest_folder(self.repository.tenant, lineage)
        with self._forgiven(lineage, folder):
            keys = self._keys_of(lineage)
            for point in newest_first(self.repository, keys) if keys is not None else ():
                if not found or point.is_full:
                    found += self._told(point)
                if found and found[-1].kind is PointKind.FULL:
                    break
        return found

    def _told(self, point: Point) -> list[PointInfo]:
        """What there is to know of a point; nothing (and a warning) when it lacks facts."""
        with self._forgiven(point.manifest.clear.scope.lineage, point.key):
            return [point_info(point)]
        return []

    def _keys_of(self, lineage: bytes) -> LineageKeys | None:
        if lineage in self._locked:
            return None
        if lineage not in self._keys:
            self._keys[lineage] = load_keys(self.repository, lineage)
        return self._keys[lineage]

    @contextmanager
    def _forgiven(self, lineage: bytes, about: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            self.repository.warnings.append(f"{about}: {error.message}")
        except KeyAccessError as error:
            if lineage not in self._locked:
                self._locked[lineage] = error
                self.repository.warnings.append(str(error))

    def check(self, *, any_read: bool) -> None:
        """Tell wrong keys from one lineage that is out of order.

        Raises:
            KeyAccessError: nothing opened, and something did not.
        """
        if self._locked and not any_read:
            raise next(iter(self._locked.values()))


def mark_suspects(points: Iterable[PointInfo]) -> list[PointInfo]:
    """Mark points of which a later point of the same lineage said that they are suspect."""
    ordered = list(points)
    through: dict[bytes, int] = {}
    for point in ordered:
        suspects = point.facts.get("suspects")
        for entry in suspects if isinstance(suspects, list) else []:
            last = entry.get("through") if isinstance(entry, dict) else None
            if isinstance(last, int):
                through[point.lineage] = max(through.get(point.lineage, 0), last)
    return [
        replace(point, suspect=True) if point.seq <= through.get(point.lineage, -1) else point
        for point in ordered
    ]
