"""The recovery sheet as a ring: opens everything, signs trust and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drd.core import hybrid
from drd.core.sheet import Sheet
from drd.errors import KeyAccessError
from drd.keys.slots import (
    OPENS_GENERATIONS,
    refuse_generation,
    slot_name,
    unknown_slot,
    unwrap_with,
    wrap_for,
)
from drd.model import Role
from drd.ports import Holder


class RecoveryHolder:
    """The public side (1,216 bytes) of the recovery key: all that a host has of it."""

    def __init__(self, public: bytes) -> None:
        self._public = public

    @property
    def slot(self) -> str:
        """``recovery-`` and 16 hex digits of the SHA-256 of the public key."""
        return slot_name("recovery", self._public)

    def wrap(self, context: bytes, secret: bytes) -> bytes:
        """Encrypt *secret* for the sheet."""
        return wrap_for(self._public, context, secret)


class RootSigner:
    """Signs ``format/<n>`` and ``trust/<n>`` with the root's Ed25519 seed (32 bytes)."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> bytes:
        """The root's public key, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        """Public key and signature (64 bytes)."""
        return self.public, self._key.sign(message)


class RecoveryRing:
    """``KeyRing`` over a recovery sheet, for one role (restore or verify, as a rule)."""

    def __init__(self, sheet: Sheet, role: Role) -> None:
        self._sheet = sheet
        self._role = role
        private = sheet.recovery_private
        self._holder = None if private is None else RecoveryHolder(hybrid.public_of(private))

    @property
    def repository(self) -> bytes:
        """Repository id, 16 bytes."""
        return self._sheet.repository

    @property
    def tenant(self) -> None:
        """A sheet is of the whole repository, not of one tenant."""
        return

    @property
    def root_fingerprint(self) -> bytes:
        """SHA-256 of the root's public key."""
        return self._sheet.root_fingerprint

    @property
    def role(self) -> Role:
        """The role this ring was opened for."""
        return self._role

    def holders(self) -> Sequence[Holder]:
        """The sheet itself, if it has a recovery key."""
        return () if self._holder is None else (self._holder,)

    def metadata_slots(self) -> Sequence[str]:
        """The sheet's own slot, if it has a recovery key."""
        return () if self._holder is None else (self._holder.slot,)

    def generation_slots(self) -> Sequence[str]:
        """The same, for a role that may open generations."""
        return self.metadata_slots() if self._role in OPENS_GENERATIONS else ()

    def unwrap(self, slot: str, context: bytes, wrapped: bytes, *, generation: bool) -> bytes:
        """Open one slot.

        Raises:
            KeyAccessError: the role forbids it, the sheet has no recovery key, or it does not open.
        """
        if generation:
            refuse_generation(self._role)
        private = self._sheet.recovery_private
        if private is None:
            raise KeyAccessError(
                "this recovery sheet holds the root alone: it opens no backup",
                hint="use the key file, or an age identity that the configuration named",
            )
        if slot not in self.metadata_slots():
            raise unknown_slot(slot)
        return unwrap_with(private, context, wrapped, slot=slot)

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        """Refuse: a sheet is nobody's signing key.

        Raises:
            KeyAccessError: always.
        """
        raise KeyAccessError(
            f"the recovery sheet does not sign for the {self._role.value} role "
            f"({len(message)} bytes were to be signed)",
            hint="its root key signs trust alone; use the key file",
        )
