"""The recovery sheet: what is printed reads back, and no slip of a hand goes unseen."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core import sheet as sheets
from drd.core.sheet import Sheet, decode_sheet, encode_sheet, fingerprint_of, qr_parts
from drd.errors import KeyAccessError, UsageError

ROOT = bytes(range(32))
FULL = Sheet(
    address="s3://drd/site-a",
    endpoint="https://s3.eu-north-2.example",
    region="eu-north-2",
    repository=bytes(range(100, 116)),
    root_fingerprint=fingerprint_of(ROOT),
    recovery_private=bytes(range(96)),
    root_private=ROOT,
)
TEXT = encode_sheet(FULL, made_at=datetime(2026, 11, 21, 10, tzinfo=UTC))
NUMBERED = re.compile(r"[0-9]{2}: ")
DATA_NUMBERS = [41, 51, 52, 61, 62, 63, 64, 65, 66, 71, 72]


def numbered(text: str) -> dict[int, str]:
    return {int(line[:2]): line for line in text.splitlines() if NUMBERED.match(line)}


def with_line(text: str, number: int, line: str) -> str:
    return text.replace(numbered(text)[number], line)


def message(text: str) -> str:
    with pytest.raises(KeyAccessError) as caught:
        decode_sheet(text)
    return caught.value.message


def read_or_blame(text: str, number: int) -> Sheet | int | str:
    # A look-alike, another case and a missing colon do no harm. The message, where the line is not
    # blamed, fails the test.
    try:
        return decode_sheet(text)
    except KeyAccessError as error:
        return number if f"line {number} " in error.message else error.message


@st.composite
def any_sheet(draw: st.DrawFn) -> Sheet:
    root = draw(st.binary(min_size=32, max_size=32))
    return Sheet(
        address=draw(st.text(max_size=40)),
        endpoint=draw(st.text(max_size=20)),
        region=draw(st.sampled_from(["", "-", "eu-north-2", "a b\\"])),
        repository=draw(st.binary(min_size=16, max_size=16)),
        root_fingerprint=fingerprint_of(root),
        recovery_private=draw(st.none() | st.binary(min_size=96, max_size=96)),
        root_private=draw(st.sampled_from([None, root])),
    )


# ── round trip ──────────────────────────────────────────────────────────────────────────────────
@given(any_sheet())
def test_what_is_written_reads_back(sheet: Sheet) -> None:
    assert decode_sheet(encode_sheet(sheet)) == sheet


@given(any_sheet())
def test_the_text_of_the_qr_code_is_a_sheet_too(sheet: Sheet) -> None:
    assert decode_sheet("".join(qr_parts(sheet))) == sheet


def test_qr_letters_fit_the_alphanumeric_mode() -> None:
    letters, _ = qr_parts(FULL)
    assert re.fullmatch(r"[0-9A-Z $%*+\-./:]+", letters)


def test_it_is_ascii_and_narrow() -> None:
    assert TEXT.isascii()
    assert max(len(line) for line in TEXT.splitlines()) <= sheets.WIDTH
    assert not re.search(r"[ \t]$", TEXT, re.MULTILINE)


def test_it_says_what_to_do_and_shows_the_fingerprint() -> None:
    assert "made 2026-11-21" in TEXT
    assert "--sheet sheet.txt" in TEXT
    shown = re.sub(r"\s", "", TEXT)
    assert FULL.root_fingerprint.hex() in shown


def test_a_sheet_with_the_root_alone_says_so_and_promises_no_restore() -> None:
    alone = replace(FULL, recovery_private=None)
    text = encode_sheet(alone)
    assert decode_sheet(text) == alone
    assert "opens no backup" in text
    assert "AT 3 AM" not in text


def test_the_square_stands_on_its_own_page() -> None:
    text = encode_sheet(FULL, square="#### ####")
    first, second = text.split("\f")
    assert "#### ####" in second
    assert numbered(first) == numbered(text)
    assert decode_sheet(text) == FULL


def test_secrets_do_not_show_in_repr() -> None:
    assert repr(FULL.root_private) not in repr(FULL)
    assert repr(FULL.recovery_private) not in repr(FULL)


# ── golden: a sheet printed today must be read by every later version ───────────────────────────
def test_golden_lines() -> None:
    assert list(numbered(TEXT).values()) == GOLDEN.strip().splitlines()
    assert decode_sheet(GOLDEN) == FULL


GOLDEN = """
11: s3://drd/site-a  FG88GM
21: https://s3.eu-north-2.example  3HHR7G
31: eu-north-2  F2RS8T
41: CHJP CSV8 D5N6 PV3D DSQQ 0WBJ EC6C EGW4
51: AS3N N9TM CD3M R0M5 VXEV YAYA PWEM AACA
52: 7PK5 2DC8 77MV EX41 PBNB 21VG HG3Y BGNK
61: 000G 40R4 0M30 E209 185G R38E 1WXR MNS1
62: 208H 44RM 2MB1 E60S 38DH R78Y 3W6F JDSW
63: 40GJ 48S4 4MK2 EA19 58NJ RB9E 5WPP 8PWZ
64: 60RK 4CSM 6MV3 EE1S 78XK RF9Y 7WGN B685
65: 810M 4GT4 8N34 EJ29 995M RKAE 9WQE EJCK
66: A18N 4MTM ANB5 EP2S B9DN RQAY BWCS 8ACE
71: 000G 40R4 0M30 E209 185G R38E 1WMV 4FAM
72: 208H 44RM 2MB1 E60S 38DH R78Y 3WFC 2QA9
"""


@pytest.mark.parametrize(
    "text",
    ["a1lqfn3a", "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", "?1v759aa"],
)
def test_the_code_is_that_of_bip_350(text: str) -> None:
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"  # BIP 173
    prefix, _, data = text.rpartition("1")
    codes = [ord(letter) for letter in prefix]
    expanded = [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]
    assert sheets._remainder(expanded + [alphabet.index(one) for one in data]) == sheets._FINAL


# ── slips of a hand ─────────────────────────────────────────────────────────────────────────────
LINES = sorted(numbered(TEXT).items())


@given(st.sampled_from(LINES), st.data())
def test_any_single_wrong_character_is_found_and_its_line_named(
    chosen: tuple[int, str], data: st.DataObject
) -> None:
    number, line = chosen
    place = data.draw(st.integers(0, len(line) - 1))
    letter = data.draw(
        st.characters(codec="utf-8") | st.sampled_from("0123456789ABCDEFGHJKMNPQR-: ")
    )
    typed = with_line(TEXT, number, line[:place] + letter + line[place + 1 :])
    assert read_or_blame(typed, number) in (FULL, number)


@pytest.mark.parametrize("number", DATA_NUMBERS)
def test_every_wrong_symbol_in_a_data_line_is_found_and_its_place_told(number: int) -> None:
    symbols = list(numbered(TEXT)[number][4:].replace(" ", ""))
    for place, right in enumerate(symbols):
        wrong = "7" if right != "7" else "8"
        typed = [*symbols[:place], wrong, *symbols[place + 1 :]]
        said = message(with_line(TEXT, number, f"{number}: {''.join(typed)}"))
        assert f"line {number} does not match" in said
        assert f"group {place // 4 + 1}, character {place % 4 + 1}" in said


@pytest.mark.parametrize("number", DATA_NUMBERS)
def test_any_two_exchanged_symbols_in_a_data_line_are_found(number: int) -> None:
    symbols = list(numbered(TEXT)[number][4:].replace(" ", ""))
    for one, other in combinations(range(len(symbols)), 2):
        if symbols[one] == symbols[other]:
            continue
        typed = list(symbols)
        typed[one], typed[other] = typed[other], typed[one]
        assert not sheets._fits(
            number, [sheets.ALPHABET.index(x) for x in typed[:26]], "".join(typed[26:])
        )


@pytest.mark.parametrize("number", [11, 21, 31])
def test_any_two_neighbours_exchanged_in_an_address_are_found(number: int) -> None:
    line = numbered(TEXT)[number]
    for place in range(4, len(line) - 1):
        first, second = line[place], line[place + 1]
        if first.isspace() or second.isspace() or first == second:
            continue
        typed = with_line(TEXT, number, line[:place] + second + first + line[place + 2 :])
        assert f"line {number} " in message(typed)


def test_two_lines_under_each_others_number_are_found() -> None:
    lines = numbered(TEXT)
    for one, other in combinations(DATA_NUMBERS, 2):
        typed = "\n".join(
            f"{number}: {lines[{one: other, other: one}.get(number, number)][4:]}"
            for number in lines
        )
        assert f"line {one} " in message(typed)
        assert f"line {other} " in message(typed)


def test_all_wrong_lines_are_named_at_once() -> None:
    lines = numbered(TEXT)
    typed = with_line(with_line(TEXT, 63, ""), 65, lines[65][:-2])
    said = message(with_line(typed, 21, "21: https://s3.example  000000"))
    assert "line 21 does not match its check" in said
    assert "line 63 is missing" in said
    assert "line 65 has 30 characters instead of 32" in said
    assert "line 61" not in said


def test_two_wrong_symbols_are_found_without_a_place() -> None:
    line = numbered(TEXT)[41]
    swapped = "41: ZZ" + line[6:]
    assert message(with_line(TEXT, 41, swapped)).endswith("line 41 does not match its check")


def test_a_strange_character_is_named() -> None:
    line = numbered(TEXT)[61]
    assert "line 61 holds '?'" in message(with_line(TEXT, 61, line[:-1] + "?"))


def test_bits_behind_the_last_byte_are_refused() -> None:
    symbols = [0] * 25 + [1]
    typed = "".join(sheets.ALPHABET[one] for one in symbols) + sheets._check_of(41, symbols)
    assert "line 41 ends in bits" in message(with_line(TEXT, 41, f"41: {typed}"))


# ── tolerance ───────────────────────────────────────────────────────────────────────────────────
def test_typed_in_small_letters_with_look_alikes_and_without_groups() -> None:
    lines = []
    for number, line in numbered(TEXT).items():
        content = line[4:]
        if number in DATA_NUMBERS:
            content = content.lower().replace(" ", "").replace("0", "o").replace("1", "l")
            content = content.replace("v", "u")
        lines.append(f"  {number}:{content}   ")
    assert decode_sheet("\r\n".join(reversed(lines))) == FULL


def test_other_separators() -> None:
    lines = [line.replace(" ", "-").replace(":-", "\t") for line in numbered(TEXT).values()]
    texts = [line for line in numbered(TEXT).values() if line[0] in "123"]
    assert decode_sheet("\n".join(texts + lines[3:])) == FULL


def test_look_alikes_in_line_numbers() -> None:
    typed = TEXT.replace("\n61:", "\n6I:").replace("\n71:", "\n7l:").replace("\n11:", "\nIL:")
    assert decode_sheet("\ufeff" + typed) == FULL


def test_a_whole_sheet_and_the_scanned_code_in_one_file() -> None:
    assert decode_sheet(TEXT + "".join(qr_parts(FULL)).lower()) == FULL


def test_a_line_twice_with_different_contents() -> None:
    other = encode_sheet(replace(FULL, repository=bytes(16)))
    assert "line 41 stands there twice" in message(TEXT + numbered(other)[41])
    assert decode_sheet(TEXT + numbered(TEXT)[41]) == FULL


def test_lines_that_no_sheet_has() -> None:
    assert "line 67 is no line of a sheet" in message(TEXT + "67: 0000")
    assert decode_sheet(TEXT + "\n99: bottles\n00: nothing\n") == FULL


def test_the_root_key_may_be_cut_off() -> None:
    lines = numbered(TEXT)
    without = "\n".join(line for number, line in lines.items() if number not in (71, 72))
    assert decode_sheet(without) == replace(FULL, root_private=None)


def test_the_fingerprint_may_be_left_out_when_the_root_key_is_there() -> None:
    lines = numbered(TEXT)
    without = [line for number, line in lines.items() if number not in (51, 52)]
    assert decode_sheet("\n".join(without)) == FULL
    nothing = [line for line in without if line[0] != "7"]
    assert "line 51 is missing" in message("\n".join(nothing))


@pytest.mark.parametrize("number", sorted(numbered(TEXT)))
def test_a_missing_line_is_named(number: int) -> None:
    assert f"line {number} is missing" in message(with_line(TEXT, number, ""))


def test_what_is_no_sheet() -> None:
    assert "no recovery sheet" in message("")
    assert "no recovery sheet" in message("Dear all,\nit is 3 am.\n")


# ── long addresses ──────────────────────────────────────────────────────────────────────────────
def test_long_addresses_go_over_several_lines() -> None:
    long = replace(FULL, address="file:///srv/" + "ä b%" * 30)
    text = encode_sheet(long)
    assert decode_sheet(text) == long
    assert max(len(line) for line in text.splitlines()) <= sheets.WIDTH
    assert sorted(number for number in numbered(text) if number < 20) == [
        11,
        12,
        13,
        14,
        15,
        16,
        17,
    ]
    assert "line 13 is missing" in message(with_line(text, 13, ""))
    assert "line 17 is missing" in message(with_line(text, 17, ""))
    wrong = with_line(text, 13, numbered(text)[13].replace("C3", "C4", 1))
    assert message(wrong).endswith("line 13 does not match its check")


def test_a_line_too_many_is_named() -> None:
    other = numbered(encode_sheet(replace(FULL, address="file:///" + "x" * 80)))
    assert "line 12 does not belong" in message(TEXT + other[12])


def test_a_wrong_last_line_does_not_ask_for_another() -> None:
    wrong = with_line(TEXT, 11, "11: s3://drd/site-b  000000")
    assert message(wrong).endswith("line 11 does not match its check")


def test_too_long_an_address_is_refused() -> None:
    longest = "x" * (59 * 8 + 60)
    assert decode_sheet(encode_sheet(replace(FULL, address=longest))).address == longest
    with pytest.raises(UsageError):
        encode_sheet(replace(FULL, address=longest + "x"))


# ── values ──────────────────────────────────────────────────────────────────────────────────────
def test_keys_of_a_wrong_length_are_refused() -> None:
    with pytest.raises(KeyAccessError):
        replace(FULL, recovery_private=bytes(95))


def test_lines_of_two_sheets_are_found_out() -> None:
    other = bytes(32)
    two = encode_sheet(replace(FULL, root_private=other, root_fingerprint=fingerprint_of(other)))
    mixed = with_line(TEXT, 71, numbered(two)[71])
    mixed = with_line(mixed, 72, numbered(two)[72])
    assert "51-52 and 71-72" in message(mixed)
