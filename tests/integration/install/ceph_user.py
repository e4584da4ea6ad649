"""The Ceph user of docs/install.md."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "install.md"
MON = re.compile(r"mon '([^']+)'")
OSD = re.compile(r"osd '([^']+)'")
DATA_POOL = re.compile(r"data pool .*?`([^`]+)`")


def documented(*, data_pool: str = "ecdata") -> tuple[str, str]:
    """Capabilities for monitor and OSDs as the page has them, with those for a data pool."""
    text = PAGE.read_text()
    text = text[text.index("a test takes the capabilities from here") :]
    mon, osd, data = MON.search(text), OSD.search(text), DATA_POOL.search(text)
    assert mon
    assert osd
    assert data
    return mon[1], f"{osd[1]}, {data[1].replace('pool=DATA', f'pool={data_pool}')}"
