"""What the how-to pages tell an operator to type is typed here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: str) -> list[str]:
    """What a page tells an operator to type, block by block."""
    return BLOCK.findall((DOCS / page).read_text())


def typed(blocks: list[str], place: Path) -> str:
    """All *blocks* one after the other, in one shell that stops at the first failure; what it said."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DRD_", "AWS_"))
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    ran = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", "\n".join(blocks)],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.mark.parametrize("page", ["first-backup.md", "restore-by-hand.md"])
def test_commands_of_a_page_do_what_it_says(page: str, tmp_path: Path) -> None:
    blocks = blocks_of(page)
    assert len(blocks) > 3, "the page has no commands any more"
    assert "proven" in typed(blocks, tmp_path)


def test_operating_goes_on_after_the_first_backups(tmp_path: Path) -> None:
    first, blocks = blocks_of("first-backup.md"), blocks_of("operating.md")
    assert len(blocks) > 3, "the page has no commands any more"
    lost = next(number for number, block in enumerate(first) if "rm -rf state" in block)
    said = typed([*first[:lost], *blocks], tmp_path)
    for expected in (
        "1 elsewhere",
        "newest",
        "case 4711",
        "good, held",
        "hashes right",
        "level 4, ",
    ):
        assert expected in said


def test_the_demo_shows_the_main_job(tmp_path: Path) -> None:
    """What the README's first command runs: it ends well, and with the image back from paper alone."""
    demo = DOCS.parent / "tools" / "demo.sh"
    ran = subprocess.run(
        [demo],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    assert "everything decrypts" in ran.stdout
    assert "equal to the source's snapshot" in ran.stdout
    assert "\nidentical\n" in ran.stdout
    assert not list(tmp_path.glob("drd-demo.*")), "it leaves nothing behind"
