"""Places to work in, and daemons."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.site import Site

POLICY = """
[policy.gold]
every = "{every}"
rpo = "1h"
[daemon]
metrics = ""
tick = "1s"
discover_every = "1s"
backoff = "1s"
drain = "10s"
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Image files, a repository in a folder, and a policy that wants a point each hour."""
    made = Site(tmp_path / "site")
    made.sources += 'policy = "gold"\n'
    made.configure(extra=POLICY.format(every="1h"))
    answer = made.run("init")
    assert answer.code == 0, answer.text
    return made
