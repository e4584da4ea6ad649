"""Fakes of the small sockets: catalogue, lease, key ring, clock, randomness, threads.

They keep the contracts of :mod:`drd.ports` and do nothing else, and they are deterministic: the same
seed gives the same ids, salts and keys, and work runs in the order in which it was asked for. (HPKE
draws its own randomness inside the library, so sealed epoch keys and slots differ between runs; their
lengths do not.)
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, ParamSpec, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typing_extensions import override

from drd.catalogue.memory import MemoryCatalogue as MemoryCatalogue  # noqa: PLC0414 - given on
from drd.core import hybrid
from drd.core.coding import lp
from drd.core.seal import sha256
from drd.errors import BusyError, IntegrityError, KeyAccessError, RefusedError
from drd.model import ID_BYTES, KEY_BYTES, Role
from drd.ports import Random

_P = ParamSpec("_P")
_T = TypeVar("_T")

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""When a clock of this module begins."""


def seeded(seed: object) -> Random:
    """A source of bytes that look random and are the same for the same *seed*; thread-safe."""
    lock = threading.Lock()
    drawn = 0

    def draw(length: int) -> bytes:
        nonlocal drawn
        with lock:
            drawn += 1
            number = drawn
        return hashlib.shake_256(f"{seed!r} {number}".encode()).digest(length)

    return draw


class SteppingClock:
    """A clock that goes on by *step* each time somebody looks; ``at`` can be set."""

    def __init__(self, at: datetime = START, step: timedelta = timedelta(seconds=1)) -> None:
        self.at = at
        self.step = step

    def __call__(self) -> datetime:
        """The time; aware UTC."""
        self.at += self.step
        return self.at


class Inline(Executor):
    """Runs each job at once in the thread that asks for it: threads taken out of the picture."""

    @override
    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """A future that is done already."""
        future: Future[_T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  as every executor does: it is raised by result()
            future.set_exception(error)
        return future


class AlwaysHeld:
    """A lease that nobody can lose."""

    def heed(self) -> None:
        """It is still held."""

    def check(self) -> None:
        """It is still held."""


class MemoryHeld:
    """A lease of a :class:`MemoryLease`: lost when its lock is not there any more.

    Where it *renews*, ``heed`` tells that at once; else only after a ``check`` met it, as where the
    holder was suspended and no renewal has had its turn.
    """

    def __init__(self, is_there: Callable[[], bool], name: str, *, renews: bool) -> None:
        self._is_there = is_there
        self._name = name
        self._renews = renews
        self._lost = False

    def heed(self) -> None:
        """``RefusedError`` when it is known to be lost."""
        self._lost = self._lost or (self._renews and not self._is_there())
        if self._lost:
            raise RefusedError("the lease of this lineage is lost", about=self._name, hint="again")

    def check(self) -> None:
        """``RefusedError`` when it is lost."""
        self._lost = self._lost or not self._is_there()
        self.heed()


class NoLease:
    """Everybody may hold everything: for tests of what happens when two writers meet."""

    @contextmanager
    def hold(self, name: str) -> Iterator[AlwaysHeld]:  # noqa: ARG002  the socket has it
        """Hold nothing."""
        yield AlwaysHeld()


class MemoryLease:
    """One holder for each name, within this process; a lock can be broken. *renews*: see ``MemoryHeld``."""

    def __init__(self, *, renews: bool = False) -> None:
        self._renews = renews
        self._held: dict[str, object] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, name: str) -> Iterator[MemoryHeld]:
        """Hold *name*; ``BusyError`` when somebody does."""
        mine = object()
        with self._lock:
            if name in self._held:
                raise BusyError(
                    "a run is under way for this lineage", about=name, hint="wait until it is done"
                )
            self._held[name] = mine
        try:
            yield MemoryHeld(lambda: self._held.get(name) is mine, name, renews=self._renews)
        finally:
            with self._lock:
                if self._held.get(name) is mine:
                    del self._held[name]

    def break_lock(self, name: str | None = None) -> None:
        """Take *name* (everything, when None) from its holder, as a timeout or a person does."""
        with self._lock:
            for one in [name] if name is not None else list(self._held):
                self._held.pop(one, None)


@dataclass(frozen=True, slots=True)
class MemoryHolder:
    """A hybrid key pair that secrets are wrapped for."""

    private: bytes

    @property
    def public(self) -> bytes:
        """The public half."""
        return hybrid.public_of(self.private)

    @property
    def slot(self) -> str:
        """As a key file's slot is named (``docs/format.md``, 5)."""
        return f"keyfile-{sha256(self.public).hex()[:16]}"

    def wrap(self, context: bytes, secret: bytes) -> bytes:
        """Seal *secret*, bound to *context*."""
        return hybrid.seal_to(self.public, lp(b"drd1 slot", context), secret)


@dataclass(frozen=True)
class MemoryRing:
    """A key ring with one holder, one host key, and (for tests alone) the root's private key.

    A role is looked at whenever something is opened, so that ``with_role`` shows what each may do.
    """

    repository: bytes
    tenant: bytes
    holder: MemoryHolder
    host: Ed25519PrivateKey
    root: Ed25519PrivateKey
    role: Role = Role.RESTORE

    @classmethod
    def make(cls, seed: object, *, role: Role = Role.RESTORE) -> MemoryRing:
        """A ring whose keys and ids all come from *seed*."""
        draw = seeded(("ring", seed))
        return cls(
            repository=draw(ID_BYTES),
            tenant=draw(ID_BYTES),
            holder=MemoryHolder(draw(hybrid.SEED_BYTES)),
            host=Ed25519PrivateKey.from_private_bytes(draw(KEY_BYTES)),
            root=Ed25519PrivateKey.from_private_bytes(draw(KEY_BYTES)),
            role=role,
        )

    def with_role(self, role: Role) -> MemoryRing:
        """The same keys in the hands of another role."""
        return replace(self, role=role)

    @property
    def root_fingerprint(self) -> bytes:
        """SHA-256 of the root's public key."""
        return sha256(self.root.public_key().public_bytes_raw())

    @property
    def host_public(self) -> bytes:
        """Public key that :meth:`sign` signs with."""
        return self.host.public_key().public_bytes_raw()

    def holders(self) -> Sequence[MemoryHolder]:
        """The one holder."""
        return [self.holder]

    def metadata_slots(self) -> Sequence[str]:
        """The holder's slot: every role reads metadata."""
        return [self.holder.slot]

    def generation_slots(self) -> Sequence[str]:
        """The holder's slot, for the roles that may open data."""
        return [self.holder.slot] if self._opens_data else []

    def unwrap(self, slot: str, context: bytes, wrapped: bytes, *, generation: bool) -> bytes:
        """Open one slot."""
        if generation and not self._opens_data:
            raise KeyAccessError(f"the {self.role.value} role opens no data")
        if slot != self.holder.slot:
            raise KeyAccessError("a slot is for another holder", about=slot)
        try:
            return hybrid.open_with(self.holder.private, lp(b"drd1 slot", context), wrapped)
        except IntegrityError as error:
            raise KeyAccessError("a slot does not open", about=slot) from error

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        """Sign with the host's key."""
        return self.host_public, self.host.sign(message)

    def sign_as_root(self, message: bytes) -> tuple[bytes, bytes]:
        """Sign with the root's key, which real rings do not have."""
        return self.root.public_key().public_bytes_raw(), self.root.sign(message)

    @property
    def _opens_data(self) -> bool:
        return self.role in {Role.VERIFY, Role.RESTORE}


class BareRing:
    """The keys of *inner* without what they belong to, as a bare age key: no ids, no fingerprint."""

    repository: bytes | None = None
    tenant: bytes | None = None
    root_fingerprint: bytes | None = None

    def __init__(self, inner: MemoryRing) -> None:
        self.role = inner.role
        self.holders = inner.holders
        self.metadata_slots = inner.metadata_slots
        self.generation_slots = inner.generation_slots
        self.unwrap = inner.unwrap
        self.sign = inner.sign
