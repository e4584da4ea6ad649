"""What the operator writes after ``--to``, and the target that it means."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import BinaryIO, TextIO, TypeAlias

from drd.ceph.cluster import CephAccess, Cluster
from drd.errors import SourceError, UsageError
from drd.ports import Random, Target
from drd.sources.device_target import DeviceTarget
from drd.sources.file_target import FileTarget
from drd.sources.pipe_target import PipeTarget
from drd.sources.rbd_target import RbdAddress, RbdTarget


@dataclass(frozen=True, slots=True)
class FileAddress:
    """``file:PATH``."""

    path: str

    @property
    def text(self) -> str:
        """As the operator wrote it."""
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """``device:PATH``."""

    path: str

    @property
    def text(self) -> str:
        """As the operator wrote it."""
        return f"device:{self.path}"


@dataclass(frozen=True, slots=True)
class PipeAddress:
    """``-``: standard output."""

    @property
    def text(self) -> str:
        """As the operator wrote it."""
        return "-"


Address: TypeAlias = RbdAddress | FileAddress | DeviceAddress | PipeAddress

HINT = "write rbd:POOL[/NAMESPACE]/IMAGE, file:PATH, device:PATH, or -"


def parse_target(text: str) -> Address:
    """What *text* names. Nothing is looked at; names may hold spaces, ``@`` and any letter.

    Raises:
        UsageError: no such kind of target, or a part is empty.
    """
    if text == "-":
        return PipeAddress()
    kind, colon, rest = text.partition(":")
    if not colon or kind not in ("rbd", "file", "device"):
        raise UsageError("this is no target", about=text, hint=HINT)
    if "\0" in rest:
        raise UsageError("a name holds a zero byte", about=kind, hint=HINT)
    if kind == "rbd":
        return _parse_rbd(text, rest)
    if rest.startswith("//"):
        raise UsageError(
            "a target is a path, not a URL",
            about=text,
            hint=f"write {kind}:PATH, here {kind}:/{rest.lstrip('/')}",
        )
    if not rest or rest.endswith("/"):
        raise UsageError("the path is empty, or names a folder", about=text, hint=HINT)
    return FileAddress(rest) if kind == "file" else DeviceAddress(rest)


def _parse_rbd(text: str, rest: str) -> RbdAddress:
    parts = rest.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UsageError(
            "an RBD target has a pool, maybe a namespace, and an image", about=text, hint=HINT
        )
    return RbdAddress(parts[0], parts[1] if len(parts) == 3 else "", parts[-1])  # noqa: PLR2004


def make_target(
    text: str,
    access: CephAccess,
    *,
    overwrite: bool,
    random: Random,
    stdout: BinaryIO | None = None,
) -> Target:
    """The target that *text* names; nothing is touched before its ``prepare``.

    Args:
        text: what the operator wrote.
        access: how to reach Ceph; used for ``rbd:`` alone.
        overwrite: whether what is there may be replaced.
        random: for quarantine names.
        stdout: where ``-`` writes; the process's own by default.

    Raises:
        UsageError: *text* names no target.
        SourceError: it is ``-``, and standard output is closed.
    """
    match parse_target(text):
        case RbdAddress() as address:
            return RbdTarget(address, Cluster(access), overwrite=overwrite, random=random)
        case FileAddress(path):
            return FileTarget(path, overwrite=overwrite, random=random)
        case DeviceAddress(path):
            return DeviceTarget(path, overwrite=overwrite)
        case PipeAddress():
            return PipeTarget(stdout or _standard_output())


def _standard_output() -> BinaryIO:
    """The process's own.

    Raises:
        SourceError: it was closed before drd began.
    """
    # typeshed does not know that there may be none (documentation of ``sys.__stdout__``)
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise SourceError(
            "standard output is closed", about="-", hint="send it to a file or a pipe"
        )
    return stream.buffer
