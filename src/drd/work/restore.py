"""Restore: put a point back, and never lie about it.

1. Plan: what, from where, how many bytes and requests, which keys. ``--dry-run`` ends here.
2. The target checks itself before anything is fetched: it must not exist, or be meant, large enough
   and unused. What is written goes under a quarantine name.
3. Slice by slice: fetch, authenticate, put together, compare each cell with its stored digest, write.
   No byte of a frame is written before its tag was checked.
4. The root digest, computed from what was put together, must be the manifest's.
5. Only then the target gets its name. With damage it keeps its quarantine name, every range that could
   not be had is named, and so is every point that shares the damage.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from drd.core.cells import any_row
from drd.core.digest import (
    ROOT_MODULUS,
    DigestKeys,
    cell_digest,
    root_bytes,
    root_term,
    size_term,
)
from drd.core.sections import Item, MapPiece
from drd.core.tables import PackRows, TableKind
from drd.errors import DrdError, IntegrityError
from drd.model import ByteRange, Progress
from drd.ports import Report, Target
from drd.work import layout
from drd.work.board import Board, Handover, Rooms
from drd.work.gather import Gatherer
from drd.work.history import Point
from drd.work.layout import Stretch
from drd.work.lineagekeys import LineageKeys
from drd.work.packkeys import PackKeys
from drd.work.pointmap import PointMap
from drd.work.repository import Repository
from drd.work.shelf import Shelf
from drd.work.slices import SLICE_BLOCKS, Fetch, Region, Slice, regions

SLICES_AHEAD = 6
"""Slices that are fetched while one is written."""
WRITE_BYTES = 4 * 1024 * 1024
JOIN_BLOCKS = 4
"""Holes shorter than this are written as zeros: one larger write is cheaper than two."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A range of the image (bytes) that could not be had, and why."""

    where: ByteRange
    pack: str
    why: str


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore will do, exactly, while nothing is damaged and nothing is tried again:
    ``bytes_stored`` is what is fetched of packs, as often as it is fetched, with ``requests`` requests.
    """

    name: str
    seq: int
    point_at: datetime
    size: int
    bytes_data: int
    bytes_stored: int
    requests: int
    packs: int
    generations: tuple[int, ...]


@dataclass(slots=True)
class Outcome:
    """What a restore did: bytes written, root digest compared, damage found."""

    bytes_written: int = 0
    root: bytes = b""
    proven: bool = False
    damage: list[Damage] = field(default_factory=list)
    left_at: str = ""


@dataclass(frozen=True, slots=True)
class Hands:
    """With what a restore works: pools of threads, and where progress goes. *checks* takes one slice after
    the other, in their order: a single thread.
    """

    cpu: Executor
    transfers: Executor
    checks: Executor
    report: Report


class OpenedPoint:
    """A point with its map, its item and the keys of its packs; *shelf* has tables of its lineage."""

    def __init__(
        self,
        repository: Repository,
        keys: LineageKeys,
        point: Point,
        *,
        shelf: Shelf | None = None,
    ) -> None:
        self.repository, self.keys, self.point = repository, keys, point
        self.geometry = point.geometry()
        self.shelf = shelf or Shelf(repository.store, keys)
        self.map = PointMap.of(self.shelf, point.manifest.clear, self.geometry)
        self.digest_keys = DigestKeys.derive(point.hex("digest_key", 32), keys.scope)
        self._item: Item | None = None
        self._rows: PackRows | None = None

    def warm(self, transfers: Executor) -> None:
        """Fetch the tables that every restore needs, many at a time."""
        kinds = (TableKind.RUN, TableKind.PACKS, TableKind.ITEMS)
        self.shelf.warm((one for one in self.map.references if one.kind in kinds), transfers)

    @property
    def item(self) -> Item:
        """The image's item."""
        if self._item is None:
            self._item = layout.only_item(self.map.items(), self.point.number("item"))
        return self._item

    @property
    def rows(self) -> PackRows:
        """Rows of all packs that the point reaches."""
        if self._rows is None:
            self._rows = self.map.rows()
        return self._rows

    def windows(self) -> Iterator[tuple[Stretch, MapPiece]]:
        """Stretches of the image with the map of their windows; one window in memory."""
        held: tuple[int, MapPiece] | None = None
        for stretch in layout.stretches(self.item, self.geometry):
            if held is None or held[0] != stretch.window:
                held = (stretch.window, self.map.window(stretch.window))
            yield stretch, held[1]

    def regions(self, stretch: Stretch, piece: MapPiece) -> Iterator[Region]:
        """Regions of a stretch, with data."""
        per_cell = self.geometry.cell_blocks
        low = stretch.space * per_cell - stretch.window * self.geometry.window_blocks
        return regions(piece, self.geometry.block, low, low + stretch.cells * per_cell)


def plan(opened: OpenedPoint) -> RestorePlan:
    """Step 1: read the map, fetch no data."""
    data = stored = requests = 0
    packs: set[int] = set()
    for stretch, piece in opened.windows():
        handed: frozenset[int] = frozenset()
        for region in opened.regions(stretch, piece):
            data += int(region.pieces.count.sum()) * opened.geometry.block
            for fetch in (fetch for one in region.slices for fetch in one.fetches):
                length = _to_fetch(piece, fetch, handed)
                stored += length
                requests += length > 0
            packs.update(np.unique(piece.frames.pack[region.frames]).tolist())
            handed = region.kept
    rows = {row.ordinal: row for row in opened.rows.rows}
    generations = {rows[ordinal].generation for ordinal in packs if ordinal in rows}
    return RestorePlan(
        name=opened.point.text("name"),
        seq=opened.point.seq,
        point_at=opened.point.manifest.clear.point_at,
        size=opened.item.size,
        bytes_data=data,
        bytes_stored=stored,
        requests=requests,
        packs=len(packs),
        generations=tuple(sorted(generations)),
    )


def _to_fetch(piece: MapPiece, fetch: Fetch, handed: frozenset[int]) -> int:
    """Bytes of the pack that a fetch asks for: from the first frame that is not there to the last."""
    table = piece.frames
    wanted = [index for index in fetch.frames if index not in handed]
    if not wanted:
        return 0
    last = wanted[-1]
    return int(table.offset[last]) + int(table.stored[last]) - int(table.offset[wanted[0]])


def restore(opened: OpenedPoint, target: Target, hands: Hands, *, best_effort: bool) -> Outcome:
    """Steps 2 to 5.

    Args:
        opened: the point.
        target: where to.
        hands: pools and progress.
        best_effort: give the target its name in spite of damage.

    Raises:
        IntegrityError: the root digest is another (nothing is known to be damaged, yet it is not
            what was backed up), or a pipe met damage.
        RefusedError: the target does not want to be written.
    """
    image = opened.point.table("image")
    target.prepare(opened.item.size, image)
    work = _Restoring(opened, target, hands, best_effort=best_effort)
    try:
        outcome = work.run()
        broken = outcome.damage or not outcome.proven
        if broken and not best_effort:
            outcome.left_at = target.abandon()
        else:
            target.finish()
    except DrdError as error:
        error.hint = "; ".join(filter(None, (error.hint, _left_behind(target))))
        raise
    except BaseException as stop:
        left = _left_behind(target)
        if left:
            stop.add_note(left)
        raise
    return outcome


def _left_behind(target: Target) -> str:
    """Give *target* up, and say what it holds now; ``""`` when it holds what it did."""
    left = target.abandon()
    if left == target.name:  # written in place
        return f"{left} is partly overwritten, and what it held is lost: restore to it again"
    return left and f"what was written so far lies at {left}, to be removed"


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A slice whose frames are fetched and then checked; ``checked`` is its part of the root digest."""

    assembly: _Assembly
    fetches: Sequence[Future[dict[int, str]]]
    checked: Future[int]

    def cancel(self) -> None:
        """Let nothing more begin."""
        self.checked.cancel()
        for fetch in self.fetches:
            fetch.cancel()


class _Restoring:
    """A restore under way."""

    def __init__(
        self, opened: OpenedPoint, target: Target, hands: Hands, *, best_effort: bool
    ) -> None:
        self.opened, self.target, self.hands = opened, target, hands
        self.best_effort = best_effort
        self.packs = PackKeys(opened.keys, opened.rows)
        self.outcome = Outcome()
        self.root = size_term(opened.digest_keys.root, opened.item.item_id, opened.item.size)
        self.written_to = 0
        self.rooms = Rooms(SLICE_BLOCKS * opened.geometry.block, most=SLICES_AHEAD)

    def run(self) -> Outcome:
        size = self.opened.item.size
        self._put_together()
        self._skip(size)
        # Once more: what is lost over the edge of a slice is one stretch.
        self.outcome.damage = join_damage(self.outcome.damage)
        self.outcome.root = root_bytes(self.root % ROOT_MODULUS)
        self.outcome.proven = self.outcome.root == self.opened.point.hex("root", 32)
        self.hands.report(Progress("restore", size, size))
        return self.outcome

    def _put_together(self) -> None:
        """Slice by slice, in the order of the image, with a few more being fetched for."""
        under_way: deque[_UnderWay] = deque()
        try:
            for assembly in self._assemblies():
                under_way.append(self._begin(assembly))
                if len(under_way) > SLICES_AHEAD:
                    self._write_slice(under_way[0])
                    under_way.popleft()
            while under_way:
                self._write_slice(under_way[0])
                under_way.popleft()
        finally:  # of a restore that failed nothing more is fetched, the slice that failed included
            for one in under_way:
                one.cancel()

    def _begin(self, assembly: _Assembly) -> _UnderWay:
        """Fetch and check in the threads of the pools, while earlier slices are written."""
        fetches = [self._fetch(assembly, fetch) for fetch in assembly.slice.fetches]
        checked = self.hands.checks.submit(self._check_slice, assembly, fetches)
        return _UnderWay(assembly, fetches, checked)

    def _fetch(self, assembly: _Assembly, fetch: Fetch) -> Future[dict[int, str]]:
        """Fetch in a thread of the pool; however that ends, nobody waits for its frames any more."""
        kept = assembly.board.kept
        begun = self.hands.transfers.submit(assembly.gather, fetch)
        begun.add_done_callback(lambda _: kept.close(fetch.frames))
        return begun

    def _assemblies(self) -> Iterator[_Assembly]:
        for stretch, piece in self.opened.windows():
            digests = self.opened.map.digests(stretch.window)
            gatherer = Gatherer(self.opened.repository.store, self.packs, piece.frames)
            handed = Handover()
            for region in self.opened.regions(stretch, piece):
                board = Board(region, self.opened.geometry.block, handed, self.rooms)
                handed = board.kept
                for one in region.slices:
                    yield _Assembly(
                        self.opened, stretch, one, gatherer=gatherer, board=board, digests=digests
                    )

    def _check_slice(self, assembly: _Assembly, fetches: Sequence[Future[dict[int, str]]]) -> int:
        """Wait for the frames of a slice and look at each cell; what the slice adds to the root digest.

        The slices before it have all their frames then, and it may need some of those.
        """
        for fetch in fetches:
            assembly.board.damaged.update(fetch.result())
        item, key = self.opened.item.item_id, self.opened.digest_keys.root
        digests = assembly.build(self.hands.cpu)
        return sum(root_term(key, item, cell, digest) for cell, digest in digests)

    def _write_slice(self, one: _UnderWay) -> None:
        assembly = one.assembly
        self.root += one.checked.result()
        self._note_damage(assembly)
        for start, data in assembly.writes(self.opened.item.size):
            self._skip(start)
            self.target.write(start, data)
            self.written_to = start + len(data)
            self.outcome.bytes_written += len(data)
        self.rooms.give_back(assembly.room)
        self.hands.report(Progress("restore", self.written_to, self.opened.item.size))

    def _skip(self, until: int) -> None:
        if until > self.written_to:
            self.target.skip(self.written_to, until - self.written_to)
            self.written_to = until

    def _note_damage(self, assembly: _Assembly) -> None:
        found = assembly.damage(self.packs)
        self.outcome.damage += found
        if found and self.target.ordered and not self.best_effort:
            first = found[0]
            raise IntegrityError(
                f"bytes {first.where.offset} to {first.where.end} are lost: {first.why}",
                about=first.pack,
                hint="what was written to the pipe so far is right, the rest is missing; "
                "--best-effort writes zeros in place of what is lost",
            )


class _Assembly:
    """One slice being put together from its frames."""

    def __init__(
        self,
        opened: OpenedPoint,
        stretch: Stretch,
        one: Slice,
        *,
        gatherer: Gatherer,
        board: Board,
        digests: npt.NDArray[np.uint64],
    ) -> None:
        self.slice, self.board = one, board
        self._gatherer = gatherer
        self._opened, self._stretch = opened, stretch
        self._geometry = opened.geometry
        # From blocks of the window to bytes of the image.
        window_first = stretch.window * self._geometry.window_blocks
        shift = (stretch.first - stretch.space) * self._geometry.cell_blocks
        self._image_first = one.first + window_first + shift
        self.room = self._buffer = np.zeros(0, np.uint8)
        per_cell = self._geometry.cell_blocks
        self._expected = digests[one.first // per_cell : -(-one.end // per_cell)]
        self._wrong: dict[int, str] = {}

    def gather(self, fetch: Fetch) -> dict[int, str]:
        """Fetch frames and lay them out; why some did not open. Runs in a thread of the pool."""
        return self._gatherer.gather(fetch, self.board)

    def build(self, cpu: Executor) -> list[tuple[int, int]]:
        """Take the slice off the board, all of whose frames are there; (cell of the image, digest)."""
        self.room = self.board.take(self.slice)
        self._buffer = self.room[: (self.slice.end - self.slice.first) * self._geometry.block]
        return self._check_cells(cpu)

    def _check_cells(self, cpu: Executor) -> list[tuple[int, int]]:
        """Digest of each cell; those that are not what the map promises are damage, too."""
        cell = self._geometry.cell
        rows = self._buffer.view(np.uint64).reshape(-1, cell // 8)
        filled = np.flatnonzero(any_row(rows)).tolist()
        key = self._opened.digest_keys.cell
        halves = [filled[0::2], filled[1::2]]

        def digest(cells: list[int]) -> list[tuple[int, int]]:
            view = self._buffer.data
            return [(one, cell_digest(key, view[one * cell : (one + 1) * cell])) for one in cells]

        found = dict(pair for part in cpu.map(digest, halves) for pair in part)
        for number, expected in enumerate(self._expected.tolist()):
            if found.get(number, 0) != expected:
                self._wrong[number] = "the cell is not what was backed up"
        first = self._image_first // self._geometry.cell_blocks
        return [(first + number, digest) for number, digest in sorted(found.items())]

    def damage(self, packs: PackKeys) -> list[Damage]:
        """Exact ranges of the image that are lost, and cells that are wrong though nothing of them is
        lost; neighbours joined.
        """
        block, pieces, found = self._geometry.block, self.slice.pieces, []
        shift = self._image_first - self.slice.first
        table, damaged = self._gatherer.frames, self.board.damaged
        per_cell, lost_cells = self._geometry.cell_blocks, set[int]()
        for frame, where, count in zip(
            pieces.frame.tolist(), pieces.block.tolist(), pieces.count.tolist(), strict=True
        ):
            if frame in damaged:
                name = packs.name(int(table.pack[frame]))
                lost = ByteRange((where + shift) * block, count * block)
                found.append(Damage(lost, name, damaged[frame]))
                first = where - self.slice.first
                lost_cells.update(range(first // per_cell, -(-(first + count) // per_cell)))
        cell, start = self._geometry.cell, self._image_first * block
        found += [  # a cell that lacks blocks digests to something else: that is said already
            Damage(ByteRange(start + number * cell, cell), "", why)
            for number, why in self._wrong.items()
            if number not in lost_cells
        ]
        return join_damage(found)

    def writes(self, size: int) -> Iterator[tuple[int, memoryview]]:
        """What to write: (offset in the image, bytes), holes left out, cut at the image's end."""
        block = self._geometry.block
        view = self._buffer.data
        for first, end in _stretches(self.slice):
            at, stop = (first - self.slice.first) * block, (end - self.slice.first) * block
            offset = self._image_first * block
            stop = min(stop, size - offset)
            while at < stop:
                length = min(WRITE_BYTES, stop - at)
                yield offset + at, view[at : at + length]
                at += length


def _stretches(one: Slice) -> Iterator[tuple[int, int]]:
    """Stretches of blocks with data; holes shorter than ``JOIN_BLOCKS`` are bridged."""
    first = one.pieces.block
    end = first + one.pieces.count
    gaps = np.flatnonzero(first[1:] - end[:-1] >= JOIN_BLOCKS) + 1
    starts = np.concatenate(([0], gaps))
    stops = np.concatenate((gaps, [len(first)]))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        yield int(first[start]), int(end[stop - 1])


def join_damage(found: Sequence[Damage]) -> list[Damage]:
    """Join neighbouring ranges of one pack and one cause."""
    joined: list[Damage] = []
    for one in sorted(found, key=lambda damage: damage.where):
        last = joined[-1] if joined else None
        if (
            last
            and last.where.end == one.where.offset
            and (last.pack, last.why) == (one.pack, one.why)
        ):
            joined[-1] = Damage(
                ByteRange(last.where.offset, last.where.length + one.where.length),
                one.pack,
                one.why,
            )
        else:
            joined.append(one)
    return joined
