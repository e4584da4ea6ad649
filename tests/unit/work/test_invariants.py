"""The page of invariants names tests that are there: a renamed test would leave a rule on its own."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
PAGE = TESTS.parent / "docs" / "invariants.md"
NAMED = re.compile(r"`([a-z/_]+\.py)::(\w+)`")


@cache
def defined_in(path: Path) -> set[str]:
    """Tests and classes of a file, and names that it gives to test cases."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_every_test_that_the_page_names_is_there() -> None:
    named = NAMED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 90
    missing = [f"{path}::{name}" for path, name in named if name not in defined_in(TESTS / path)]
    assert missing == []
