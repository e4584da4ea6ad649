"""The benchmarks' command line: see the package."""

from __future__ import annotations

import argparse
import io
import sys
import time
import traceback
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

from typing_extensions import override

from benchmarks import machine, page, results, suite
from benchmarks.figures import Result
from benchmarks.place import ROOT, Place
from benchmarks.process import BenchmarkError
from drd.errors import DrdError
from drd.wiring import clock
from lab.failure import LabError

SCRATCH = Path("/var/tmp/drd-bench")  # noqa: S108 - no tmpfs, and kept: it caches an image of 8 GiB
LOG = "log"
FULL = ROOT / "docs" / "benchmarks.json"


def main(arguments: list[str]) -> int:
    """Run what was asked for; the exit code is 1 when one of them could not be measured."""
    args = parser().parse_args(arguments)
    if args.list:
        print("\n".join(f"{name:12} {about}" for name, about in suite.ALL.items()))
        return 0
    unknown = set(args.names) - set(suite.ALL)
    if unknown:
        print(
            f"error: no such benchmark: {', '.join(sorted(unknown))}; see --list", file=sys.stderr
        )
        return 2
    args.scratch.mkdir(parents=True, exist_ok=True)
    with (args.scratch / LOG).open("a", encoding="utf-8") as log:
        both = _Both(sys.stdout, log)
        with redirect_stdout(both), redirect_stderr(both):
            return run(args)


def run(args: argparse.Namespace) -> int:
    """Run what *args* name, one after the other."""
    file = args.json or (args.scratch / "quick.json" if args.quick else FULL)
    names = [name for name in suite.ALL if name in args.names or not args.names]
    done = results.load(file)
    if args.resume:
        names = [
            name
            for name in names
            if not results.has(done, name, machine.commit(), quick=args.quick)
        ]
    failed = 0
    for name in names:
        failed += not measure(name, args, file)
    if file == FULL:
        page.write(results.load(file), ROOT / "docs")
    if len(names) > 1:
        print(page.table(results.load(file)))
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    top.add_argument("names", nargs="*", metavar="NAME", help="which (all, when none is named)")
    top.add_argument("--list", action="store_true", help="say which there are")
    top.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    top.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="where results go, each as soon as it is there (else docs/benchmarks.json, of which "
        "docs/benchmarks.md and .svg are drawn; with --quick a file in the scratch folder)",
    )
    top.add_argument(
        "--resume", action="store_true", help="leave out what FILE has of this commit already"
    )
    top.add_argument("--scratch", type=Path, default=SCRATCH, metavar="DIR", help=f"else {SCRATCH}")
    return top


def measure(name: str, args: argparse.Namespace, file: Path) -> bool:
    """Run one benchmark and keep its result; False (and why, on stderr) when it could not be."""
    print(f"== {name}: {suite.ALL[name]}", flush=True)
    begin, before = time.monotonic(), machine.load()
    try:
        with ExitStack() as cleanup:
            found: Result = suite.runner(name)(Place(args.scratch, args.quick, cleanup))
    except (BenchmarkError, LabError, DrdError) as error:
        print(f"error: {name}: {error}", file=sys.stderr, flush=True)
        return False
    except Exception:  # noqa: BLE001 - one broken benchmark must not take the others with it
        traceback.print_exc()
        return False
    row = {
        **found.as_row(),
        "about": suite.ALL[name],
        "quick": args.quick,
        "commit": machine.commit(),
        "measured_at": clock.now().isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - begin, 1),
        "load_before": before,
        "machine": machine.facts(),
    }
    results.keep(file, name, row)
    print(page.table({"results": {name: row}}), flush=True)
    if args.quick:
        print("    (small sizes: nothing here says whether a target is reached)\n", flush=True)
    return True


class _Both(io.TextIOBase):
    """Writes to a terminal and to a file."""

    def __init__(self, *streams: TextIO) -> None:
        self._streams = streams

    @override
    def write(self, text: str) -> int:
        for stream in self._streams:
            stream.write(text)
            stream.flush()
        return len(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
