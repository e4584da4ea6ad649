"""Hold the sizes of the house: the tail, not the median, spoils it.

No Python or shell file over 500 lines (but for one that is one file by contract), no function over 60
(from its `def` to its last line, without decorators), no Makefile over 40. Prints each offender; ends
with 1 when there is one.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("src", "tests", "lab", "tools", "benchmarks", "reader", "check")
SUFFIXES = {".py", ".sh", ".sql"}
FILE_LINES = 500
# It is copied as it is to hosts that have nothing of drd: its parts cannot be files of their own.
STAND_ALONE = {"drd_check.py": 720}
FUNCTION_LINES = 60
MAKEFILE_LINES = 40


def main(root: Path) -> int:
    """Check all folders under `root`; return the exit code."""
    offenders = [*long_makefile(root / "Makefile")]
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                offenders.extend(long_parts(path))
    print("\n".join(offenders) or "sizes: all within their bounds")
    return bool(offenders)


def long_makefile(path: Path) -> Iterator[str]:
    """Yield a sentence when the Makefile is no longer a front door."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > MAKEFILE_LINES:
        yield f"{path}: {lines} lines, at most {MAKEFILE_LINES}"


def long_parts(path: Path) -> Iterator[str]:
    """Yield a sentence for the file and for each function that is too long."""
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    most = STAND_ALONE.get(path.name, FILE_LINES)
    if lines > most:
        yield f"{path}: {lines} lines, at most {most}"
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text, filename=str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                where = f"{path}:{node.lineno}"
                yield f"{where}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
