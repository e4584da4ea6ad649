"""Custodians with age (https://age-encryption.org/v1) X25519 keys: public only on the host.

age binds no context, so what is encrypted is ``lp(SHA-256(context), secret)`` and the context is
compared after decryption. X25519 is not post-quantum: a slot harvested today opens when it falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyrage

from drd.core.coding import Reader, lp
from drd.core.seal import sha256
from drd.errors import ConfigError, IntegrityError, KeyAccessError
from drd.keys.slots import OPENS_GENERATIONS, refuse_generation, slot_name, unknown_slot
from drd.model import Role
from drd.ports import Holder

IDENTITY_PREFIX: Final = "AGE-SECRET-KEY-1"
_KIND: Final = "age"


def _slot(recipient: str) -> str:
    return slot_name(_KIND, recipient.encode())


class AgeHolder:
    """One age X25519 recipient, ``age1...``.

    Raises:
        ConfigError: it is none.
    """

    def __init__(self, recipient: str) -> None:
        if recipient.strip().upper().startswith(IDENTITY_PREFIX):
            raise ConfigError(
                "an age secret key stands where a recipient belongs",
                hint="name its public half (age-keygen -y), and take the secret key off this host",
            )
        try:
            self._recipient = pyrage.x25519.Recipient.from_str(recipient)
        except pyrage.RecipientError as error:
            raise ConfigError(
                f"this is no age X25519 recipient: {error}",
                about=recipient,
                hint="copy it whole: 62 characters that begin with age1",
            ) from error
        self._text = recipient

    @property
    def slot(self) -> str:
        """``age-`` and 16 hex digits of the SHA-256 of the recipient as text."""
        return _slot(self._text)

    def wrap(self, context: bytes, secret: bytes) -> bytes:
        """Encrypt *secret* and what it is bound to.

        Raises:
            ConfigError: the recipient cannot be used.
        """
        try:
            sealed: bytes = pyrage.encrypt(lp(sha256(context), secret), [self._recipient])
        except pyrage.EncryptError as error:
            raise ConfigError(
                f"cannot encrypt to this age recipient: {error}", about=self._text
            ) from error
        return sealed


class AgeRing:
    """``KeyRing`` over age identities, for one role. It knows no repository and signs nothing."""

    def __init__(self, identities: Sequence[Any], role: Role) -> None:
        self._by_slot = {_slot(str(one.to_public())): one for one in identities}
        self._role = role

    @property
    def repository(self) -> None:
        """An age key does not say."""
        return

    @property
    def tenant(self) -> None:
        """An age key does not say."""
        return

    @property
    def root_fingerprint(self) -> None:
        """An age key does not say: whom the bucket trusts stays unproven."""
        return

    @property
    def role(self) -> Role:
        """The role this ring was opened for."""
        return self._role

    def holders(self) -> Sequence[Holder]:
        """Nobody: a custodian makes no generations."""
        return ()

    def metadata_slots(self) -> Sequence[str]:
        """A slot for each identity."""
        return tuple(self._by_slot)

    def generation_slots(self) -> Sequence[str]:
        """The same, for a role that may open generations."""
        return tuple(self._by_slot) if self._role in OPENS_GENERATIONS else ()

    def unwrap(self, slot: str, context: bytes, wrapped: bytes, *, generation: bool) -> bytes:
        """Open one slot.

        Raises:
            KeyAccessError: the role forbids it, or it does not open, or was bound to another place.
        """
        if generation:
            refuse_generation(self._role)
        if slot not in self._by_slot:
            raise unknown_slot(slot)
        try:
            plain = pyrage.decrypt(wrapped, [self._by_slot[slot]])
            reader = Reader(plain, "an age slot")
            bound, secret = reader.blob(), reader.blob()
            reader.end()
        except (pyrage.DecryptError, IntegrityError) as error:
            raise KeyAccessError(
                f"a key slot does not open with this age identity: {error}", about=slot
            ) from error
        if bound != sha256(context):
            raise KeyAccessError("a key slot was made for another place", about=slot)
        return secret

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        """Refuse: age keys do not sign.

        Raises:
            KeyAccessError: always.
        """
        raise KeyAccessError(
            f"an age identity cannot sign ({len(message)} bytes were to be signed)",
            hint="use the key file",
        )


def parse_identities(text: str, *, about: str = "") -> list[Any]:
    """Identities in the text of an age identity file: one a line, ``#`` begins a comment.

    Raises:
        KeyAccessError: a line is no X25519 identity, or there is none.
    """
    identities = []
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            identities.append(pyrage.x25519.Identity.from_str(word))
        except pyrage.IdentityError as error:
            raise KeyAccessError(
                f"line {number} of the age identity file is no X25519 identity",
                about=about,
                hint="decrypt it first if it is protected by a passphrase (age -d)",
            ) from error
    if not identities:
        raise KeyAccessError("the age identity file holds no identity", about=about)
    return identities
