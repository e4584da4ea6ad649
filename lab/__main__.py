"""The lab's command line: `python -m lab up|down|env DIR`, `python -m lab install`."""

import argparse
import shlex
import sys
import time
from pathlib import Path

from lab.debian import make_root
from lab.failure import LabError
from lab.folder import PRIMARY, SECONDARY, SECONDARY_LOCKED, STATE, Lab
from lab.install import install


def main(arguments: list[str]) -> int:
    """Carry out one command; return the exit code."""
    args = parser().parse_args(arguments)
    try:
        if args.command == "install":
            install()
            make_root()
        elif args.command == "guard":
            guard(args.folder)
        elif args.command == "up":
            up(args.folder, rgw=args.rgw)
        elif args.command == "down":
            down(args.folder, delete=args.delete)
        else:
            print(exports(existing(args.folder)))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m lab", description="Real servers in one folder.")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install or build the servers that are missing")
    helps = {
        "up": "start Ceph and MinIO, and print what to export",
        "down": "stop the servers",
        "env": "print what to export",
        "guard": "delete the lab as soon as standard input ends (for tests that may be killed)",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", type=lambda text: Path(text).absolute(), metavar="DIR")
        if name == "up":
            command.add_argument("--rgw", action="store_true", help="start RGW too")
        if name == "down":
            command.add_argument("--delete", action="store_true", help="remove the folder too")
    return top


def up(folder: Path, *, rgw: bool) -> None:
    """Start a lab and say how long it took and what to export."""
    begin = time.monotonic()
    lab = Lab(folder)
    lab.up(rgw=rgw)
    print(f"# up after {time.monotonic() - begin:.1f} s; stop it with: python -m lab down {folder}")
    print(f"# buckets: {PRIMARY} and {SECONDARY_LOCKED} (object lock) in MinIO", end="")
    print(f", {SECONDARY} in RGW; all with versions" if rgw else "; both with versions")
    print(exports(lab))


def down(folder: Path, *, delete: bool) -> None:
    """Stop a lab."""
    lab = existing(folder)
    if delete:
        lab.delete()
    else:
        lab.down()


def guard(folder: Path) -> None:
    """Wait for the end of standard input, which comes when the owner closes it or dies."""
    lab = existing(folder)
    sys.stdin.read()
    lab.delete()


def existing(folder: Path) -> Lab:
    """Open a lab that is there.

    Raises:
        LabError: the folder holds none.
    """
    if not (folder / STATE).exists():
        raise LabError(f"{folder} holds no lab. Start one: python -m lab up {folder}")
    return Lab(folder)


def exports(lab: Lab) -> str:
    """Return lines for a shell."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in lab.exports().items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
