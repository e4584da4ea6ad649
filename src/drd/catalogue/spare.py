"""A catalogue that stops nobody: what its file cannot do any more is done in memory, with a warning.

A cache that is damaged, or whose disk is full, must not keep anybody from a backup or a restore: all of
it can be learnt again. What it must not do is to answer by halves. ``keys`` says which manifests need
not be read, and ``points`` is relied on to have them; so both answer from one reading of the file.

Who asks of one lineage or one image reads that much of the file. A file whose disk is full is read into
memory only when somebody asks again: a backup that ends there does not, and needs no room for all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from drd.catalogue.catalogue import SqliteCatalogue
from drd.catalogue.database import UNPROVEN, DamagedCatalogueError
from drd.catalogue.memory import MemoryCatalogue
from drd.errors import ConfigError
from drd.model import Damage, Head, Hold, PointInfo, Proven
from drd.ports import Catalogue, Ledger

_T = TypeVar("_T")


class SpareCatalogue:
    """A :class:`drd.ports.Catalogue` that never raises.

    Args:
        path: the file.
        warn: told once of each thing that the file cannot do, and of what was lost with a damaged one:
            a host that knows no newest points is not protected from a bucket that hides them.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._file: SqliteCatalogue | None = None
        self._read: MemoryCatalogue | None = None
        self._unwritten: list[Callable[[Catalogue], None]] = []
        self._spare_ledger = MemoryCatalogue()
        try:
            self._file = SqliteCatalogue(path)
        except ConfigError as error:
            self._go_on_without(error)
        else:
            self._tell_lost(self._file.lost)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @property
    def ledger(self) -> Ledger:
        """See :class:`drd.ports.Catalogue`."""
        if self._file is not None:
            return self._file.ledger
        return (self._read or self._spare_ledger).ledger

    def keys(self, tenant: bytes) -> Mapping[str, bytes]:
        """See :class:`drd.ports.Catalogue`."""
        return self._whole(tenant).keys(tenant)

    def points(self, tenant: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        return (self._read or self._whole(tenant)).points(tenant)

    def points_of(self, tenant: bytes, lineage: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.points_of(tenant, lineage))

    def tails(self, tenant: bytes) -> Sequence[PointInfo]:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.tails(tenant))

    def heads(self, tenant: bytes) -> Sequence[Head]:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.heads(tenant))

    def lineages(self, tenant: bytes) -> frozenset[bytes]:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.lineages(tenant))

    def lineage_of(self, tenant: bytes, identity: str) -> bytes | None:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.lineage_of(tenant, identity))

    def highest(self, tenant: bytes, lineage: bytes) -> int:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.highest(tenant, lineage))

    def learn(self, points: Iterable[PointInfo]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        new = list(points)
        self._tell(lambda one: one.learn(new))

    def damage_of(self, tenant: bytes, lineage: bytes) -> Damage | None:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.damage_of(tenant, lineage))

    def note_damage(self, tenant: bytes, lineage: bytes, damage: Damage | None) -> None:
        """See :class:`drd.ports.Catalogue`."""
        self._tell(lambda one: one.note_damage(tenant, lineage, damage))

    def damages(self, tenant: bytes) -> Mapping[bytes, Damage]:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.damages(tenant))

    def note_proven(self, tenant: bytes, results: Iterable[Proven], *, whole: bool = False) -> None:
        """See :class:`drd.ports.Catalogue`."""
        some = list(results)
        self._tell(lambda one: one.note_proven(tenant, some, whole=whole))

    def proven(self, tenant: bytes) -> Sequence[Proven]:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.proven(tenant))

    def knows_proven(self, tenant: bytes) -> bool:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.knows_proven(tenant))

    def note_holds(self, tenant: bytes, lineage: bytes, holds: Iterable[Hold]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        some = list(holds)
        self._tell(lambda one: one.note_holds(tenant, lineage, some))

    def holds(self, tenant: bytes) -> Sequence[Hold]:
        """See :class:`drd.ports.Catalogue`."""
        return self._ask(tenant, lambda one: one.holds(tenant))

    def forget(self, manifest_keys: Iterable[str]) -> None:
        """See :class:`drd.ports.Catalogue`."""
        gone = list(manifest_keys)
        self._tell(lambda one: one.forget(gone))

    def clear(self) -> None:
        """See :class:`drd.ports.Catalogue`."""
        self._tell(lambda one: one.clear())

    def _whole(self, tenant: bytes) -> MemoryCatalogue:
        """Everything that the file knows, read now; or, without it, what this process knows."""
        if self._file is not None:
            try:
                self._read = _copy(self._file, tenant)
                if self._file.knows_others(tenant):
                    self._tell_lost(
                        f"the catalogue is of another repository; {UNPROVEN} [{self._path}]"
                    )
            except ConfigError as error:
                self._mend(error)
        self._read = self._read or MemoryCatalogue()
        if self._unwritten:
            for message in self._unwritten:
                message(self._read)
            self._unwritten.clear()
            self._leave_file()
        return self._read

    def _ask(self, tenant: bytes, question: Callable[[Catalogue], _T]) -> _T:
        if self._file is not None and not self._unwritten:
            try:
                return question(self._file)
            except ConfigError as error:
                self._mend(error)
        return question((not self._unwritten and self._read) or self._whole(tenant))

    def _tell(self, message: Callable[[Catalogue], None]) -> None:
        """Write to the file (to the new one, where it is damaged), and to what was read of it.

        What the file does not take is kept in mind: it can still be read, be its disk full.
        """
        for _ in range(2):
            if self._file is None or self._unwritten:
                break
            try:
                message(self._file)
                break
            except DamagedCatalogueError as error:
                self._mend(error)
            except ConfigError as error:
                self._warn(f"{error}: going on without the local catalogue")
                if self._read is None:
                    self._unwritten.append(message)
                    return
                self._leave_file()
        if self._unwritten:
            self._unwritten.append(message)
        if self._read is not None:
            message(self._read)

    def _mend(self, error: ConfigError) -> None:
        """Begin a damaged file anew; do without one that fails in another way."""
        if self._file is None:  # given up meanwhile
            return
        if not isinstance(error, DamagedCatalogueError):
            self._go_on_without(error)
            return
        try:
            self._file.begin_anew()
        except ConfigError as second:
            self._go_on_without(second)
        else:
            self._tell_lost(self._file.lost)

    def _tell_lost(self, what: str) -> None:
        if what:
            self._warn(what)

    def _leave_file(self) -> None:
        self.close()
        self._file = None

    def _go_on_without(self, error: ConfigError) -> None:
        self._leave_file()
        self._read = self._read or MemoryCatalogue()
        self._warn(f"{error}: going on without the local catalogue")


def _copy(file: SqliteCatalogue, tenant: bytes) -> MemoryCatalogue:
    """All that *file* knows of *tenant*."""
    copy = MemoryCatalogue(file.points(tenant))
    for lineage, damage in file.damages(tenant).items():
        copy.note_damage(tenant, lineage, damage)
    copy.note_proven(tenant, file.proven(tenant), whole=file.knows_proven(tenant))
    holds = file.holds(tenant)
    for lineage in {hold.lineage for hold in holds}:
        copy.note_holds(tenant, lineage, [hold for hold in holds if hold.lineage == lineage])
    return copy
