"""Anything that can happen to an image and its backups, in any order.

Writes, holes, resizes; runs that finish and runs that die; a source that misses changes or names too
much; a base that is lost; a catalogue that is lost; sparse packs that are refilled; points that expire
with everything that only they reach, between runs and in the middle of one. After each run every new
point restores, proven by its root, to what its own snapshot held; and every older one to what it restored
to when it was new.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)
from typing_extensions import override

from drd.core.retention import Keep
from drd.errors import CrashError
from drd.model import BackupResult, Changed, PointInfo, PointKind
from drd.testing.fakes import MemoryCatalogue, SteppingClock, seeded
from drd.testing.mortal import Life
from drd.testing.repository import SMALL
from drd.testing.sources import SparseBytes
from drd.testing.stores import MemoryStore
from tests.unit.work.effort import effort
from tests.unit.work.expiry import assert_reach, expire, manifests, tables
from tests.unit.work.shears import doomed, hold_point, pruner, run
from tests.unit.work.world import BLOCK, CELL, World

MOST_CELLS = 140
"""More than two batches of 64 cells, so that runs have several packs and partial points."""

KNOBS = replace(SMALL, pack_size=16 * BLOCK, partial_packs=2, fanout=3)

CHECKED = 3
"""So many of the newest points are restored after each run, all of them at the end."""

cells = st.integers(0, MOST_CELLS - 1)
sizes = st.integers(0, MOST_CELLS * CELL)


def cell_of(content: SparseBytes, cell: int) -> bytes:
    return content.read(cell * CELL, CELL)


def differing(one: SparseBytes, other: SparseBytes) -> set[int]:
    """Cells in which two contents differ; beyond its size each is zeros."""
    mine, theirs = one._filled(), other._filled()
    return {
        block * BLOCK // CELL
        for block in mine.keys() | theirs.keys()
        if mine.get(block) != theirs.get(block)
    }


class Meanwhile(Life):
    """A life in which something else happens in the world right after effect number *at*."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        super().__init__()
        self._at = at
        self._act = act

    @override
    def happened(self, word: str) -> None:
        super().happened(word)
        if len(self.effects) == self._at:
            self._act()


def _may_be_told(warning: str, life: Life) -> bool:
    """Whether *warning* is of points that went under the run; of a prune's a journal would tell."""
    return isinstance(life, Meanwhile) and warning.startswith(
        "no sparse pack is refilled this time"
    )


class History(RuleBasedStateMachine):
    """See the module.

    ``shown`` has, for each point, what it restored to when it was new; ``lied`` the cells that the
    source may have kept silent of since everything was last compared by digest.
    """

    def __init__(self) -> None:
        super().__init__()
        clock = SteppingClock()
        store = MemoryStore(now=clock)
        self.world = World(size=CELL, knobs=KNOBS, store=store, clock=clock)
        self.pruning = False
        self.noise = seeded("machine")
        self.shown: dict[int, SparseBytes] = {}
        self.lied: set[int] = set()

    @initialize(size=sizes, sample=st.sampled_from([0, 0, 3]), pruning=st.booleans())
    def begin(self, size: int, sample: int, pruning: bool) -> None:  # noqa: FBT001  a strategy's
        """Points expire by the rule alone, at once and by brute force; or by prunes, in two phases."""
        self.pruning = pruning
        self.world.image.resize(size)
        self.world.knobs = replace(KNOBS, sample_cells=sample)

    @override
    def teardown(self) -> None:
        self._check_shown(len(self.shown))

    # ── the image ───────────────────────────────────────────────────────────────────────────────

    @rule(cell=cells, count=st.integers(1, 90), stride=st.integers(1, 3))
    def write_blocks(self, cell: int, count: int, stride: int) -> None:
        """A block of noise in each of some cells."""
        for at in range(cell, min(cell + count, MOST_CELLS), stride):
            self._write(at * CELL + at % 16 * BLOCK, self.noise(BLOCK))

    @rule(keep=st.integers(5, 12), at=st.integers(0, 4))
    def overwrite_most(self, keep: int, at: int) -> None:
        """All blocks that anything but a few cells has: packs become sparse, and are refilled."""
        blocks = sorted(self.world.image.head._filled())
        for block in blocks:
            if block * BLOCK // CELL % keep != at:
                self._write(block * BLOCK, self.noise(BLOCK))

    @rule(offset=sizes, length=st.integers(1, 3 * CELL))
    def write_anywhere(self, offset: int, length: int) -> None:
        """Bytes that begin and end in the middle of blocks."""
        self._write(offset, b"\1" * length)

    def _write(self, offset: int, data: bytes) -> None:
        room = self.world.image.head.size - offset
        if room > 0:
            self.world.image.write(offset, data[:room])

    @rule(offset=sizes, length=st.integers(1, 40 * CELL))
    def discard(self, offset: int, length: int) -> None:
        self.world.image.discard(offset, length)

    @rule(cell=cells, count=st.integers(1, 40))
    def write_zeros(self, cell: int, count: int) -> None:
        """Zeros that are allocated: no hole, and still never stored."""
        self._write(cell * CELL, bytes(count * CELL))

    @rule(size=sizes)
    def resize(self, size: int) -> None:
        self.world.image.resize(size)

    @rule(size=sizes)
    def shrink_and_grow_again(self, size: int) -> None:
        before = self.world.image.head.size
        self.world.image.resize(min(size, before))
        self.world.image.resize(before)

    # ── a source that is not what it should be ──────────────────────────────────────────────────

    @rule(cell=cells, count=st.integers(1, 60))
    def miss_changes(self, cell: int, count: int) -> None:
        """Diffs with a base say nothing of these cells from now on."""
        self.world.image.hidden.append(Changed(cell * CELL, count * CELL))

    @rule(cell=cells, count=st.integers(1, 60), data=st.booleans())
    def name_too_much(self, cell: int, count: int, data: bool) -> None:  # noqa: FBT001  a strategy's
        self.world.image.named.append(Changed(cell * CELL, count * CELL, data))

    @rule()
    def tell_the_truth(self) -> None:
        self.world.image.hidden.clear()
        self.world.image.named.clear()

    @rule()
    def lose_all_snapshots(self) -> None:
        for snapshot in self.world.snapshots():
            self.world.image.lose(snapshot)

    # ── runs ────────────────────────────────────────────────────────────────────────────────────

    @rule()
    def back_up(self) -> None:
        self._back_up(Life())

    @precondition(lambda self: self.world.keys("m/") and not self.pruning)
    @rule(at=st.integers(1, 12), kept=st.sets(st.integers(1, 30)))
    def back_up_while_points_expire(self, at: int, kept: set[int]) -> None:
        self._back_up(Meanwhile(at, lambda: expire(self.world, kept, under_way=True)))

    def _back_up(self, life: Life) -> None:
        before = self._newest()
        base = self._base(before)
        named = self._named_since(base)
        wrong = self._wrong_in(before, base)
        unfinished = self._unfinished(before)
        blind = base is None and not unfinished
        result = self.world.backup(self.world.process(life))
        assert self.world.snapshots() == {self.world.newest_snapshot()}
        if blind:
            self.lied.clear()  # everything was compared by digest: nothing can be missed
        else:
            self._note_lies()
        self._check_new(result, before)
        suspect = any("suspect" in warning for warning in result.warnings)
        if base is not None and not unfinished and named & wrong:
            assert suspect
        if not self.lied and not wrong:
            assert [one for one in result.warnings if not _may_be_told(one, life)] == []

    @rule(last=st.integers(1, 14))
    def back_up_and_die(self, last: int) -> None:
        before = self._newest()
        with suppress(CrashError):
            self.world.backup(self.world.process(Life(last)))
        self._note_lies()
        self._remember_new(before)

    @precondition(lambda self: self.world.keys("m/") and self.pruning)
    @rule(last=st.integers(1, 4), hours=st.sampled_from([1, 25]))
    def prune(self, last: int, hours: int) -> None:
        self.world.clock.at += timedelta(hours=hours)
        alive = [one.seq for one in self.world.full()]
        doomed_before = doomed(self.world)
        result = run(self.world, Keep(last=last))
        assert result.stopped is None
        assert set(result.deleted) <= doomed_before
        left = [one.seq for one in self.world.full()]
        assert set(alive[-last:]) <= set(left)
        assert not set(alive[-last:]) & doomed(self.world)
        self._check_shown(len(self.shown))

    @precondition(lambda self: self.world.keys("m/") and self.pruning)
    @rule(last=st.integers(1, 4), effects=st.integers(1, 40))
    def prune_and_die(self, last: int, effects: int) -> None:
        self.world.clock.at += timedelta(hours=25)
        with suppress(CrashError):
            run(self.world, Keep(last=last), pruner(self.world, life=Life(effects)))
        dead = doomed(self.world)
        left = {point.seq for point in self._points()} - dead
        self.shown = {seq: content for seq, content in self.shown.items() if seq in left}
        self._check_shown(len(self.shown))

    @precondition(lambda self: self.world.keys("m/") and self.pruning)
    @rule(place=st.integers(0, 5))
    def hold(self, place: int) -> None:
        there = [one.seq for one in self.world.full() if one.seq in self.shown]
        if there:
            hold_point(self.world, there[place % len(there)])

    @precondition(lambda self: self.world.keys("m/") and not self.pruning)
    @rule(kept=st.sets(st.integers(1, 30)))
    def expire_points(self, kept: set[int]) -> None:
        expire(self.world, kept)
        self._check_shown(len(self.shown))

    @rule()
    def forget_the_catalogue(self) -> None:
        self.world.catalogue = MemoryCatalogue()

    # ── the model ───────────────────────────────────────────────────────────────────────────────

    def _points(self) -> list[PointInfo]:
        return self.world.points() if self.world.keys("m/") else []

    def _newest(self) -> PointInfo | None:
        fulls = [point for point in self._points() if point.kind is PointKind.FULL]
        return fulls[-1] if fulls else None

    def _unfinished(self, newest: PointInfo | None) -> list[PointInfo]:
        return [one for one in self._points() if newest is None or one.seq > newest.seq]

    def _base(self, newest: PointInfo | None) -> SparseBytes | None:
        """What the base snapshot holds, if it is still there."""
        if newest is None:
            return None
        facts = newest.facts["snapshot"]
        assert isinstance(facts, dict)
        taken = self.world.image.taken.get(str(facts["id"]))
        return taken.content if taken else None

    def _named_since(self, base: SparseBytes | None) -> set[int]:
        """Cells that the next diff will name as data, were it taken now."""
        image = self.world.image
        taken = next((one for one in image.taken.values() if one.content is base), None)
        if taken is None:
            return set()
        now = replace(taken, content=image.head, logged=len(image._log))
        found: set[int] = set()
        for one in image.claims(taken, now):
            end = min(one.end, image.head.size)
            if one.data and one.offset < end:
                found.update(range(one.offset // CELL, -(-end // CELL)))
        return found

    def _wrong_in(self, newest: PointInfo | None, base: SparseBytes | None) -> set[int]:
        """Cells in which the newest point is not what its own snapshot held."""
        if newest is None or base is None:
            return set()
        return differing(self.shown[newest.seq], base)

    def _note_lies(self) -> None:
        for one in self.world.image.hidden:
            self.lied.update(range(one.offset // CELL, one.end // CELL))

    def _check_new(self, result: BackupResult, before: PointInfo | None) -> None:
        self._remember_new(before)
        assert result.seq in self.shown
        self._check_shown(CHECKED)
        if result.bytes_refilled:
            newest = next(one for one in manifests(self.world) if one.seq == result.seq)
            assert_reach(self.world, newest, tables(self.world))

    def _remember_new(self, before: PointInfo | None) -> None:
        for point in self._points():
            if point.kind is PointKind.FULL and point.seq not in self.shown:
                self._remember(point, before)
                before = point

    def _remember(self, point: PointInfo, before: PointInfo | None) -> None:
        """A new point restores to its snapshot, but for cells that the source lied about: those may
        still be what the point before had.
        """
        restored, _ = self.world.restore(point.seq)
        wanted = self.world.taken(point)
        assert restored.size == wanted.size == point.size
        wrong = differing(restored, wanted)
        assert wrong <= self.lied
        older = self.shown[before.seq] if before else SparseBytes(0)
        for cell in wrong:
            assert cell_of(restored, cell) in self._kept_alive(older, cell, restored.size)
        self.shown[point.seq] = restored

    def _kept_alive(self, older: SparseBytes, cell: int, size: int) -> set[bytes]:
        """What a cell that nobody looked at may hold: the last point's, or any snapshot's since."""
        held = {cell_of(older, cell)} | {cell_of(one, cell) for one in self.world.seen.values()}
        cut = max(0, min(CELL, size - cell * CELL))
        return {one[:cut] + bytes(CELL - cut) for one in held} | held

    def _check_shown(self, count: int) -> None:
        """The newest points that are left restore to what they restored to when they were new."""
        left = {point.seq for point in self._points()}
        self.shown = {seq: content for seq, content in self.shown.items() if seq in left}
        for seq in sorted(self.shown)[-count:] if count else []:
            restored, _ = self.world.restore(seq)
            assert restored == self.shown[seq]


History.TestCase.settings = effort(50, steps=30)
TestHistory = History.TestCase
