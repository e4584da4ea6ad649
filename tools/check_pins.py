"""Hold the pinned requirements against the versions known to be bad, without a network.

`requirements/known-bad.toml` says which versions, and why. Each pin must also carry a hash, and no
file may name the host that packages come from. Prints each offender; ends with 1 when there is one.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
HOST = re.compile(r"://|^--(?:extra-)?index-url|^--find-links")


def main(requirements: Path) -> int:
    """Check every `*.txt` in the folder; return the exit code."""
    bad = tomllib.loads((requirements / "known-bad.toml").read_text(encoding="utf-8"))["bad"]
    pinned, offenders = 0, []
    for path in sorted(requirements.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        offenders += [f"{path.name}: names a host: {line}" for line in hosts(text)]
        for pin, has_hash in pins(text):
            pinned += 1
            offenders += [f"{path.name}: {sentence}" for sentence in known_bad(pin, bad)]
            if not has_hash:
                offenders.append(f"{path.name}: {pin['name']} has no hash")
    if not pinned:
        offenders.append(f"{requirements}: no pin found at all")
    print("\n".join(offenders) or f"pins: {pinned} hold, none is known to be bad")
    return bool(offenders)


def pins(text: str) -> Iterator[tuple[re.Match[str], bool]]:
    """Yield each pin and whether a hash goes with it."""
    for requirement in re.sub(r"\\\n", "", text).splitlines():
        if pin := PIN.match(requirement):
            yield pin, "--hash=sha256:" in requirement


def hosts(text: str) -> list[str]:
    """Return the lines that name a host."""
    return [line for line in text.splitlines() if HOST.search(line)]


def known_bad(pin: re.Match[str], bad: list[dict[str, str]]) -> Iterator[str]:
    """Yield a sentence for each entry of the list that speaks against this pin."""
    for entry in bad:
        versions = SpecifierSet(entry["versions"], prereleases=True)
        if canonicalize_name(pin["name"]) == entry["name"] and pin["version"] in versions:
            yield f"{pin['name']} {pin['version']} is known to be bad: {entry['reason']}"


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent / "requirements"))
