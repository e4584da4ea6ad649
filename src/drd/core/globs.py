"""Whether two patterns can match one name, and which: decided exactly, for patterns as ``fnmatch`` has
them.

A pattern is a row of steps: any run of characters (``*``), or one character out of a set (``?``,
``[...]``, a letter). Two patterns are walked side by side, as automata are intersected: a place is how
far each has come, and a character that both allow leads on. Breadth first, so the name that is found is
one of the shortest.

Sets are not computed but asked: two sets that are unions of ranges have a character in common only if
one has that is named in either pattern, or stands next to one in Unicode, or is the first of all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from itertools import chain
from typing import Final

ANY_RUN: Final = "*"
_PLEASANT: Final = "abcdefghijklmnopqrstuvwxyz0123456789-_"
"""Tried first: a name that is shown to a person should look like one."""
_NO_NAME: Final = frozenset("\0/")
_LAST: Final = 0x10FFFF


def common_name(one: str, other: str) -> str | None:
    """One of the shortest names that both patterns match, ``""`` included; None when there is none.

    Names hold neither ``/`` nor NUL.
    """
    return _walk(_steps(one), _steps(other))


def common_image(one: str, other: str) -> str | None:
    """As :func:`common_name` for names of images: a pattern also matches the name that is written like it,
    and no name is empty.
    """
    found = common_name(one, other)
    if found == "" and ANY_RUN in one and ANY_RUN in other:
        found = common_name(f"{one}?", f"{other}?")
    if found:
        return found
    written = ((one, other), (other, one))
    return next(
        (name for name, by in written if name and (name == by or fnmatchcase(name, by))), None
    )


def common_path(one: str, other: str) -> str | None:
    """A path that both absolute patterns match, part by part; None when there is none.

    As a shell has it, a leading dot is matched by a dot alone.
    """
    ours, theirs = _parts(one), _parts(other)
    if len(ours) != len(theirs):
        return None
    found = [_common_part(mine, yours) for mine, yours in zip(ours, theirs, strict=True)]
    parts = [part for part in found if part is not None]
    return f"/{'/'.join(parts)}" if len(parts) == len(found) else None


def _parts(path: str) -> list[str]:
    """Parts of an absolute path; doubled slashes and ``.`` mean nothing (POSIX, 4.13)."""
    return [part for part in path.split("/") if part not in ("", ".")]


def _common_part(one: str, other: str) -> str | None:
    if one.startswith(".") and other.startswith("."):
        found = common_name(one[1:], other[1:])
        return None if found is None else f".{found}"
    if one.startswith(".") or other.startswith("."):
        return None
    return _walk(_steps(one), _steps(other), first_not=".", least=1)


def _walk(
    one: Sequence[str], other: Sequence[str], *, first_not: str = "", least: int = 0
) -> str | None:
    """The name; its first character is not *first_not*, it has *least* characters (0 or 1)."""
    queue = deque([((0, 0, least), "")])
    seen: set[tuple[int, int, int]] = set()
    while queue:
        place, name = queue.popleft()
        if place == (len(one), len(other), 0):
            return name
        if place in seen:
            continue
        seen.add(place)
        for following, character in _onward(one, other, place, "" if name else first_not):
            if character:
                queue.append((following, name + character))
            else:
                queue.appendleft((following, name))
    return None


def _onward(
    one: Sequence[str], other: Sequence[str], place: tuple[int, int, int], never: str
) -> Iterator[tuple[tuple[int, int, int], str]]:
    """Where one character, or none, leads from *place*."""
    at, there, missing = place
    mine = one[at] if at < len(one) else ""
    yours = other[there] if there < len(other) else ""
    if mine == ANY_RUN:
        yield (at + 1, there, missing), ""
    if yours == ANY_RUN:
        yield (at, there + 1, missing), ""
    if mine and yours:
        character = _both_allow(mine, yours, never)
        if character is not None:
            yield (at + (mine != ANY_RUN), there + (yours != ANY_RUN), 0), character


@cache
def _both_allow(one: str, other: str, never: str) -> str | None:
    """A character that both steps allow."""
    named = {ord(character) for character in f"{one}{other}/{never}"}
    beside = {code + by for code in named for by in (-1, 0, 1)} | {1}
    others = sorted(chr(code) for code in beside if 0 < code <= _LAST)
    characters = sorted(others, key=str.isprintable, reverse=True)
    for character in chain(_PLEASANT, characters):
        if character in _NO_NAME or (never and character in never):
            continue
        if _allows(one, character) and _allows(other, character):
            return character
    return None


def _allows(step: str, character: str) -> bool:
    if step in (ANY_RUN, "?"):
        return True
    return step == character if len(step) == 1 else fnmatchcase(character, step)


def _steps(pattern: str) -> list[str]:
    """*pattern* cut into steps. A ``[`` that is never closed is a letter."""
    steps: list[str] = []
    place = 0
    while place < len(pattern):
        end = _end_of_set(pattern, place) if pattern[place] == "[" else place + 1
        step = pattern[place:end]
        if step != ANY_RUN or steps[-1:] != [ANY_RUN]:
            steps.append(step)
        place = end
    return steps


def _end_of_set(pattern: str, begin: int) -> int:
    """Behind the ``]`` that closes the set; behind its ``[`` when none does."""
    first = begin + 1 + pattern.startswith("!", begin + 1)
    close = pattern.find("]", first + 1)  # one that comes first is a member
    return close + 1 if close >= 0 else begin + 1
