"""What every source must do: a check for each MUST sentence of ``drd.ports``, ``Source`` and ``Frozen``.

A check takes a subject: the adapter, with what it needs to be written to from outside. It returns when
the adapter keeps its word, and raises ``BrokenContractError`` when it does not. ``SOURCE_CHECKS`` hold
for every source, ``SNAPSHOT_CHECKS`` for those that have snapshots.

Checks expect an image of ``SIZE`` bytes that is all zeros, and no snapshot of drd's on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Final, Protocol, TypeAlias, TypeVar

from drd.errors import DrdError, NotFoundError, SourceError
from drd.model import Changed, Found, Snapshot
from drd.ports import FreezeOrder, Frozen, ReadAt, Source

SIZE: Final = 4 * 1024 * 1024
LINEAGE: Final = bytes(range(16))
OTHER: Final = bytes(range(16, 32))

_E = TypeVar("_E", bound=DrdError)


class BrokenContractError(SourceError):
    """The adapter answers, and not as it must."""

    code = "source-contract"


class SourceSubject(Protocol):
    """A source with one image that can be written to."""

    @property
    def source(self) -> Source:
        """The adapter."""
        ...

    @property
    def found(self) -> Found:
        """Its image."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Write to the image, as its user would."""
        ...

    def discard(self, offset: int, length: int) -> None:
        """Make a range zero."""
        ...

    def resize(self, size: int) -> None:
        """Grow or shrink the image."""
        ...

    def foreign_snapshot(self, name: str) -> None:
        """Make a snapshot that is not drd's."""
        ...

    def snapshot_names(self) -> Sequence[str]:
        """All snapshots of the image, whoever made them."""
        ...


SourceCheck: TypeAlias = Callable[[SourceSubject], None]


def _must(kept: bool, sentence: str) -> None:  # noqa: FBT001  # reads like the sentence it checks
    if not kept:
        raise BrokenContractError(sentence)


def _raises(kind: type[_E], call: Callable[[], object], sentence: str) -> _E:
    """Call, and give the error of *kind* that it must raise."""
    try:
        call()
    except kind as error:
        return error
    raise BrokenContractError(sentence)


def _order(run: int, base: Snapshot | None = None, resume: Snapshot | None = None) -> FreezeOrder:
    return FreezeOrder(LINEAGE, run.to_bytes(8, "big"), base, resume)


def _content(frozen: Frozen, *, base: bool = False, step: int = 256 * 1024) -> bytes:
    """Everything in a snapshot, or in its base."""
    snapshot = frozen.base if base else frozen.snapshot
    size = snapshot.size if snapshot else 0
    wanted = [ReadAt(at, min(step, size - at), base) for at in range(0, size, step)]
    return b"".join(bytes(data) for _, data in frozen.read(wanted))


def _must_cover(claimed: Iterable[Changed], old: bytes, new: bytes, *, start: int = 0) -> None:
    """Each byte that differs lies in a claimed range, and no claimed hole holds data."""
    at = start
    for one in claimed:
        a, b = at - start, one.offset - start
        _must(old[a:b] == new[a:b], f"bytes {at} to {one.offset} differ, and are claimed not to")
        if not one.data:
            hole = new[b : one.end - start]
            _must(not any(hole), f"bytes {one.offset} to {one.end} hold data, not a hole")
        at = one.end
    _must(old[at - start :] == new[at - start :], f"a change at or after {at} is not claimed")


def _must_be_tidy(claimed: Sequence[Changed], offset: int, end: int) -> None:
    """Sorted, merged, inside."""
    at = offset
    for index, one in enumerate(claimed):
        _must(one.length > 0, "an empty range is claimed")
        _must(
            at <= one.offset and one.end <= end, "ranges must be sorted and inside what was asked"
        )
        joined = index > 0 and claimed[index - 1].end == one.offset
        _must(not joined or claimed[index - 1].data != one.data, "neighbours must be merged")
        at = one.end


# ── every source ────────────────────────────────────────────────────────────────────────────────
def discovers_its_image(subject: SourceSubject) -> None:
    """Discovery gives labels below the source's name, sorted, and the image is among them."""
    found = subject.source.discover()
    labels = [one.label for one in found]
    _must(labels == sorted(set(labels)), "labels must be sorted, and each there once")
    _must(all(one.startswith(f"{subject.source.name}/") for one in labels), "labels begin with it")
    _must(subject.found in found, "the image must be discovered, with the same identity each time")


def an_empty_image_holds_no_data(subject: SourceSubject) -> None:
    """A fresh image has nothing to read."""
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        _must(frozen.snapshot.size == SIZE, "the snapshot has the size of the image")
        _must(frozen.base is None, "without an order for a base there is none")
        _must_cover(frozen.changed(0, SIZE), bytes(SIZE), bytes(SIZE))


def reads_come_in_order(subject: SourceSubject) -> None:
    """Reads of any length, overlapping, out of order and beyond the end, come as they were asked."""
    random = Random(1)  # noqa: S311  # the same each time
    model = bytearray(SIZE)
    for _ in range(20):
        offset, data = (
            random.randrange(SIZE - 70_000),
            random.randbytes(random.randrange(1, 70_000)),
        )
        model[offset : offset + len(data)] = data
        subject.write(offset, data)
    wanted = [
        ReadAt(random.randrange(SIZE + 9000), random.choice([1, 512, 4096, 65536, 300_000]))
        for _ in range(60)
    ]
    wanted += [ReadAt(at, 65536) for at in range(0, SIZE, 65536)]
    wanted += [ReadAt(SIZE - 1, 2), ReadAt(SIZE, 4096), ReadAt(2 * SIZE, 1)]
    padded = bytes(model) + bytes(2 * SIZE)
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        answers = list(frozen.read(wanted))
    _must([asked for asked, _ in answers] == wanted, "answers come in the order asked")
    for asked, answer in answers:
        right = padded[asked.offset : asked.offset + asked.length]
        _must(bytes(answer) == right, f"wrong bytes for {asked}")


def no_read_is_no_answer(subject: SourceSubject) -> None:
    """Nothing asked, nothing given; and a reader that stops early does no harm."""
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        _must(not list(frozen.read([])), "nothing was asked")
        answers = iter(frozen.read(ReadAt(at, 65536) for at in range(0, SIZE, 65536)))
        next(answers)
        del answers
        _must(len(list(frozen.read([ReadAt(0, 4096)]))) == 1, "the snapshot can be read after that")


def data_is_named(subject: SourceSubject) -> None:
    """Without a base, whatever holds data is named, for every range that one may ask for."""
    subject.write(0, b"first")
    subject.write(SIZE - 5, b"last.")
    subject.write(1_500_000, b"x" * 200_000)
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        new = _content(frozen)
        for offset, length in (
            (0, SIZE),
            (0, 2 * SIZE),
            (1, 4095),
            (1_450_001, 99_999),
            (SIZE - 4096, 4096),
            (SIZE, 4096),
            (123_456, 0),
        ):
            end = max(offset, min(offset + length, SIZE))
            claimed = frozen.changed(offset, length)
            _must_be_tidy(claimed, offset, end)
            part = new[offset:end]
            _must_cover(claimed, bytes(len(part)), part, start=offset)


def facts_tell(subject: SourceSubject) -> None:
    """Facts can be written as JSON, and say size, consistency and warnings."""
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        facts = json.loads(json.dumps(dict(frozen.facts)))
    _must(facts["size"] == SIZE, "facts give the size")
    _must(isinstance(facts["consistency"], str), "facts give the consistency that was reached")
    _must(isinstance(facts["warnings"], list), "facts give warnings")


def the_time_is_aware(subject: SourceSubject) -> None:
    """The time of a snapshot is aware UTC."""
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        _must(frozen.snapshot.taken_at.utcoffset() == timedelta(0), "taken_at is aware UTC")


def an_unknown_image_is_not_found(subject: SourceSubject) -> None:
    """An identity that is nowhere, or of another kind, is not found."""
    for wrong in (subject.found.identity + "0", "other:thing", ""):
        gone = replace(subject.found, identity=wrong)
        frozen = subject.source.freeze(gone, _order(1))
        _raises(NotFoundError, frozen.__enter__, f"{wrong} is no image")
    unknown = f"{subject.source.name}/no such image"
    _raises(NotFoundError, lambda: subject.source.release(unknown), "release of an unknown label")


def reopening_reads_the_same(subject: SourceSubject) -> None:
    """A snapshot can be opened again, and another one cannot."""
    subject.write(5000, b"then")
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        snapshot, before = frozen.snapshot, _content(frozen)
    with subject.source.reopen(subject.found, snapshot) as again:
        _must(again.snapshot.id == snapshot.id, "the same snapshot")
        _must(_content(again) == before, "the same bytes")
        _must_cover(again.changed(0, SIZE), bytes(SIZE), before)
    gone = replace(snapshot, id="987654321")
    _raises(NotFoundError, subject.source.reopen(subject.found, gone).__enter__, "no such snapshot")


# ── sources that have snapshots ─────────────────────────────────────────────────────────────────
def a_snapshot_stands_still(subject: SourceSubject) -> None:
    """What is written after the snapshot is not in it."""
    subject.write(0, b"before")
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        subject.write(0, b"after.")
        _must(_content(frozen)[:6] == b"before", "the snapshot must not change")
        snapshot = frozen.snapshot
    with subject.source.reopen(subject.found, snapshot) as again:
        _must(_content(again)[:6] == b"before", "nor later")


def changes_are_named(subject: SourceSubject) -> None:
    """With a base, every byte that differs is in a named range, after any sequence of changes."""
    random = Random(7)  # noqa: S311  # the same each time
    size, base, old = SIZE, None, b""
    for run in range(1, 7):
        for _ in range(6):
            offset = random.randrange(size // 4096) * 4096
            length = min(random.choice([4096, 65536, 1 << 20]), size - offset)
            if random.randrange(3) == 0:
                subject.discard(offset, length)
            else:
                subject.write(offset, random.randbytes(length))
        if run in (3, 5):
            size = random.choice([SIZE // 2, SIZE + 4096 * 5])
            subject.resize(size)
        with subject.source.freeze(subject.found, _order(run, base)) as frozen:
            new = _content(frozen)
            if base is not None:
                _must(frozen.base == base, "the base is there, so it is opened")
                _must(_content(frozen, base=True) == old, "the base's bytes can be read")
                claimed = frozen.changed(0, max(size, SIZE) * 2)
                _must_be_tidy(claimed, 0, size)
                _must_cover(claimed, old.ljust(size, b"\0")[:size], new)
            base, old = frozen.snapshot, new


def shrunk_then_grown_is_named(subject: SourceSubject) -> None:
    """What was cut off and came back as zeros has changed."""
    subject.write(0, b"z" * SIZE)
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        base = frozen.snapshot
    subject.resize(SIZE // 2)
    subject.resize(SIZE)
    subject.write(SIZE - 4096, b"tail")
    with subject.source.freeze(subject.found, _order(2, base)) as frozen:
        new = _content(frozen)
        _must(not any(new[SIZE // 2 : SIZE - 4096]), "what came back is zero")
        _must_cover(frozen.changed(0, SIZE), b"z" * SIZE, new)


def an_unchanged_image_is_nothing(subject: SourceSubject) -> None:
    """Nothing written, nothing named; told apart from a base that is gone."""
    subject.write(0, b"data")
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        base = frozen.snapshot
    with subject.source.freeze(subject.found, _order(2, base)) as frozen:
        _must(frozen.base == base, "the base is there")
        _must(not frozen.changed(0, SIZE), "nothing changed")
        beyond = list(frozen.read([ReadAt(SIZE, 4096, base=True)]))
        _must(not any(beyond[0][1]), "beyond the base's size bytes are zero")


def a_lost_base_is_no_base(subject: SourceSubject) -> None:
    """A base that is gone, or whose id is another snapshot's, is None, and all data is named."""
    subject.write(0, b"data")
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        first = frozen.snapshot
    subject.source.settle(subject.found, LINEAGE, keep=[])
    with subject.source.freeze(subject.found, _order(2, first)) as frozen:
        _must(frozen.base is None, "the base is gone")
        _must(bool(frozen.changed(0, SIZE)), "everything that holds data is named")
        second = frozen.snapshot
    for wrong in (replace(second, id=first.id), replace(second, name=first.name)):
        with subject.source.freeze(subject.found, _order(3, wrong)) as frozen:
            _must(frozen.base is None, "id and name must both be the base's")


def a_base_is_not_its_own(subject: SourceSubject) -> None:
    """A snapshot is never compared with itself, nor with a younger one."""
    subject.write(0, b"data")
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        older = frozen.snapshot
    with subject.source.freeze(subject.found, _order(2, older)) as frozen:
        newer = frozen.snapshot
    for base in (older, newer):
        with subject.source.freeze(subject.found, _order(3, base, resume=older)) as frozen:
            _must(frozen.snapshot.id == older.id, "it is resumed")
            _must(frozen.base is None, "such a pair would look as if nothing had changed")
            _must(bool(frozen.changed(0, SIZE)), "so all data is named")


def resumes_the_same_snapshot(subject: SourceSubject) -> None:
    """An unfinished run goes on with its snapshot; without it, there is no base either."""
    with subject.source.freeze(subject.found, _order(1)) as frozen:
        base = frozen.snapshot
    subject.write(0, b"then")
    with subject.source.freeze(subject.found, _order(2, base)) as frozen:
        begun = frozen.snapshot
    subject.write(0, b"now.")
    with subject.source.freeze(subject.found, _order(3, base, resume=begun)) as frozen:
        _must(frozen.snapshot == begun, "the same snapshot")
        _must(_content(frozen)[:4] == b"then", "with its bytes")
        _must(frozen.base == base, "and its base")
    _must(len(subject.snapshot_names()) == 2, "no other snapshot was made")  # noqa: PLR2004
    subject.source.settle(subject.found, LINEAGE, keep=[base.id])
    with subject.source.freeze(subject.found, _order(4, base, resume=begun)) as frozen:
        _must(frozen.snapshot.id not in (begun.id, base.id), "a new snapshot was made")
        _must(frozen.base is None, "the map holds neither the one nor the other")


def settles_its_own(subject: SourceSubject) -> None:
    """Only this lineage's snapshots go, and not those to keep; foreign ones never."""
    subject.foreign_snapshot("before upgrade")
    ids = []
    for run, lineage in ((1, LINEAGE), (2, LINEAGE), (3, OTHER)):
        order = replace(_order(run), lineage=lineage)
        with subject.source.freeze(subject.found, order) as frozen:
            ids.append(frozen.snapshot.id)
    _must(not subject.source.settle(subject.found, LINEAGE, keep=[ids[1]]), "nothing is busy")
    held = subject.source.snapshots()
    _must({one.snapshot.id for one in held} == {ids[1], ids[2]}, "the right ones are left")
    _must(subject.source.snapshots(subject.found) == held, "asked of the image alone, the same")
    _must({one.lineage for one in held} == {LINEAGE, OTHER}, "lineages can be read from names")
    _must({one.image for one in held} == {subject.found.label}, "and they name their image")
    subject.source.settle(subject.found, LINEAGE, keep=[ids[1]])
    released = subject.source.release(subject.found.label)
    _must(len(released) == 2, "release takes all of drd's")  # noqa: PLR2004
    _must(all(one.startswith("drd.") for one in released), "and only those")
    _must(list(subject.snapshot_names()) == ["before upgrade"], "the foreign one stays")
    _must(not subject.source.snapshots(), "nothing of drd's is left")


SOURCE_CHECKS: Final[tuple[SourceCheck, ...]] = (
    discovers_its_image,
    an_empty_image_holds_no_data,
    reads_come_in_order,
    no_read_is_no_answer,
    data_is_named,
    facts_tell,
    the_time_is_aware,
    an_unknown_image_is_not_found,
    reopening_reads_the_same,
)

SNAPSHOT_CHECKS: Final[tuple[SourceCheck, ...]] = (
    a_snapshot_stands_still,
    changes_are_named,
    shrunk_then_grown_is_named,
    an_unchanged_image_is_nothing,
    a_lost_base_is_no_base,
    a_base_is_not_its_own,
    resumes_the_same_snapshot,
    settles_its_own,
)
