"""Keys: what is one, what is not, and that nothing leaves its repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drd.core.names import is_key
from drd.errors import RefusedError
from drd.stores import names

ALPHABET = "ABCXYZabcxyz0189._-"
COMPONENT = st.text(ALPHABET, min_size=1, max_size=20).filter(lambda text: text not in {".", ".."})
KEY = st.lists(COMPONENT, min_size=1, max_size=6).map("/".join)
NASTY = st.text(st.sampled_from("ab./-_ \\\0\n~%ä\u2215"), max_size=12)


def plainly(text: str) -> bool:
    """The sentence of ``ports.Store``, and NAME_MAX, said in another way."""
    parts = text.split("/")
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    return len(text) <= 512 and all(
        part not in {"", ".", ".."} and len(part) <= 255 and set(part) <= allowed for part in parts
    )


@given(KEY)
def test_what_the_alphabet_makes_is_a_key(key: str) -> None:
    assert is_key(key)
    assert names.check_key(key) == key


@given(NASTY | st.text(max_size=12) | KEY)
def test_a_key_is_just_what_the_socket_says(text: str) -> None:
    assert is_key(text) == plainly(text)


@given(KEY, st.integers(0, 120))
def test_every_beginning_of_a_key_is_a_prefix(key: str, cut: int) -> None:
    assert names.is_prefix(key[:cut])


@given(NASTY | KEY)
def test_every_prefix_can_be_completed(text: str) -> None:
    completed = [text, text + "x", text + "x/y"]
    assert names.is_prefix(text) == any(is_key(whole) for whole in completed)


@given(NASTY | st.text(max_size=30))
def test_no_key_leads_out_of_a_folder(text: str) -> None:
    root = Path("/repository")
    inside = str(root / text) == f"/repository/{text}" and "\0" not in text
    inside = inside and (root / text).resolve().is_relative_to(root) and (root / text) != root
    assert inside or not is_key(text)


@pytest.mark.parametrize(
    "text",
    [
        *["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a b", "ä", "a\n", "\0"],
        *["a\\b", "a~", "a%2f", "a:b", "k" * 256, "/".join(["k" * 100] * 6)],
    ],
)
def test_each_of_these_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="not a valid object key") as caught:
        names.check_key(text)
    assert caught.value.exit_code == 15
    assert caught.value.about == repr(text)


@pytest.mark.parametrize("text", ["a", "...", ".a", "a.", "-", "_", "k" * 255, "a/" * 255 + "a"])
def test_each_of_these_is_a_key(text: str) -> None:
    assert names.check_key(text) == text


@pytest.mark.parametrize(
    "call",
    [
        lambda: names.check_prefix("/a"),
        lambda: names.check_prefix("a//"),
        lambda: names.check_prefix("../"),
        lambda: names.check_folder("a"),
        lambda: names.check_range(-1, None),
        lambda: names.check_range(0, -1),
        lambda: names.check_limit(-1),
    ],
)
def test_what_cannot_be_asked_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(RefusedError):
        call()


def test_what_can_be_asked_is_not() -> None:
    names.check_range(0, None)
    names.check_range(7, 0)
    names.check_limit(None)
    names.check_limit(0)
    assert names.check_folder("") == ""
    assert names.check_folder("a/b/") == "a/b/"
