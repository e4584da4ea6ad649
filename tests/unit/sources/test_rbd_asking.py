"""What librbd is asked for, where its answer on the cluster at hand would not show a mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from drd.sources.rbd_diff import Diff, Layout
from drd.sources.rbd_trust import Trust

PERIOD = 65536
SIZE = 40 * PERIOD + 512
Note = Callable[[int, int, bool], None]


@dataclass
class Asked:
    """Stands for an open image: notes each question, and answers that everything changed."""

    calls: list[tuple[int, int, bool]] = field(default_factory=list)

    def size(self) -> int:
        return SIZE

    def diff_iterate(  # noqa: PLR0917  # librbd's signature
        self,
        offset: int,
        length: int,
        since: str | None,
        note: Note,
        include_parent: bool = False,  # noqa: FBT001, FBT002
        whole_object: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        assert include_parent is (since is None)
        self.calls.append((offset, length, whole_object))
        note(offset, length, True)  # noqa: FBT003


@given(st.integers(0, SIZE - 1), st.integers(1, SIZE), st.sampled_from(["", "older"]))
def test_fast_mode_is_asked_for_whole_periods_alone(offset: int, length: int, since: str) -> None:
    """Tracker 53784: in some versions ranges that begin within an object come back displaced."""
    new, base = Asked(), Asked()
    trust = Trust(fast=True, exact=True, since=since)
    diff = Diff(new, base, since="base", layout=Layout(PERIOD, SIZE), trust=trust)
    (changed,) = diff.changed(offset, length)
    assert (changed.offset, changed.end) == (offset, min(SIZE, offset + length))
    asked = [call for call in (*new.calls, *base.calls) if call[2]]
    assert asked
    for first, count, _ in asked:
        assert first % PERIOD == 0
        assert (first + count) % PERIOD == 0 or first + count == SIZE


@given(st.integers(0, SIZE - 1), st.integers(1, SIZE))
def test_without_trust_fast_mode_is_never_asked(offset: int, length: int) -> None:
    new, base = Asked(), Asked()
    trust = Trust(fast=False, exact=False)
    Diff(new, base, since="base", layout=Layout(PERIOD, SIZE), trust=trust).changed(offset, length)
    assert new.calls
    assert not any(whole for _, _, whole in (*new.calls, *base.calls))
