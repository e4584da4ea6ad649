"""The recovery sheet as a ring, and the sheet as it is printed."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import hybrid
from drd.core.sheet import WIDTH, Sheet, decode_sheet, fingerprint_of, qr_parts
from drd.core.trust import verify_signature
from drd.errors import KeyAccessError, RefusedError
from drd.keys.opening import open_sheet
from drd.keys.paper import draw, print_sheet, square_code, write_sheet
from drd.keys.recovery import RecoveryHolder, RecoveryRing, RootSigner
from drd.model import Role
from drd.ports import KeyRing

PRIVATE = bytes(range(96))
ROOT = bytes(range(32))
SHEET = Sheet(
    address="s3://drd/site-a",
    endpoint="https://s3.eu-north-2.example",
    region="eu-north-2",
    repository=bytes(16),
    root_fingerprint=fingerprint_of(ROOT),
    recovery_private=PRIVATE,
    root_private=ROOT,
)
ALONE = replace(SHEET, recovery_private=None)
HOLDER = RecoveryHolder(hybrid.public_of(PRIVATE))
MADE_AT = datetime(2026, 11, 21, tzinfo=UTC)
CONTEXT = b"context"


# ── the ring ────────────────────────────────────────────────────────────────────────────────────
def test_it_is_a_key_ring_of_no_tenant() -> None:
    ring: KeyRing = RecoveryRing(SHEET, Role.RESTORE)
    assert ring.repository == SHEET.repository
    assert ring.tenant is None
    assert ring.root_fingerprint == SHEET.root_fingerprint
    assert ring.role is Role.RESTORE


@pytest.mark.parametrize("generation", [True, False])
def test_it_opens_what_the_host_wrapped_with_the_public_half(*, generation: bool) -> None:
    ring = RecoveryRing(SHEET, Role.RESTORE)
    wrapped = HOLDER.wrap(CONTEXT, b"secret")
    assert [one.slot for one in ring.holders()] == [HOLDER.slot]
    assert list(ring.metadata_slots()) == list(ring.generation_slots()) == [HOLDER.slot]
    assert ring.unwrap(HOLDER.slot, CONTEXT, wrapped, generation=generation) == b"secret"
    with pytest.raises(KeyAccessError):
        ring.unwrap(HOLDER.slot, b"another", wrapped, generation=generation)
    with pytest.raises(KeyAccessError):
        ring.unwrap("recovery-0000000000000000", CONTEXT, wrapped, generation=generation)


@pytest.mark.parametrize("role", [Role.BACKUP, Role.PRUNE])
def test_even_the_sheet_opens_no_generation_for_backup_and_prune(role: Role) -> None:
    ring = RecoveryRing(SHEET, role)
    wrapped = HOLDER.wrap(CONTEXT, b"secret")
    assert ring.generation_slots() == ()
    with pytest.raises(KeyAccessError, match="may not open"):
        ring.unwrap(HOLDER.slot, CONTEXT, wrapped, generation=True)


def test_a_sheet_with_the_root_alone_opens_nothing_and_says_so() -> None:
    ring = RecoveryRing(ALONE, Role.RESTORE)
    assert (ring.holders(), ring.metadata_slots(), ring.generation_slots()) == ((), (), ())
    with pytest.raises(KeyAccessError, match="root alone"):
        ring.unwrap(HOLDER.slot, CONTEXT, HOLDER.wrap(CONTEXT, b"secret"), generation=False)


def test_it_signs_trust_alone() -> None:
    ring = RecoveryRing(SHEET, Role.RESTORE)
    with pytest.raises(KeyAccessError, match="does not sign"):
        ring.sign(b"message")
    root = RootSigner(ROOT)
    public, signature = root.sign(b"message")
    assert public == root.public
    verify_signature(public, b"message", signature)
    assert fingerprint_of(ROOT) == SHEET.root_fingerprint


# ── the paper ───────────────────────────────────────────────────────────────────────────────────
def modules(drawing: str) -> list[list[int]]:
    """The rows of modules in a drawing: two for each line of text."""
    upper = {" ": 0, "▀": 1, "▄": 0, "█": 1}
    lower = {" ": 0, "▀": 0, "▄": 1, "█": 1}
    lines = drawing.split("\n")
    return [[half[letter] for letter in line] for line in lines for half in (upper, lower)]


@pytest.mark.parametrize("sheet", [SHEET, ALONE])
def test_the_drawing_is_the_code_with_its_quiet_zone(sheet: Sheet) -> None:
    code = square_code(sheet)
    rows = modules(draw(code))
    size = len(code.matrix)
    assert {len(row) for row in rows} == {size + 8}
    assert [row[4 : 4 + size] for row in rows[4 : 4 + size]] == [list(row) for row in code.matrix]
    around = rows[:4] + rows[4 + size :] + [row[:4] + row[4 + size :] for row in rows]
    assert not any(any(row) for row in around)


@given(st.text(max_size=40), st.sampled_from([ROOT, None]))
def test_the_code_always_fits_the_page(address: str, root: bytes | None) -> None:
    sheet = replace(SHEET, address=address, root_private=root)
    assert max(len(line) for line in draw(square_code(sheet)).split("\n")) <= WIDTH


@pytest.mark.parametrize(
    "length, version",
    [(10, "13-M"), (60, "13-L"), (500, "11-M")],
)
def test_a_long_address_costs_correction_first_and_is_then_left_out(
    length: int, version: str
) -> None:
    code = square_code(replace(SHEET, address="file:///" + "x" * length))
    assert code.designator == version


def test_a_code_without_address_asks_for_its_line() -> None:
    letters, _ = qr_parts(SHEET)
    with pytest.raises(KeyAccessError, match="line 11 is missing"):
        decode_sheet(letters)


def test_what_is_printed_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "sheet.txt"
    write_sheet(path, SHEET, made_at=MADE_AT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert text == print_sheet(SHEET, made_at=MADE_AT)
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert text.split("\f")[0].isascii()
    assert decode_sheet(text) == SHEET
    path.chmod(0o644)  # typed in anew on the worst day, with whatever mode
    assert open_sheet(path, Role.RESTORE).root_fingerprint == SHEET.root_fingerprint
    with pytest.raises(RefusedError):
        write_sheet(path, SHEET, made_at=MADE_AT)


@pytest.mark.parametrize("text", ["", "no sheet", "41: 0000 0000"])
def test_a_sheet_that_does_not_read_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sheet.txt"
    path.write_text(text)
    with pytest.raises(KeyAccessError) as caught:
        open_sheet(path, Role.RESTORE)
    assert caught.value.about == str(path)


def test_a_sheet_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyAccessError, match="no recovery sheet here"):
        open_sheet(tmp_path / "sheet.txt", Role.RESTORE)
