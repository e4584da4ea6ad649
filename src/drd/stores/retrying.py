"""The one place that tries again.

Only ``TransientStoreError`` is worth it. Waits grow by powers of two with full jitter, so that many
workers do not knock in step, and number and time of attempts are bounded: the next run is a better
retry than a run that hangs.

**A lost acknowledgement.** The store may have done what it failed to confirm. A plain ``put`` sends
the same bytes again (a versioned store then has them twice, which is garbage, never damage). A
``put(if_absent=True)`` that meets ``ObjectExistsError`` on its second attempt raises just that: the
caller compares the bytes that are there with its own, as the commit rule says. A ``delete`` finds
nothing left, which is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TypeAlias, TypeVar

import tenacity

from drd.errors import TransientStoreError
from drd.model import Buffer, ObjectVersion, StoreAbilities
from drd.ports import Store
from drd.stores import names

Wait: TypeAlias = Callable[[float], bool]
"""Waits so many seconds; True when something cut it short. ``Event.wait`` of a shutdown is one."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to keep trying one request; times are seconds.

    The defaults ride out the restart of a gateway (RGW takes ten seconds, MinIO two), and end well
    before a backup's hour does.
    """

    attempts: int = 10
    total_s: float = 180.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0


class RetryingStore:
    """A store that repeats what failed in passing.

    Args:
        inner: the store.
        patience: bounds.
        wait: how to wait between attempts; when it returns True, the failure is raised at once.
    """

    def __init__(
        self, inner: Store, *, patience: Patience | None = None, wait: Wait | None = None
    ) -> None:
        self._inner = inner
        self._patience = patience or Patience()
        self._wait = wait or Event().wait

    @property
    def url(self) -> str:
        """The inner store's."""
        return self._inner.url

    def abilities(self) -> StoreAbilities:
        """The inner store's; a probe that fails in passing begins anew under another name."""
        return self._retried(self._inner.abilities)

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> str:
        """Write; each attempt sends the same buffer, which must not change meanwhile."""
        return self._retried(lambda: self._inner.put(key, data, if_absent=if_absent))

    def get(
        self, key: str, *, version: str = "", start: int = 0, length: int | None = None
    ) -> bytes:
        """Read."""
        return self._retried(
            lambda: self._inner.get(key, version=version, start=start, length=length)
        )

    def stat(self, key: str, *, version: str = "") -> ObjectVersion:
        """Size and time."""
        return self._retried(lambda: self._inner.stat(key, version=version))

    def list(
        self, prefix: str, *, limit: int | None = None, after: str = ""
    ) -> Iterator[ObjectVersion]:
        """List; a list that breaks goes on behind the last key that was given out."""
        given = 0

        def begin() -> Iterator[ObjectVersion]:
            left = None if limit is None else limit - given
            return self._inner.list(prefix, limit=left, after=after)

        entries = begin()

        def following() -> ObjectVersion | None:
            nonlocal entries
            try:
                return next(entries, None)
            except TransientStoreError:
                entries = begin()
                raise

        def resumed() -> Iterator[ObjectVersion]:
            nonlocal after, given
            while (entry := self._retried(following)) is not None:
                after, given = entry.key, given + 1
                yield entry

        return resumed()

    def folders(self, prefix: str) -> Iterator[str]:
        """List folders; they are few, so a list that breaks begins anew."""
        names.check_folder(prefix)
        return self._folders(prefix)

    def versions(self, key: str) -> Sequence[ObjectVersion]:
        """Every version of a key."""
        return self._retried(lambda: self._inner.versions(key))

    def remains(self, key: str) -> Sequence[str]:
        """All that lies under a key."""
        return self._retried(lambda: self._inner.remains(key))

    def delete(self, key: str, *, version: str = "") -> None:
        """Remove."""
        self._retried(lambda: self._inner.delete(key, version=version))

    def _folders(self, prefix: str) -> Iterator[str]:
        yield from self._retried(lambda: tuple(self._inner.folders(prefix)))

    def _retried(self, attempt: Callable[[], _T]) -> _T:
        made = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientStoreError),
            wait=tenacity.wait_random_exponential(
                multiplier=self._patience.first_wait_s, max=self._patience.longest_wait_s
            ),
            stop=tenacity.stop_after_attempt(self._patience.attempts)
            | tenacity.stop_after_delay(self._patience.total_s),
            sleep=self._rest,
            retry_error_callback=_give_up,
        )
        return made(attempt)

    def _rest(self, seconds: float) -> None:
        if self._wait(seconds):
            raise TransientStoreError("interrupted before the store could be asked again")


def _give_up(state: tenacity.RetryCallState) -> object:
    """Raise the last failure, and say how often it was tried."""
    failure = state.outcome.exception() if state.outcome else None
    if not isinstance(failure, TransientStoreError):
        raise failure or AssertionError("tenacity gave up without an attempt")
    seconds = state.seconds_since_start or 0.0
    raise TransientStoreError(
        f"{failure.message} (tried {state.attempt_number} times in {seconds:.0f} s)",
        about=failure.about,
        hint=failure.hint,
    ) from failure
