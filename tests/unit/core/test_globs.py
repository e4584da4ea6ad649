"""Whether two patterns can match one name: examples, and all names of a small alphabet against it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drd.core.globs import common_image, common_name, common_path

ALPHABET = "ab.-]"
NAMES = ["".join(letters) for length in range(5) for letters in product(ALPHABET, repeat=length)]
PATTERNS = st.lists(
    st.sampled_from(
        ["a", "b", ".", "-", "]", "[", "*", "?", "[ab]", "[!a]", "[a-b]", "[!-.]", "[b-a]"]
    ),
    max_size=4,
).map("".join)


@pytest.mark.parametrize(
    "one,other,name",
    [
        ("vm-*", "*-db", "vm-db"),
        ("*", "*", ""),
        ("*", "vm-1", "vm-1"),
        ("vm-?", "vm-[0-9]", "vm-0"),
        ("vm-[!0-9]*", "vm-[0-9]*", None),
        ("vm-*", "db-*", None),
        ("a*b*c", "*x*", "axbc"),
        ("[a-c]", "[c-e]", "c"),
        ("[", "[", "["),
        ("[]]", "]", "]"),
        ("[!]]", "]", None),
        ("vm-?", "vm", None),
        ("", "*", ""),
        ("", "a", None),
        ("[z-a]", "*", None),
        ("[éè]*", "[è-ê]?", "èa"),
        ("a**b", "a*b", "ab"),
        ("[!!-~]", "?", " "),  # none that either names: one beside them
    ],
)
def test_examples(one: str, other: str, name: str | None) -> None:
    assert common_name(one, other) == name
    turned = common_name(other, one)
    assert (turned is None) == (name is None)
    assert turned is None or len(turned) == len(name or "")


@settings(max_examples=400)
@given(PATTERNS, PATTERNS)
def test_it_says_what_trying_all_names_says(one: str, other: str) -> None:
    found = common_name(one, other)
    if found is not None:
        assert fnmatchcase(found, one)
        assert fnmatchcase(found, other)
    shortest = next(
        (len(name) for name in NAMES if fnmatchcase(name, one) and fnmatchcase(name, other)), None
    )
    if shortest is not None:
        assert found is not None
        assert len(found) <= shortest


@given(st.text(alphabet="ab*?[]!-^\\é", max_size=6), st.text(alphabet="ab*?[]!-^\\é", max_size=6))
def test_what_it_finds_is_matched_by_both(one: str, other: str) -> None:
    found = common_name(one, other)
    if found is not None:
        assert fnmatchcase(found, one)
        assert fnmatchcase(found, other)


@pytest.mark.parametrize(
    "one,other,name",
    [
        ("*", "*", "a"),
        ("vm[1", "vm[1", "vm[1"),
        ("vm[1]", "vm[1]", "vm1"),
        ("vm[1]", "vm1", "vm1"),
        ("vm[1]", "vm*", "vm1"),
        ("vm[1]", "vm[[]1]", "vm[1]"),
        ("vm[1]", "vm2", None),
        ("a?", "*b", "ab"),
    ],
)
def test_images_are_also_named_as_they_are_written(one: str, other: str, name: str | None) -> None:
    assert common_image(one, other) == name


@pytest.mark.parametrize(
    "one,other,path",
    [
        ("/srv/*.img", "/srv/a*", "/srv/a.img"),
        ("/srv/*/disk", "/srv/a/*", "/srv/a/disk"),
        ("/srv/*", "/srv/a/b", None),
        ("/srv/*", "/mnt/*", None),
        ("/dev/vg/lv-*", "/dev/vg/lv-[0-9]", "/dev/vg/lv-0"),
        ("/srv/*", "/srv/.hidden", None),
        ("/srv/.*", "/srv/.hidden", "/srv/.hidden"),
        ("/srv/*", "/srv/*", "/srv/a"),
        ("/srv/?x", "/srv/[.]x", None),
        ("/srv/[a]", "/srv/[*]", None),
        ("/srv/*", "/srv/[*]", "/srv/*"),
        ("/", "/", "/"),
    ],
)
def test_paths(one: str, other: str, path: str | None) -> None:
    assert common_path(one, other) == common_path(other, one) == path


def test_long_patterns_take_no_longer_than_the_product_of_their_steps() -> None:
    assert common_name("*a" * 60 + "b", "a*" * 60 + "c") is None
