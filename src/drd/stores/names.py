"""What may be a key, checked both ways: before drd uses a name, and before it believes one.

A key is the same string in a bucket, in a directory and in a signed manifest, so it is kept to what
all of them take without quoting. The strictness is also the only thing between a key and a path.
"""

from __future__ import annotations

from typing import Final

from drd.core.names import MAX_KEY, is_component, is_key
from drd.errors import RefusedError

_HINT: Final = "this is a fault in drd, or somebody else's object; please report it with the name"


def is_prefix(text: str) -> bool:
    """Whether some key can begin with *text*; the empty string begins them all."""
    *whole, last = text.split("/")
    if len(text) > MAX_KEY or not all(is_component(part) for part in whole):
        return False
    return last in {"", ".", ".."} or is_component(last)


def check_key(key: str) -> str:
    """Return *key*; ``RefusedError`` unless it is one."""
    if not is_key(key):
        raise RefusedError("not a valid object key", about=repr(key), hint=_HINT)
    return key


def check_prefix(prefix: str) -> str:
    """Return *prefix*; ``RefusedError`` unless some key can begin with it."""
    if not is_prefix(prefix):
        raise RefusedError("no object key can begin like this", about=repr(prefix), hint=_HINT)
    return prefix


def check_folder(prefix: str) -> str:
    """Return *prefix*; ``RefusedError`` unless it is empty, or ends a component with a slash."""
    if prefix and not prefix.endswith("/"):
        raise RefusedError("a folder ends with a slash", about=repr(prefix), hint=_HINT)
    return check_prefix(prefix)


def check_range(start: int, length: int | None) -> None:
    """``RefusedError`` unless the byte range can be asked for: nothing below zero."""
    if start < 0 or (length is not None and length < 0):
        raise RefusedError("a byte range cannot be negative", about=f"{start}+{length}", hint=_HINT)


def check_limit(limit: int | None) -> None:
    """``RefusedError`` for a negative number of entries; zero is a way to ask for none."""
    if limit is not None and limit < 0:
        raise RefusedError("a limit cannot be negative", about=str(limit), hint=_HINT)
