"""Where an item lies in the lineage's block space. Ids and cells are given out once, never again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drd.core.sections import Item
from drd.errors import IntegrityError
from drd.model import Geometry


@dataclass(frozen=True, slots=True)
class Space:
    """What is free: the next item id and the next cell of the block space."""

    next_item: int = 1
    next_cell: int = 0


def cells_of(size: int, geometry: Geometry) -> int:
    """Cells that *size* bytes need; the last one may be partly filled."""
    return -(-size // geometry.cell)


def fit(
    item: Item | None, size: int, *, name: str, space: Space, geometry: Geometry
) -> tuple[Item, Space]:
    """Make *item* (a new one for None) fit *size* bytes; what it once had it keeps.

    A shrunk item keeps its cells, painted ZERO, and has them again when it grows.
    """
    if item is None:
        item = Item(space.next_item, name, size, ())
        space = replace(space, next_item=space.next_item + 1)
    missing = cells_of(size, geometry) - item.cells
    if missing <= 0:
        return replace(item, name=name, size=size), space
    extents = list(item.extents)
    if extents and extents[-1][0] + extents[-1][1] == space.next_cell:
        extents[-1] = (extents[-1][0], extents[-1][1] + missing)
    else:
        extents.append((space.next_cell, missing))
    grown = replace(item, name=name, size=size, extents=tuple(extents))
    return grown, replace(space, next_cell=space.next_cell + missing)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Cells of an item that lie together in the block space, within one window.

    ``first`` is the item's own cell number, ``space`` the one in the block space.
    """

    first: int
    space: int
    cells: int
    window: int


def stretches(item: Item, geometry: Geometry) -> list[Stretch]:
    """Cut an item's extents at the edges of windows; ascending in the item's own cells."""
    found = []
    own = 0
    for extent_first, extent_cells in item.extents:
        at, left = extent_first, extent_cells
        while left:
            window = at // geometry.window_cells
            edge = (window + 1) * geometry.window_cells
            cells = min(left, edge - at)
            found.append(Stretch(own, at, cells, window))
            own, at, left = own + cells, at + cells, left - cells
    return found


def only_item(items: dict[int, Item], number: int) -> Item:
    """The item of a point that has one, as images do.

    Raises:
        IntegrityError: it is not there.
    """
    if number not in items:
        raise IntegrityError(f"the point has no item {number}")
    return items[number]
