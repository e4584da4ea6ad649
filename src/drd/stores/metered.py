"""Counts what goes over the line, for results, metrics and the promise that cost follows change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock

from drd.model import Buffer, ObjectVersion, StoreAbilities
from drd.ports import Moved, Store


@dataclass(frozen=True, slots=True)
class Traffic:
    """Objects written and read, their bytes, and questions.

    A call is counted when it was answered with success. ``lists`` counts questions (``list``,
    ``folders``, ``versions``) when they are asked, whatever number of pages they take.
    """

    puts: int = 0
    bytes_put: int = 0
    gets: int = 0
    bytes_got: int = 0
    lists: int = 0


class MeteredStore:
    """A store that counts.

    Wrapped around ``RetryingStore`` it counts what was achieved; inside of it, every attempt that
    succeeded. Cheap enough to make one per run around the shared store. *moved* hears of each answer.
    """

    def __init__(self, inner: Store, moved: Moved = lambda: None) -> None:
        self._inner = inner
        self._moved = moved
        self._traffic = Traffic()
        self._lock = Lock()

    @property
    def url(self) -> str:
        """The inner store's."""
        return self._inner.url

    @property
    def traffic(self) -> Traffic:
        """All counters at one moment."""
        with self._lock:
            return self._traffic

    @property
    def puts(self) -> int:
        """Objects written."""
        return self.traffic.puts

    @property
    def bytes_put(self) -> int:
        """Bytes of objects written."""
        return self.traffic.bytes_put

    @property
    def gets(self) -> int:
        """Objects or ranges read."""
        return self.traffic.gets

    @property
    def bytes_got(self) -> int:
        """Bytes of objects read."""
        return self.traffic.bytes_got

    @property
    def lists(self) -> int:
        """Questions about which objects there are."""
        return self.traffic.lists

    def abilities(self) -> StoreAbilities:
        """The inner store's; probes are not counted."""
        return self._inner.abilities()

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """Write, and count."""
        version = self._inner.put(key, data, if_absent=if_absent)
        self._count(puts=1, bytes_put=memoryview(data).nbytes)
        return version

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """Read, and count."""
        data = self._inner.get(key, version=version, start=start, length=length)
        self._count(gets=1, bytes_got=len(data))
        return data

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        """The inner store's; not counted."""
        found = self._inner.stat(key, version=version)
        self._moved()
        return found

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        """List, and count."""
        self._count(lists=1)
        return self._inner.list(prefix, limit=limit, after=after)

    def folders(self, prefix: str) -> Iterator[str]:
        """List folders, and count."""
        self._count(lists=1)
        return self._inner.folders(prefix)

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        """List versions, and count."""
        self._count(lists=1)
        return self._inner.versions(key)

    def remains(self, key: str) -> Sequence[str]:
        """List all that lies under a key, and count."""
        self._count(lists=1)
        return self._inner.remains(key)

    def delete(self, key: str, *, version: str = "") -> None:
        """Remove; not counted."""
        self._inner.delete(key, version=version)
        self._moved()

    def _count(self, **added: int) -> None:
        with self._lock:
            now = self._traffic
            self._traffic = replace(now, **{n: getattr(now, n) + c for n, c in added.items()})
        self._moved()
