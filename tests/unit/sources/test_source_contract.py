"""The conformance suite against the sources that need no server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from drd.model import Changed, Found, Snapshot
from drd.ports import FreezeOrder, Frozen, ReadAt, Source
from drd.sources.device import DeviceSettings, DeviceSource
from drd.testing import source_conformance as suite
from drd.testing.fakes import SteppingClock
from drd.testing.huge_source import HugeSource
from drd.testing.sources import SimulatedFrozen, SimulatedImage, SimulatedSource


class SimulatedSubject:
    def __init__(self, source: SimulatedSource | None = None) -> None:
        self.source = source or SimulatedSource("sim", SteppingClock())
        self.image: SimulatedImage = self.source.add("one", suite.SIZE)
        self.found: Found = self.source.found("one")

    def write(self, offset: int, data: bytes) -> None:
        self.image.write(offset, data)

    def discard(self, offset: int, length: int) -> None:
        self.image.discard(offset, length)

    def resize(self, size: int) -> None:
        self.image.resize(size)

    def foreign_snapshot(self, name: str) -> None:
        self.source.take("one", name)

    def snapshot_names(self) -> Sequence[str]:
        return [one.snapshot.name for one in self.image.taken.values()]


class FileSubject:
    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        os.truncate(path, suite.SIZE)
        settings = DeviceSettings((str(path.parent / "*.img"),))
        self.source: Source = DeviceSource("disks", settings, SteppingClock())
        self.found: Found = self.source.discover()[0]

    def write(self, offset: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def discard(self, offset: int, length: int) -> None:
        self.write(offset, bytes(length))

    def resize(self, size: int) -> None:
        os.truncate(self.path, size)

    def foreign_snapshot(self, name: str) -> None:
        raise NotImplementedError(name)

    def snapshot_names(self) -> Sequence[str]:
        return []


@pytest.mark.parametrize("check", suite.SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["simulated", "file"])
def test_sources_keep_the_contract(kind: str, check: suite.SourceCheck, tmp_path: Path) -> None:
    subject = SimulatedSubject() if kind == "simulated" else FileSubject(tmp_path / "one.img")
    check(subject)


@pytest.mark.parametrize("check", suite.SNAPSHOT_CHECKS, ids=lambda check: check.__name__)
def test_sources_with_snapshots_keep_the_contract(check: suite.SourceCheck) -> None:
    check(SimulatedSubject())


# ── the suite itself can fail ───────────────────────────────────────────────────────────────────
class Bent:
    """A source that is all right but for one thing."""

    def __init__(self, inner: SimulatedSource) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    @contextmanager
    def freeze(self, found: Found, order: FreezeOrder) -> Iterator[Frozen]:
        with self._inner.freeze(found, order) as frozen:
            yield self.bent(frozen)

    def bent(self, frozen: SimulatedFrozen) -> Frozen:
        return frozen


class Shell:
    def __init__(self, inner: SimulatedFrozen) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class MissesChanges(Bent):
    @override
    def bent(self, frozen: SimulatedFrozen) -> Frozen:
        class Frozen_(Shell):  # noqa: N801
            def changed(self, offset: int, length: int) -> Sequence[Changed]:
                return frozen.changed(offset, length)[1:]

        return Frozen_(frozen)  # type: ignore[return-value]


class Unmerged(Bent):
    @override
    def bent(self, frozen: SimulatedFrozen) -> Frozen:
        class Frozen_(Shell):  # noqa: N801
            def changed(self, offset: int, length: int) -> Sequence[Changed]:
                return [
                    part
                    for one in frozen.changed(offset, length)
                    for part in (
                        replace(one, length=one.length // 2),
                        Changed(
                            one.offset + one.length // 2, one.length - one.length // 2, one.data
                        ),
                    )
                ]

        return Frozen_(frozen)  # type: ignore[return-value]


class ShortReads(Bent):
    @override
    def bent(self, frozen: SimulatedFrozen) -> Frozen:
        class Frozen_(Shell):  # noqa: N801
            def read(self, wanted: Sequence[ReadAt]) -> Iterator[tuple[ReadAt, bytes]]:
                for asked, data in frozen.read(wanted):
                    yield asked, bytes(data)[: max(0, frozen.snapshot.size - asked.offset)]

        return Frozen_(frozen)  # type: ignore[return-value]


class ForgetsNames(Bent):
    """Takes a base by its id alone."""

    @override
    @contextmanager
    def freeze(self, found: Found, order: FreezeOrder) -> Iterator[Frozen]:
        image = next(iter(self._inner.images.values()))
        base: Snapshot | None = order.base
        if base and base.id in image.taken:
            base = image.taken[base.id].snapshot
        with self._inner.freeze(found, replace(order, base=base)) as frozen:
            yield frozen


@pytest.mark.parametrize(
    "bend, check",
    [
        (MissesChanges, suite.data_is_named),
        (MissesChanges, suite.changes_are_named),
        (MissesChanges, suite.shrunk_then_grown_is_named),
        (Unmerged, suite.data_is_named),
        (ShortReads, suite.reads_come_in_order),
        (ForgetsNames, suite.a_lost_base_is_no_base),
    ],
)
def test_the_suite_sees_a_bent_source(
    bend: Callable[[SimulatedSource], Source], check: suite.SourceCheck
) -> None:
    subject = SimulatedSubject()
    subject.source = bend(subject.source)  # type: ignore[assignment]
    with pytest.raises(suite.BrokenContractError):
        check(subject)


def test_a_source_that_lies_is_caught_by_the_suite() -> None:
    subject = SimulatedSubject()
    subject.image.hidden.append(Changed(0, suite.SIZE))
    with pytest.raises(suite.BrokenContractError, match="not"):
        suite.changes_are_named(subject)


# ── the huge fake keeps what of the contract benchmarks rely on ────────────────────────────────
def test_the_huge_fake_names_what_it_changes() -> None:
    source = HugeSource("huge", SteppingClock(), size=64 * 1024 * 1024, percent=20)
    found = source.discover()[0]
    with source.freeze(found, FreezeOrder(suite.LINEAGE, b"1")) as frozen:
        base, size = frozen.snapshot, frozen.snapshot.size
        old = read_all(frozen, size)
        claimed = frozen.changed(0, size)
        assert_covers(claimed, bytes(size), old)
        assert 0.1 < sum(one.length for one in claimed) / size < 0.3
    source.scatter(100)
    with source.freeze(found, FreezeOrder(suite.LINEAGE, b"2", base)) as frozen:
        new = read_all(frozen, size)
        claimed = frozen.changed(0, size)
        assert_covers(claimed, old, new)
        assert sum(one.length for one in claimed) == 100 * 4096
        assert read_all(frozen, size, base=True) == old


def read_all(frozen: Frozen, size: int, *, base: bool = False) -> bytes:
    wanted = [ReadAt(at, 1 << 20, base) for at in range(0, size, 1 << 20)]
    return b"".join(bytes(data) for _, data in frozen.read(wanted))


def assert_covers(claimed: Sequence[Changed], old: bytes, new: bytes) -> None:
    at = 0
    for one in claimed:
        assert old[at : one.offset] == new[at : one.offset]
        at = one.end
    assert old[at:] == new[at:]
