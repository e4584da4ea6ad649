"""The key file: all keys of a host in one file that a person can open and read.

Two hybrid keys, so that the roles are apart from the start: one opens metadata keys (every role), the
other generations (verify and restore). A file for one role alone leaves the other's private halves
out and keeps their public ones, so that it still names the same holder and wraps for it.

What a secret is wrapped for is decided by its length: 32 bytes are a metadata key; everything else
is opened by the more guarded half alone (ADR 0030).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drd.core import hybrid
from drd.core.coding import lp
from drd.core.seal import sha256
from drd.errors import ConfigError, KeyAccessError
from drd.keys.age import AgeHolder
from drd.keys.files import write_private
from drd.keys.recovery import RecoveryHolder
from drd.keys.slots import (
    OPENS_GENERATIONS,
    refuse_generation,
    slot_name,
    unknown_slot,
    unwrap_with,
    wrap_for,
)
from drd.model import ID_BYTES, KEY_BYTES, Role
from drd.ports import Holder, Random

VERSION: Final = 1
WHAT: Final = "key file"

_HEX_WIDTH: Final = 64

_FIELDS: Final[Mapping[str, tuple[str, int]]] = {
    "repository": ("repository", ID_BYTES),
    "tenant": ("tenant", ID_BYTES),
    "root_fingerprint": ("root_fingerprint", KEY_BYTES),
    "sign.host": ("host_seed", KEY_BYTES),
    "sign.verifier": ("verifier_seed", KEY_BYTES),
    "sign.pruner": ("pruner_seed", KEY_BYTES),
    "open.metadata": ("metadata_private", hybrid.SEED_BYTES),
    "open.generations": ("generation_private", hybrid.SEED_BYTES),
    "public.generations": ("generation_public", hybrid.PUBLIC_BYTES),
    "public.recovery": ("recovery_public", hybrid.PUBLIC_BYTES),
}
"""Name in the file to attribute and bytes, in the order in which they are hashed and written."""

_NEEDED: Final = ("repository", "tenant", "root_fingerprint", "open.metadata", "public.generations")

_WARNING: Final = """\
# drd key file. SECRET: who reads it can read the backups of this repository and write new ones.
# Mode 0600, owned by the user that drd runs as. Keep a copy away from this host: when it is lost,
# only the recovery sheet (or an age identity named in the configuration) opens the backups.
# Not to be edited: 'check' covers every value. All values are hex digits; spaces do not count.
"""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a key file holds: raw bytes; secrets do not show in ``repr``.

    Ids have 16 bytes, Ed25519 seeds 32, hybrid private keys 96 and public ones 1,216. What is None
    was left out: another role's, or (``recovery_public``) never made.
    """

    repository: bytes
    tenant: bytes
    root_fingerprint: bytes
    metadata_private: bytes = field(repr=False)
    generation_public: bytes = field(repr=False)
    generation_private: bytes | None = field(default=None, repr=False)
    host_seed: bytes | None = field(default=None, repr=False)
    verifier_seed: bytes | None = field(default=None, repr=False)
    pruner_seed: bytes | None = field(default=None, repr=False)
    recovery_public: bytes | None = field(default=None, repr=False)

    @property
    def signing_keys(self) -> dict[str, bytes]:
        """Ed25519 public key (32 bytes) of each signer in the file, by the name trust gives it."""
        seeds = {"host": self.host_seed, "verifier": self.verifier_seed, "pruner": self.pruner_seed}
        return {name: _public(seed) for name, seed in seeds.items() if seed is not None}

    def seed_of(self, role: Role) -> bytes | None:
        """Ed25519 seed with which *role* signs; None when it is not here. A restore signs nothing."""
        seeds = {
            Role.BACKUP: self.host_seed,
            Role.VERIFY: self.verifier_seed,
            Role.PRUNE: self.pruner_seed,
        }
        return seeds.get(role)

    def for_role(self, role: Role) -> KeyFile:
        """The same file with only what *role* needs.

        No command writes such a file yet. What may be left out of one, and that it stays the same
        holder, is part of the format, and is tested with it.
        """
        return replace(
            self,
            generation_private=self.generation_private if role in OPENS_GENERATIONS else None,
            host_seed=self.host_seed if role is Role.BACKUP else None,
            verifier_seed=self.verifier_seed if role is Role.VERIFY else None,
            pruner_seed=self.pruner_seed if role is Role.PRUNE else None,
        )


def _public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class Belonging:
    """What a new key file is for: repository, tenant, and the public sides of what is elsewhere."""

    repository: bytes
    tenant: bytes
    root_fingerprint: bytes
    recovery_public: bytes | None


def make_key_file(belonging: Belonging, random: Random) -> KeyFile:
    """New keys for all roles, drawn from *random*."""
    generation = random(hybrid.SEED_BYTES)
    return KeyFile(
        repository=belonging.repository,
        tenant=belonging.tenant,
        root_fingerprint=belonging.root_fingerprint,
        metadata_private=random(hybrid.SEED_BYTES),
        generation_public=hybrid.public_of(generation),
        generation_private=generation,
        host_seed=random(KEY_BYTES),
        verifier_seed=random(KEY_BYTES),
        pruner_seed=random(KEY_BYTES),
        recovery_public=belonging.recovery_public,
    )


# ── the file ────────────────────────────────────────────────────────────────────────────────────
def _values(file: KeyFile) -> dict[str, bytes]:
    found = {name: getattr(file, attribute) for name, (attribute, _) in _FIELDS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _check(values: Mapping[str, bytes]) -> str:
    named = [part for name in _FIELDS if name in values for part in (name.encode(), values[name])]
    return sha256(lp(b"drd1 key file", *named)).hex()


def encode_key_file(file: KeyFile) -> str:
    """The text of a key file: TOML with a warning on top."""
    values = _values(file)
    lines = [_WARNING, f"version = {VERSION}", f'check = "{_check(values)}"']
    table = ""
    for name, value in values.items():
        group, _, key = name.rpartition(".")
        if group != table:
            table = group
            lines += ["", f"[{group}]"]
        lines.append(_entry(key, value.hex()))
    return "\n".join(lines) + "\n"


def _entry(key: str, digits: str) -> str:
    if len(digits) <= _HEX_WIDTH:
        return f'{key} = "{digits}"'
    rows = [digits[start : start + _HEX_WIDTH] for start in range(0, len(digits), _HEX_WIDTH)]
    return "\n".join([f'{key} = """', *rows, '"""'])


def decode_key_file(text: str, *, about: str = "") -> KeyFile:
    """Understand the text of a key file; *about* is its path, for messages.

    Raises:
        KeyAccessError: it is no key file, or is damaged or edited.
    """
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _no_key_file(f"it is no TOML ({error})", about) from error
    version = parsed.pop("version", None)
    if version != VERSION:
        raise _no_key_file(f"its version is not {VERSION}", about)
    check = parsed.pop("check", None)
    values = {name: _hex(name, value, about) for name, value in _flat(parsed).items()}
    missing = [name for name in _NEEDED if name not in values]
    if missing:
        raise _no_key_file(f"it lacks {missing[0]}", about)
    if _check(values) != check:
        raise _no_key_file("its check does not fit: it was damaged or edited", about)
    file = KeyFile(**{_FIELDS[name][0]: value for name, value in values.items()})
    private = file.generation_private
    if private is not None and hybrid.public_of(private) != file.generation_public:
        raise _no_key_file("its two halves of the generations key do not belong together", about)
    return file


def _flat(parsed: Mapping[str, object]) -> dict[str, object]:
    """Entries of the tables as ``table.key``."""
    flat: dict[str, object] = {}
    for key, value in parsed.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": one for inner, one in value.items()}
        else:
            flat[key] = value
    return flat


def _hex(name: str, value: object, about: str) -> bytes:
    if name not in _FIELDS:
        raise _no_key_file(f"it has an unknown entry {name!r}", about)
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        found = b""
    if len(found) != _FIELDS[name][1]:
        raise _no_key_file(f"its {name} is not {_FIELDS[name][1]} bytes in hex digits", about)
    return found


def _no_key_file(why: str, about: str) -> KeyAccessError:
    return KeyAccessError(
        f"the key file cannot be used: {why}",
        about=about,
        hint="put back a copy of it, or use the recovery sheet",
    )


def write_key_file(path: Path, file: KeyFile) -> None:
    """Write a new key file, 0600 and durable.

    Raises:
        RefusedError: something is there already.
        ConfigError: it cannot be written.
    """
    write_private(path, encode_key_file(file), WHAT)


# ── the ring ────────────────────────────────────────────────────────────────────────────────────
class KeyFileHolder:
    """The public sides of a key file's two hybrid keys: one holder, one slot name.

    ``wrap`` picks the half by the length of the secret; see the module.
    """

    def __init__(self, metadata_public: bytes, generation_public: bytes) -> None:
        self._metadata = metadata_public
        self._generation = generation_public

    @property
    def slot(self) -> str:
        """``keyfile-`` and 16 hex digits of the SHA-256 of both public keys, metadata first."""
        return slot_name("keyfile", self._metadata + self._generation)

    def wrap(self, context: bytes, secret: bytes) -> bytes:
        """Wrap a metadata key (32 bytes) for every role, anything else for verify and restore."""
        public = self._metadata if len(secret) == KEY_BYTES else self._generation
        return wrap_for(public, context, secret)


class KeyFileRing:
    """``KeyRing`` over a key file, for one role.

    Args:
        file: what was read.
        role: what this process is; the ring refuses whatever the role may not, even if the file
            holds the key for it.
        age_recipients: further holders, ``age1...`` each.

    Raises:
        ConfigError: a recipient is none, or stands there twice.
    """

    def __init__(self, file: KeyFile, role: Role, *, age_recipients: Sequence[str] = ()) -> None:
        self._file = file
        self._role = role
        own = KeyFileHolder(hybrid.public_of(file.metadata_private), file.generation_public)
        self._slot = own.slot
        self._holders: list[Holder] = [own]
        if file.recovery_public is not None:
            self._holders.append(RecoveryHolder(file.recovery_public))
        self._holders += [AgeHolder(recipient) for recipient in age_recipients]
        names = [holder.slot for holder in self._holders]
        for name, recipient in zip(reversed(names), reversed(age_recipients), strict=False):
            if names.count(name) > 1:
                raise ConfigError("an age recipient is named twice", about=recipient)

    @property
    def repository(self) -> bytes:
        """Repository id, 16 bytes."""
        return self._file.repository

    @property
    def tenant(self) -> bytes:
        """Tenant id, 16 bytes."""
        return self._file.tenant

    @property
    def root_fingerprint(self) -> bytes:
        """SHA-256 of the root's public key."""
        return self._file.root_fingerprint

    @property
    def role(self) -> Role:
        """The role this ring was opened for."""
        return self._role

    def holders(self) -> Sequence[Holder]:
        """The key file itself, the recovery sheet if there is one, the age recipients."""
        return tuple(self._holders)

    def metadata_slots(self) -> Sequence[str]:
        """The key file's own slot."""
        return (self._slot,)

    def generation_slots(self) -> Sequence[str]:
        """The key file's own slot, for a role that may and a file that can."""
        may = self._role in OPENS_GENERATIONS and self._file.generation_private is not None
        return (self._slot,) if may else ()

    def unwrap(self, slot: str, context: bytes, wrapped: bytes, *, generation: bool) -> bytes:
        """Open one slot.

        Raises:
            KeyAccessError: the role forbids it, the key is not in the file, or it does not open.
        """
        if generation:
            refuse_generation(self._role)
        if slot != self._slot:
            raise unknown_slot(slot)
        private = self._file.generation_private if generation else self._file.metadata_private
        if private is None:
            raise KeyAccessError(
                "this key file was made without the key that opens backups",
                about=slot,
                hint="use a key file for verify or restore, or the recovery sheet",
            )
        return unwrap_with(private, context, wrapped, slot=slot)

    def sign(self, message: bytes) -> tuple[bytes, bytes]:
        """Sign with the key of the role: Ed25519 public key (32 bytes) and signature (64).

        Raises:
            KeyAccessError: the role signs nothing, or the file lacks its key.
        """
        seed = self._file.seed_of(self._role)
        if seed is None:
            raise KeyAccessError(
                f"this key file holds no signing key for the {self._role.value} role"
            )
        return _public(seed), Ed25519PrivateKey.from_private_bytes(seed).sign(message)
