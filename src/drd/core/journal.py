"""The journal of deletions of a lineage: what was doomed, spared, deleted; and what that explains.

Statements of ``g/<n>`` in order. A *doomed list* names points, and the packs and tables that become
unreachable with them; it is *open* until a ``deleted`` statement answers it. ``spared`` takes points off
an open list: they are recovery points again. A point on an open list, and not spared, is *doomed*: it is
not restored. A manifest that is gone is *covered* when the journal says so: by number and SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from drd.core.seal import Scope
from drd.core.statement import Statement
from drd.core.trust import number_field
from drd.errors import IntegrityError
from drd.model import ID_BYTES, KEY_BYTES, Json

DOOMED: Final = "doomed"
DELETED: Final = "deleted"
SPARED: Final = "spared"

Named = tuple[tuple[int, bytes], ...]
"""Points by number and SHA-256 of their manifests."""


@dataclass(frozen=True, slots=True)
class DoomedList:
    """What ``g/<number>`` dooms.

    ``packs`` and ``tables`` have the bytes of each id. ``newest`` is the newest full point of then,
    ``ordinal`` its next pack ordinal, ``roots`` how many points kept things alive. ``at`` is UTC by the
    signer's clock; no age is measured with it.
    """

    number: int
    at: datetime
    points: Named
    packs: Mapping[bytes, int]
    tables: Mapping[bytes, int]
    newest: int
    ordinal: int
    roots: int

    def clear(self) -> dict[str, Json]:
        """As the clear part of its statement has it."""
        return {
            "points": _points(self.points),
            "packs": [[one.hex(), size] for one, size in sorted(self.packs.items())],
            "tables": [[one.hex(), size] for one, size in sorted(self.tables.items())],
            "newest": self.newest,
            "ordinal": self.ordinal,
            "roots": self.roots,
        }


@dataclass(slots=True)
class Journal:
    """All statements of a lineage's journal that verify; ``last`` is the highest number there is."""

    lists: dict[int, DoomedList] = field(default_factory=dict)
    spared: dict[int, set[int]] = field(default_factory=dict)
    closed: dict[int, Named] = field(default_factory=dict)
    last: int = 0

    def add(self, statement: Statement) -> None:
        """Take a verified statement in.

        Raises:
            IntegrityError: it does not say what its kind must say.
        """
        clear = statement.clear
        if statement.kind == DOOMED:
            self.lists[statement.number] = _read_list(statement)
        elif statement.kind == SPARED:
            seqs = {seq for seq, _ in _read_points(clear)}
            self.spared.setdefault(number_field(clear, "list"), set()).update(seqs)
        else:
            self.closed[number_field(clear, "list")] = _read_points(clear)
        self.last = max(self.last, statement.number)

    def next(
        self, kind: str, clear: Mapping[str, Json], *, scope: Scope, at: datetime
    ) -> Statement:
        """The statement that comes next."""
        return Statement(kind, scope, self.last + 1, at, clear, {})

    @property
    def open(self) -> list[DoomedList]:
        """Doomed lists that nothing answers, oldest first."""
        return [one for number, one in sorted(self.lists.items()) if number not in self.closed]

    def left(self, of: DoomedList) -> Named:
        """The points of a list that were not spared."""
        spared = self.spared.get(of.number, set())
        return tuple(one for one in of.points if one[0] not in spared)

    def doomed(self) -> dict[int, DoomedList]:
        """Points that are doomed now, by number, with the (last) list that dooms them."""
        return {seq: one for one in self.open for seq, _ in self.left(one)}

    def deleted(self) -> frozenset[tuple[int, bytes]]:
        """Points that were deleted for good."""
        return frozenset(one for points in self.closed.values() for one in points)

    def covered(self) -> frozenset[tuple[int, bytes]]:
        """Points whose absence the journal explains."""
        gone = set(self.deleted())
        for one in self.open:
            gone.update(self.left(one))
        return frozenset(gone)


def answer(number: int, points: Named) -> dict[str, Json]:
    """The clear part of a ``deleted`` or ``spared`` statement about list *number*."""
    return {"list": number, "points": _points(points)}


def read(statements: Iterable[Statement]) -> Journal:
    """The journal that verified *statements*, in any order, make.

    Raises:
        IntegrityError: one does not say what its kind must say.
    """
    journal = Journal()
    for one in statements:
        journal.add(one)
    return journal


def _points(points: Named) -> list[Json]:
    return [[seq, sha256.hex()] for seq, sha256 in sorted(points)]


def _pairs(clear: Mapping[str, Json], name: str) -> list[tuple[Json, Json]]:
    value = clear.get(name)
    if not isinstance(value, list):
        raise IntegrityError(f"a statement lacks {name}")
    pairs: list[tuple[Json, Json]] = []
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 2:  # noqa: PLR2004 - a pair
            raise IntegrityError(f"a statement has damaged {name}")
        pairs.append((entry[0], entry[1]))
    return pairs


def _hex(value: Json, length: int) -> bytes:
    try:
        data = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        data = b""
    if len(data) != length:
        raise IntegrityError("a statement has a damaged id")
    return data


def _count(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise IntegrityError("a statement has a damaged number")
    return value


def _read_points(clear: Mapping[str, Json]) -> Named:
    return tuple((_count(seq), _hex(sha, KEY_BYTES)) for seq, sha in _pairs(clear, "points"))


def _read_sizes(clear: Mapping[str, Json], name: str) -> dict[bytes, int]:
    return {_hex(one, ID_BYTES): _count(size) for one, size in _pairs(clear, name)}


def _read_list(statement: Statement) -> DoomedList:
    clear = statement.clear
    return DoomedList(
        number=statement.number,
        at=statement.at,
        points=_read_points(clear),
        packs=_read_sizes(clear, "packs"),
        tables=_read_sizes(clear, "tables"),
        newest=number_field(clear, "newest"),
        ordinal=number_field(clear, "ordinal"),
        roots=number_field(clear, "roots"),
    )
