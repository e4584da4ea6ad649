"""What every target must do: a check for each MUST sentence of ``drd.ports.Target``.

``TARGET_CHECKS`` hold for all, ``QUARANTINE_CHECKS`` for those that make something new under another
name, ``IN_PLACE_CHECKS`` for those that write over what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from drd.errors import RefusedError, SourceError
from drd.model import Json
from drd.ports import Target
from drd.testing.source_conformance import BrokenContractError

SIZE: Final = 4 * 1024 * 1024 + 4096
FACTS: Final[dict[str, Json]] = {"kind": "other"}


@dataclass(frozen=True)
class TargetSubject:
    """A way to make targets of one name, and to look at what is there.

    ``fresh`` makes a target that may not overwrite, ``replacing`` one that may; ``look`` gives the bytes
    under the final name, None when nothing is there.
    """

    fresh: Callable[[], Target]
    replacing: Callable[[], Target]
    look: Callable[[], bytes | None]


TargetCheck: TypeAlias = Callable[[TargetSubject], None]


def _must(kept: bool, sentence: str) -> None:  # noqa: FBT001  # reads like the sentence it checks
    if not kept:
        raise BrokenContractError(sentence)


def _filled(target: Target, seed: int) -> bytes:
    """Write an image of data and holes, in order; the bytes that must come of it."""
    random = Random(seed)  # noqa: S311  # the same each time
    model, at = bytearray(SIZE), 0
    while at < SIZE:
        length = min(random.choice([512, 4096, 65536, 700_000]), SIZE - at)
        if random.random() < 0.4:  # noqa: PLR2004
            target.skip(at, length)
        else:
            data = random.randbytes(length)
            model[at : at + length] = data
            target.write(at, memoryview(data) if random.random() < 0.5 else data)  # noqa: PLR2004
        at += length
    return bytes(model)


def _made(subject: TargetSubject, seed: int, *, overwrite: bool) -> bytes:
    """Restore once; the bytes that must be there."""
    target = subject.replacing() if overwrite else subject.fresh()
    target.prepare(SIZE, FACTS)
    model = _filled(target, seed)
    target.finish()
    return model


def what_is_written_comes_back(subject: TargetSubject) -> None:
    """Data where it was written, zeros where it was skipped."""
    model = _made(subject, 1, overwrite=True)
    _must(subject.look() == model, "the target holds other bytes than were written")


def nothing_goes_before_prepare(subject: TargetSubject) -> None:
    """A target that was not prepared takes nothing, and leaves nothing."""
    target, before = subject.replacing(), subject.look()
    calls: tuple[Callable[[], None], ...] = (lambda: target.write(0, b"x"), target.finish)
    for call in calls:
        try:
            call()
        except RefusedError:
            continue
        raise BrokenContractError("an unprepared target must refuse")
    _must(target.abandon() == "", "nothing was made")
    _must(subject.look() == before, "nothing was touched")


def it_has_a_name(subject: TargetSubject) -> None:
    """The name is the one that the operator wrote."""
    _must(bool(subject.replacing().name), "a target has a name")


def only_the_end_makes_it_visible(subject: TargetSubject) -> None:
    """Until ``finish`` the final name holds what it held."""
    target = subject.fresh()
    target.prepare(SIZE, FACTS)
    model = _filled(target, 2)
    _must(subject.look() is None, "nothing is there before finish")
    target.finish()
    _must(subject.look() == model, "all is there after it")


def what_exists_is_not_overwritten(subject: TargetSubject) -> None:
    """Without permission the old one stays, and nothing new is left beside it."""
    model = _made(subject, 3, overwrite=False)
    target = subject.fresh()
    try:
        target.prepare(SIZE, FACTS)
    except RefusedError:
        _must(target.abandon() == "", "a refusal has no effect")
        _must(subject.look() == model, "the old one stays as it was")
        return
    raise BrokenContractError("an existing target must be refused")


def with_permission_it_is_replaced(subject: TargetSubject) -> None:
    """The old one stays until the end, then the new one is there."""
    old = _made(subject, 4, overwrite=False)
    target = subject.replacing()
    target.prepare(SIZE, FACTS)
    new = _filled(target, 5)
    _must(subject.look() == old, "the old one is there until finish")
    target.finish()
    _must(subject.look() == new, "then the new one")


def what_is_abandoned_is_named(subject: TargetSubject) -> None:
    """An unfinished target is kept under another name, which is told."""
    target = subject.fresh()
    target.prepare(SIZE, FACTS)
    target.write(0, b"some")
    left = target.abandon()
    _must(
        ".drd-restoring-" in left or left == "memory:quarantine", f"what was left is named: {left}"
    )
    _must(subject.look() is None, "the final name holds nothing")


def sizes_of_no_blocks_work(subject: TargetSubject) -> None:
    """An empty image, and one that ends inside of a sector."""
    for size in (0, 777):
        target = subject.replacing()
        target.prepare(size, FACTS)
        if size:
            target.write(0, b"y" * size)
        target.finish()
        _must(subject.look() == b"y" * size, f"{size} bytes must come back")


def permission_is_needed(subject: TargetSubject) -> None:
    """What is written in place must be allowed, and be large enough."""
    before = subject.look()
    for overwrite, size in ((False, SIZE), (True, SIZE + 4096)):
        target = subject.replacing() if overwrite else subject.fresh()
        try:
            target.prepare(size, FACTS)
        except RefusedError:
            _must(target.abandon() == "", "a refusal has no effect")
            continue
        raise BrokenContractError("it must be refused")
    _must(subject.look() == before, "nothing was touched")


def skipped_is_zeroed(subject: TargetSubject) -> None:
    """What was there before does not shine through."""
    target = subject.replacing()
    target.prepare(SIZE, FACTS)
    target.write(0, b"\xff" * SIZE)
    target.finish()
    again = subject.replacing()
    again.prepare(SIZE, FACTS)
    model = _filled(again, 6)
    again.finish()
    _must(subject.look() == model, "skipped ranges are zero")


def a_pipe_wants_order(subject: TargetSubject) -> None:
    """Bytes for another place than the next one are an error."""
    target = subject.fresh()
    _must(target.ordered, "a pipe says that it wants order")
    target.prepare(SIZE, FACTS)
    target.write(0, b"abc")
    try:
        target.write(4096, b"def")
    except SourceError:
        return
    raise BrokenContractError("a gap must be refused")


TARGET_CHECKS: Final[tuple[TargetCheck, ...]] = (
    what_is_written_comes_back,
    nothing_goes_before_prepare,
    it_has_a_name,
)
QUARANTINE_CHECKS: Final[tuple[TargetCheck, ...]] = (
    only_the_end_makes_it_visible,
    what_exists_is_not_overwritten,
    with_permission_it_is_replaced,
    what_is_abandoned_is_named,
    sizes_of_no_blocks_work,
)
IN_PLACE_CHECKS: Final[tuple[TargetCheck, ...]] = (permission_is_needed, skipped_is_zeroed)
PIPE_CHECKS: Final[tuple[TargetCheck, ...]] = (a_pipe_wants_order,)
