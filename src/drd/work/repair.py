"""Repair: objects that a verify found damaged or gone are put again, as the very bytes that they were.

Objects are immutable and named by their SHA-256 in rows and manifests. So there is one right answer for
each, and who puts it heals every point that needs it; nothing else is ever put.

1. *version*: a version of the object that verifies lies in the store, and is not the newest: it is put
   again. That is all that can be done for a table: it is sealed with a salt that nobody else knows.
2. *recreated*: a pack is put together from what is whole of its copies and from the source's snapshot of
   the newest point (:mod:`drd.work.recreate`).
3. *none*: what is lost is named, range by range, of each point. The pack is noted on this host, and the
   next backup puts again what the newest point has in it: earlier points stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import numpy as np

from drd.core import names, seal
from drd.core.kinds import TableKind
from drd.core.tables import PackRow
from drd.core.window import ramps
from drd.errors import IntegrityError, NotFoundError, ObjectMissingError
from drd.model import ByteRange, Geometry, PointInfo, Progress
from drd.ports import Frozen, ReadAt, Report, Store
from drd.work import layout
from drd.work.footers import Footer, Named, in_copy, retold
from drd.work.packkeys import PackKeys
from drd.work.recreate import Mould, recreate, whole_frames
from drd.work.restore import Damage, OpenedPoint, join_damage
from drd.work.shelf import fetch
from drd.work.verify import Needed, Round

VERSION: Final = "version"
RECREATED: Final = "recreated"
NONE: Final = "none"
STAGE: Final = "repair"

Reopen = Callable[[OpenedPoint], AbstractContextManager[Frozen]]
"""Opens the source's snapshot of a point; ``NotFoundError`` where there is none any more."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Bytes of a point that cannot be had; of a table none are named, for it may tell of any."""

    point: str
    where: ByteRange


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of one object; ``points`` need it, ``pack`` is its id where it is one."""

    key: str
    lineage: bytes
    how: str
    why: str = ""
    pack: bytes | None = None
    points: tuple[str, ...] = ()
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True, slots=True)
class Tools:
    """With what a repair works: how a snapshot is opened, where progress goes."""

    reopen: Reopen
    report: Report


def repair(
    now: Round, points: Sequence[PointInfo], objects: Iterable[str], tools: Tools
) -> Iterator[Repaired]:
    """Repair *objects* (names) of one lineage, whose full *points* these are, by number.

    Raises:
        KeyAccessError: the role or the key file opens no data.
        StoreError: the store failed, or refuses to put.
    """
    wanted = list(dict.fromkeys(objects))
    work = _Repair(now, points, tools)
    tables = [one for one in wanted if one.startswith("x/")]
    packs = [one for one in wanted if one.startswith("p/")]
    for done, key in enumerate([*tables, *packs]):  # what packs are is known by tables
        tools.report(Progress(STAGE, done, len(tables) + len(packs)))
        yield work.table(key) if key.startswith("x/") else work.pack(key)


@dataclass(frozen=True, slots=True)
class _Need:
    """A point that needs an object."""

    info: PointInfo
    opened: OpenedPoint
    needed: Needed


class _Repair:
    """Repairs objects of one lineage."""

    def __init__(self, now: Round, points: Sequence[PointInfo], tools: Tools) -> None:
        self._round, self._points, self._tools = now, list(points), tools
        self._store: Store = now.repository.store

    # ── tables ────────────────────────────────────────────────────────────────────────────────
    def table(self, key: str) -> Repaired:
        """A table: an older version, or nothing."""
        needs = []
        for info, opened in self._opened():
            scope = opened.keys.scope
            for one in opened.map.references:
                name = names.table_key(scope.tenant, scope.lineage, one.table_id)
                if name == key:
                    needs.append(
                        _Need(info, opened, Needed(key, one.version, one.size, one.sha256))
                    )
        if not needs:
            return Repaired(key, self._points[-1].lineage, NONE, "no point names it")
        points = tuple(_name(one.info) for one in needs)
        how, why = self._older(needs[-1].needed)
        if how == NONE:
            why = "no version of it is whole, and a table cannot be made again"
        return Repaired(key, self._points[-1].lineage, how, why, points=points)

    def _older(self, one: Needed) -> tuple[str, str]:
        """Put a whole version again where the newest is another; else why not."""
        try:
            data = fetch(self._store, one.key, version=one.version, sha256=one.sha256)
        except IntegrityError as error:
            return NONE, error.message
        try:
            if seal.sha256(self._store.get(one.key)) == one.sha256:
                return NONE, "its bytes are those that were put: what is wrong was wrong then"
        except ObjectMissingError:
            pass
        self._put(one, data)
        return VERSION, ""

    def _put(self, one: Needed, data: bytes) -> None:
        """The last look: nothing else than what the row names ever lies under its name because of us.

        Raises:
            IntegrityError: somebody gave us something else.
        """
        if seal.sha256(data) != one.sha256:
            raise IntegrityError("a repair came to other bytes than were lost", about=one.key)
        self._store.put(one.key, data)

    # ── packs ─────────────────────────────────────────────────────────────────────────────────
    def pack(self, key: str) -> Repaired:
        """A pack: an older version, or its bytes made again, or what is lost of each point."""
        needs = list(self._needs(key))
        lineage = self._points[-1].lineage
        if not needs:
            return Repaired(key, lineage, NONE, "no point that can be opened needs it")
        newest = needs[-1]
        row = newest.needed.row
        pack_id = row.pack_id if row is not None else b""
        points = tuple(_name(one.info) for one in needs)
        how, why = self._older(newest.needed)
        if how != NONE:
            return Repaired(key, lineage, how, pack=pack_id, points=points)
        mould, copies = self._mould(newest), self._copies(key)
        data = self._recreated(mould, copies, newest)
        if data is not None and seal.sha256(data) not in map(seal.sha256, copies):
            self._put(newest.needed, data)
            return Repaired(key, lineage, RECREATED, pack=pack_id, points=points)
        lost = tuple(one for need in needs for one in _lost(need, mould, copies))
        return Repaired(key, lineage, NONE, why, pack=pack_id, points=points, lost=lost)

    def _opened(self) -> Iterator[tuple[PointInfo, OpenedPoint]]:
        """Points that can be opened, the newest last."""
        for info in self._points:
            try:
                yield info, self._round.open(info)
            except IntegrityError:
                continue  # its manifest is damaged: that is a finding of its own

    def _needs(self, key: str) -> Iterator[_Need]:
        for info, opened in self._opened():
            try:
                row = _row(opened, key)
            except IntegrityError:
                continue  # a table of it is lost: told of that table
            if row is not None:
                yield _Need(info, opened, Needed(key, row.version, row.size, row.sha256, row))

    def _mould(self, need: _Need) -> Mould:
        opened, row = need.opened, need.needed.row
        ordinal = row.ordinal if row is not None else 0
        pack = PackKeys(opened.keys, opened.rows).open(ordinal)
        epochs = {one.epoch_id: one for one in opened.rows.epochs}
        return Mould(opened.keys.scope, pack, epochs[pack.secret.epoch_id], opened.geometry)

    def _copies(self, key: str) -> list[bytes]:
        """The bytes of each version that is there."""
        found = []
        for version in self._store.versions(key):
            try:
                found.append(self._store.get(key, version=version.version))
            except ObjectMissingError:
                continue
        return found

    def _recreated(self, mould: Mould, copies: Sequence[bytes], need: _Need) -> bytes | None:
        reader = _Reader(self._newest(), self._tools.reopen)
        return recreate(mould, copies, self._footers(mould, copies, need), reader.read)

    def _newest(self) -> OpenedPoint | None:
        """The newest point: of it the source keeps the snapshot."""
        try:
            return self._round.open(self._points[-1])
        except IntegrityError:
            return None

    def _footers(self, mould: Mould, copies: Sequence[bytes], need: _Need) -> Iterator[Footer]:
        """Candidates: those in copies, then what a run of level 0 says, where a point still names it."""
        keys, pack_id = need.opened.keys, mould.opened.row.pack_id
        for data in copies:
            footer = in_copy(data, keys, pack_id, mould.geometry)
            if footer is not None:
                yield footer
        for opened in (opened for _, opened in self._opened()):
            for one in opened.map.references:
                if one.kind is not TableKind.RUN or one.level:
                    continue
                try:
                    rows = opened.shelf.open(one).head.rows
                    if pack_id not in {row.pack_id for row in rows}:
                        continue
                    named = Named(one, mould.opened.row.ordinal, mould.opened.row.generation)
                    yield from retold(
                        named, opened.shelf, keys, pack_id=pack_id, geometry=mould.geometry
                    )
                except IntegrityError:
                    continue
                return


class _Reader:
    """Reads blocks of a lineage's space from the source's snapshot of its newest point."""

    def __init__(self, opened: OpenedPoint | None, reopen: Reopen) -> None:
        self._opened, self._reopen = opened, reopen

    def read(self, blocks: Sequence[int]) -> dict[int, bytes]:
        """Those of *blocks* that the source has; none where it has no such snapshot any more, or fails."""
        if self._opened is None:
            return {}
        try:
            with self._reopen(self._opened) as frozen:
                return dict(_blocks(self._opened, frozen, blocks))
        except (NotFoundError, IntegrityError):
            return {}


def _blocks(
    opened: OpenedPoint, frozen: Frozen, blocks: Sequence[int]
) -> Iterator[tuple[int, bytes]]:
    geometry, size = opened.geometry, frozen.snapshot.size
    per_cell, cells = geometry.cell_blocks, dict[int, int]()
    wanted = {one // per_cell for one in blocks}
    for stretch in layout.stretches(opened.item, geometry):
        for cell in wanted & set(range(stretch.space, stretch.space + stretch.cells)):
            own = cell - stretch.space + stretch.first
            if own * geometry.cell < size:
                cells[own] = cell
    requests = (ReadAt(own * geometry.cell, geometry.cell) for own in sorted(cells))
    asked = set(blocks)
    for request, data in frozen.read(requests):
        first = cells[request.offset // geometry.cell] * per_cell
        view = memoryview(data).cast("B")
        for number in range(per_cell):
            if first + number in asked:
                at = number * geometry.block
                yield first + number, bytes(view[at : at + geometry.block])


def _row(opened: OpenedPoint, key: str) -> PackRow | None:
    """The row of a pack, when the point restores something from it."""
    scope = opened.keys.scope
    for row in opened.rows.rows:
        if names.pack_key(scope.tenant, scope.lineage, row.pack_id) == key:
            return row if row.ordinal in opened.map.packs() else None
    return None


def _lost(need: _Need, mould: Mould, copies: Sequence[bytes]) -> Iterator[Lost]:
    """Ranges of a point whose blocks lie in frames that no copy has."""
    opened, row = need.opened, need.needed.row
    if row is None:
        return
    found: list[Damage] = []
    for stretch in layout.stretches(opened.item, opened.geometry):
        for first, end in _ranges(opened, stretch, row.ordinal, mould=mould, copies=copies):
            offset = first * opened.geometry.block
            length = min(end * opened.geometry.block, opened.item.size) - offset
            if length > 0:
                found.append(Damage(ByteRange(offset, length), need.needed.key, ""))
    for one in join_damage(found):
        yield Lost(_name(need.info), one.where)


def _ranges(
    opened: OpenedPoint,
    stretch: layout.Stretch,
    ordinal: int,
    *,
    mould: Mould,
    copies: Sequence[bytes],
) -> Iterator[tuple[int, int]]:
    """Stretches of blocks of the image (first, end) that lie in lost frames of pack *ordinal*."""
    geometry: Geometry = opened.geometry
    piece = opened.map.window(stretch.window)
    table = piece.frames
    own = np.flatnonzero(table.pack == ordinal)
    whole = list(whole_frames(mould, table.take(own), copies))
    lost = own[~np.isin(table.frame[own], whole)]
    put = ~piece.zero
    count = piece.count[put].astype(np.int64)
    line, block = ramps(piece.line[put], count), ramps(piece.first[put].astype(np.int64), count)
    frame = np.searchsorted(table.starts(geometry.block), line, side="right") - 1
    here = block[np.isin(frame, lost)]
    low = stretch.space * geometry.cell_blocks - stretch.window * geometry.window_blocks
    here = here[(here >= low) & (here < low + stretch.cells * geometry.cell_blocks)]
    if not len(here):
        return
    here = np.sort(here) - low + stretch.first * geometry.cell_blocks
    edges = np.flatnonzero(np.diff(here) != 1) + 1
    starts = np.concatenate(([0], edges))
    ends = np.concatenate((edges, [len(here)]))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        yield int(here[start]), int(here[end - 1]) + 1


def _name(info: PointInfo) -> str:
    return f"{info.name}@{info.seq}"
