"""A stored digest is the digest of what the map restores: the rule that closes the worst hole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drd.core.cells import Difference, Lens, Span, any_row, differ
from drd.core.compress import Compressor, Decompressor
from drd.core.digest import ROOT_MODULUS, DigestKeys, cell_digest, root_term
from tests.unit.core.specimens import GEOMETRY, SCOPE, noise

KEYS = DigestKeys.derive(bytes(32), SCOPE)
FRAME = 3 * GEOMETRY.block
LENS = Lens(GEOMETRY, KEYS, item=1, frame_size=FRAME)
BLOCK, CELL, PER_CELL = GEOMETRY.block, GEOMETRY.cell, GEOMETRY.cell_blocks

PATTERNS = (bytes(BLOCK), noise(BLOCK, 1), noise(BLOCK, 2), bytes(BLOCK - 1) + b"\1")
"""Few kinds of blocks, so that equal ones meet often."""


def digest_of(cell: bytes) -> int:
    return cell_digest(KEYS.cell, cell) if any(cell) else 0


def cells_of(data: bytes) -> list[bytes]:
    return [data[at : at + CELL] for at in range(0, len(data), CELL)]


def blocks_of(data: bytes) -> list[bytes]:
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


@dataclass(frozen=True)
class Case:
    """A stretch of cells: what the map restores, the base snapshot (or none), the new one; and for each
    block whether it is refilled (none: no block).
    """

    first: int
    mapped: bytes
    base: bytes | None
    new: bytes
    refill: tuple[bool, ...] = ()

    def span(self) -> Span:
        stored = np.array([digest_of(cell) for cell in cells_of(self.mapped)], np.uint64)
        refill = np.array(self.refill, np.bool_) if self.refill else None
        return Span(self.first, self.new, self.base, stored, refill=refill)

    def refilled(self, cell: int) -> bool:
        """Whether any block of a cell of this stretch is refilled."""
        return any(self.refill[cell * PER_CELL : (cell + 1) * PER_CELL])


@st.composite
def contents(draw: st.DrawFn, cells: int, like: bytes | None = None) -> bytes:
    """Content of so many cells; *like* another, with some blocks changed, when that is given."""
    drawn = draw(st.lists(st.integers(0, 3), min_size=cells * PER_CELL, max_size=cells * PER_CELL))
    blocks = [PATTERNS[one] for one in drawn]
    if like is not None:
        flags = st.lists(st.booleans(), min_size=len(blocks), max_size=len(blocks))
        old = blocks_of(like)
        keeps = draw(flags)
        blocks = [old[at] if keeps[at] else one for at, one in enumerate(blocks)]
    return b"".join(blocks)


@st.composite
def cases(draw: st.DrawFn) -> list[Case]:
    """Ascending stretches, apart from each other; some bases are what the map restores."""
    made, at = [], 0
    for _ in range(draw(st.integers(1, 3))):
        at += draw(st.integers(0, 2))
        cells = draw(st.integers(1, 3))
        mapped = draw(contents(cells))
        base = draw(st.none() | st.just(mapped) | contents(cells, like=mapped))
        new = draw(contents(cells, like=draw(st.sampled_from([mapped, base or mapped]))))
        flags = draw(st.just(()) | st.tuples(*[st.booleans()] * (cells * PER_CELL)))
        stored = [any(block) for block in blocks_of(mapped)]  # zeros lie in no pack
        refill = tuple(one and has for one, has in zip(flags, stored, strict=False))
        made.append(Case(at, mapped, base, new, refill))
        at += cells
    return made


def line_of(difference: Difference) -> list[bytes]:
    """The blocks on the line of frames."""
    grow = Decompressor().grow
    line = b"".join(bytes(grow(one.stored, one.plain_length)) for one in difference.frames)
    return blocks_of(line)


def applied(difference: Difference, case: Case) -> bytes:
    """What the map restores with *difference* painted over it."""
    line, content = line_of(difference), blocks_of(case.mapped)
    low = case.first * PER_CELL
    for first, count, zero, at in zip(
        difference.first.tolist(),
        difference.count.tolist(),
        difference.zero.tolist(),
        difference.line.tolist(),
        strict=True,
    ):
        for step in range(count):
            if 0 <= first + step - low < len(content):
                content[first + step - low] = bytes(BLOCK) if zero else line[at + step]
    return b"".join(content)


def compared(some: Sequence[Case]) -> Difference:
    return differ([case.span() for case in some], LENS, Compressor(1))


@given(cases())
def test_what_was_looked_at_restores_to_the_new_content(some: list[Case]) -> None:
    difference = compared(some)
    for case in some:
        assert applied(difference, case) == case.new


@given(cases())
def test_a_stored_digest_is_the_digest_of_what_the_map_restores(some: list[Case]) -> None:
    difference = compared(some)
    told = dict(zip(difference.cell.tolist(), difference.digest.tolist(), strict=True))
    for case in some:
        before = cells_of(case.mapped)
        for at, cell in enumerate(cells_of(applied(difference, case))):
            number = case.first + at
            assert told.pop(number, digest_of(before[at])) == digest_of(cell)
    assert not told


@given(cases())
def test_cells_and_extents_ascend_and_nothing_unchanged_is_named(some: list[Case]) -> None:
    difference = compared(some)
    cells = difference.cell.tolist()
    assert cells == sorted(set(cells))
    ends = (difference.first + difference.count).tolist()
    assert all(
        end <= first for end, first in zip(ends, difference.first[1:].tolist(), strict=False)
    )
    same = [
        case.first + at
        for case in some
        for at, (old, new) in enumerate(zip(cells_of(case.mapped), cells_of(case.new), strict=True))
        if old == new
        and (case.base is None or cells_of(case.base)[at] == old)
        and not case.refilled(at)
    ]
    assert not set(cells) & set(same)


@given(cases())
def test_the_root_is_carried_on(some: list[Case]) -> None:
    expected = 0
    for case in some:
        for at, (old, new) in enumerate(
            zip(cells_of(case.mapped), cells_of(case.new), strict=True)
        ):
            for cell, sign in ((old, -1), (new, 1)):
                if any(cell):
                    number = case.first + at
                    expected += sign * root_term(KEYS.root, 1, number, digest_of(cell))
    assert compared(some).root == expected % ROOT_MODULUS


@given(cases())
def test_a_base_that_is_not_what_the_map_restores_is_counted(some: list[Case]) -> None:
    wrong = sum(
        one != other
        for case in some
        if case.base is not None
        for one, other in zip(cells_of(case.mapped), cells_of(case.base), strict=True)
    )
    difference = compared(some)
    assert difference.mismatched == wrong
    assert difference.looked == sum(len(cells_of(case.new)) for case in some)


@given(cases())
def test_blocks_that_are_refilled_are_all_put_or_zeroed(some: list[Case]) -> None:
    """So nothing of the map needs the pack that they lay in; and no other block is put for it."""
    difference, without = compared(some), compared([replace(one, refill=()) for one in some])
    named = put_blocks(difference)
    wanted = {
        case.first * PER_CELL + at for case in some for at, flag in enumerate(case.refill) if flag
    }
    assert named == put_blocks(without) | wanted
    assert difference.refilled == len(wanted - put_blocks(without))
    assert (difference.root, difference.mismatched) == (without.root, without.mismatched)


def put_blocks(difference: Difference) -> set[int]:
    """Numbers of the blocks that a difference puts or zeroes."""
    pairs = zip(difference.first.tolist(), difference.count.tolist(), strict=True)
    return {first + step for first, count in pairs for step in range(count)}


@given(cases())
def test_a_refilled_cell_that_is_not_what_the_map_restores_is_counted(some: list[Case]) -> None:
    """Where the source called it unchanged, and so there is no base: its digest tells."""
    drifted = sum(
        case.base is None and case.refilled(at) and old != new
        for case in some
        for at, (old, new) in enumerate(zip(cells_of(case.mapped), cells_of(case.new), strict=True))
    )
    assert compared(some).drifted == drifted


@given(cases())
def test_zeros_are_never_stored(some: list[Case]) -> None:
    assert bytes(BLOCK) not in line_of(compared(some))


@given(cases())
def test_with_a_good_base_only_blocks_that_differ_are_put(some: list[Case]) -> None:
    honest = [Case(one.first, one.mapped, one.mapped, one.new) for one in some]
    differing = [
        block
        for case in honest
        for old, block in zip(blocks_of(case.mapped), blocks_of(case.new), strict=True)
        if old != block and any(block)
    ]
    assert line_of(compared(honest)) == differing


@given(cases())
def test_without_a_good_base_a_changed_cell_is_put_whole(some: list[Case]) -> None:
    """Else the map's own blocks would shine through where the diff missed a change."""
    blind = [Case(one.first, one.mapped, None, one.new) for one in some]
    whole = [
        block
        for case in blind
        for old, new in zip(cells_of(case.mapped), cells_of(case.new), strict=True)
        if old != new
        for block in blocks_of(new)
        if any(block)
    ]
    assert line_of(compared(blind)) == whole


def test_a_change_missed_earlier_in_a_touched_cell_is_put_too() -> None:
    """The hole: two blocks changed, an earlier diff missed one, a later diff names the other."""
    mapped = b"".join(PATTERNS[one] for one in (1, 1, 1, 1))
    base = b"".join(PATTERNS[one] for one in (1, 2, 1, 1))
    new = b"".join(PATTERNS[one] for one in (1, 2, 1, 2))
    difference = compared([Case(0, mapped, base, new)])
    assert difference.mismatched == 1
    assert applied(difference, Case(0, mapped, base, new)) == new


def test_a_cell_that_becomes_zeros_is_painted_zero_with_digest_0() -> None:
    mapped = PATTERNS[0] + PATTERNS[1] * 3
    for base in (mapped, None):
        difference = compared([Case(0, mapped, base, bytes(CELL))])
        assert (difference.cell.tolist(), difference.digest.tolist()) == ([0], [0])
        assert difference.zero.tolist() == [True]
        assert (difference.first.tolist(), difference.count.tolist()) == ([0], [PER_CELL])
        assert difference.frames == ()
        assert difference.blocks == PER_CELL


def test_holes_of_a_cell_that_restored_to_zeros_need_no_word() -> None:
    new = PATTERNS[0] + PATTERNS[1] + PATTERNS[0] * 2
    difference = compared([Case(0, bytes(CELL), None, new)])
    assert difference.zero.tolist() == [False]
    assert difference.blocks == 1


def test_frames_are_cut_at_their_size() -> None:
    new = PATTERNS[1] * PER_CELL * 2
    difference = compared([Case(0, bytes(2 * CELL), None, new)])
    assert [frame.plain_length for frame in difference.frames] == [FRAME, FRAME, 2 * BLOCK]


def test_any_row_finds_the_last_byte() -> None:
    rows = np.zeros((3, 4), np.uint8)
    rows[1, 3] = 1
    assert any_row(rows).tolist() == [False, True, False]
