"""Slots of hybrid holders: how a secret is wrapped for one public key, and who may open which.

Wrapping is HPKE (:mod:`drd.core.hybrid`) with ``info = lp("drd1 slot", context)``: a slot that was
moved to another lineage, generation or kind of secret does not open.
"""

from __future__ import annotations

from typing import Final

from drd.core import hybrid
from drd.core.coding import lp
from drd.core.seal import sha256
from drd.errors import ConfigError, IntegrityError, KeyAccessError
from drd.model import Role

OPENS_GENERATIONS: Final = frozenset({Role.VERIFY, Role.RESTORE})
"""``docs/format.md``, Keys: backup and prune never open what was backed up."""

_PURPOSE: Final = b"drd1 slot"
_NAME_DIGITS: Final = 16


def slot_name(kind: str, public: bytes) -> str:
    """``kind-`` and 16 hex digits of the SHA-256 of the public key."""
    return f"{kind}-{sha256(public).hex()[:_NAME_DIGITS]}"


def wrap_for(public: bytes, context: bytes, secret: bytes) -> bytes:
    """Wrap *secret* for a hybrid public key.

    Raises:
        ConfigError: *public* is no key.
    """
    try:
        return hybrid.seal_to(public, lp(_PURPOSE, context), secret)
    except IntegrityError as error:
        raise ConfigError(f"a holder's public key cannot be used: {error.message}") from error


def unwrap_with(private: bytes, context: bytes, wrapped: bytes, *, slot: str) -> bytes:
    """Open what :func:`wrap_for` made; *slot* is its name, for the message.

    Raises:
        KeyAccessError: it was wrapped for another key or another context, or is damaged.
    """
    try:
        return hybrid.open_with(private, lp(_PURPOSE, context), wrapped)
    except IntegrityError as error:
        raise KeyAccessError(
            "a key slot does not open with this key",
            about=slot,
            hint="the key is of another repository, or the slot is damaged or in a wrong place",
        ) from error


def refuse_generation(role: Role) -> None:
    """Refuse to open a generation for a role that may not, whatever keys are at hand.

    Raises:
        KeyAccessError: *role* is backup or prune.
    """
    if role not in OPENS_GENERATIONS:
        raise KeyAccessError(
            f"the {role.value} role may not open what was backed up",
            hint="verify and restore may",
        )


def unknown_slot(slot: str) -> KeyAccessError:
    """The error of a ring that is asked for somebody else's slot."""
    return KeyAccessError("these keys do not open this slot", about=slot)
