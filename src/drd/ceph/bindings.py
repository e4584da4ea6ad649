"""Ceph's own Python modules: imported when first needed, and their version.

``rados`` and ``rbd`` come from the host's packages and must match the host's librados; drd never
ships them. Without them every other source works, so they are not imported with this room.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import re
from dataclasses import dataclass
from typing import Any, Final

from drd.errors import SourceError

Version = tuple[int, int, int]

_RTLD_NOLOAD: Final = 4
"""dlopen(3): only what is loaded already; so this can never load another librados."""

_RELEASE_OF_LIBRBD: Final = {16: 16, 17: 17, 18: 18, 19: 19, 20: 20}
"""Minor version of librbd's interface to Ceph release: src/include/rbd/librbd.h, LIBRBD_VER_MINOR."""


@dataclass(frozen=True)
class Bindings:
    """The two modules, and the version of the library below them (``(16, 2, 15)``).

    ``exact`` is False when only the release is known: ``version`` is then the first of that release,
    so that a gate on versions errs on the safe side.
    """

    rados: Any
    rbd: Any
    version: Version
    exact: bool

    @property
    def version_text(self) -> str:
        """For the facts of a point."""
        return ".".join(map(str, self.version)) + ("" if self.exact else " or later")


@functools.cache
def bindings() -> Bindings:
    """Import ``rados`` and ``rbd``.

    Raises:
        SourceError: they are not installed, or do not fit this interpreter.
    """
    try:
        rados, rbd = importlib.import_module("rados"), importlib.import_module("rbd")
    except ImportError as error:
        raise SourceError(
            f"Ceph's Python modules cannot be used: {error}",
            hint="apt-get install python3-rados python3-rbd, then link their rados*.so and rbd*.so "
            "into drd's environment (they fit only the Python that the distribution ships)",
        ) from error
    exact = _loaded_version()
    return Bindings(rados, rbd, exact or _release_of(rbd), exact is not None)


def _loaded_version() -> Version | None:
    """What libceph-common calls itself: ``ceph_version_to_str()``, src/common/version.h."""
    try:
        library = ctypes.CDLL("libceph-common.so.2", mode=_RTLD_NOLOAD)
        function = library["_Z19ceph_version_to_strv"]
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_char_p
    return parse_version((function() or b"").decode("ascii", "replace"))


def parse_version(text: str) -> Version | None:
    """``16.2.15-…`` as three numbers; None when it is no version."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _release_of(rbd: Any) -> Version:
    """The first version of the release that librbd's interface version belongs to; 0 when unknown."""
    _, minor, _ = rbd.RBD().version()
    return (_RELEASE_OF_LIBRBD.get(minor, 0), 0, 0)
