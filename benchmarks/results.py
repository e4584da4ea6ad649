"""The file of results: one object a benchmark, written as soon as it was measured."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.figures import Row


def load(file: Path) -> Row:
    """What was measured so far; ``{"results": {NAME: …}}``."""
    if not file.exists():
        return {"results": {}}
    found: Row = json.loads(file.read_text(encoding="utf-8"))
    return found


def keep(file: Path, name: str, row: Row) -> None:
    """Put one result in place of the one before it; never half a file."""
    whole = load(file)
    whole["results"][name] = _rounded(row)
    half = file.with_suffix(".half")
    half.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    half.rename(file)


def has(whole: Row, name: str, commit: str, *, quick: bool) -> bool:
    """Whether *name* was measured at *commit*, and as thoroughly."""
    row = whole["results"].get(name)
    return row is not None and row["commit"] == commit and row["quick"] is quick


def _rounded(value: object) -> object:
    """Six digits say more than any of these measurements knows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return value
