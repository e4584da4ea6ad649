"""Hybrid public keys: HPKE (RFC 9180) with MLKEM768-X25519, HKDF-SHA256 and AES-256-GCM.

What is harvested today stays shut when either ML-KEM-768 (FIPS 203) or X25519 (RFC 7748) holds.

A private key is 96 bytes of seed (64 for ML-KEM, 32 for X25519), a public one 1,216 bytes
(1,184 ‖ 32). Encapsulation draws its own randomness inside the library: the one impurity of the core,
accepted because the interface offers nothing else.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from drd.errors import IntegrityError

SEED_BYTES: Final = 96
PUBLIC_BYTES: Final = 1216
_MLKEM_SEED: Final = 64
_MLKEM_PUBLIC: Final = 1184
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def public_of(private: bytes) -> bytes:
    """The public half of a private key.

    Raises:
        IntegrityError: *private* is no key.
    """
    if len(private) != SEED_BYTES:
        raise IntegrityError("a hybrid private key has a wrong length")
    mlkem = MLKEM768PrivateKey.from_seed_bytes(private[:_MLKEM_SEED]).public_key()
    x25519 = X25519PrivateKey.from_private_bytes(private[_MLKEM_SEED:]).public_key()
    return mlkem.public_bytes_raw() + x25519.public_bytes_raw()


def seal_to(public: bytes, info: bytes, secret: bytes) -> bytes:
    """Encrypt *secret* so that only the private half opens it, and only with the same *info*.

    Raises:
        IntegrityError: *public* is no key.
    """
    if len(public) != PUBLIC_BYTES:
        raise IntegrityError("a hybrid public key has a wrong length")
    try:
        key = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:]),
        )
    except ValueError as error:
        raise IntegrityError("a hybrid public key is damaged") from error
    return _SUITE.encrypt(secret, key, info)


def open_with(private: bytes, info: bytes, sealed: bytes) -> bytes:
    """The inverse of :func:`seal_to`.

    Raises:
        IntegrityError: *sealed* was sealed to another key or with another *info*, or is damaged.
    """
    if len(private) != SEED_BYTES:
        raise IntegrityError("a hybrid private key has a wrong length")
    key = MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(private[:_MLKEM_SEED]),
        X25519PrivateKey.from_private_bytes(private[_MLKEM_SEED:]),
    )
    try:
        return _SUITE.decrypt(sealed, key, info)
    except (InvalidTag, ValueError) as error:
        raise IntegrityError("a sealed key does not open with this private key") from error
