"""The key file and its ring: what each role can open, sign and wrap, and what none can."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from itertools import count
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import hybrid
from drd.core.coding import lp
from drd.core.trust import verify_signature
from drd.errors import ConfigError, IntegrityError, KeyAccessError, RefusedError
from drd.keys.files import read_private
from drd.keys.keyfile import (
    WHAT,
    Belonging,
    KeyFile,
    KeyFileRing,
    decode_key_file,
    encode_key_file,
    make_key_file,
    write_key_file,
)
from drd.keys.opening import open_key
from drd.keys.recovery import RecoveryHolder
from drd.keys.slots import wrap_for
from drd.model import Role
from drd.ports import KeyRing, Random


def dice(seed: int) -> Random:
    """Bytes that differ at each call, and are the same in each run."""
    calls = count()
    return lambda length: hashlib.shake_256(b"%d %d" % (seed, next(calls))).digest(length)


RECOVERY = hybrid.public_of(bytes(range(96)))
BELONGING = Belonging(bytes([1] * 16), bytes([2] * 16), bytes([3] * 32), RECOVERY)
FILE = make_key_file(BELONGING, dice(1))
TEXT = encode_key_file(FILE)
METADATA = bytes(range(32))
GENERATION = bytes(range(96))
CONTEXT = b"repository, tenant, lineage, generation"
OPENERS = [Role.VERIFY, Role.RESTORE]
OTHERS = [Role.BACKUP, Role.PRUNE]


def ring(role: Role, file: KeyFile = FILE) -> KeyFileRing:
    return KeyFileRing(file, role)


# ── the file ────────────────────────────────────────────────────────────────────────────────────
def test_what_is_written_reads_back(tmp_path: Path) -> None:
    write_key_file(tmp_path / "key", FILE)
    assert decode_key_file(read_private(tmp_path / "key", WHAT)) == FILE


@pytest.mark.parametrize("role", list(Role))
def test_a_file_for_one_role_reads_back(role: Role) -> None:
    assert decode_key_file(encode_key_file(FILE.for_role(role))) == FILE.for_role(role)


def test_a_file_without_recovery_reads_back() -> None:
    alone = make_key_file(replace(BELONGING, recovery_public=None), dice(2))
    assert decode_key_file(encode_key_file(alone)) == alone
    assert [one.slot.split("-")[0] for one in ring(Role.BACKUP, alone).holders()] == ["keyfile"]


def test_a_person_can_read_it() -> None:
    assert TEXT.startswith("# drd key file. SECRET")
    assert TEXT.isascii()
    assert max(len(line) for line in TEXT.splitlines()) <= 100
    assert f'repository = "{"01" * 16}"' in TEXT


def test_every_key_is_new() -> None:
    drawn = dice(3)
    one, other = make_key_file(BELONGING, drawn), make_key_file(BELONGING, drawn)
    seeds = [
        getattr(file, name)
        for file in (one, other)
        for name in (
            "host_seed",
            "verifier_seed",
            "pruner_seed",
            "metadata_private",
            "generation_private",
        )
    ]
    assert len(set(seeds)) == 10


def test_secrets_do_not_show_in_repr() -> None:
    for secret in (FILE.host_seed, FILE.metadata_private, FILE.generation_private):
        assert repr(secret) not in repr(FILE)


def test_it_is_never_overwritten(tmp_path: Path) -> None:
    write_key_file(tmp_path / "key", FILE)
    with pytest.raises(RefusedError):
        write_key_file(tmp_path / "key", FILE)


def test_one_open_to_others_is_refused(tmp_path: Path) -> None:
    write_key_file(tmp_path / "key", FILE)
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(ConfigError):
        open_key(tmp_path / "key", Role.RESTORE)


DIGITS = [match.start() for match in re.finditer("[0-9a-f](?=[0-9a-f]{15})", TEXT)]


@given(st.sampled_from(DIGITS), st.sampled_from("0123456789abcdefxZ "))
def test_any_wrong_digit_is_found(place: int, letter: str) -> None:
    typed = TEXT[:place] + letter + TEXT[place + 1 :]
    try:
        same = decode_key_file(typed) == FILE
    except KeyAccessError:
        same = False
    assert same == (letter == TEXT[place])


@given(st.integers(0, len(TEXT) - 2))
def test_a_file_cut_short_is_none(length: int) -> None:
    with pytest.raises(KeyAccessError):
        decode_key_file(TEXT[:length])


@given(st.text())
def test_other_text_is_no_key_file(text: str) -> None:
    with pytest.raises(KeyAccessError):
        decode_key_file(text)


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("version = 1", "version = 2", "version"),
        ("tenant = ", "tennant = ", "unknown entry 'tennant'"),
        ("[sign]", "[signs]", "unknown entry 'signs.host'"),
        ('tenant = "', "tenant = 5 # ", "tenant"),
        ('tenant = "02', 'tenant = "', "tenant is not 16 bytes"),
        ('repository = "01', 'repository = "02', "damaged or edited"),
        ("metadata = ", "generations_ = ", "unknown entry"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, told: str) -> None:
    with pytest.raises(KeyAccessError, match=told) as caught:
        decode_key_file(TEXT.replace(old, new, 1), about="/etc/drd/key")
    assert caught.value.about == "/etc/drd/key"


def test_a_value_that_is_needed_and_missing_is_named() -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith("tenant")]
    with pytest.raises(KeyAccessError, match="lacks tenant"):
        decode_key_file("\n".join(lines))


def test_halves_of_two_keys_are_found_out() -> None:
    mixed = replace(FILE, generation_private=bytes(96))
    with pytest.raises(KeyAccessError, match="do not belong together"):
        decode_key_file(encode_key_file(mixed))


# ── the ring ────────────────────────────────────────────────────────────────────────────────────
def test_it_is_a_key_ring() -> None:
    socket: KeyRing = ring(Role.RESTORE)
    assert socket.repository == BELONGING.repository
    assert socket.tenant == BELONGING.tenant
    assert socket.root_fingerprint == BELONGING.root_fingerprint
    assert socket.role is Role.RESTORE


@pytest.mark.parametrize("role", list(Role))
def test_every_role_opens_metadata_keys(role: Role) -> None:
    keys = ring(role)
    (slot,) = keys.metadata_slots()
    wrapped = keys.holders()[0].wrap(CONTEXT, METADATA)
    assert keys.unwrap(slot, CONTEXT, wrapped, generation=False) == METADATA


@pytest.mark.parametrize("role", OPENERS)
def test_verify_and_restore_open_generations(role: Role) -> None:
    keys = ring(role)
    (slot,) = keys.generation_slots()
    wrapped = keys.holders()[0].wrap(CONTEXT, GENERATION)
    assert keys.unwrap(slot, CONTEXT, wrapped, generation=True) == GENERATION


@pytest.mark.parametrize("role", OTHERS)
def test_backup_and_prune_never_open_generations(role: Role) -> None:
    keys = ring(role)
    wrapped = keys.holders()[0].wrap(CONTEXT, GENERATION)
    assert keys.generation_slots() == ()
    for generation in (True, False):  # nor by calling it something else
        with pytest.raises(KeyAccessError):
            keys.unwrap(keys.holders()[0].slot, CONTEXT, wrapped, generation=generation)


@pytest.mark.parametrize("role", OTHERS)
def test_the_file_of_backup_or_prune_holds_nothing_that_opens_a_generation(role: Role) -> None:
    alone = FILE.for_role(role)
    wrapped = ring(role, alone).holders()[0].wrap(CONTEXT, GENERATION)
    assert alone.generation_private is None
    with pytest.raises(IntegrityError):
        hybrid.open_with(alone.metadata_private, lp(b"drd1 slot", CONTEXT), wrapped)
    # Whoever takes that file and claims another role gets no further.
    thief = ring(Role.RESTORE, alone)
    assert thief.generation_slots() == ()
    with pytest.raises(KeyAccessError, match="made without the key"):
        thief.unwrap(thief.metadata_slots()[0], CONTEXT, wrapped, generation=True)


def test_what_a_backup_file_wraps_the_whole_file_opens() -> None:
    backup = ring(Role.BACKUP, FILE.for_role(Role.BACKUP))
    restore = ring(Role.RESTORE)
    holder = backup.holders()[0]
    assert [holder.slot] == list(restore.generation_slots()) == list(restore.metadata_slots())
    wrapped = holder.wrap(CONTEXT, GENERATION)
    assert restore.unwrap(holder.slot, CONTEXT, wrapped, generation=True) == GENERATION


def test_what_is_no_metadata_key_is_wrapped_for_the_guarded_half() -> None:
    for length in (0, 31, 33, 64, 96):
        wrapped = ring(Role.BACKUP).holders()[0].wrap(CONTEXT, bytes(length))
        with pytest.raises(IntegrityError):
            hybrid.open_with(FILE.metadata_private, lp(b"drd1 slot", CONTEXT), wrapped)


def test_another_context_does_not_open() -> None:
    keys = ring(Role.VERIFY)
    holder = keys.holders()[0]
    wrapped = holder.wrap(CONTEXT, METADATA)
    with pytest.raises(KeyAccessError):
        keys.unwrap(holder.slot, CONTEXT + b"!", wrapped, generation=False)


def test_another_key_file_does_not_open() -> None:
    other = make_key_file(BELONGING, dice(9))
    wrapped = ring(Role.VERIFY).holders()[0].wrap(CONTEXT, METADATA)
    keys = ring(Role.VERIFY, other)
    with pytest.raises(KeyAccessError, match="does not open with this key"):
        keys.unwrap(keys.metadata_slots()[0], CONTEXT, wrapped, generation=False)
    with pytest.raises(KeyAccessError, match="do not open this slot"):
        keys.unwrap(ring(Role.VERIFY).metadata_slots()[0], CONTEXT, wrapped, generation=False)


WRAPPED = ring(Role.BACKUP).holders()[0].wrap(CONTEXT, METADATA)


@given(st.integers(0, len(WRAPPED) * 8 - 1))
def test_any_flipped_bit_is_found(bit: int) -> None:
    damaged = bytearray(WRAPPED)
    damaged[bit // 8] ^= 1 << bit % 8
    keys = ring(Role.VERIFY)
    with pytest.raises(KeyAccessError):
        keys.unwrap(keys.metadata_slots()[0], CONTEXT, bytes(damaged), generation=False)


@given(st.integers(0, len(WRAPPED) - 1), st.binary(min_size=1, max_size=9))
def test_slots_cut_short_or_too_long(length: int, junk: bytes) -> None:
    keys = ring(Role.VERIFY)
    for damaged in (WRAPPED[:length], WRAPPED + junk):
        with pytest.raises(KeyAccessError):
            keys.unwrap(keys.metadata_slots()[0], CONTEXT, damaged, generation=False)


@pytest.mark.parametrize(
    "role, signer",
    [(Role.BACKUP, "host"), (Role.VERIFY, "verifier"), (Role.PRUNE, "pruner")],
)
def test_each_role_signs_with_its_own_key(role: Role, signer: str) -> None:
    public, signature = ring(role).sign(b"message")
    assert public == FILE.signing_keys[signer]
    assert len(set(FILE.signing_keys.values())) == 3
    verify_signature(public, b"message", signature)
    with pytest.raises(IntegrityError):
        verify_signature(public, b"another", signature)


def test_restore_signs_nothing() -> None:
    with pytest.raises(KeyAccessError):
        ring(Role.RESTORE).sign(b"message")


def test_a_file_of_one_role_signs_for_no_other() -> None:
    backup = FILE.for_role(Role.BACKUP)
    assert list(backup.signing_keys) == ["host"]
    with pytest.raises(KeyAccessError):
        ring(Role.PRUNE, backup).sign(b"message")


def test_slot_names_say_kind_and_hash_of_the_public_key() -> None:
    keys = ring(Role.BACKUP)
    own, recovery = keys.holders()
    both = hybrid.public_of(FILE.metadata_private) + FILE.generation_public
    assert own.slot == "keyfile-" + hashlib.sha256(both).hexdigest()[:16]
    assert recovery.slot == RecoveryHolder(RECOVERY).slot
    assert recovery.slot == "recovery-" + hashlib.sha256(RECOVERY).hexdigest()[:16]


# ── age recipients ──────────────────────────────────────────────────────────────────────────────
def recipient() -> str:
    return str(pyrage.x25519.Identity.generate().to_public())


def test_age_recipients_are_further_holders() -> None:
    names = [recipient(), recipient()]
    slots = [one.slot for one in KeyFileRing(FILE, Role.BACKUP, age_recipients=names).holders()]
    assert slots[2:] == ["age-" + hashlib.sha256(one.encode()).hexdigest()[:16] for one in names]


def test_a_recipient_named_twice_is_refused() -> None:
    first, second = recipient(), recipient()
    with pytest.raises(ConfigError, match="twice") as caught:
        KeyFileRing(FILE, Role.BACKUP, age_recipients=[first, second, first])
    assert caught.value.about == first


def test_a_recipient_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        KeyFileRing(FILE, Role.BACKUP, age_recipients=["age1nonsense"])
    assert caught.value.about == "age1nonsense"


def test_a_public_key_that_is_none_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError):
        wrap_for(bytes(17), CONTEXT, METADATA)
