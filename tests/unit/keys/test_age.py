"""Custodians with age keys: public halves wrap, identities open, and neither does more."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.coding import lp
from drd.errors import ConfigError, KeyAccessError
from drd.keys.age import AgeHolder, AgeRing, parse_identities
from drd.keys.keyfile import Belonging, KeyFileRing, make_key_file, write_key_file
from drd.keys.opening import open_key
from drd.model import Role
from drd.ports import KeyRing

IDENTITY = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
PUBLIC = str(IDENTITY.to_public())
HOLDER = AgeHolder(PUBLIC)
CONTEXT = b"context"


def test_what_is_wrapped_opens_with_the_identity() -> None:
    ring: KeyRing = AgeRing([OTHER, IDENTITY], Role.RESTORE)
    wrapped = HOLDER.wrap(CONTEXT, b"secret")
    assert HOLDER.slot in ring.metadata_slots()
    assert HOLDER.slot in ring.generation_slots()
    for generation in (True, False):
        assert ring.unwrap(HOLDER.slot, CONTEXT, wrapped, generation=generation) == b"secret"


def test_it_is_an_age_file_of_hash_and_secret() -> None:
    """``docs/keys.md`` says so: a custodian can open a slot with age alone."""
    plain = pyrage.decrypt(HOLDER.wrap(CONTEXT, b"secret"), [IDENTITY])
    assert plain == lp(hashlib.sha256(CONTEXT).digest(), b"secret")


def test_a_slot_moved_to_another_place_does_not_open() -> None:
    ring = AgeRing([IDENTITY], Role.RESTORE)
    wrapped = HOLDER.wrap(CONTEXT, b"secret")
    with pytest.raises(KeyAccessError, match="another place"):
        ring.unwrap(HOLDER.slot, b"elsewhere", wrapped, generation=False)


def test_another_identity_does_not_open() -> None:
    ring = AgeRing([OTHER], Role.RESTORE)
    wrapped = HOLDER.wrap(CONTEXT, b"secret")
    with pytest.raises(KeyAccessError, match="do not open this slot"):
        ring.unwrap(HOLDER.slot, CONTEXT, wrapped, generation=False)
    with pytest.raises(KeyAccessError, match="does not open with this age identity"):
        ring.unwrap(ring.metadata_slots()[0], CONTEXT, wrapped, generation=False)


@pytest.mark.parametrize("role", [Role.BACKUP, Role.PRUNE])
def test_backup_and_prune_open_no_generation(role: Role) -> None:
    ring = AgeRing([IDENTITY], role)
    assert ring.generation_slots() == ()
    with pytest.raises(KeyAccessError, match="may not open"):
        ring.unwrap(HOLDER.slot, CONTEXT, HOLDER.wrap(CONTEXT, b"secret"), generation=True)


@given(st.binary(max_size=100))
def test_what_holds_something_else_does_not_open(plain: bytes) -> None:
    ring = AgeRing([IDENTITY], Role.RESTORE)
    for junk in (plain, pyrage.encrypt(plain, [IDENTITY.to_public()])):
        with pytest.raises(KeyAccessError):
            ring.unwrap(HOLDER.slot, CONTEXT, junk, generation=False)


WRAPPED = HOLDER.wrap(CONTEXT, bytes(32))


@given(st.integers(0, len(WRAPPED) * 8 - 1))
def test_any_flipped_bit_is_found(bit: int) -> None:
    damaged = bytearray(WRAPPED)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyAccessError):
        AgeRing([IDENTITY], Role.RESTORE).unwrap(
            HOLDER.slot, CONTEXT, bytes(damaged), generation=False
        )


def test_it_knows_nothing_and_signs_nothing() -> None:
    ring = AgeRing([IDENTITY], Role.RESTORE)
    assert (ring.repository, ring.tenant, ring.root_fingerprint) == (None, None, None)
    assert ring.role is Role.RESTORE
    assert ring.holders() == ()
    with pytest.raises(KeyAccessError, match="cannot sign"):
        ring.sign(b"message")


# ── words ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "text",
    ["", "age1", PUBLIC[:-1], PUBLIC + "q", "ssh-ed25519 AAAA", " " + PUBLIC],
    ids=["nothing", "prefix", "short", "long", "of ssh", "indented"],
)
def test_what_is_no_recipient_is_named(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AgeHolder(text)
    assert caught.value.about == text


def test_a_secret_key_in_place_of_a_recipient_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        AgeHolder(str(IDENTITY))
    told = f"{caught.value} {caught.value.hint} {caught.value.about}"
    assert str(IDENTITY)[20:40] not in told
    assert "take the secret key off this host" in told


def test_identity_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "identity.txt"
    path.write_text(f"# created: today\n# public key: {PUBLIC}\n{IDENTITY}\n\n  {OTHER}\r\n")
    assert len(open_key(path, Role.RESTORE).metadata_slots()) == 2


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "holds no identity"),
        ("# nothing\n", "holds no identity"),
        (f"{OTHER}\nage-encryption.org/v1\n", "line 2"),
        ("AGE-SECRET-KEY-1QQQ\n", "line 1"),
    ],
    ids=["nothing", "comments alone", "of a message", "short"],
)
def test_what_is_no_identity_file(text: str, told: str) -> None:
    with pytest.raises(KeyAccessError, match=told) as caught:
        parse_identities(text, about="identity.txt")
    assert "AGE-SECRET" not in f"{caught.value} {caught.value.hint}"


# ── which file it is ────────────────────────────────────────────────────────────────────────────
def test_a_key_file_or_an_identity_file_is_told_by_its_content(tmp_path: Path) -> None:
    drawn = iter(range(256))
    file = make_key_file(
        Belonging(bytes(16), bytes(16), bytes(32), None),
        lambda length: bytes([next(drawn)] * length),
    )
    write_key_file(tmp_path / "one", file)
    (tmp_path / "two").write_text(f"# mine\n{IDENTITY}\n")
    one = open_key(tmp_path / "one", Role.BACKUP, age_recipients=[PUBLIC])
    assert isinstance(one, KeyFileRing)
    assert HOLDER.slot in [holder.slot for holder in one.holders()]
    assert isinstance(open_key(tmp_path / "two", Role.RESTORE), AgeRing)


def test_files_that_are_neither(tmp_path: Path) -> None:
    (tmp_path / "three").write_text("hello\n")
    (tmp_path / "three").chmod(0o600)
    with pytest.raises(KeyAccessError):
        open_key(tmp_path / "three", Role.RESTORE)
    with pytest.raises(KeyAccessError):
        open_key(tmp_path / "four", Role.RESTORE)
    (tmp_path / "three").chmod(0o644)
    with pytest.raises(ConfigError):
        open_key(tmp_path / "three", Role.RESTORE)


def test_a_credential_is_systemds_whoever_may_read_it(tmp_path: Path) -> None:
    """An access list for the unit's user shows as 0440; the folder is that unit's alone."""
    file = make_key_file(
        Belonging(bytes(16), bytes(16), bytes(32), None), lambda length: bytes([7] * length)
    )
    write_key_file(tmp_path / "key", file)
    (tmp_path / "key").chmod(0o440)
    assert isinstance(open_key(tmp_path / "key", Role.BACKUP, credential=True), KeyFileRing)
    with pytest.raises(ConfigError, match="open to others"):
        open_key(tmp_path / "key", Role.BACKUP)
