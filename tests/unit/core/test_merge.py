"""When runs are merged, and in which order they are painted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drd.core import merge
from drd.core.footer import footer_frames
from drd.core.manifest import Reference
from drd.core.sections import What, encode_map
from drd.core.tables import Part, TableKind, encode_table_sections
from drd.errors import IntegrityError
from tests.unit.core.adversary import assert_refused
from tests.unit.core.specimens import GEOMETRY, PARTS, map_piece, reference

RUN, PACKS, SHARD = TableKind.RUN, TableKind.PACKS, TableKind.SHARD


def runs(count: int, *, level: int = 0, kind: TableKind = RUN, since: int = 1) -> list[Reference]:
    return [reference(kind, level=level, through=since + at) for at in range(count)]


def test_nothing_is_merged_until_a_level_is_full() -> None:
    assert merge.runs_to_merge(runs(31), RUN) == ()
    assert merge.runs_to_merge([*runs(31), *runs(31, level=1)], RUN) == ()
    assert merge.runs_to_merge(runs(40, kind=PACKS), RUN) == ()


def test_a_full_level_is_merged_whole_oldest_first() -> None:
    some = runs(32)
    assert merge.runs_to_merge(some[::-1], RUN) == tuple(some)
    assert merge.runs_to_merge(runs(33), RUN) == tuple(runs(33))
    assert merge.runs_to_merge(runs(3), RUN, fanout=3) == tuple(runs(3))


def test_the_lowest_full_level_goes_first() -> None:
    low, high = runs(2, since=90), runs(2, level=1)
    assert merge.runs_to_merge([*high, *low], RUN, fanout=2) == tuple(low)
    assert merge.runs_to_merge([*high, *low[:1]], RUN, fanout=2) == tuple(high)


def test_a_base_is_written_anew_when_more_than_half_of_it_changed() -> None:
    base = replace(reference(SHARD), size=1000)
    assert merge.rewrite(1, None)
    assert not merge.rewrite(500, base)
    assert merge.rewrite(501, base)


def test_runs_are_painted_oldest_to_newest() -> None:
    some = [*runs(3, since=65), *runs(2, level=1, since=40), reference(SHARD), *runs(1, level=2)]
    order = merge.paint_order(some)
    assert [one.through for one in order] == [1, 40, 41, 65, 66, 67]
    assert all(one.kind is RUN for one in order)


def test_each_window_has_a_base_of_its_own() -> None:
    shards = [reference(SHARD, 0), reference(SHARD, 5), reference(TableKind.DIGESTS, 7)]
    assert merge.base_of(shards, SHARD, 5) == shards[1]
    assert merge.base_of(shards, SHARD, 7) is None
    assert merge.base_of(shards, TableKind.DIGESTS, 7) == shards[2]


# ── footers ─────────────────────────────────────────────────────────────────────────────────────


def own_frames() -> list[bytes]:
    """Sections of a footer of three frames."""
    piece = map_piece()
    frames = replace(
        piece.frames,
        pack=piece.frames.pack * 0,
        frame=piece.frames.frame % 4 + (piece.frames.pack == 5) * 2,
    )
    assert frames.frame.tolist() == [0, 1, 2]
    data = encode_map(replace(piece, frames=frames))
    return encode_table_sections([Part(What.MAP, 0, data), PARTS[2]])


def test_a_footer_tells_of_each_frame() -> None:
    assert footer_frames(own_frames(), GEOMETRY, 3) == [
        (100, 200, 256),
        (300, 100, 128),
        (7000, 144, 128),
    ]


def test_a_footer_that_skips_a_frame_is_damage() -> None:
    with pytest.raises(IntegrityError, match="each frame"):
        footer_frames(encode_table_sections(PARTS[:1]), GEOMETRY, 3)
    assert_refused(lambda data: footer_frames([data], GEOMETRY, 0), [b"\0\0\0\1", b"x"])
    assert footer_frames([], GEOMETRY, 0) == []


@pytest.mark.parametrize("frames", [0, 2, 4])
def test_a_footer_of_another_number_of_frames_is_damage(frames: int) -> None:
    """Else a frame that it does not name would pass as checked."""
    with pytest.raises(IntegrityError, match="each frame"):
        footer_frames(own_frames(), GEOMETRY, frames)
