"""How fast a run may read its source: bytes and reads in a second, and whose share is how much.

**Bucket.** A token bucket that may go into debt once: an amount is let through when the bucket holds all
of it, or is full. So a read larger than the bucket waits for a full one, which nothing smaller can put
off, and is paid for afterwards. Over any time *t*, what is let through is at most ``rate * t`` and
besides the bucket or the largest single amount, whichever is more.

**Shares.** Runs are processes of their own: each gets a share, and the shares of a limit together are never
more than the limit. What a run does not use of its share goes to nobody else: they would not know in time.

No clock here: ``at`` is seconds of a timer that never goes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from drd.model import Json

BURST_S: Final = 1.0
"""So many seconds' worth a bucket holds: what a pause can earn. One: a limit "per second" is then kept
over any second but one after a pause."""
NEARLY: Final = 1e-9
"""Part of a bucket that may lack of what is asked: sums of floating point are not exact (IEEE 754 has
2**-52; a wait that is too short by that would be followed by another one without end)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Bytes and reads in a second; None for as many as there can be."""

    bytes_per_s: float | None = None
    reads_per_s: float | None = None

    def share(self, count: int) -> Limit:
        """What one of *count* may have."""
        return Limit(
            None if self.bytes_per_s is None else self.bytes_per_s / count,
            None if self.reads_per_s is None else self.reads_per_s / count,
        )

    def said(self) -> dict[str, Json]:
        """As lines to a worker say it; see :func:`limit_of`."""
        return {"bytes_per_s": self.bytes_per_s, "iops": self.reads_per_s}


NO_LIMIT: Final = Limit()


def limit_of(said: Mapping[str, Json]) -> Limit:
    """The limit of a line to a worker; what is no positive number is no limit."""
    return Limit(_rate(said.get("bytes_per_s")), _rate(said.get("iops")))


def _rate(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return float(value)


def tightest(*limits: Limit) -> Limit:
    """The limit that keeps all of *limits*."""
    return Limit(
        min((one.bytes_per_s for one in limits if one.bytes_per_s is not None), default=None),
        min((one.reads_per_s for one in limits if one.reads_per_s is not None), default=None),
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """A run that reads: its source, and the limit that its policy sets for it alone."""

    source: str
    own: Limit = NO_LIMIT


def shares(
    runs: Mapping[str, Reading], sources: Mapping[str, Limit], node: Limit
) -> dict[str, Limit]:
    """What each of *runs* may read: its own limit, an equal share of its source's, an equal share of the
    node's, whichever is least.
    """
    readers = Counter(one.source for one in runs.values())
    return {
        run: tightest(
            one.own,
            sources.get(one.source, NO_LIMIT).share(readers[one.source]),
            node.share(len(runs)),
        )
        for run, one in runs.items()
    }


class Bucket:
    """Lets *rate* a second through; see the module. It begins full.

    *least* is what it holds at least, whatever the rate: one read, for a bucket of reads.
    """

    def __init__(self, rate: float, at: float, *, least: float = 0.0) -> None:
        self._rate = rate
        self._least = least
        self._at = at
        self._level = self.burst

    @property
    def burst(self) -> float:
        """How much it holds when it is full."""
        return max(self._rate * BURST_S, self._least)

    def wait(self, amount: float, at: float) -> float:
        """Seconds until *amount* may pass; 0 for now."""
        self._fill(at)
        needed = min(amount, self.burst) - self._level
        return needed / self._rate if needed > self.burst * NEARLY else 0.0

    def take(self, amount: float, at: float) -> None:
        """Let *amount* through, which the caller has waited for."""
        self._fill(at)
        self._level -= amount

    def change(self, rate: float, at: float) -> None:
        """From *at* on it is another rate; a debt stays, and is paid at the new one."""
        self._fill(at)
        self._rate = rate

    def _fill(self, at: float) -> None:
        gained = max(0.0, at - self._at) * self._rate
        self._level = min(self.burst, self._level + gained)
        self._at = max(self._at, at)


class Pacer:
    """A limit at work: a bucket for bytes, one for reads, none for what is not limited."""

    def __init__(self, limit: Limit, at: float) -> None:
        self._bytes: Bucket | None = None
        self._reads: Bucket | None = None
        self.change(limit, at)

    def change(self, limit: Limit, at: float) -> None:
        """From *at* on it is *limit*."""
        self._bytes = _changed(self._bytes, limit.bytes_per_s, at, least=0.0)
        self._reads = _changed(self._reads, limit.reads_per_s, at, least=1.0)

    def wait(self, length: int, at: float) -> float:
        """Seconds until a read of *length* bytes may begin; 0 for now."""
        for_bytes = self._bytes.wait(length, at) if self._bytes else 0.0
        for_reads = self._reads.wait(1, at) if self._reads else 0.0
        return max(for_bytes, for_reads)

    def take(self, length: int, at: float) -> None:
        """A read of *length* bytes begins."""
        if self._bytes is not None:
            self._bytes.take(length, at)
        if self._reads is not None:
            self._reads.take(1, at)


def _changed(
    bucket: Bucket | None, rate: float | None, at: float, *, least: float
) -> Bucket | None:
    if rate is None:
        return None
    if bucket is None:
        return Bucket(rate, at, least=least)
    bucket.change(rate, at)
    return bucket
