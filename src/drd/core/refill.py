"""Which sparse packs are refilled: those of which little is needed, as far as the budget reaches.

A pack goes when nothing reaches it any more; a few live blocks keep all of it. *Refilling* puts those
blocks again, read from the source's snapshot, so that later points need nothing of the pack. It is not
enough that nothing is painted from it: a point reaches what its tables *list*, and a shard or a merged run
lists what it knew when it was written. So the tables that list a pack are written anew as well.

Rules, and why:

1. *Sparse* is a pack of which less than a quarter (of its stored bytes) is still needed. Three quarters
   must have been overwritten or discarded before, so in the long run a block is put again for three that
   changed: at most 1.33 bytes for one. (The classic figure of log-structured storage: a segment cleaned
   at a utilisation u costs 1 / (1 - u); Rosenblum and Ousterhout, 1992.)
2. A table is written anew only if the packs that it lists are worth it: what they free is
   :data:`WORTH` times what the table takes. Until then they stay.
3. What an older point that is retained needs is refilled in vain: the pack stays for that one. Each block
   of a pack that any retained point needs is needed by the first one that was made after the pack, for
   what was overwritten never comes back. So that point tells what all of them need, and by that the pack
   must be sparse, too. What is put again is then at most a third of what goes with the last of them.
4. What is put for it, blocks and tables, stays within a budget that follows what changed. The emptiest
   packs come first: they free most for least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SPARSE: Final = 4
"""A pack is sparse when less than one part in so many is needed (rule 1)."""
OVERHEAD: Final = 4096
"""Bytes of a pack besides its data, about: header (1.4 KiB), footer, trailer. They are needed as long as
any of its data is; else the small packs of quiet images would look sparse for ever."""
WORTH: Final = 4
"""Bytes that must become free for each byte of tables that is written anew (rule 2)."""
SHARE: Final = 3
"""One byte in so many changed ones is the budget: what rule 1 needs in the long run (1/4 : 3/4)."""


@dataclass(frozen=True, slots=True)
class Use:
    """One pack: its size, how much of it the newest point needs, and how much any retained one (0 where
    that is not asked); in bytes as stored.
    """

    ordinal: int
    size: int
    needed: int
    kept: int = 0

    @property
    def sparse(self) -> bool:
        """Rules 1 and 3."""
        return max(self.needed, self.kept) * SPARSE < self.size


@dataclass(frozen=True, slots=True)
class Listing:
    """Tables that are written anew together: their size in bytes, and the ordinals that they list."""

    size: int
    packs: frozenset[int]


def choose(
    uses: Sequence[Use], listings: Mapping[object, Listing], *, budget: int
) -> frozenset[int]:
    """Ordinals of the packs to refill; see the module.

    Args:
        uses: the packs that the newest point reaches.
        listings: what must be written anew for a pack to be free: all that list it.
        budget: bytes that may be put: needed blocks, and tables.
    """
    wanted = _worthwhile({one.ordinal: one for one in uses if one.sparse}, listings)
    listed = _by_pack(wanted, listings)
    chosen: set[int] = set()
    written: set[object] = set()
    left = budget
    for one in sorted(wanted.values(), key=lambda one: (one.needed / one.size, one.ordinal)):
        more = [name for name in listed[one.ordinal] if name not in written]
        cost = one.needed + sum(listings[name].size for name in more)
        if cost <= left:
            left -= cost
            chosen.add(one.ordinal)
            written.update(more)
    return frozenset(_worthwhile({one: wanted[one] for one in chosen}, listings))


def _by_pack(
    packs: Mapping[int, Use], listings: Mapping[object, Listing]
) -> dict[int, list[object]]:
    """Which of *listings* list each of *packs*."""
    listed: dict[int, list[object]] = {one: [] for one in packs}
    for name, what in listings.items():
        for ordinal in what.packs & packs.keys():
            listed[ordinal].append(name)
    return listed


def _worthwhile(packs: Mapping[int, Use], listings: Mapping[object, Listing]) -> dict[int, Use]:
    """Those of *packs* that rule 2 lets go: taking one away may make another's table too dear. Each pack
    goes once, so the work is that of reading the listings.
    """
    left, listed = dict(packs), _by_pack(packs, listings)
    freed: dict[object, int] = dict.fromkeys(listings, 0)
    for one in packs.values():
        for name in listed[one.ordinal]:
            freed[name] += one.size - one.needed
    dear = [name for name, what in listings.items() if 0 < freed[name] < what.size * WORTH]
    while dear:
        for ordinal in listings[dear.pop()].packs & left.keys():
            gone = left.pop(ordinal)
            for name in listed[ordinal]:
                enough = freed[name] >= listings[name].size * WORTH
                freed[name] -= gone.size - gone.needed
                if enough and 0 < freed[name] < listings[name].size * WORTH:
                    dear.append(name)
    return left
