"""Fakes of the source's and target's sockets: images in memory, written to by a test's script.

``SimulatedSource`` keeps the contract of ``drd.ports.Source`` and can be told to break it the way real
sources do: a diff that misses a change or names too much, a base that vanishes, a snapshot that is
busy, a read that fails, a process that dies right after an effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from typing_extensions import override

from drd.errors import DrdError, NotFoundError, RefusedError, SourceError
from drd.model import Buffer, Changed, Found, HeldSnapshot, Json, Snapshot
from drd.ports import FreezeOrder, Now, ReadAt
from drd.sources.labels import is_ours, parse_snapshot, snapshot_name
from drd.sources.labels import label as label_of
from drd.sources.ranges import clipped, merged

BLOCK: Final = 4096
"""Unit in which memory is held; writes may begin and end anywhere."""

_ZERO: Final = bytes(BLOCK)


class SparseBytes:
    """Bytes that are zero until written; what lies beyond the size reads as zero."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._blocks: dict[int, bytes] = {}

    def copy(self) -> SparseBytes:
        """An independent copy; blocks are shared, they are never changed in place."""
        other = SparseBytes(self.size)
        other._blocks = dict(self._blocks)
        return other

    def write(self, offset: int, data: Buffer) -> None:
        """Write *data*; ``ValueError`` beyond the size."""
        if offset < 0 or offset + len(data) > self.size:
            raise ValueError(f"{len(data)} bytes at {offset} of {self.size}")
        view = memoryview(data)
        while view:
            index, skip = divmod(offset, BLOCK)
            part = view[: BLOCK - skip]
            old = self._blocks.get(index, _ZERO)
            self._blocks[index] = old[:skip] + bytes(part) + old[skip + len(part) :]
            view, offset = view[len(part) :], offset + len(part)

    def discard(self, offset: int, length: int) -> None:
        """Make a range zero; whole blocks are given back."""
        end = min(offset + length, self.size)
        while offset < end:
            index, skip = divmod(offset, BLOCK)
            part = min(BLOCK - skip, end - offset)
            if part == BLOCK:
                self._blocks.pop(index, None)
            elif index in self._blocks:
                self.write(offset, bytes(part))
            offset += part

    def resize(self, size: int) -> None:
        """Grow with zeros, or cut off; what is cut off does not come back."""
        if size < self.size:
            self.discard(size, self.size - size)
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """*length* bytes, zeros beyond the size."""
        parts = []
        end = offset + length
        while offset < end:
            index, skip = divmod(offset, BLOCK)
            parts.append(self._blocks.get(index, _ZERO)[skip : skip + end - offset])
            offset += len(parts[-1])
        return b"".join(parts)

    def allocated(self) -> list[Changed]:
        """Ranges that hold blocks, zero or not."""
        return merged(Changed(index * BLOCK, BLOCK) for index in self._blocks)

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparseBytes):
            return NotImplemented
        return self.size == other.size and self._filled() == other._filled()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def _filled(self) -> dict[int, bytes]:
        return {index: block for index, block in self._blocks.items() if block != _ZERO}


@dataclass(slots=True)
class _Taken:
    """A snapshot: what it holds, and how many changes of the image came before it."""

    snapshot: Snapshot
    content: SparseBytes
    logged: int


@dataclass
class SimulatedImage:
    """An image that a test writes to. Ranges in ``hidden`` are left out of every diff with a base,
    those in ``named`` are added to it; ``busy`` holds ids of snapshots that cannot be removed.
    """

    name: str
    identity: str
    head: SparseBytes
    hidden: list[Changed] = field(default_factory=list)
    named: list[Changed] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    facts: dict[str, Json] = field(default_factory=dict)
    taken: dict[str, _Taken] = field(default_factory=dict)
    _log: list[Changed] = field(default_factory=list)

    def write(self, offset: int, data: Buffer) -> None:
        """Write to the image."""
        self.head.write(offset, data)
        self._log.append(Changed(offset, len(data)))

    def discard(self, offset: int, length: int) -> None:
        """Make a range a hole."""
        self.head.discard(offset, length)
        self._log.append(Changed(offset, length, data=False))

    def resize(self, size: int) -> None:
        """Grow or shrink."""
        edge = min(size, self.head.size)
        self._log.append(Changed(edge, max(size, self.head.size) - edge, data=False))
        self.head.resize(size)

    def take(self, number: int, name: str, now: Now) -> Snapshot:
        """Make a snapshot, drd's or anybody's."""
        snapshot = Snapshot(str(number), name, now(), self.head.size)
        self.taken[snapshot.id] = _Taken(snapshot, self.head.copy(), len(self._log))
        return snapshot

    def lose(self, snapshot_id: str) -> None:
        """Remove a snapshot behind drd's back."""
        del self.taken[snapshot_id]

    def claims(self, base: _Taken, new: _Taken) -> list[Changed]:
        """What a diff of this image says, lies included."""
        told = merged([*self._log[base.logged : new.logged], *self.named])
        hidden = merged(self.hidden)
        out: list[Changed] = []
        for one in told:
            at = one.offset
            for gap in clipped(hidden, one.offset, one.end):
                out.append(Changed(at, gap.offset - at, one.data))
                at = gap.end
            out.append(Changed(at, one.end - at, one.data))
        return merged(out)


class SimulatedSource:
    """Images in memory.

    Args:
        name: section of the configuration.
        now: the clock, for the times of snapshots.
        effect: called with a word after each effect (``snapshot``, ``remove``) and before each read
            (``read``); may raise ``CrashError`` to end the process there, or an error of drd.
    """

    def __init__(
        self, name: str, now: Now, effect: Callable[[str], None] = lambda _word: None
    ) -> None:
        self._name = name
        self._now = now
        self._effect = effect
        self._next = 1
        self.images: dict[str, SimulatedImage] = {}

    @property
    def name(self) -> str:
        """Section of the configuration."""
        return self._name

    def number(self) -> int:
        """A number that was not given out before."""
        self._next += 1
        return self._next - 1

    def add(self, name: str, size: int) -> SimulatedImage:
        """Make an image; one of the same name is replaced, and the new one has another identity."""
        identity = f"simulated:{self._name}/{self.number()}"
        self.images[name] = SimulatedImage(name, identity, SparseBytes(size))
        return self.images[name]

    def rename(self, old: str, new: str) -> None:
        """The identity stays."""
        image = self.images.pop(old)
        image.name = new
        self.images[new] = image

    def take(self, name: str, snapshot: str) -> Snapshot:
        """Make a snapshot that is not drd's."""
        return self.images[name].take(self.number(), snapshot, self._now)

    def found(self, name: str) -> Found:
        """What ``discover`` says of one image."""
        return Found(self._name, label_of(self._name, name), self.images[name].identity)

    def discover(self) -> Sequence[Found]:
        """All images, sorted by label."""
        return [self.found(name) for name in sorted(self.images)]

    def overlooked(self) -> Sequence[DrdError]:
        """Nothing: all of it is in memory."""
        return []

    @contextmanager
    def freeze(self, found: Found, order: FreezeOrder) -> Iterator[SimulatedFrozen]:
        """Snapshot and open; ``NotFoundError`` when the image is gone."""
        image = self._image(found)
        resumed = _same(image, order.resume)
        base = _same(image, order.base)
        if order.resume is not None and resumed is None:
            base = None
        if resumed is None:
            name = snapshot_name(order.lineage, order.run)
            resumed = image.taken[image.take(self.number(), name, self._now).id]
            self._effect("snapshot")
        if base is not None and int(base.snapshot.id) >= int(resumed.snapshot.id):
            base = None
        yield SimulatedFrozen(image, resumed, base, self._effect)

    @contextmanager
    def reopen(self, found: Found, snapshot: Snapshot) -> Iterator[SimulatedFrozen]:
        """Open a snapshot that exists."""
        image = self._image(found)
        taken = _same(image, snapshot)
        if taken is None:
            raise NotFoundError("the source has this snapshot no more", about=found.label)
        yield SimulatedFrozen(image, taken, None, self._effect)

    def settle(self, found: Found, lineage: bytes, *, keep: Sequence[str]) -> Sequence[str]:
        """Remove this lineage's other snapshots; return what is busy."""
        image = next((one for one in self.images.values() if one.identity == found.identity), None)
        going = [
            one.snapshot
            for one in (image.taken.values() if image else ())
            if _lineage_of(one.snapshot) == lineage and one.snapshot.id not in keep
        ]
        return [] if image is None else self._remove(image, going)

    def snapshots(self, found: Found | None = None) -> Sequence[HeldSnapshot]:
        """All of drd's snapshots, or those of *found*."""
        return [
            HeldSnapshot(
                label_of(self._name, name), one.snapshot, _lineage_of(one.snapshot), "unknown"
            )
            for name, image in sorted(self.images.items())
            for one in image.taken.values()
            if is_ours(one.snapshot.name) and (found is None or found.identity == image.identity)
        ]

    def release(self, label: str) -> Sequence[str]:
        """Remove all of drd's snapshots of one image."""
        for name, image in self.images.items():
            if label_of(self._name, name) == label:
                ours = [o.snapshot for o in image.taken.values() if is_ours(o.snapshot.name)]
                if busy := self._remove(image, ours):
                    raise SourceError(f"busy: {', '.join(busy)}", about=label)
                return [one.name for one in ours]
        raise NotFoundError("no such image", about=label)

    def _remove(self, image: SimulatedImage, going: Sequence[Snapshot]) -> list[str]:
        for one in going:
            if one.id not in image.busy:
                del image.taken[one.id]
                self._effect("remove")
        return [one.name for one in going if one.id in image.busy]

    def _image(self, found: Found) -> SimulatedImage:
        for image in self.images.values():
            if image.identity == found.identity:
                return image
        raise NotFoundError("no such image", about=found.label)


class SimulatedFrozen:
    """An open snapshot. *effect* is called with ``read`` before each read."""

    def __init__(
        self,
        image: SimulatedImage,
        taken: _Taken,
        base: _Taken | None,
        effect: Callable[[str], None],
    ) -> None:
        self._image = image
        self._taken = taken
        self._base = base
        self._effect = effect

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that is read."""
        return self._taken.snapshot

    @property
    def base(self) -> Snapshot | None:
        """The base, when it is still there."""
        return self._base.snapshot if self._base else None

    @property
    def facts(self) -> Mapping[str, Json]:
        """Size, and what the test put there."""
        facts: dict[str, Json] = {"kind": "simulated", "size": self._taken.snapshot.size}
        return facts | {"consistency": "crash", "warnings": []} | self._image.facts

    def changed(self, offset: int, length: int) -> Sequence[Changed]:
        """What the diff claims; without a base, what is allocated."""
        if self._base is None:
            told = self._taken.content.allocated()
        else:
            told = self._image.claims(self._base, self._taken)
        return clipped(told, offset, min(offset + length, self._taken.snapshot.size))

    def read(self, wanted: Iterable[ReadAt]) -> Iterator[tuple[ReadAt, Buffer]]:
        """Read in order."""
        for one in wanted:
            taken = self._base if one.base else self._taken
            if taken is None:
                raise SourceError("a read of a base that is not there", about=self._image.name)
            self._effect("read")
            yield one, taken.content.read(one.offset, one.length)


def _same(image: SimulatedImage, wanted: Snapshot | None) -> _Taken | None:
    """The snapshot of that id and name."""
    taken = image.taken.get(wanted.id) if wanted else None
    return taken if taken and wanted and taken.snapshot.name == wanted.name else None


def _lineage_of(snapshot: Snapshot) -> bytes | None:
    name = parse_snapshot(snapshot.name)
    return name.lineage if name else None


class MemoryTarget:
    """A target in memory. *existing* is what is there before; ``final`` is what is there now.

    Args:
        overwrite: whether *existing* may be replaced.
        existing: what the final name holds before.
        capacity: most bytes that it takes, None for no limit.
        ordered: whether it is a pipe: writes in order, holes as zeros.
        effect: called with ``write`` or ``finish`` before each; may raise.
    """

    def __init__(
        self,
        *,
        overwrite: bool = False,
        existing: SparseBytes | None = None,
        capacity: int | None = None,
        ordered: bool = False,
        effect: Callable[[str], None] = lambda _word: None,
    ) -> None:
        self.final = existing
        self.quarantine: SparseBytes | None = None
        self.facts: Mapping[str, Json] = {}
        self.warnings: list[str] = []
        self._overwrite = overwrite
        self._capacity = capacity
        self._ordered = ordered
        self._effect = effect
        self._at = 0

    @property
    def name(self) -> str:
        """``memory:``."""
        return "memory:"

    @property
    def ordered(self) -> bool:
        """As it was made."""
        return self._ordered

    def prepare(self, size: int, facts: Mapping[str, Json]) -> None:
        """``RefusedError`` when something is there already, or *size* is beyond the capacity."""
        if self.final is not None and not self._overwrite:
            raise RefusedError("the target exists", about=self.name)
        if self._capacity is not None and size > self._capacity:
            raise RefusedError("the target is too small", about=self.name)
        self.facts = dict(facts)
        self.quarantine = SparseBytes(size)

    def write(self, offset: int, data: Buffer) -> None:
        """Write to the quarantine."""
        self._effect("write")
        self._follow(offset, len(data))
        self._prepared().write(offset, data)

    def skip(self, offset: int, length: int) -> None:
        """The range is zero."""
        self._follow(offset, length)

    def finish(self) -> None:
        """The quarantine becomes final."""
        self._effect("finish")
        self.final, self.quarantine = self._prepared(), None

    def abandon(self) -> str:
        """Where the quarantine is."""
        return "memory:quarantine" if self.quarantine is not None else ""

    def _prepared(self) -> SparseBytes:
        if self.quarantine is None:
            raise RefusedError("the target was not prepared", about=self.name)
        return self.quarantine

    def _follow(self, offset: int, length: int) -> None:
        if self._ordered and offset != self._at:
            raise SourceError(f"a pipe at {self._at} cannot take bytes for {offset}", about="-")
        self._at = offset + length
