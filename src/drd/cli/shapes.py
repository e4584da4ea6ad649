"""Values as the JSON of the contract has them."""

from __future__ import annotations

from datetime import UTC, datetime

from drd.cli.output import Row, size
from drd.model import BackupResult, Json, PointInfo, PointKind


def when(moment: datetime) -> str:
    """RFC 3339 in UTC, with ``Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def kind(of: PointKind) -> str:
    """``full`` or ``partial``."""
    return of.name.lower()


def backed_up(result: BackupResult) -> Row:
    """A point that a backup made."""
    return {
        "lineage": result.lineage.hex(),
        "name": result.name,
        "seq": result.seq,
        "time": when(result.point_at),
        "kind": kind(result.kind),
        "bytes_logical": result.bytes_logical,
        "bytes_changed": result.bytes_changed,
        "bytes_refilled": result.bytes_refilled,
        "bytes_read": result.bytes_read,
        "bytes_uploaded": result.bytes_uploaded,
        "objects_put": result.objects_put,
        "seconds": round(result.seconds, 3),
        "snapshot_seconds": round(result.snapshot_seconds, 3),
        "warnings": list(result.warnings),
    }


def backed_up_line(result: BackupResult) -> Row:
    """The same for a person."""
    return {
        "point": f"{result.name}@{result.seq}",
        "time": when(result.point_at),
        "size": size(result.bytes_logical),
        "changed": size(result.bytes_changed),
        "read": size(result.bytes_read),
        "uploaded": size(result.bytes_uploaded),
        "objects": result.objects_put,
        "seconds": round(result.seconds, 2),
    }


def point(info: PointInfo) -> dict[str, Json]:
    """A point as ``ls`` and ``show`` list it."""
    changed = info.facts.get("bytes_changed")
    return {
        "lineage": info.lineage.hex(),
        "name": info.name,
        "seq": info.seq,
        "time": when(info.point_at),
        "committed": when(info.committed_at),
        "kind": kind(info.kind),
        "bytes_logical": info.size,
        "bytes_changed": changed if isinstance(changed, int) else 0,
        "suspect": info.suspect,
        "doomed": info.doomed,
    }


def point_line(info: PointInfo, *, held: bool) -> Row:
    """The same for a person."""
    changed = info.facts.get("bytes_changed")
    return {
        "point": f"{info.name}@{info.seq}",
        "time": when(info.point_at),
        "size": size(info.size),
        "changed": size(changed if isinstance(changed, int) else 0),
        "state": _state(info) + (", held" if held else ""),
    }


def _state(info: PointInfo) -> str:
    if info.doomed:
        return "doomed"
    return "suspect" if info.suspect else "good"
