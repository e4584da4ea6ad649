"""What a name means on this host: what the catalogue knows of it, weighed against what sources show."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from drd.core.selectors import Selector
from drd.errors import ConfigError, NotFoundError
from drd.model import PointInfo
from drd.work.listing import Looked, known_points, look

if TYPE_CHECKING:
    from drd.wiring import House
    from drd.work.repository import Repository


def look_up(house: House, repository: Repository, selector: Selector, pool: Executor) -> Looked:
    """The points that *selector* means (or more), for verbs that act on them.

    All points are looked at where a source shows another image by that name than the one that was found:
    another node may have backed it up since, renamed or made anew.
    """
    catalogue = house.spare_catalogue()
    if catalogue is None:
        points = known_points(repository, None, of=[selector], pool=pool)
        return Looked(points, (), frozenset(one.lineage for one in points))
    looked = look(repository, catalogue, each=[[selector]], pool=pool)
    if is_another_here(house, selector.name, looked.points):
        looked = look(repository, catalogue, pool=pool)
    return looked


def is_another_here(house: House, name: str, points: Sequence[PointInfo]) -> bool:
    """Whether the daemon here saw an image of that *name* last that none of *points* is of."""
    try:
        _, diary = house.knowledge()
        images = diary.images()
    except (ConfigError, NotFoundError):  # no daemon ran here, or nobody can say what it saw
        return False
    known = {one.identity for one in points}
    return any(
        one.label == name and one.gone_at is None and one.identity not in known for one in images
    )
