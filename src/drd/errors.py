"""One error tree: the class says whose fault it is and how drd exits, the instance what to do.

Exit codes are a contract (``drctl --help`` lists them). A foreign exception that crosses the door
of a room is a bug: each adapter turns what its library raises into one of these.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

from typing_extensions import override

EXIT_CODES: Final[dict[int, str]] = {
    0: "done (garbage objects in the bucket: done, with a warning)",
    1: "failed, or several failures of different causes",
    2: "usage, configuration, or an unreadable secret",
    3: "some done, some not",
    10: "no such image, pool, point, repository, or snapshot for level 4",
    11: "damage, or a missing pack",
    12: "key missing or wrong",
    13: "store unreachable or access denied",
    14: "source unreachable or access denied",
    15: "refused for safety",
    130: "interrupted (Ctrl-C, SIGTERM); what was not committed is not visible",
}


class DrdError(Exception):
    """Something failed.

    Args:
        message: one sentence, who is at fault and what happened.
        about: the object that it is about (image, key, point, path); ``""`` when there is none.
        hint: what to do next; ``""`` when where it failed nothing more is known than ``next_step``.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"
    next_step: ClassVar[str] = "run it again; when it fails again, report it with the message"
    """What to do about any error of this class, for one that has no better hint of its own."""

    def __init__(self, message: str, *, about: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.about = about
        self.hint = hint

    @override
    def __str__(self) -> str:
        """Message and object in one line."""
        return f"{self.message} [{self.about}]" if self.about else self.message


class UsageError(DrdError):
    """The command line is wrong."""

    exit_code = 2
    code = "usage"
    next_step = "see 'drctl --help', and COMMAND --help"


class ConfigError(DrdError):
    """The configuration is wrong, or a secret that it names cannot be read."""

    exit_code = 2
    code = "config"
    next_step = "correct the configuration, or the file that it names"


class NotFoundError(DrdError):
    """No such image, pool, point, repository or snapshot."""

    exit_code = 10
    code = "not-found"
    next_step = "check the name; 'drctl ls' shows what is backed up"


class IntegrityError(DrdError):
    """Bytes are not what they were when they were written, or are gone."""

    exit_code = 11
    code = "damage"
    next_step = "'drctl verify --all --level 1' finds what else is damaged"


class KeyAccessError(DrdError):
    """A key is missing, wrong, or not allowed to this role."""

    exit_code = 12
    code = "key"
    next_step = "bring the key file or the sheet that was made for this repository"


class StoreError(DrdError):
    """The store cannot be reached, or refuses."""

    exit_code = 13
    code = "store"
    next_step = "'drctl doctor' tries the store step by step"


class TransientStoreError(StoreError):
    """The store failed in a way that may pass: timeouts, 503, broken connections. Worth a retry."""

    code = "store"


class ObjectMissingError(StoreError):
    """The store answers, and has no object of that name (or version)."""

    code = "store-missing"


class PlaceMissingError(StoreError):
    """There is no such bucket, or no such folder: no repository can be at this address.

    The store answers, so it exits as what it is to an operator: no such repository. Its code is one of
    a store's all the same: to the daemon the bucket is out of reach.
    """

    exit_code = 10
    code = "store-absent"
    next_step = "check [repository] url, and that its folder is mounted; drd never makes a bucket"


class ObjectExistsError(StoreError):
    """The name is taken already: a conditional PUT lost (HTTP 412, or EEXIST)."""

    code = "store-exists"


class SourceError(DrdError):
    """The source cannot be reached, or refuses."""

    exit_code = 14
    code = "source"
    next_step = "'drctl doctor' tries each source; check that it is up, and what drd may read"


class RefusedError(DrdError):
    """drd could, and will not: it would put data at risk."""

    exit_code = 15
    code = "refused"
    next_step = "nothing was changed; see docs/exit-codes.md, code 15"


class BusyError(RefusedError):
    """Somebody else works on it: another run, on this host or another, holds the lease.

    Args:
        message: as of any error; so are *about* and *hint*.
        until: when the lease runs out unless it is renewed; None where nobody can say.
    """

    code = "busy"
    next_step = "wait until the other run is done"

    def __init__(
        self, message: str, *, about: str = "", hint: str = "", until: datetime | None = None
    ) -> None:
        super().__init__(message, about=about, hint=hint)
        self.until = until


class StoppedError(DrdError):
    """Somebody wants drd to stop: Ctrl-C, or SIGTERM. Exits as a shell tells of the signal.

    Of a backup ``lineage`` is what it worked on (16 bytes, empty for anything else), ``seq`` the number of
    the partial point that it committed (0: none), ``bytes_uploaded`` what it put until then.
    """

    exit_code = 130
    code = "interrupted"
    next_step = "run it again: it goes on from the last point that was committed"

    def __init__(self, message: str, *, about: str = "", hint: str = "") -> None:
        super().__init__(message, about=about, hint=hint)
        self.lineage = b""
        self.seq = 0
        self.bytes_uploaded = 0


class CrashError(BaseException):
    """A test's simulated death of the process; derives from BaseException so nothing catches it."""


def common_exit_code(codes: list[int], *, some_done: bool) -> int:
    """Exit code of a command that met several failures.

    Args:
        codes: exit code of each failure, in any order; empty when nothing failed.
        some_done: whether something else succeeded.

    Returns:
        0 without failures; 3 when some succeeded; else the common cause, or 1 when causes differ.
    """
    if not codes:
        return 0
    if some_done:
        return 3
    return codes[0] if len(set(codes)) == 1 else 1
