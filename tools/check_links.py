"""Check that every relative link in the documents leads somewhere.

Reads README.md, SECURITY.md and docs/**/*.md; looks at links and images, and at the `#part` of a
link to a Markdown file. Addresses in the net are not asked. Ends with 1 when a link is dead.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(\s*<?(?P<target>[^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\[[^\]]+\]:\s*<?(?P<target>[^\s>]+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(?P<words>.+?)\s*#*\s*$", re.MULTILINE)
OUTSIDE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def main(root: Path) -> int:
    """Check the documents under `root`; return the exit code."""
    documents = [root / name for name in ("README.md", "SECURITY.md") if (root / name).exists()]
    documents += sorted((root / "docs").rglob("*.md"))
    dead = [sentence for document in documents for sentence in dead_links(document)]
    print("\n".join(dead) or f"links: all lead somewhere, in {len(documents)} documents")
    return bool(dead)


def dead_links(document: Path) -> Iterator[str]:
    """Yield a sentence for each link of the document that leads nowhere."""
    text = CODE.sub("", FENCE.sub("", document.read_text(encoding="utf-8")))
    for match in (*LINK.finditer(text), *REFERENCE.finditer(text)):
        target = match["target"]
        if OUTSIDE.match(target):
            continue
        path, _, part = target.partition("#")
        place = document.parent / path if path else document
        if not place.exists():
            yield f"{document}: no such file: {target}"
        elif part and place.suffix == ".md" and part not in anchors(place):
            yield f"{document}: no such heading: {target}"


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings, spelled as the usual renderers spell them."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    found: set[str] = set()
    for match in HEADING.finditer(text):
        words = re.sub(r"[^\w\- ]", "", match["words"].lower()).replace(" ", "-")
        twins = sum(1 for anchor in found if re.fullmatch(rf"{re.escape(words)}(-\d+)?", anchor))
        found.add(f"{words}-{twins}" if twins else words)
    return found


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
